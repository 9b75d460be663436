/*
 * XCLIENT (Postfix's XCLIENT_README): a listed peer, a proxy or a test, says whose connection this really is.  All that
 * follows is judged for that client, from the door on, pause included; the reply is a new banner.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/conf.h"
#include "filters/rdns.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/table.h"
#include "smtpd/command.h"
#include "smtpd/session.h"

struct attributes {
	struct ip ip;
	uint16_t port;
	int rdns;    /* enum rdns_status, -1: not told */
	char *name;
	char *helo;
	char *login;
	int esmtp;   /* -1: not told */
};

bool
xclient_allowed(const struct session *s)
{
	const struct table *from = s->listener->xclient_from;

	return from != NULL && table_match_client(from, &s->peer, NULL);
}

static int
hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : isxdigit((unsigned char)c) ? toupper((unsigned char)c) - 'A' + 10 : -1;
}

/* xtext (RFC 3461 4): "+XX" is an octet; only printable ones may come out.  NULL: it is none. */
static char *
decode_xtext(const char *s, size_t len)
{
	struct buf b = { 0 };
	size_t i;
	int c;

	for (i = 0; i < len; i++) {
		c = (unsigned char)s[i];
		if (c == '+') {
			if (len - i < 3 || hex(s[i + 1]) < 0 || hex(s[i + 2]) < 0)
				break;
			c = hex(s[i + 1]) << 4 | hex(s[i + 2]);
			i += 2;
		}
		if (c < 33 || c > 126)
			break;
		buf_addc(&b, (char)c);
	}
	if (i == len)
		return buf_take(&b);
	buf_free(&b);
	return NULL;
}

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
take_name(struct attributes *a, const char *value)
{
	if (unavailable(value)) {
		a->rdns = RDNS_NONE;
	} else if (temporarily(value)) {
		a->rdns = RDNS_TEMPERROR;
	} else {
		if (!mailaddr_domain_ok(value, strlen(value), 0) || *value == '[')
			return false;
		free(a->name);
		a->name = xstrdup(value);
		a->rdns = RDNS_PASS;
	}
	return true;
}

static bool
take_addr(struct attributes *a, const char *value)
{
	if (unavailable(value) || temporarily(value))
		return true;
	return ip_parse(strncasecmp(value, "IPV6:", 5) == 0 ? value + 5 : value, &a->ip);
}

static bool
take_port(struct attributes *a, const char *value)
{
	unsigned long n;
	char *end;

	if (unavailable(value) || temporarily(value))
		return true;
	n = strtoul(value, &end, 10);
	a->port = (uint16_t)n;
	return isdigit((unsigned char)*value) && *end == '\0' && n <= 65535;
}

static bool
take_proto(struct attributes *a, const char *value)
{
	a->esmtp = strcasecmp(value, "ESMTP") == 0;
	return a->esmtp || strcasecmp(value, "SMTP") == 0;
}

static bool
take_text(char **to, const char *value)
{
	free(*to);
	*to = unavailable(value) || temporarily(value) ? NULL : xstrdup(value);
	return true;
}

static bool
take_helo(struct attributes *a, const char *value)
{
	return take_text(&a->helo, value);
}

static bool
take_login(struct attributes *a, const char *value)
{
	return take_text(&a->login, value);
}

static bool
take_nothing(struct attributes *a, const char *value)
{
	(void)a;
	(void)value;
	return true;
}

static const struct {
	const char *name;
	bool (*take)(struct attributes *, const char *value);
} attributes[] = { { "NAME", take_name }, { "ADDR", take_addr }, { "PORT", take_port }, { "PROTO", take_proto },
	{ "HELO", take_helo }, { "LOGIN", take_login }, { "DESTADDR", take_nothing }, { "DESTPORT", take_nothing } };

/* One NAME=value. */
static bool
take(struct attributes *a, const char *word, size_t len)
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
	value = decode_xtext(eq + 1, len - n - 1);
	ok = value != NULL && attributes[i].take(a, value);
	free(value);
	return ok;
}

static bool
take_all(struct attributes *a, const char *arg, size_t len)
{
	size_t i = 0, n;

	while (i < len) {
		for (n = 0; i + n < len && arg[i + n] != ' '; n++)
			;
		if (n > 0 && !take(a, arg + i, n))
			return false;
		for (i += n; i < len && arg[i] == ' '; i++)
			;
	}
	return true;
}

void
cmd_xclient(struct session *s, const char *arg, size_t len)
{
	struct attributes a = { .ip = s->ip, .port = s->port, .rdns = -1, .esmtp = -1 };

	if (!take_all(&a, arg, len)) {
		session_reply(s, 501, "5.5.4", "attributes are NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT, values xtext");
		session_error(s);
	} else {
		log_info("session.xclient", F_STR("session", id_text(s->id).s), F_STR("peer", ip_text(&s->peer).s),
		    F_STR("client", ip_text(&a.ip).s), F_STR("name", a.name), F_STR("login", a.login));
		s->port = a.port;
		free(s->login);
		s->login = a.login;
		a.login = NULL;
		session_restart(s, &a.ip, a.rdns, a.name);
		if (s->rest > 0) /* he did not wait for the banner */
			door_early(s);
	}
	free(a.name);
	free(a.helo);
	free(a.login);
}
