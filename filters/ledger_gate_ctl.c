/*
 * `smtpctl gate rescued`, `gate explain session=ID`, and what `gate explain` asks of a caller
 * (ledger_gate_ctl.h); the report is a file of its own.
 *
 * Who came back is in the table of tries; the last decisions are kept in full, so that one session can be explained
 * afterwards.  Both stream from walks.
 */
#include <stdlib.h>
#include <string.h>

#include "filters/ledger_fields.h"
#include "filters/ledger_gate_ctl.h"
#include "filters/ledger_gather.h"
#include "filters/ledger_report.h"
#include "filters/ledger_role.h"
#include "filters/ledger_stats.h"
#include "filters/ledger_walk.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "lib/quantity.h"

#define SINCE_DEFAULT 86400

#define DOWN "the ledger's database is down; its log says why"

static struct ledger *ledger;

/*
 * Who came back
 */

struct rescued {
	struct ctl *ctl;
	int64_t now, since;
};

static enum kv_step
rescued_visit(const struct ledger_item *item, void *arg)
{
	struct rescued *r = arg;

	if (item->tries.let_in != 0 && item->tries.let_in >= r->since)
		ledger_answer_item(r->ctl, item, r->now, true);
	return KV_NEXT;
}

static void
rescued_done(int rc, void *arg)
{
	struct rescued *r = arg;

	ctl_end(r->ctl, rc == -1, rc == -1 ? DOWN : "");
	free(r);
}

static bool
read_since(unsigned n, const char *const *words, uint64_t *seconds)
{
	*seconds = SINCE_DEFAULT;
	return n == 0 ||
	       (n == 1 && strncmp(words[0], "since=", 6) == 0 &&
		   quantity_parse(words[0] + 6, strlen(words[0] + 6), seconds) == QUANTITY_TIME);
}

static void
start_rescued(struct ctl *ctl, unsigned n, const char *const *words)
{
	struct ledger_walk w = { .store = ledger->store,
		.table = TABLE_TRIES,
		.ctl = ctl,
		.visit = rescued_visit,
		.done = rescued_done };
	struct rescued *r;
	uint64_t seconds;
	char *why;

	if (!read_since(n, words, &seconds)) {
		why = xasprintf("%s: since=TIME is expected; a time ago is 1d, 12h, 30m", words[n - 1]);
		ctl_end(ctl, 2, why);
		free(why);
		return;
	}
	r = xcalloc(1, sizeof(*r));
	r->ctl = ctl;
	r->now = clock_now();
	r->since = r->now - (int64_t)seconds;
	w.arg = r;
	ledger_walk(&w);
}

/*
 * One session
 */

struct explain {
	struct ctl *ctl;
	uint64_t session;
	unsigned n;
};

static enum kv_step
explain_visit(const struct ledger_item *item, void *arg)
{
	struct explain *x = arg;

	if (item->event.session == x->session) {
		ledger_answer_event(x->ctl, &item->event);
		x->n++;
	}
	return KV_NEXT;
}

static void
explain_done(int rc, void *arg)
{
	struct explain *x = arg;

	if (rc == -1)
		ctl_end(x->ctl, 1, DOWN);
	else if (x->n == 0)
		ctl_end(
		    x->ctl, 1, "not among the last decisions of the gate; the log has older ones");
	else
		ctl_end(x->ctl, 0, "");
	free(x);
}

static void
start_explain(struct ctl *ctl, unsigned n, const char *const *words)
{
	struct ledger_walk w = { .store = ledger->store,
		.table = TABLE_EVENT,
		.ctl = ctl,
		.visit = explain_visit,
		.done = explain_done };
	struct explain *x;
	uint64_t session;

	if (n != 1 || strncmp(words[0], "session=", 8) != 0 || !id_parse(words[0] + 8, &session)) {
		ctl_end(ctl, 2, "gate explain session=ID, as replies and the log give it");
		return;
	}
	x = xcalloc(1, sizeof(*x));
	x->ctl = ctl;
	x->session = session;
	w.arg = x;
	ledger_walk(&w);
}

/*
 * What a session would hear
 */

static const char *
word_of(unsigned n, const char *const *words, const char *key)
{
	size_t len = strlen(key);
	unsigned i;

	for (i = 0; i < n; i++)
		if (strncmp(words[i], key, len) == 0)
			return words[i] + len;
	return NULL;
}

/* For `gate explain`, which plays a session: the answer to its question at connect, and the operator's word on the mail. */
static void
start_caller(struct ctl *ctl, unsigned n, const char *const *words)
{
	struct grey_question q = { .identity = word_of(n, words, "identity="),
		.sender = word_of(n, words, "from="),
		.recipient = word_of(n, words, "to="),
		.name = word_of(n, words, "name=") };
	const char *client = word_of(n, words, "client=");
	enum operator_word word;
	struct ledger_caller a;
	int64_t now = clock_now();

	if (client == NULL || !ip_parse(client, &q.client)) {
		ctl_end(ctl, 2, "gate caller client=IP [name=] [identity=] [from=] [to=]");
		return;
	}
	ledger_judge_caller(ledger, &q.client, q.name, now, &a);
	word = ledger_operator_word(ledger, &q, now);
	ctl_record(ctl, FIELDS(F_BOOL("allowed", a.allowed), F_BOOL("mail_allowed", word == OPERATOR_ALLOW),
			    F_BOOL("denied", word == OPERATOR_DENY),
			    F_BOOL("passed", a.passed), F_BOOL("stayed", a.stayed),
			    F_BOOL("trapped", a.trapped), F_BOOL("left", a.left)));
	ctl_end(ctl, a.unknown, a.unknown ? DOWN : "");
}

static void
on_gate(struct ctl *ctl, unsigned n, const char *const *words)
{
	if (n > 1 && strcmp(words[1], "report") == 0)
		ledger_report(ledger, ctl, n - 2, words + 2);
	else if (n > 1 && strcmp(words[1], "rescued") == 0)
		start_rescued(ctl, n - 2, words + 2);
	else if (n > 1 && strcmp(words[1], "caller") == 0)
		start_caller(ctl, n - 2, words + 2);
	else if (n > 1 && strcmp(words[1], "explain") == 0)
		start_explain(ctl, n - 2, words + 2);
	else
		ctl_end(ctl, 2, "gate report, gate rescued [since=TIME], gate explain session=ID");
}

void
ledger_gate_ctl_init(struct ledger *l)
{
	ledger = l;
	ledger_gather_register("gate", on_gate);
	ledger_stats_init(l);
}
