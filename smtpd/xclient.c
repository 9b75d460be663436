/*
 * Reading XCLIENT's attributes (xclient.h): one table, one function for each attribute.
 *
 * The caller is believed, since the operator listed him, and still may be wrong: a value that could
 * not have come from a connection (an address that is none, a name with odd octets, a port above
 * 65535) makes the whole command invalid, and nothing of it counts.  HELO and PROTO are checked and
 * not kept: the client says both anew.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "filters/rdns.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/xtext.h"
#include "smtpd/xclient.h"

static bool
unavailable(const char *value)
{
	return strcasecmp(value, "[UNAVAILABLE]") == 0;
}

static bool
temporarily(const char *value)
{
	return strcasecmp(value, "[TEMPUNAVAIL]") == 0;
}

static bool
not_told(const char *value)
{
	return unavailable(value) || temporarily(value);
}

static bool
take_name(struct xclient *x, const char *value)
{
	free(x->name);
	x->name = NULL;
	x->rdns = temporarily(value) ? RDNS_TEMPERROR : RDNS_NONE;
	if (not_told(value))
		return true;
	if (!mailaddr_domain_ok(value, strlen(value), 0) || *value == '[')
		return false;
	x->name = xstrdup(value);
	x->rdns = RDNS_PASS;
	return true;
}

static bool
take_addr(struct xclient *x, const char *value)
{
	if (not_told(value))
		return true;
	return ip_parse(strncasecmp(value, "IPV6:", 5) == 0 ? value + 5 : value, &x->ip);
}

static bool
take_port(struct xclient *x, const char *value)
{
	unsigned long n;
	char *end;

	if (not_told(value))
		return true;
	n = strtoul(value, &end, 10);
	x->port = (uint16_t)n;
	return isdigit((unsigned char)*value) && *end == '\0' && n <= UINT16_MAX;
}

/* Ours, as the client sees it: checked, and nobody here asks for it. */
static bool
take_destaddr(struct xclient *x, const char *value)
{
	struct xclient ours = { .port = 0 };

	(void)x;
	return take_addr(&ours, value);
}

static bool
take_destport(struct xclient *x, const char *value)
{
	struct xclient ours = { .port = 0 };

	(void)x;
	return take_port(&ours, value);
}

static bool
take_proto(struct xclient *x, const char *value)
{
	(void)x;
	return strcasecmp(value, "ESMTP") == 0 || strcasecmp(value, "SMTP") == 0;
}

static bool
take_login(struct xclient *x, const char *value)
{
	free(x->login);
	x->login_told = true;
	x->login = not_told(value) || *value == '\0' ? NULL : xstrdup(value);
	return true;
}

static bool
take_nothing(struct xclient *x, const char *value)
{
	(void)x;
	(void)value;
	return true;
}

static const struct {
	const char *name;
	bool (*take)(struct xclient *, const char *value);
} attributes[] = { { "NAME", take_name }, { "ADDR", take_addr }, { "PORT", take_port }, { "PROTO", take_proto },
	{ "HELO", take_nothing }, { "LOGIN", take_login }, { "DESTADDR", take_destaddr }, { "DESTPORT", take_destport } };

/* One NAME=value. */
static bool
take(struct xclient *x, const char *word, size_t len)
{
	const char *eq = memchr(word, '=', len);
	size_t i, n = eq != NULL ? (size_t)(eq - word) : 0;
	char *value;
	bool ok;

	for (i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		if (n > 0 && strlen(attributes[i].name) == n && strncasecmp(attributes[i].name, word, n) == 0)
			break;
	if (i == sizeof(attributes) / sizeof(attributes[0]))
		return false;
	value = xtext_decode(eq + 1, len - n - 1);
	ok = value != NULL && strchr(value, ' ') == NULL && attributes[i].take(x, value);
	free(value);
	return ok;
}

static bool
take_all(struct xclient *x, const char *s, size_t len)
{
	size_t i = 0, n;

	while (i < len) {
		for (n = 0; i + n < len && s[i + n] != ' '; n++)
			;
		if (n > 0 && !take(x, s + i, n))
			return false;
		for (i += n; i < len && s[i] == ' '; i++)
			;
	}
	return true;
}

bool
xclient_parse(const char *s, size_t len, struct xclient *out)
{
	*out = (struct xclient){ .rdns = -1 };
	if (take_all(out, s, len))
		return true;
	xclient_free(out);
	return false;
}

void
xclient_free(struct xclient *x)
{
	free(x->name);
	free(x->login);
	*x = (struct xclient){ .rdns = -1 };
}
