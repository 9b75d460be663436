/*
 * The grammar of SPF records (spf_record.h), from record down, one function for each production
 * that needs one.
 *
 * spf_host.c calls it for every record that it fetches; nothing else decides what a term means.  What
 * can fail is a stranger's syntax, and then the place is told, because the person who reads it has
 * to write to that stranger.  What must never happen: two readings of one record; so there is no
 * repair, terms are divided by spaces only, and a name that the table does not have is a mistake,
 * not something to pass over.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "filters/spf_macro.h"
#include "filters/spf_record.h"
#include "lib/mem.h"

#define VERSION "v=spf1"
#define VERSION_LEN (sizeof(VERSION) - 1)
#define ADDRESS_MAX 64 /* longer than any address as text */

/* One term: [POS, END) is left of it. */
struct scan {
	const char *pos, *end;
	const char *why; /* once something is wrong, which is at POS */
};

static bool
fail(struct scan *s, const char *why)
{
	s->why = why;
	return false;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool
is(const char *word, const char *s, size_t len)
{
	return strlen(word) == len && strncasecmp(word, s, len) == 0;
}

/* --- arguments --- */

/* A domain-spec that fills the rest. */
static bool
take_domain(struct scan *s, char **domain)
{
	size_t len = (size_t)(s->end - s->pos), at = 0;
	const char *why = spf_macro_check(s->pos, len, SPF_DOMAIN_SPEC, &at);

	if (why != NULL) {
		s->pos += at;
		return fail(s, why);
	}
	*domain = xstrndup(s->pos, len);
	s->pos = s->end;
	return true;
}

/* "0", or digits without a leading zero, that fill S to END. */
static bool
take_length(struct scan *s, const char *digits, const char *end, unsigned max, uint8_t *bits)
{
	unsigned value = 0;
	const char *p;

	for (p = digits; p < end && is_digit(*p) && value <= max; p++)
		value = value * 10 + (unsigned)(*p - '0');
	if (p == end && p > digits && value <= max && (*digits != '0' || end - digits == 1)) {
		*bits = (uint8_t)value;
		return true;
	}
	s->pos = digits;
	return fail(s, max == 32 ? "the length of an IPv4 network is 0 to 32"
				 : "the length of an IPv6 network is 0 to 128");
}

/* Where the "/" of a number at the end of the term is; its end when there is none. */
static const char *
last_slash(const struct scan *s)
{
	const char *p = s->end;

	while (p > s->pos && is_digit(p[-1]))
		p--;
	return p < s->end && p > s->pos && p[-1] == '/' ? p - 1 : s->end;
}

/*
 * dual-cidr-length, taken off the end of the term: a domain-spec may have slashes of its own, but
 * none in its last label.
 */
static bool
take_lengths(struct scan *s, struct spf_directive *d)
{
	const char *slash = last_slash(s);

	if (slash < s->end && slash > s->pos && slash[-1] == '/') {
		if (!take_length(s, slash + 1, s->end, 128, &d->bits6))
			return false;
		s->end = slash - 1;
		slash = last_slash(s);
	}
	if (slash < s->end) {
		if (!take_length(s, slash + 1, s->end, 32, &d->bits4))
			return false;
		s->end = slash;
	}
	return true;
}

static bool
read_nothing(struct scan *s, struct spf_directive *d)
{
	(void)d;
	return s->pos == s->end || fail(s, "\"all\" has no argument");
}

static bool
read_domain(struct scan *s, struct spf_directive *d)
{
	if (s->pos == s->end || *s->pos != ':')
		return fail(s, "\":\" and a domain name are expected");
	s->pos++;
	return take_domain(s, &d->domain);
}

static bool
read_domain_or_none(struct scan *s, struct spf_directive *d)
{
	return s->pos == s->end || read_domain(s, d);
}

static bool
read_domain_and_lengths(struct scan *s, struct spf_directive *d)
{
	return take_lengths(s, d) && read_domain_or_none(s, d);
}

/* The whole network is read here, not by lib/ip.h: host bits may be set, and ::ffff:192.0.2.1 stays
 * IPv6 (RFC 7208 5: it is no way to write an IPv4 network). */
static bool
read_network(struct scan *s, struct spf_directive *d, uint8_t family, unsigned max)
{
	struct ip ip = { .family = family };
	char text[ADDRESS_MAX];
	const char *slash;
	uint8_t bits = (uint8_t)max;
	size_t len;

	if (s->pos == s->end || *s->pos != ':')
		return fail(s, "\":\" and an address are expected");
	s->pos++;
	slash = memchr(s->pos, '/', (size_t)(s->end - s->pos));
	len = (size_t)((slash != NULL ? slash : s->end) - s->pos);
	if (len >= sizeof(text) || memchr(s->pos, '\0', len) != NULL)
		return fail(s, "this is no address");
	memcpy(text, s->pos, len);
	text[len] = '\0';
	if (inet_pton(family, text, ip.bytes) != 1)
		return fail(
		    s, family == AF_INET ? "this is no IPv4 address" : "this is no IPv6 address");
	if (slash != NULL && !take_length(s, slash + 1, s->end, max, &bits))
		return false;
	d->net = ip_network(&ip, bits);
	return true;
}

static bool
read_ip4(struct scan *s, struct spf_directive *d)
{
	return read_network(s, d, AF_INET, 32);
}

static bool
read_ip6(struct scan *s, struct spf_directive *d)
{
	return read_network(s, d, AF_INET6, 128);
}

/* --- terms --- */

static const struct {
	const char *name;
	bool (*read)(struct scan *, struct spf_directive *);
} mechanisms[] = {
	[SPF_ALL] = { "all", read_nothing },
	[SPF_INCLUDE] = { "include", read_domain },
	[SPF_A] = { "a", read_domain_and_lengths },
	[SPF_MX] = { "mx", read_domain_and_lengths },
	[SPF_PTR] = { "ptr", read_domain_or_none },
	[SPF_IP4] = { "ip4", read_ip4 },
	[SPF_IP6] = { "ip6", read_ip6 },
	[SPF_EXISTS] = { "exists", read_domain },
};
#define MECHANISMS (sizeof(mechanisms) / sizeof(mechanisms[0]))

static const struct {
	char sign;
	enum auth_result result;
} qualifiers[] = {
	{ '+', AUTH_PASS },
	{ '-', AUTH_FAIL },
	{ '~', AUTH_SOFTFAIL },
	{ '?', AUTH_NEUTRAL },
};
#define QUALIFIERS (sizeof(qualifiers) / sizeof(qualifiers[0]))

static struct spf_directive *
new_directive(struct spf_record *r)
{
	if ((r->n & (r->n - 1)) == 0)
		r->directives = xreallocarray(
		    r->directives, r->n == 0 ? 1 : 2 * (size_t)r->n, sizeof(*r->directives));
	r->directives[r->n] =
	    (struct spf_directive){ .result = AUTH_PASS, .bits4 = 32, .bits6 = 128 };
	return &r->directives[r->n++];
}

static bool
read_directive(struct scan *s, struct spf_record *r)
{
	struct spf_directive *d = new_directive(r);
	const char *name = s->pos, *end = s->end;
	size_t i, len;

	d->text = xstrndup(s->pos, (size_t)(s->end - s->pos));
	for (i = 0; i < QUALIFIERS; i++)
		if (*name == qualifiers[i].sign) {
			d->result = qualifiers[i].result;
			s->pos = ++name;
			break;
		}
	while (s->pos < end && *s->pos != ':' && *s->pos != '/')
		s->pos++;
	len = (size_t)(s->pos - name);
	for (i = 0; i < MECHANISMS; i++)
		if (is(mechanisms[i].name, name, len)) {
			d->mechanism = (enum spf_mechanism)i;
			return mechanisms[i].read(s, d);
		}
	s->pos = name;
	if (is("redirect", name, len) || is("exp", name, len))
		return fail(s, "\"redirect\" and \"exp\" are followed by \"=\"");
	return fail(s, "there is no such mechanism");
}

/* redirect= and exp=, each once. */
static bool
read_known(struct scan *s, const char *value, char **domain)
{
	if (*domain != NULL)
		return fail(s, "this modifier is there twice");
	s->pos = value;
	return take_domain(s, domain);
}

/* S is at a name, EQUALS is behind it. */
static bool
read_modifier(struct scan *s, const char *equals, struct spf_record *r)
{
	const char *p, *why;
	size_t at = 0;

	for (p = s->pos; p < equals; p++)
		if (!is_alpha(*p) &&
		    (p == s->pos || (!is_digit(*p) && memchr("-_.", *p, 3) == NULL)))
			break;
	if (p < equals || p == s->pos)
		return fail(s, "this is not the name of a modifier");
	if (is("redirect", s->pos, (size_t)(equals - s->pos)))
		return read_known(s, equals + 1, &r->redirect);
	if (is("exp", s->pos, (size_t)(equals - s->pos)))
		return read_known(s, equals + 1, &r->exp);
	s->pos = equals + 1;
	why = spf_macro_check(s->pos, (size_t)(s->end - s->pos), SPF_MACRO_STRING, &at);
	if (why == NULL)
		return true;
	s->pos += at;
	return fail(s, why);
}

/* A term with "=" before any ":" or "/" is a modifier (4.6.1). */
static bool
read_term(struct scan *s, struct spf_record *r)
{
	const char *p;

	for (p = s->pos; p < s->end && *p != '=' && *p != ':' && *p != '/'; p++)
		;
	return p < s->end && *p == '=' ? read_modifier(s, p, r) : read_directive(s, r);
}

/* --- records --- */

bool
spf_record_is(const void *text, size_t len)
{
	const char *s = text;

	return len >= VERSION_LEN && strncasecmp(s, VERSION, VERSION_LEN) == 0 &&
	       (len == VERSION_LEN || s[VERSION_LEN] == ' ');
}

bool
spf_record_parse(const void *text, size_t len, struct spf_record *r, struct spf_mistake *mistake)
{
	const char *start = text, *p = start + VERSION_LEN, *end = start + len, *space;
	struct scan s;

	*r = (struct spf_record){ 0 };
	while (p < end) {
		if (*p == ' ') {
			p++;
			continue;
		}
		space = memchr(p, ' ', (size_t)(end - p));
		s = (struct scan){ .pos = p, .end = space != NULL ? space : end };
		if (!read_term(&s, r)) {
			*mistake = (struct spf_mistake){ .at = (size_t)(s.pos - start),
				.term = (size_t)(p - start),
				.term_len = (size_t)((space != NULL ? space : end) - p),
				.why = s.why };
			spf_record_free(r);
			return false;
		}
		p = space != NULL ? space : end;
	}
	return true;
}

void
spf_record_free(struct spf_record *r)
{
	unsigned i;

	for (i = 0; i < r->n; i++) {
		free(r->directives[i].text);
		free(r->directives[i].domain);
	}
	free(r->directives);
	free(r->redirect);
	free(r->exp);
	*r = (struct spf_record){ 0 };
}

/* --- blanket records --- */

bool
spf_domain_is_clients(const char *spec)
{
	char last = spec != NULL ? spf_macro_last(spec) : '\0';

	return last == 'h' || last == 'p';
}

static bool
is_wide(uint8_t family, unsigned bits)
{
	return bits < (family == AF_INET6 ? SPF_WIDE_V6 : SPF_WIDE_V4);
}

bool
spf_directive_is_blanket(const struct spf_directive *d, const struct ip *client)
{
	if (spf_domain_is_clients(d->domain))
		return true;
	switch (d->mechanism) {
	case SPF_ALL:
		return true;
	case SPF_IP4:
	case SPF_IP6:
		return is_wide(d->net.ip.family, d->net.bits);
	case SPF_A:
	case SPF_MX:
		return is_wide(client->family, client->family == AF_INET6 ? d->bits6 : d->bits4);
	case SPF_EXISTS:
		return !spf_macro_uses(d->domain, 'i') && !spf_macro_uses(d->domain, 'p');
	default:
		return false;
	}
}
