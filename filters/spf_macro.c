/*
 * SPF macros (spf_macro.h): one reader of tokens, used to check and to expand.
 *
 * A token is a visible character, one of "%%" "%_" "%-", or "%{" letter, digits, "r", delimiters
 * "}".  spf_record.c checks every domain-spec with it when a record is read, so a record with a
 * broken macro anywhere is refused as a whole (RFC 7208 4.6); spf_explain.c checks explanations;
 * spf_query.c expands.  Nothing here can fail but the check.  What must never happen: that a value (a local
 * part, a HELO) is read for macros itself.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "filters/spf_macro.h"
#include "lib/buf.h"
#include "lib/ip.h"
#include "lib/mem.h"

/* More parts than any name has labels (RFC 7208 7.3: at least 127); larger numbers mean the same.
 */
#define PARTS_MAX 1000

struct token {
	char letter;  /* of a macro, in lower case; '\0': none */
	char literal; /* a character for itself, "%%" and "%_" included; '\0': none ("%-" has
			 neither) */
	bool escape;  /* upper case: for URLs */
	bool reverse;
	unsigned parts; /* right-hand ones that are kept; 0: all */
	const char *delimiters;
	size_t delimiters_n;
};

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* ASCII only, whatever the locale says. */
static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool
is_alnum(char c)
{
	return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z');
}

/* --- reading --- */

/* Behind "%{".  NULL or what is wrong; *S stands behind what was read. */
static const char *
read_macro(const char **s, const char *end, struct token *t)
{
	const char *p = *s;
	bool digits = false;

	if (p == end || *p == '\0' || strchr("slodiphcrtv", lower(*p)) == NULL)
		return "there is no such macro";
	t->letter = lower(*p);
	t->escape = *p != t->letter;
	for (p++; p < end && is_digit(*p); p++) {
		digits = true;
		t->parts = t->parts * 10 + (unsigned)(*p - '0');
		if (t->parts > PARTS_MAX)
			t->parts = PARTS_MAX;
	}
	if (digits && t->parts == 0)
		return "a macro cannot keep 0 parts";
	if (p < end && lower(*p) == 'r') {
		t->reverse = true;
		p++;
	}
	t->delimiters = p;
	while (p < end && *p != '\0' && strchr(".-+,/_=", *p) != NULL)
		p++;
	t->delimiters_n = (size_t)(p - t->delimiters);
	if (p == end || *p != '}')
		return "the macro is not closed where it should be";
	*s = p + 1;
	return NULL;
}

/* The token at *S, which then stands behind it.  NULL or what is wrong. */
static const char *
read_token(const char **s, const char *end, struct token *t)
{
	*t = (struct token){ 0 };
	if (**s != '%') {
		t->literal = *(*s)++;
		return NULL;
	}
	if (++*s < end) {
		switch (*(*s)++) {
		case '{':
			return read_macro(s, end, t);
		case '%':
			t->literal = '%';
			return NULL;
		case '_':
			t->literal = ' ';
			return NULL;
		case '-':
			return NULL;
		}
	}
	return "\"%\" must be followed by one of { % _ -";
}

/* --- checking --- */

/*
 * domain-end, when no macro is at the end: "." toplabel [ "." ] (RFC 7208 7.1).  S to END is what
 * follows the last macro.
 */
static const char *
check_domain_end(const char *s, const char *end)
{
	const char *label, *p;
	bool numeric = true;

	if (end > s && end[-1] == '.')
		end--;
	for (label = end; label > s && label[-1] != '.'; label--)
		;
	if (label == s)
		return "a domain name with a dot in it is expected";
	for (p = label; p < end; p++) {
		if (!is_alnum(*p) && *p != '-')
			return "the last label of a domain name has letters, digits and hyphens "
			       "only";
		numeric = numeric && is_digit(*p);
	}
	if (label == end || *label == '-' || end[-1] == '-')
		return "the last label of a domain name is empty or has a hyphen at its edge";
	return numeric ? "the name ends in a number; an address is written ip4: or ip6:" : NULL;
}

const char *
spf_macro_check(const char *s, size_t len, enum spf_text kind, size_t *at)
{
	const char *p = s, *end = s + len, *token, *behind_macro = s, *why;
	struct token t;

	while (p < end) {
		token = p;
		*at = (size_t)(token - s);
		why = read_token(&p, end, &t);
		if (why != NULL)
			return why;
		if (*token == '%')
			behind_macro = p;
		else if ((*token < '!' || *token > '~') &&
			 !(*token == ' ' && kind == SPF_EXPLANATION))
			return "only visible ASCII characters are allowed here";
		if (kind == SPF_DOMAIN_SPEC && t.letter != '\0' && strchr("crt", t.letter) != NULL)
			return "the macros c, r and t are for explanations only";
	}
	if (kind != SPF_DOMAIN_SPEC || (len > 0 && behind_macro == end))
		return NULL;
	*at = (size_t)(behind_macro - s);
	return check_domain_end(behind_macro, end);
}

bool
spf_macro_uses(const char *s, char letter)
{
	const char *end = s + strlen(s);
	struct token t;

	while (s < end)
		if (read_token(&s, end, &t) == NULL && t.letter == letter)
			return true;
	return false;
}

char
spf_macro_last(const char *s)
{
	const char *end = s + strlen(s);
	struct token t = { 0 };

	while (s < end)
		(void)read_token(&s, end, &t);
	return t.letter;
}

/* --- expanding --- */

/* 192.0.2.1, and for IPv6 each hexadecimal digit a part of its own. */
static void
add_address(struct buf *b, const struct ip *ip)
{
	unsigned i;

	if (ip->family != AF_INET6) {
		buf_adds(b, ip_text(ip).s);
		return;
	}
	for (i = 0; i < 16; i++)
		buf_addf(b, "%s%X.%X", i > 0 ? "." : "", ip->bytes[i] >> 4, ip->bytes[i] & 15);
}

static void
add_value(struct buf *b, char letter, const struct spf_macro_values *v)
{
	switch (letter) {
	case 's':
		buf_addf(b, "%s@%s", v->local, v->sender_domain);
		break;
	case 'l':
		buf_adds(b, v->local);
		break;
	case 'o':
		buf_adds(b, v->sender_domain);
		break;
	case 'd':
		buf_adds(b, v->domain);
		break;
	case 'i':
		add_address(b, v->client);
		break;
	case 'p':
		buf_adds(b, v->validated);
		break;
	case 'h':
		buf_adds(b, v->helo);
		break;
	case 'v':
		buf_adds(b, v->client->family == AF_INET6 ? "ip6" : "in-addr");
		break;
	case 'c':
		buf_adds(b, ip_text(v->client).s);
		break;
	case 'r':
		buf_adds(b, v->receiver);
		break;
	case 't':
		buf_addf(b, "%" PRId64, v->now);
		break;
	}
}

/* Splits VALUE (and its memory), turns the parts round, keeps the right-hand ones, joins them by
 * dots. */
static void
add_parts(struct buf *b, const struct token *t, char *value)
{
	char *delimiters =
	    t->delimiters_n > 0 ? xstrndup(t->delimiters, t->delimiters_n) : xstrdup(".");
	char **parts = xcalloc(strlen(value) + 1, sizeof(*parts));
	size_t n = 0, i;

	while (value != NULL)
		parts[n++] = strsep(&value, delimiters);
	for (i = t->parts > 0 && t->parts < n ? n - t->parts : 0; i < n; i++) {
		buf_adds(b, parts[t->reverse ? n - 1 - i : i]);
		if (i + 1 < n)
			buf_addc(b, '.');
	}
	free(parts);
	free(delimiters);
}

/* RFC 3986 2.3 */
static void
add_escaped(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++) {
		if (is_alnum(*s) || strchr("-._~", *s) != NULL)
			buf_addc(b, *s);
		else
			buf_addf(b, "%%%02X", (unsigned char)*s);
	}
}

static void
add_macro(struct buf *b, const struct token *t, const struct spf_macro_values *v)
{
	struct buf value = { 0 }, parts = { 0 };

	add_value(&value, t->letter, v);
	if (t->parts > 0 || t->reverse || t->delimiters_n > 0) {
		char *whole = buf_take(&value);

		add_parts(&parts, t, whole);
		free(whole);
	} else {
		parts = value;
	}
	if (t->escape)
		add_escaped(b, buf_str(&parts));
	else
		buf_adds(b, buf_str(&parts));
	buf_free(&parts);
}

void
spf_macro_expand(struct buf *b, const char *s, const struct spf_macro_values *v)
{
	const char *end = s + strlen(s);
	struct token t;

	while (s < end) {
		if (read_token(&s, end, &t) != NULL)
			continue;
		if (t.letter != '\0')
			add_macro(b, &t, v);
		else if (t.literal != '\0')
			buf_addc(b, t.literal);
		else
			buf_adds(b, "%20");
	}
}

char *
spf_macro_target(const char *spec, const struct spf_macro_values *v)
{
	struct buf b = { 0 };
	const char *name, *dot;
	char *target;
	size_t len;

	spf_macro_expand(&b, spec, v);
	name = buf_str(&b);
	len = b.len;
	if (len > 0 && name[len - 1] == '.')
		len--;
	while (len > SPF_NAME_MAX && (dot = memchr(name, '.', len)) != NULL) {
		len -= (size_t)(dot + 1 - name);
		name = dot + 1;
	}
	target = xstrndup(name, len);
	buf_free(&b);
	return target;
}
