/*
 * Rows of rules for providers (provider.h).
 *
 * The configuration checks every row when it is read; the relay role looks a row up when it has
 * found the way to a destination (way.c).  Which provider a way leads to is seen by the names of
 * its servers, all of them: a domain whose second server is a provider's is not his.  Nothing can
 * fail but parsing, and then the reason tells the word.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/provider.h"
#include "lib/buf.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "lib/quote.h"
#include "lib/table.h"

#define CONCURRENCY_MAX 10000
#define RECIPIENTS_MAX 100 /* RFC 5321 4.5.3.1.8: a transaction of ours never has more */
#define MESSAGES_MAX 10000
#define PAUSE_MAX 86400
#define EXPECTED                                                                                   \
	"expected concurrency NUMBER, recipients NUMBER, messages NUMBER, pause TIME \"TEXT\" or " \
	"as NAME"

void
provider_free(struct provider *provider)
{
	unsigned i;

	if (provider == NULL)
		return;
	for (i = 0; i < provider->pauses_n; i++)
		free(provider->pauses[i].text);
	free(provider->pauses);
	free(provider->as);
	free(provider->name);
	free(provider);
}

/* --- a row --- */

static void
lower(char *s)
{
	for (; *s != '\0'; s++)
		*s = *s >= 'A' && *s <= 'Z' ? (char)(*s - 'A' + 'a') : *s;
}

static size_t
skip_blanks(const char *s)
{
	return strspn(s, " \t");
}

/* The word at *S, and *S behind it; the caller frees.  NULL: there is none. */
static char *
take_word(const char **s)
{
	size_t len;
	char *word;

	*s += skip_blanks(*s);
	len = strcspn(*s, " \t");
	if (len == 0)
		return NULL;
	word = xstrndup(*s, len);
	*s += len;
	return word;
}

/* NULL, or what is wrong. */
static char *
take_number(const char *name, const char **s, uint32_t most, uint32_t *out)
{
	char *word = take_word(s), *why = NULL;
	uint64_t value = 0;

	if (*out != 0)
		why = xasprintf("\"%s\" is given twice", name);
	else if (word == NULL || quantity_parse(word, strlen(word), &value) != QUANTITY_COUNT ||
	    value < 1 || value > most)
		why = xasprintf("\"%s\" wants a number from 1 to %u", name, (unsigned)most);
	*out = (uint32_t)value;
	free(word);
	return why;
}

static void
add_pause(struct provider *provider, uint32_t seconds, char *text)
{
	provider->pauses = xreallocarray(
	    provider->pauses, provider->pauses_n + 1, sizeof(provider->pauses[0]));
	provider->pauses[provider->pauses_n++] =
	    (struct provider_pause){ .seconds = seconds, .text = text };
}

/* One text in quotes.  NULL, or what is wrong. */
static char *
take_text(struct provider *provider, const char **s, uint32_t seconds)
{
	struct buf text = { 0 };
	const char *wrong = NULL;
	size_t at = 0, used = quote_read(*s, strlen(*s), &text, &wrong, &at);

	if (used == 0 || text.len == 0) {
		buf_free(&text);
		return used == 0 ? xstrdup(wrong) : xstrdup("an empty text is in every reply");
	}
	*s += used;
	add_pause(provider, seconds, buf_take(&text));
	return NULL;
}

static char *
take_pause(struct provider *provider, const char **s)
{
	char *word = take_word(s), *why = NULL;
	uint64_t seconds = 0;

	if (word == NULL || quantity_parse(word, strlen(word), &seconds) != QUANTITY_TIME ||
	    seconds < 1 || seconds > PAUSE_MAX)
		why = xstrdup("\"pause\" wants a time up to 1d, such as 30m, and texts in quotes");
	free(word);
	*s += skip_blanks(*s);
	if (why == NULL && **s != '"')
		why = xstrdup("\"pause\" wants the texts of replies in quotes behind its time");
	while (why == NULL && **s == '"') {
		why = take_text(provider, s, (uint32_t)seconds);
		*s += skip_blanks(*s);
	}
	return why;
}

static char *
take_as(struct provider *provider, const char **s)
{
	free(provider->as);
	provider->as = take_word(s);
	if (provider->as == NULL || (*s)[skip_blanks(*s)] != '\0')
		return xstrdup("\"as\" wants the name of one other row, and nothing else");
	lower(provider->as);
	return NULL;
}

/* The words behind NAME. */
static char *
take_rule(struct provider *provider, const char *name, const char **s)
{
	if (strcmp(name, "concurrency") == 0)
		return take_number(name, s, CONCURRENCY_MAX, &provider->concurrency);
	if (strcmp(name, "recipients") == 0)
		return take_number(name, s, RECIPIENTS_MAX, &provider->recipients);
	if (strcmp(name, "messages") == 0)
		return take_number(name, s, MESSAGES_MAX, &provider->messages);
	if (strcmp(name, "pause") == 0)
		return take_pause(provider, s);
	if (strcmp(name, "as") == 0)
		return take_as(provider, s);
	return xasprintf("\"%s\" is no rule for a provider; " EXPECTED, name);
}

static bool
has_rules(const struct provider *p)
{
	return p->concurrency != 0 || p->recipients != 0 || p->messages != 0 || p->pauses_n > 0;
}

struct provider *
provider_parse(const char *key, const char *value, char **why)
{
	struct provider *provider = xcalloc(1, sizeof(*provider));
	char *word;

	provider->name = xstrdup(key);
	lower(provider->name);
	*why = NULL;
	if (!mailaddr_domain_ok(key, strlen(key), 0))
		*why = xasprintf("\"%s\" is neither a domain nor a name above servers", key);
	while (*why == NULL && (word = take_word(&value)) != NULL) {
		*why = take_rule(provider, word, &value);
		free(word);
	}
	if (*why == NULL && provider->as == NULL && !has_rules(provider))
		*why = xstrdup("there is no rule; " EXPECTED);
	if (*why == NULL && provider->as != NULL && has_rules(provider))
		*why = xstrdup("\"as\" takes all rules from another row, and stands alone");
	if (*why == NULL)
		return provider;
	provider_free(provider);
	return NULL;
}

char *
provider_check(const char *key, const char *value)
{
	char *why = NULL;

	provider_free(provider_parse(key, value, &why));
	return why;
}

/* --- the table --- */

/* The row of that very key, which was checked. */
static struct provider *
read_row(const struct table *table, const char *key)
{
	const char *value = table_get(table, key);
	struct provider *provider;
	char *why = NULL;

	if (value == NULL)
		return NULL;
	provider = provider_parse(key, value, &why);
	free(why);
	return provider;
}

/* Where the rules of that row are. */
static struct provider *
read_rules(const struct table *table, const char *key)
{
	struct provider *provider = read_row(table, key), *other;

	if (provider == NULL || provider->as == NULL)
		return provider;
	other = read_row(table, provider->as);
	provider_free(provider);
	if (other == NULL || other->as == NULL)
		return other;
	provider_free(other);
	return NULL;
}

struct checking {
	const struct table *table;
	char *why;
};

static void
check_as(const char *key, const char *value, void *arg)
{
	struct checking *checking = arg;
	struct provider *row, *rules;
	char *where;

	(void)value;
	if (checking->why != NULL || (row = read_row(checking->table, key)) == NULL)
		return;
	rules = read_rules(checking->table, key);
	if (rules == NULL) {
		where = table_where(checking->table, key);
		checking->why = xasprintf("%s: \"as %s\" leads to no row with rules", where, row->as);
		free(where);
	}
	provider_free(rules);
	provider_free(row);
}

char *
provider_check_all(const struct table *table)
{
	struct checking checking = { .table = table };

	table_each(table, check_as, &checking);
	return checking.why;
}

/* The rules for NAME, or for the nearest name above it. */
static struct provider *
find_above(const struct table *table, const char *name)
{
	struct provider *provider = NULL;
	const char *dot;

	while (provider == NULL && name[0] != '\0') {
		provider = read_rules(table, name);
		dot = strchr(name, '.');
		name = dot != NULL ? dot + 1 : "";
	}
	return provider;
}

/* Whose all of these servers are. */
static struct provider *
find_by_servers(const struct table *table, const char *const *servers, unsigned n)
{
	struct provider *first = n > 0 ? find_above(table, servers[0]) : NULL, *other;
	unsigned i;
	bool same;

	for (i = 1; first != NULL && i < n; i++) {
		other = find_above(table, servers[i]);
		same = other != NULL && strcmp(other->name, first->name) == 0;
		provider_free(other);
		if (same)
			continue;
		provider_free(first);
		first = NULL;
	}
	return first;
}

struct provider *
provider_find(
    const struct table *table, const char *const *servers, unsigned n, const char *domain)
{
	struct provider *provider;

	if (table == NULL)
		return NULL;
	provider = find_by_servers(table, servers, n);
	return provider == NULL && domain != NULL ? find_above(table, domain) : provider;
}

uint32_t
provider_pause(const struct provider *provider, const char *reply)
{
	unsigned i;

	for (i = 0; provider != NULL && i < provider->pauses_n; i++) {
		if (strcasestr(reply, provider->pauses[i].text) != NULL)
			return provider->pauses[i].seconds;
	}
	return 0;
}
