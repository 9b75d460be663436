/*
 * The grammar of RFC 5321 4.1.2 from Path down, one function for each production that needs one.
 *
 * Called for MAIL, RCPT, VRFY and HELO, by smtpctl, and for every address in configuration and
 * tables, so that an address that is equal anywhere is equal everywhere.  A failure says in words
 * what is wrong and leaves nothing allocated.  What must never happen: two readings of one address.
 * So there is no repair: no comments, no white space, no stray dots, no controls, no eight-bit
 * bytes that are not UTF-8.  '%' and '!' are ordinary characters of a local part; nobody after this
 * parser gives them a meaning, which is what makes "user%victim.example@ours.example" no way to
 * relay.
 *
 * Stricter than the letter in one point: the C1 controls (U+0080 to U+009F), which RFC 6531 lets
 * pass as UTF-8, are refused like other controls, for terminals obey them and logs are read on
 * terminals.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/idn.h"
#include "lib/ip.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/utf8.h"

#define LABEL_MAX 63 /* RFC 1035 2.3.4 */
#define LITERAL_TEXT_MAX 64

struct scan {
	const char *start;
	const char *pos;
	const char *end;
	unsigned flags;
	const char *why;
};

static bool
fail(struct scan *scan, const char *why)
{
	scan->why = why;
	return false;
}

static bool
at(const struct scan *scan, char c)
{
	return scan->pos < scan->end && *scan->pos == c;
}

/* ASCII only, whatever the locale says. */
static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool
is_atext(char c)
{
	return is_alnum(c) || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

/*
 * Octets of the character at the position when it is non-ASCII and may be here; 0 and the reason
 * otherwise.
 */
static size_t
scan_utf8(struct scan *scan)
{
	uint32_t c;
	size_t len;

	if ((scan->flags & MAILADDR_UTF8) == 0) {
		fail(scan, "non-ASCII characters in an address need SMTPUTF8");
		return 0;
	}
	len = utf8_next(scan->pos, scan->end, &c);
	if (len > 0 && c >= 0xa0)
		return len;
	fail(scan, len > 0 ? "the address has a control character" : "the address is not valid UTF-8");
	return 0;
}

/* Dot-string = Atom *("." Atom) */
static bool
scan_dot_string(struct scan *scan, struct buf *local)
{
	const char *start = scan->pos;
	size_t len;

	while (scan->pos < scan->end) {
		if (is_atext(*scan->pos))
			scan->pos++;
		else if (*scan->pos == '.' && scan->pos > start && scan->pos[-1] != '.')
			scan->pos++;
		else if (*scan->pos == '.')
			return fail(scan,
			    "the part before '@' has a dot at its start or two in a row");
		else if ((*scan->pos & 0x80) == 0)
			break;
		else if ((len = scan_utf8(scan)) > 0)
			scan->pos += len;
		else
			return false;
	}
	if (scan->pos == start)
		return fail(scan, "the address has nothing before '@'");
	if (scan->pos[-1] == '.')
		return fail(scan, "the part before '@' ends in a dot");
	buf_add(local, start, (size_t)(scan->pos - start));
	return true;
}

/*
 * Quoted-string = DQUOTE *QcontentSMTP DQUOTE; LOCAL gets the content without quotes and
 * backslashes.
 */
static bool
scan_quoted_string(struct scan *scan, struct buf *local)
{
	size_t len;

	for (scan->pos++; scan->pos < scan->end && *scan->pos != '"'; scan->pos += len) {
		len = 1;
		if ((*scan->pos & 0x80) != 0) {
			if ((len = scan_utf8(scan)) == 0)
				return false;
		} else if (*scan->pos == '\\') {
			if (++scan->pos == scan->end)
				break;
			if ((*scan->pos & 0x80) != 0)
				return fail(scan, "a backslash may only quote an ASCII character");
		}
		if ((uint8_t)*scan->pos < ' ' || *scan->pos == 0x7f)
			return fail(scan, "the address has a control character");
		buf_add(local, scan->pos, len);
	}
	if (scan->pos == scan->end)
		return fail(scan, "the quoted part before '@' has no closing quote");
	scan->pos++;
	return true;
}

/* What stands where a label should begin. */
static const char *
why_no_label(const struct scan *scan)
{
	if (at(scan, '.'))
		return "the domain has a dot at its start or two in a row";
	if (scan->pos < scan->end && *scan->pos != '>')
		return "the domain has a character that is not allowed";
	return scan->pos > scan->start && scan->pos[-1] == '.' ? "the domain ends in a dot" :
	    "the address has no domain behind '@'";
}

/* sub-domain = Let-dig [Ldh-str], or with RFC 6531 also a U-label. */
static bool
scan_label(struct scan *scan)
{
	const char *start = scan->pos;
	bool ascii = true;
	size_t len;

	while (scan->pos < scan->end) {
		if (is_alnum(*scan->pos) || *scan->pos == '-') {
			scan->pos++;
		} else if ((*scan->pos & 0x80) == 0) {
			break;
		} else {
			if ((len = scan_utf8(scan)) == 0)
				return false;
			scan->pos += len;
			ascii = false;
		}
	}
	if (scan->pos == start)
		return fail(scan, why_no_label(scan));
	if (*start == '-' || scan->pos[-1] == '-')
		return fail(scan, "a label of the domain begins or ends with a hyphen");
	/*
	 * a U-label's limit holds for its A-label, which can be shorter; whoever looks it up knows
	 */
	if (ascii && scan->pos - start > LABEL_MAX)
		return fail(scan, "a label of the domain is longer than 63 characters");
	return true;
}

/* RFC 6531 3.7.1: as the DNS knows it, so that a domain is one name everywhere, however it was spelt. */
static bool
to_ascii(struct scan *scan, struct buf *domain)
{
	char *ascii = idn_to_ascii(buf_str(domain));

	/* what is folded may fall apart into labels that were not looked at */
	if (ascii == NULL || !mailaddr_domain_ok(ascii, strlen(ascii), 0)) {
		free(ascii);
		return fail(scan, "the domain is no internationalized domain name");
	}
	buf_clear(domain);
	buf_adds(domain, ascii);
	free(ascii);
	return true;
}

/* Domain = sub-domain *("." sub-domain); DOMAIN gets it in lower case. */
static bool
scan_domain(struct scan *scan, struct buf *domain)
{
	const char *start = scan->pos, *s;
	bool ascii = true;

	if (!scan_label(scan))
		return false;
	while (at(scan, '.')) {
		scan->pos++;
		if (!scan_label(scan))
			return false;
	}
	if (scan->pos - start > MAILADDR_DOMAIN_MAX)
		return fail(scan, "the domain is longer than 255 characters");
	for (s = start; s < scan->pos; s++) {
		ascii &= (*s & 0x80) == 0;
		buf_addc(domain, *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s);
	}
	return ascii || to_ascii(scan, domain);
}

/*
 * address-literal; DOMAIN gets it in the form of ip_literal(), so that every spelling of an address
 * is one domain. No General-address-literal has ever been registered with IANA, so there is nothing
 * to take.
 */
static bool
scan_literal(struct scan *scan, struct buf *domain)
{
	const char *close = memchr(scan->pos, ']', (size_t)(scan->end - scan->pos));
	char text[LITERAL_TEXT_MAX];
	struct ip ip;

	if (close == NULL)
		return fail(scan, "the address literal has no closing ']'");
	if (!ip_parse_literal(scan->pos, (size_t)(close + 1 - scan->pos), &ip))
		return fail(scan, "the address literal is neither [IPv4] nor [IPv6:address]");
	ip_literal(&ip, text, sizeof(text));
	buf_adds(domain, text);
	scan->pos = close + 1;
	return true;
}

static bool
scan_host(struct scan *scan, struct buf *domain)
{
	return at(scan, '[') ? scan_literal(scan, domain) : scan_domain(scan, domain);
}

/* Says why a local part was not followed by '@'. */
static bool
fail_no_at(struct scan *scan)
{
	if (scan->pos == scan->end || *scan->pos == '>')
		return fail(scan, "the address has no '@' and domain");
	if ((uint8_t)*scan->pos < ' ' || *scan->pos == 0x7f)
		return fail(scan, "the address has a control character");
	return fail(scan, "the part before '@' has a character that is only allowed in quotes");
}

/*
 * Mailbox = Local-part "@" ( Domain / address-literal ), or the postmaster of this server where
 * FLAGS allow it.
 */
static bool
scan_mailbox(struct scan *scan, struct buf *local, struct buf *domain)
{
	bool ok = at(scan, '"') ? scan_quoted_string(scan, local) : scan_dot_string(scan, local);

	if (!ok)
		return false;
	if (at(scan, '@')) {
		scan->pos++;
		return scan_host(scan, domain);
	}
	if ((scan->flags & MAILADDR_POSTMASTER) != 0 && (scan->pos == scan->end || at(scan, '>')) &&
	    strcasecmp(buf_str(local), "postmaster") == 0)
		return true;
	return fail_no_at(scan);
}

/* A-d-l ":", the source route: checked and forgotten (RFC 5321 appendix C). */
static bool
scan_route(struct scan *scan)
{
	struct buf ignored = { 0 };
	bool ok, more;

	do {
		scan->pos++;
		ok = scan_domain(scan, &ignored);
		more = ok && scan->end - scan->pos > 1 && memcmp(scan->pos, ",@", 2) == 0;
		scan->pos += more;
	} while (more);
	buf_free(&ignored);
	if (!ok)
		return false;
	if (!at(scan, ':'))
		return fail(scan, "the source route is not \"@domain,@domain:\"");
	scan->pos++;
	return true;
}

/* What stands after a whole mailbox where '>' or the end should be. */
static const char *
why_not_over(const struct scan *scan)
{
	switch (scan->pos < scan->end ? *scan->pos : '\0') {
	case '@':
		return "the address has a second '@'";
	case ' ':
		return "the address has a space in or behind the domain";
	case '_':
		return "the domain has an underscore, which no host name may have";
	default:
		return "the domain has a character that is not allowed";
	}
}

/* Fills OUT from the scanned parts, or frees them when OK is false. */
static bool
finish(struct scan *scan, bool ok, struct buf *local, struct buf *domain, struct mailaddr *out,
    const char **why)
{
	if (!ok) {
		buf_free(local);
		buf_free(domain);
		*why = scan->why;
		return false;
	}
	out->local = buf_take(local);
	out->domain = buf_take(domain);
	return true;
}

static bool
scan_path(struct scan *scan, struct buf *local, struct buf *domain)
{
	if (!at(scan, '<'))
		return fail(scan, "the address is not in angle brackets");
	scan->pos++;
	if (at(scan, '>')) {
		scan->pos++;
		return (scan->flags & MAILADDR_NULL) != 0 || fail(scan, "the address is empty");
	}
	if (at(scan, '@')) {
		if (!scan_route(scan))
			return false;
		scan->flags &= ~(unsigned)MAILADDR_POSTMASTER;
	}
	if (!scan_mailbox(scan, local, domain))
		return false;
	if (scan->pos == scan->end)
		return fail(scan, "the '>' behind the address is missing");
	if (!at(scan, '>'))
		return fail(scan, why_not_over(scan));
	scan->pos++;
	if (scan->pos - scan->start > MAILADDR_PATH_MAX)
		return fail(scan, "the address is longer than 256 characters");
	return true;
}

size_t
mailaddr_parse_path(const char *s, size_t len, unsigned flags, struct mailaddr *out,
    const char **why)
{
	struct scan scan = { .start = s, .pos = s, .end = s + len, .flags = flags };
	struct buf local = { 0 }, domain = { 0 };
	bool ok = scan_path(&scan, &local, &domain);

	return finish(&scan, ok, &local, &domain, out, why) ? (size_t)(scan.pos - s) : 0;
}

bool
mailaddr_parse(const char *s, size_t len, unsigned flags, struct mailaddr *out, const char **why)
{
	struct scan scan = { .start = s, .pos = s, .end = s + len, .flags = flags };
	struct buf local = { 0 }, domain = { 0 };
	bool ok;

	if (len == 0)
		ok = (flags & MAILADDR_NULL) != 0 || fail(&scan, "the address is empty");
	else if (len + 2 > MAILADDR_PATH_MAX)
		ok = fail(&scan, "the address is longer than 254 characters");
	else
		ok = scan_mailbox(&scan, &local, &domain);
	if (ok && scan.pos != scan.end)
		ok = fail(&scan, why_not_over(&scan));
	return finish(&scan, ok, &local, &domain, out, why);
}

bool
mailaddr_domain_ok(const char *s, size_t len, unsigned flags)
{
	struct scan scan = { .start = s, .pos = s, .end = s + len, .flags = flags };
	struct buf domain = { 0 };
	bool ok = scan_host(&scan, &domain) && scan.pos == scan.end;

	buf_free(&domain);
	return ok;
}

void
mailaddr_free(struct mailaddr *addr)
{
	free(addr->local);
	free(addr->domain);
	*addr = (struct mailaddr){ NULL, NULL };
}

/* True when LOCAL can stand without quotes. */
static bool
is_dot_string(const char *local)
{
	const char *s;

	for (s = local; *s != '\0'; s++) {
		if (*s == '.' && (s == local || s[1] == '.' || s[1] == '\0'))
			return false;
		if (*s != '.' && !is_atext(*s) && (*s & 0x80) == 0)
			return false;
	}
	return s > local;
}

char *
mailaddr_format(const struct mailaddr *addr)
{
	struct buf out = { 0 };
	const char *s;

	if (is_dot_string(addr->local)) {
		buf_adds(&out, addr->local);
	} else if (addr->local[0] != '\0' || addr->domain[0] != '\0') {
		buf_addc(&out, '"');
		for (s = addr->local; *s != '\0'; s++) {
			if (*s == '"' || *s == '\\')
				buf_addc(&out, '\\');
			buf_addc(&out, *s);
		}
		buf_addc(&out, '"');
	}
	if (addr->domain[0] != '\0') {
		buf_addc(&out, '@');
		buf_adds(&out, addr->domain);
	}
	return buf_take(&out);
}

bool
mailaddr_equal(const struct mailaddr *a, const struct mailaddr *b)
{
	return strcmp(a->local, b->local) == 0 && strcasecmp(a->domain, b->domain) == 0;
}
