/*
 * Sendmail's access map as rules of the gate (import.h).
 *
 *	Connect:192.0.2			REJECT
 *	From:spammer@example.com	550 We have heard enough of you
 *	To:closed@example.org		ERROR:5.1.1:550 gone
 *	GreetPause:dialup.example	20000
 *	ClientRate:192.0.2.7		10
 *
 * Pure.  In the map the most exact key decides whatever its place; in a gate the first rule does, and
 * of pauses the longest.  So every rule leaves out what a more exact key says otherwise, and keys that
 * say the same at the same depth become one rule.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/ip.h"
#include "lib/mem.h"
#include "smtpctl/import.h"

enum tag { TAG_CONNECT, TAG_FROM, TAG_TO, TAG_PAUSE, TAG_RATE, TAG_CONNECTIONS, TAG_COUNT };

static const struct {
	const char *word; /* in the map */
	const char *question;
} tags[TAG_COUNT] = {
	[TAG_CONNECT] = { "Connect:", "client in" },
	[TAG_FROM] = { "From:", "sender in" },
	[TAG_TO] = { "To:", "recipient in" },
	[TAG_PAUSE] = { "GreetPause:", "client in" },
	[TAG_RATE] = { "ClientRate:", "client in" },
	[TAG_CONNECTIONS] = { "ClientConn:", "client in" },
};

struct entry {
	enum tag tag;
	unsigned line;
	char *key;    /* element of a table */
	char *action; /* of a rule; NULL: none is needed, the key only makes an exception */
	char *also;   /* a further condition, or NULL */
	unsigned depth; /* how many other keys hold this one */
	size_t within;  /* the nearest of them, or NONE */
	bool done;
};
#define NONE SIZE_MAX

struct map {
	struct entry *entries;
	size_t n;
	struct import_list relay;
	struct buf *out;
};

/* --- values --- */

/* "ERROR:5.7.1:550 text", "ERROR:550 text", "550 5.7.1 text", with or without quotes: the code, and the text without
 * what comes before it; 0: no such thing. */
static int
read_reply(const char *value, char **text)
{
	const char *end = value + strlen(value);
	int code;

	if (strncasecmp(value, "ERROR:", 6) == 0)
		value += 6;
	if (*value == '"' && end > value + 1 && end[-1] == '"') {
		value++;
		end--;
	}
	if (isdigit((unsigned char)value[0]) && value[1] == '.' && memchr(value, ':', (size_t)(end - value)))
		value = strchr(value, ':') + 1;
	if ((value[0] != '4' && value[0] != '5') || !isdigit((unsigned char)value[1]) ||
	    !isdigit((unsigned char)value[2]))
		return 0;
	code = atoi(value);
	value += 3;
	while (value < end && isspace((unsigned char)*value))
		value++;
	if (isdigit((unsigned char)value[0]) && value[1] == '.') {
		while (value < end && !isspace((unsigned char)*value))
			value++;
		while (value < end && isspace((unsigned char)*value))
			value++;
	}
	*text = value < end ? xstrndup(value, (size_t)(end - value)) : xstrdup("");
	return code;
}

static bool
is(const char *value, const char *word)
{
	return strcasecmp(value, word) == 0;
}

/* What Connect:, From: and To: say; false when it cannot be said here. */
static bool
read_verdict(struct entry *e, const char *value)
{
	struct buf action = { 0 };
	char *text = NULL;
	int code;

	if (is(value, "OK") || is(value, "RELAY")) {
		e->action = xstrdup(e->tag == TAG_CONNECT ? "trust" : "pass"); /* this mail, not the session */
		return true;
	}
	if (is(value, "REJECT")) {
		e->action = xstrdup("reject");
		return true;
	}
	code = read_reply(value, &text);
	if (code == 0)
		return false;
	buf_adds(&action, code < 500 ? "tempfail" : "reject");
	import_print_text(&action, text);
	e->action = buf_take(&action);
	free(text);
	return true;
}

static bool
read_value(struct entry *e, const char *value)
{
	char *end;
	unsigned long n;

	if (e->tag <= TAG_TO)
		return read_verdict(e, value);
	n = strtoul(value, &end, 10);
	if (*end != '\0' || end == value || n > 1000000)
		return false;
	if (n == 0) /* no pause, no limit */
		return true;
	switch (e->tag) {
	case TAG_PAUSE:
		/* milliseconds; sendmail waits five minutes at most, and so does the gate */
		n = (n + 999) / 1000;
		e->action = xasprintf("pause %lus", n < 300 ? n : 300);
		break;
	case TAG_RATE:
		e->action = xstrdup("tempfail \"too many connections; try again later\"");
		e->also = xasprintf("rate > %lu per 1m", n);
		break;
	default:
		e->action = xstrdup("tempfail \"too many connections at once; try again later\"");
		e->also = xasprintf("connections > %lu", n);
		break;
	}
	return true;
}

/* --- keys --- */

/* "192.0.2", "IPv6:2001:db8", "example.org", "user@", "user@example.org" as a table has them; NULL: none. */
static char *
read_key(const char *key)
{
	char *element, *p;
	struct ipnet net;
	unsigned groups = 1;

	if (strncasecmp(key, "IPv6:", 5) == 0) {
		key += 5;
		for (element = strchr(key, ':'); element != NULL; element = strchr(element + 1, ':'))
			groups++;
		if (ipnet_parse(key, &net))
			return xstrdup(key);
		element = xasprintf("%s::/%u", key, groups * 16);
		if (groups < 8 && ipnet_parse(element, &net))
			return element;
		free(element);
		return NULL;
	}
	element = import_network_of_prefix(key);
	if (element != NULL)
		return element;
	element = xstrdup(*key == '.' ? key + 1 : key);
	for (p = element; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	if (*element != '\0')
		return element;
	free(element);
	return NULL;
}

/* True when WIDE holds all that NARROW does, and more. */
static bool
holds(const char *wide, const char *narrow)
{
	size_t a = strlen(wide), b = strlen(narrow);
	struct ipnet w, n;

	if (ipnet_parse(wide, &w))
		return ipnet_parse(narrow, &n) && n.bits > w.bits && n.ip.family == w.ip.family &&
		    ipnet_contains(&w, &n.ip);
	return b > a && strcmp(narrow + b - a, wide) == 0 &&
	    (narrow[b - a - 1] == '.' || narrow[b - a - 1] == '@');
}

/* --- reading --- */

static void
not_said(struct map *m, unsigned number, const char *line)
{
	buf_addf(m->out, "# line %u: %s: cannot be said here\n", number, line);
}

static bool
add(struct map *m, enum tag tag, unsigned number, const char *key, const char *value, const char *line)
{
	struct entry e = { .tag = tag, .line = number, .within = NONE, .key = read_key(key) };
	struct ipnet net;

	if (e.key == NULL || !read_value(&e, value)) {
		free(e.key);
		not_said(m, number, line);
		return false;
	}
	if (tag == TAG_CONNECT && is(value, "RELAY") && ipnet_parse(e.key, &net))
		import_list_add(&m->relay, e.key);
	else if (is(value, "RELAY"))
		buf_addf(m->out, "# line %u: %s: only addresses and networks may relay\n", number, line);
	m->entries = xreallocarray(m->entries, m->n + 1, sizeof(e));
	m->entries[m->n++] = e;
	return true;
}

/* "ClientRate:" and nothing behind it: of everybody of whom the map says nothing else. */
static void
add_tagged(struct map *m, enum tag tag, unsigned number, const char *key, const char *value, const char *line)
{
	bool everybody = *key == '\0' && (tag == TAG_RATE || tag == TAG_CONNECTIONS);

	if (add(m, tag, number, everybody ? "0.0.0.0/0" : key, value, line) && everybody)
		(void)add(m, tag, number, "::/0", value, line);
}

/* A key without a tag is looked up for clients and for senders. */
static void
add_untagged(struct map *m, unsigned number, const char *key, const char *value, const char *line)
{
	char *network = import_network_of_prefix(key);
	bool said = true;

	if (strchr(key, ':') != NULL && strncasecmp(key, "IPv6:", 5) != 0)
		not_said(m, number, line);
	else if (strchr(key, '@') != NULL)
		(void)add(m, TAG_FROM, number, key, value, line);
	else
		said = add(m, TAG_CONNECT, number, key, value, line);
	if (said && network == NULL && strchr(key, '@') == NULL && strchr(key, ':') == NULL &&
	    !is(value, "RELAY") && !is(value, "OK"))
		(void)add(m, TAG_FROM, number, key, value, line);
	free(network);
}

static void
read_line(struct map *m, unsigned number, char *line)
{
	char *copy = xstrdup(line), *value = copy + strcspn(copy, " \t");
	size_t i, len;

	if (*value != '\0')
		*value++ = '\0';
	value += strspn(value, " \t");
	for (i = 0; i < TAG_COUNT; i++) {
		len = strlen(tags[i].word);
		if (strncasecmp(copy, tags[i].word, len) == 0) {
			add_tagged(m, (enum tag)i, number, copy + len, value, line);
			break;
		}
	}
	if (i == TAG_COUNT)
		add_untagged(m, number, copy, value, line);
	free(copy);
}

/* --- printing --- */

/* The nearest key around each, and how many there are. */
static void
nest(struct map *m)
{
	struct entry *e, *wide;
	size_t i, k;

	for (i = 0; i < m->n; i++) {
		e = &m->entries[i];
		for (k = 0; k < m->n; k++) {
			wide = &m->entries[k];
			if (wide->tag != e->tag || !holds(wide->key, e->key))
				continue;
			e->depth++;
			if (e->within == NONE || holds(m->entries[e->within].key, wide->key))
				e->within = k;
		}
	}
}

static bool
same(const char *a, const char *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || strcmp(a, b) == 0);
}

/* One rule for all keys that say what FIRST says, at its depth. */
static void
print_rule(struct map *m, size_t first)
{
	struct import_list keys = { NULL, 0 }, but = { NULL, 0 };
	const struct entry *f = &m->entries[first];
	struct entry *e;
	size_t i;

	for (i = first; i < m->n; i++) {
		e = &m->entries[i];
		if (e->tag != f->tag || e->depth != f->depth || !same(e->action, f->action) ||
		    !same(e->also, f->also))
			continue;
		e->done = true;
		import_list_add(&keys, e->key);
	}
	for (i = 0; i < m->n; i++) {
		e = &m->entries[i];
		if (e->within != NONE && m->entries[e->within].depth == f->depth && e->tag == f->tag &&
		    same(m->entries[e->within].action, f->action) && same(m->entries[e->within].also, f->also))
			import_list_add(&but, e->key);
	}
	if (f->action != NULL) {
		buf_addf(m->out, "\t%s when %s ", f->action, tags[f->tag].question);
		import_list_print(m->out, &keys);
		if (but.n > 0) {
			buf_addf(m->out, " and not %s ", tags[f->tag].question);
			import_list_print(m->out, &but);
		}
		if (f->also != NULL)
			buf_addf(m->out, " and %s", f->also);
		buf_addc(m->out, '\n');
	}
	import_list_clear(&keys);
	import_list_clear(&but);
}

static void
print_relay(struct map *m)
{
	if (m->relay.n == 0)
		return;
	buf_adds(m->out, "relay {\n\tfrom ");
	import_list_print(m->out, &m->relay);
	buf_adds(m->out, "\n}\n");
	import_list_clear(&m->relay);
}

/* What lets in comes first: `trust` ends the gate, whoever is refused further down. */
static void
print_gate(struct map *m)
{
	size_t i, tag;

	buf_adds(m->out, "gate {\n");
	for (i = 0; i < m->n; i++)
		if (!m->entries[i].done && m->entries[i].action != NULL &&
		    strncmp(m->entries[i].action, "trust", 5) == 0)
			print_rule(m, i);
	for (tag = 0; tag < TAG_COUNT; tag++)
		for (i = 0; i < m->n; i++)
			if (!m->entries[i].done && m->entries[i].tag == tag)
				print_rule(m, i);
	buf_adds(m->out, "\treject at greeting when early-talker\n");
	buf_adds(m->out, "}\n");
}

void
import_access(struct buf *out, const char *text, size_t len)
{
	struct import_lines lines = { text, text + len, 0 };
	struct map m = { .out = out };
	const char *line;
	char *copy;
	size_t n;

	while (import_next_line(&lines, &line, &n)) {
		if (n == 0 || line[0] == '#')
			continue;
		copy = xstrndup(line, n);
		read_line(&m, lines.number, copy);
		free(copy);
	}
	nest(&m);
	print_gate(&m);
	print_relay(&m);
	while (m.n > 0) {
		m.n--;
		free(m.entries[m.n].key);
		free(m.entries[m.n].action);
		free(m.entries[m.n].also);
	}
	free(m.entries);
}
