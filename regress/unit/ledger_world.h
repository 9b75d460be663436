/*
 * A ledger in a directory of its own, without its process.
 */
#ifndef REGRESS_UNIT_LEDGER_WORLD_H
#define REGRESS_UNIT_LEDGER_WORLD_H

#include <stdlib.h>
#include <string.h>

#include "filters/ledger_role.h"
#include "filters/ledger_tries.h"
#include "filters/ledger_wire.h"
#include "regress/unit/tree.h"

#define T0 1700000000
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What an environment had when it broke is lost, Berkeley DB does not free it. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libdb-5.3\n";
}

static inline struct ip
ip(const char *text)
{
	struct ip out;

	assert_true(ip_parse(text, &out));
	return out;
}

/*
 * Messages
 */

static const struct gate_event event = { .session = 0x1122334455667788,
	.time = T0,
	.name = "mx.example.org",
	.helo = NULL,
	.sender = "",
	.recipient = "b@example.net",
	.identity = "name:example.org",
	.rule = 5,
	.line = 14,
	.action = ACTION_GREYLIST,
	.phase = PHASE_RCPT,
	.observe = true,
	.left = true,
	.waited = 7,
	.evidence = "rdns=pass s25r=1" };

/*
 * The operator's entries
 */

/* "+" allows, "-" denies; behind it the kind and the text. */
static inline void
enter(struct operator_list *list, const char *entry, int64_t expires)
{
	const char *colon = strchr(entry, ':'), *why;
	struct operator_entry e = { .allow = *entry == '+', .created = T0, .expires = expires };
	char *text;
	int kind;

	kind = operator_kind_by_name(entry + 1, (size_t)(colon - entry - 1));
	assert_true(kind >= 0);
	e.kind = (enum operator_kind)kind;
	text = operator_text(e.kind, colon + 1, &why);
	assert_non_null(text);
	e.text = text;
	operator_list_put(list, &e);
	free(text);
}

/*
 * Decisions over a store
 */

static char base[] = "/tmp/test_ledger.XXXXXX";
static char dir[64];
static struct ledger ledger;

static inline void
open_ledger(void)
{
	char *why;

	ledger.store = ledger_store_open(dir, &why);
	if (ledger.store == NULL || why != NULL)
		fail_msg("%s", why);
	ledger.operators = operator_list_new();
	ledger.count = ledger_count_new();
	ledger_load_operators(&ledger);
}

static inline void
close_ledger(void)
{
	assert_int_equal(ledger_count_flush(ledger.count, ledger.store), 0);
	ledger_count_free(ledger.count);
	operator_list_free(ledger.operators);
	ledger_store_close(ledger.store);
}

static inline int
setup(void **state)
{
	(void)state;
	strcpy(base + sizeof(base) - 7, "XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s/db", base);
	open_ledger();
	return 0;
}

static inline int
teardown(void **state)
{
	(void)state;
	close_ledger();
	return tree_remove(base);
}

static inline struct grey_question
question(const char *identity, const char *sender, const char *recipient)
{
	return (struct grey_question){ .identity = identity,
		.sender = sender,
		.recipient = recipient,
		.delay = 120,
		.window = 3600,
		.lifetime = 86400,
		.trust_after = 2,
		.rule = 3,
		.line = 10 };
}

static inline enum grey_state
try(const char *identity, const char *sender, const char *recipient, int64_t at)
{
	struct grey_question q = question(identity, sender, recipient);
	struct grey_answer a;

	ledger_decide(&ledger, &q, T0 + at, &a);
	return a.state;
}

/*
 * Counting
 */

static inline struct report_counts
counts(int64_t time, uint16_t rule, uint16_t line, enum action action, bool observe)
{
	struct report_key k = { .hour = report_hour(time),
		.rule = rule,
		.line = line,
		.action = (uint8_t)action,
		.observe = observe };
	struct report_counts c;

	assert_int_equal(ledger_count_flush(ledger.count, ledger.store), 0);
	(void)ledger_get_counts(ledger.store, &k, &c);
	return c;
}

#endif
