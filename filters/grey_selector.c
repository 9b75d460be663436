/*
 * Selectors for the ledger's records (grey_selector.h).
 *
 * smtpctl's requests are parsed and matched with it.  A selector of one kind also names the
 * operator's entry of that kind and text; a client's address is looked for in networks, and finds
 * the records of networks it lies in.  A word that is not understood is an error, never ignored:
 * `forget` with a misspelled selector must not forget everything.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filters/grey_selector.h"
#include "lib/buf.h"
#include "lib/mem.h"

const char *const grey_states[] = { "waiting", "ready", "passed", "expired", "known", "trusted", "refused",
	"proposed", "rescued", "allowed", "denied", "caller", "trapped", "left", "stayed", "correspondent", NULL };

static bool
parse_state(const char *value, struct grey_selector *sel, char **why)
{
	const char *const *state;
	struct buf all = { 0 };

	for (state = grey_states; *state != NULL; state++) {
		if (strcmp(*state, value) == 0) {
			free(sel->state);
			sel->state = xstrdup(value);
			buf_free(&all);
			return true;
		}
		buf_addf(&all, "%s%s", state == grey_states ? "" : ", ", *state);
	}
	*why = xasprintf("state=%s: no such state; there are %s", value, buf_str(&all));
	buf_free(&all);
	return false;
}

static bool
parse_limit(const char *value, struct grey_selector *sel, char **why)
{
	char *end;

	errno = 0;
	sel->limit = strtoull(value, &end, 10);
	if (*value >= '1' && *value <= '9' && *end == '\0' && errno == 0)
		return true;
	*why = xasprintf("limit=%s: a number is expected", value);
	return false;
}

static bool
parse_pair(const char *word, const char *value, struct grey_selector *sel, char **why)
{
	size_t len = (size_t)(value - word - 1);
	const char *reason;
	int kind;

	if (strncmp(word, "state=", len + 1) == 0)
		return parse_state(value, sel, why);
	if (strncmp(word, "limit=", len + 1) == 0)
		return parse_limit(value, sel, why);
	kind = operator_kind_by_name(word, len);
	if (kind == -1) {
		*why = xasprintf("%s: no such selector; there are client=, name=, identity=, "
				 "from=, to=, state=, limit=",
		    word);
		return false;
	}
	free(sel->text[kind]);
	sel->text[kind] = operator_text((enum operator_kind)kind, value, &reason);
	if (sel->text[kind] == NULL) {
		*why = xasprintf("%s: %s", word, reason);
		return false;
	}
	if (kind == OPERATOR_CLIENT)
		(void)ipnet_parse(sel->text[kind], &sel->client);
	return true;
}

bool
grey_selector_parse(unsigned n, const char *const *words, struct grey_selector *sel, char **why)
{
	const char *equals;
	unsigned i;
	bool ok = true;

	memset(sel, 0, sizeof(*sel));
	*why = NULL;
	for (i = 0; i < n && ok; i++) {
		equals = strchr(words[i], '=');
		if (strcmp(words[i], "all") == 0) {
			sel->all = true;
		} else if (strcmp(words[i], "-n") == 0) {
			sel->dry_run = true;
		} else if (equals != NULL) {
			ok = parse_pair(words[i], equals + 1, sel, why);
		} else {
			*why = xasprintf("%s: a selector is expected, such as client=192.0.2.1 or "
					 "from=example.org",
			    words[i]);
			ok = false;
		}
	}
	if (!ok)
		grey_selector_clear(sel);
	return ok;
}

void
grey_selector_clear(struct grey_selector *sel)
{
	int i;

	for (i = 0; i < OPERATOR_KINDS; i++)
		free(sel->text[i]);
	free(sel->state);
	memset(sel, 0, sizeof(*sel));
}

bool
grey_selector_is_open(const struct grey_selector *sel)
{
	int i;

	for (i = 0; i < OPERATOR_KINDS; i++) {
		if (sel->text[i] != NULL)
			return false;
	}
	return sel->state == NULL;
}

/*
 * Matching
 */

/* True when one network lies in the other. */
static bool
overlap(const struct ipnet *a, const struct ipnet *b)
{
	return a->bits <= b->bits ? ipnet_contains(a, &b->ip) : ipnet_contains(b, &a->ip);
}

/* An address matches itself, its domain, and what that lies below. */
static bool
address_matches(const char *wanted, const char *address)
{
	size_t wanted_len, len;

	if (strcmp(wanted, "<>") == 0)
		return *address == '\0';
	if (strchr(wanted, '@') != NULL)
		return strcasecmp(wanted, address) == 0;
	wanted_len = strlen(wanted);
	len = strlen(address);
	return len > wanted_len && strcasecmp(address + len - wanted_len, wanted) == 0 &&
	       (address[len - wanted_len - 1] == '@' || address[len - wanted_len - 1] == '.');
}

/* What ITEM has of KIND, or NULL. */
static const char *
part(const struct ledger_item *item, enum operator_kind kind)
{
	switch (kind) {
	case OPERATOR_IDENTITY:
		return item->identity;
	case OPERATOR_FROM:
		return item->type == ITEM_CORRESPONDENT ? item->theirs : item->sender;
	case OPERATOR_TO:
		return item->type == ITEM_CORRESPONDENT ? item->ours : item->recipient;
	default:
		return NULL;
	}
}

static bool
client_matches(const struct grey_selector *sel, const struct ledger_item *item)
{
	struct ipnet net;
	unsigned i;

	if (item->client.family != 0)
		return ipnet_contains(&sel->client, &item->client);
	for (i = 0; item->type == ITEM_TRIES && i < item->tries.n; i++)
		if (ipnet_contains(&sel->client, &item->tries.made[i].client))
			return true;
	if (item->identity == NULL || strncmp(item->identity, "net:", 4) != 0 ||
	    !ipnet_parse(item->identity + 4, &net))
		return false;
	return overlap(&sel->client, &net);
}

/* The identity "name:example.org" is what a verified name below that domain gave. */
static bool
name_matches(const char *name, const char *identity)
{
	size_t len, name_len;

	if (identity == NULL || strncmp(identity, "name:", 5) != 0)
		return false;
	identity += 5;
	len = strlen(identity);
	name_len = strlen(name);
	return strcasecmp(identity, name) == 0 ||
	       (len > name_len && identity[len - name_len - 1] == '.' &&
		   strcasecmp(identity + len - name_len, name) == 0);
}

static bool
operator_matches(const struct grey_selector *sel, const struct operator_entry *e)
{
	struct ipnet net;
	int i;

	for (i = 0; i < OPERATOR_KINDS; i++) {
		if (sel->text[i] == NULL)
			continue;
		if (i != (int)e->kind)
			return false;
		if (i == OPERATOR_CLIENT) {
			if (!ipnet_parse(e->text, &net) || !overlap(&sel->client, &net))
				return false;
		} else if (strcmp(sel->text[i], e->text) != 0) {
			return false;
		}
	}
	return true;
}

static bool
kind_matches(
    const struct grey_selector *sel, enum operator_kind kind, const struct ledger_item *item)
{
	const char *wanted = sel->text[kind], *has;

	has = part(item, kind);
	switch (kind) {
	case OPERATOR_CLIENT:
		return client_matches(sel, item);
	case OPERATOR_NAME:
		return name_matches(wanted, item->identity);
	case OPERATOR_IDENTITY:
		return has != NULL && strcmp(wanted, has) == 0;
	default:
		return has != NULL && address_matches(wanted, has);
	}
}

static bool
state_matches(const char *wanted, const char *state)
{
	/* whoever waits and may come now is still waiting */
	return strcmp(wanted, state) == 0 ||
	       (strcmp(wanted, "waiting") == 0 && strcmp(state, "ready") == 0);
}

bool
grey_selector_matches(const struct grey_selector *sel, const struct ledger_item *item, int64_t now)
{
	int i;

	if (sel->state != NULL && !state_matches(sel->state, ledger_item_state(item, now)))
		return false;
	if (item->type == ITEM_OPERATOR)
		return operator_matches(sel, &item->operator_entry);
	for (i = 0; i < OPERATOR_KINDS; i++) {
		if (sel->text[i] != NULL && !kind_matches(sel, (enum operator_kind)i, item))
			return false;
	}
	return true;
}
