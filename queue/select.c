/*
 * The selector of smtpctl's queue commands.
 *
 * queue_ctl.c parses the operator's words with it and asks it about each message.  It must never
 * match more than was meant: a word that is not understood is an error, and no condition is ever
 * ignored.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/id.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "queue/select.h"

static const char *const state_names[MESSAGE_STATES] = {
	[MESSAGE_WAITING] = "waiting",
	[MESSAGE_ACTIVE] = "active",
	[MESSAGE_DEFERRED] = "deferred",
	[MESSAGE_HELD] = "held",
};

const char *
message_state_name(enum message_state state)
{
	return state_names[state];
}

/* --- words --- */

typedef char *parse_value(struct selector *, const char *value);

static char *
parse_time(const char *value, const char *key, uint64_t *out)
{
	enum quantity q = quantity_parse(value, strlen(value), out);

	if (q == QUANTITY_TIME || q == QUANTITY_COUNT)
		return NULL;
	return xasprintf("%s=%s: this is no time; write it like 90s, 30m, 2h or 3d", key, value);
}

static char *
parse_older(struct selector *s, const char *value)
{
	return parse_time(value, "older", &s->older);
}

static char *
parse_younger(struct selector *s, const char *value)
{
	return parse_time(value, "younger", &s->younger);
}

static char *
parse_size(struct selector *s, const char *value)
{
	bool below = value[0] == '<';
	const char *number = below || value[0] == '>' ? value + 1 : value;
	enum quantity q =
	    quantity_parse(number, strlen(number), below ? &s->size_below : &s->size_least);

	if (q == QUANTITY_SIZE || q == QUANTITY_COUNT)
		return NULL;
	return xasprintf("size=%s: this is no size; write 1000, 256K, 2M, or <2M for less", value);
}

static char *
parse_state(struct selector *s, const char *value)
{
	int i;

	for (i = 0; i < MESSAGE_STATES; i++) {
		if (strcasecmp(value, state_names[i]) == 0) {
			s->state = i;
			return NULL;
		}
	}
	return xasprintf("state=%s: no such state; it is waiting, active, deferred or held", value);
}

static char *
parse_from(struct selector *s, const char *value)
{
	s->from = strcmp(value, "<>") == 0 ? "" : value;
	return NULL;
}

static char *
parse_to(struct selector *s, const char *value)
{
	s->to = value;
	return NULL;
}

static char *
parse_domain(struct selector *s, const char *value)
{
	s->domain = value[0] == '@' || value[0] == '.' ? value + 1 : value;
	return NULL;
}

static char *
parse_reason(struct selector *s, const char *value)
{
	s->reason = value;
	return NULL;
}

static char *
parse_host(struct selector *s, const char *value)
{
	s->host = value;
	return NULL;
}

static char *
parse_id(struct selector *s, const char *value)
{
	uint64_t id;

	if (!id_parse(value, &id))
		return xasprintf("%s: this is neither a message id (13 characters) nor from=, to=, "
				 "domain=, older=, younger=, size=, state=, reason=, host= or all",
		    value);
	if (s->ids_n == sizeof(s->ids) / sizeof(s->ids[0]))
		return xstrdup("too many message ids in one request");
	s->ids[s->ids_n++] = id;
	return NULL;
}

static const struct key {
	const char *name;
	parse_value *parse;
} keys[] = {
	{ "from", parse_from },
	{ "to", parse_to },
	{ "domain", parse_domain },
	{ "older", parse_older },
	{ "younger", parse_younger },
	{ "size", parse_size },
	{ "state", parse_state },
	{ "reason", parse_reason },
	{ "host", parse_host },
	{ "id", parse_id },
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

static char *
parse_word(struct selector *s, const char *word, uint32_t *seen)
{
	const char *equals = strchr(word, '=');
	size_t i, len = equals != NULL ? (size_t)(equals - word) : 0;

	if (strcmp(word, "all") == 0) {
		s->all = true;
		return NULL;
	}
	if (strcmp(word, "dry-run") == 0 || strcmp(word, "-n") == 0) {
		s->dry_run = true;
		return NULL;
	}
	for (i = 0; equals != NULL && i < KEYS; i++) {
		if (strlen(keys[i].name) != len || strncasecmp(word, keys[i].name, len) != 0)
			continue;
		if (keys[i].parse != parse_id && (*seen & 1u << i) != 0)
			return xasprintf(
			    "%s= is there twice; conditions are joined by \"and\"", keys[i].name);
		*seen |= 1u << i;
		if (equals[1] == '\0' && keys[i].parse != parse_from)
			return xasprintf("%s= has no value", keys[i].name);
		return keys[i].parse(s, equals + 1);
	}
	return parse_id(s, word);
}

char *
select_parse(struct selector *s, unsigned n, const char *const *words)
{
	uint32_t seen = 0;
	char *why = NULL;
	unsigned i;

	*s = (struct selector){
		.older = UINT64_MAX, .younger = UINT64_MAX, .size_below = UINT64_MAX, .state = -1
	};
	for (i = 0; i < n && why == NULL; i++)
		why = parse_word(s, words[i], &seen);
	if (why == NULL && s->all && (seen != 0 || s->ids_n > 0))
		why = xstrdup("\"all\" stands alone; leave it out to select by conditions");
	return why;
}

bool
select_is_empty(const struct selector *s)
{
	return !s->all && s->ids_n == 0 && s->from == NULL && s->to == NULL && s->domain == NULL &&
	       s->reason == NULL && s->host == NULL && s->older == UINT64_MAX &&
	       s->younger == UINT64_MAX && s->size_least == 0 && s->size_below == UINT64_MAX &&
	       s->state == -1;
}

/* --- matching --- */

static bool
same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* "*" stands for any octets.  Goes back only to the last star, so the time is the product of the
 * lengths at worst. */
static bool
pattern_matches(const char *pattern, const char *s)
{
	const char *star = NULL, *retry = NULL;

	while (*s != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			retry = s;
		} else if (*pattern != '\0' && same_letter(*pattern, *s)) {
			pattern++;
			s++;
		} else if (star != NULL) {
			pattern = star;
			s = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static const char *
domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at != NULL ? at + 1 : "";
}

static bool
address_matches(const char *wanted, const char *address)
{
	if (strchr(wanted, '*') != NULL)
		return pattern_matches(wanted, address);
	if (wanted[0] == '@')
		return strcasecmp(wanted + 1, domain_of(address)) == 0;
	if (strchr(wanted, '@') == NULL && wanted[0] != '\0')
		return strcasecmp(wanted, domain_of(address)) == 0 ||
		       strcasecmp(wanted, address) == 0;
	return strcasecmp(wanted, address) == 0;
}

static bool
domain_matches(const char *wanted, const char *address)
{
	const char *domain = domain_of(address);
	size_t len = strlen(domain), wanted_len = strlen(wanted);

	if (len < wanted_len || strcasecmp(domain + len - wanted_len, wanted) != 0)
		return false;
	return len == wanted_len || domain[len - wanted_len - 1] == '.';
}

bool
select_asks_recipients(const struct selector *s)
{
	return s->to != NULL || s->domain != NULL || s->reason != NULL || s->host != NULL;
}

bool
select_recipient(const struct selector *s, const struct recipient *r)
{
	if (r->state != RECIPIENT_WAITING)
		return false;
	if (s->to != NULL && !address_matches(s->to, r->address))
		return false;
	if (s->domain != NULL && !domain_matches(s->domain, r->address))
		return false;
	if (s->reason != NULL && (r->reason == NULL || strcasestr(r->reason, s->reason) == NULL))
		return false;
	return s->host == NULL || (r->host != NULL && strcasestr(r->host, s->host) != NULL);
}

static bool
some_recipient_matches(const struct selector *s, const struct envelope *env)
{
	uint32_t i;

	if (!select_asks_recipients(s))
		return true;
	for (i = 0; i < env->recipients_n; i++)
		if (select_recipient(s, &env->recipients[i]))
			return true;
	return false;
}

static bool
id_matches(const struct selector *s, uint64_t id)
{
	unsigned i;

	for (i = 0; i < s->ids_n; i++)
		if (s->ids[i] == id)
			return true;
	return s->ids_n == 0;
}

bool
select_match(
    const struct selector *s, const struct envelope *env, enum message_state state, int64_t now)
{
	uint64_t age = now > env->time ? (uint64_t)(now - env->time) : 0;

	if (!id_matches(s, env->id) || (s->state >= 0 && s->state != (int)state))
		return false;
	if ((s->older != UINT64_MAX && age <= s->older) || age >= s->younger)
		return false;
	if (env->size < s->size_least || env->size >= s->size_below)
		return false;
	if (s->from != NULL && !address_matches(s->from, env->sender))
		return false;
	return some_recipient_matches(s, env);
}
