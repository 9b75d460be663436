/*
 * Mail that was put off and comes back (ledger_tries.h).
 *
 * The ledger's decisions call this for every refusal by `tempfail`, for what returns to the greylist, and for callers
 * who leave a tarpit; one read and one write each.  A store that gives no answer costs evidence, and for a
 * `tempfail` the answer is "unknown", which that rule takes for a refusal: it asks for nothing else.
 *
 * What must never happen: that a proposal lets anybody in whom the operator has denied, or that one is taken
 * where no rule says `rescue`.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "filters/ledger_role.h"
#include "filters/ledger_tries.h"
#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/log.h"
#include "lib/mem.h"

/* Brings T up to date with a try at NOW.  True when these tries are the first ones of their mail. */
static bool
add_try(struct tries *t, const struct grey_question *q, enum action action, int64_t now)
{
	bool fresh;

	fresh = tries_are_over(t, now);
	if (fresh) {
		memset(t, 0, sizeof(*t));
		t->rule = q->rule;
		t->line = q->line;
		t->action = (uint8_t)action;
	}
	tries_add(t, now, &q->client, q->name, q->helo);
	return fresh;
}

static void
log_tries(const char *event, const struct grey_question *q, const struct tries *t,
    enum operator_kind kind, const char *whom)
{
	log_notice(event, F_STR("identity", q->identity), F_STR("from", q->sender),
	    F_STR("to", q->recipient), F_U64("tries", t->rhythm.total), F_U64("seconds", tries_waited(t)),
	    F_U64("line", t->line), F_STR("kind", operator_kind_name(kind)), F_STR("entry", whom));
}

/* "3 tries in 11m, rule 4" */
static char *
note_of(const struct tries *t)
{
	struct buf b = { 0 };

	buf_addf(&b, "%u tries in ", t->rhythm.total);
	human_add_seconds(&b, tries_waited(t));
	buf_addf(&b, ", line %u", t->line);
	return buf_take(&b);
}

/* Takes the proposal: who brought this mail is let in for as long as the rule says.  False when the entry could not be
 * kept. */
static bool
take(struct ledger *l, const struct grey_question *q, const struct tries *t, int64_t now)
{
	struct operator_entry e = {
		.allow = true, .rescued = true, .created = now, .expires = now + q->rescue
	};
	char *whom, *note;
	bool done;

	whom = tries_whom(t, q->identity, &e.kind);
	note = note_of(t);
	e.text = whom;
	e.note = note;
	done = ledger_put_operator(l->store, &e) == 1;
	if (done) {
		operator_list_put(l->operators, &e);
		log_tries("ledger.rescued", q, t, e.kind, whom);
	}
	free(whom);
	free(note);
	return done;
}

static void
propose(struct tries *t, const struct grey_question *q)
{
	enum operator_kind kind;
	char *whom;

	if (t->proposed || !rhythm_is_of_a_server(&t->rhythm))
		return;
	t->proposed = true;
	whom = tries_whom(t, q->identity, &kind);
	log_tries("ledger.proposed", q, t, kind, whom);
	free(whom);
}

static void
let_in(struct tries *t, int64_t now, struct grey_answer *a)
{
	t->let_in = now;
	a->first_pass = true;
	a->waited = tries_waited(t);
}

void
ledger_tries_refused(
    struct ledger *l, const struct grey_question *q, int64_t now, struct grey_answer *a)
{
	struct tries t;
	bool fresh;

	memset(a, 0, sizeof(*a));
	if (ledger_get_tries(l->store, q, &t) == -1) {
		a->state = GREY_UNKNOWN;
		return;
	}
	fresh = add_try(&t, q, ACTION_TEMPFAIL, now);
	a->state = fresh ? GREY_NEW : GREY_EARLY;
	a->first = t.made[0].time;
	propose(&t, q);
	if (t.proposed && q->rescue != 0 && take(l, q, &t, now)) {
		let_in(&t, now, a);
		a->state = GREY_TRUSTED;
	}
	l->changed = true;
	if (ledger_put_tries(l->store, q, &t) != 1)
		return;
	if (fresh)
		ledger_count_held(l->count, l->store, q, now);
	if (t.let_in != 0)
		ledger_count_returned(
		    l->count, l->store, ACTION_TEMPFAIL, t.rule, t.line, t.made[0].time);
}

void
ledger_tries_came_back(
    struct ledger *l, const struct grey_question *q, int64_t first, int64_t now, bool passed)
{
	static const struct ip unknown;
	struct grey_answer a = { .waited = 0 };
	struct tries t;

	if (q->client_only || ledger_get_tries(l->store, q, &t) == -1)
		return;
	if (tries_are_over(&t, now)) {
		memset(&t, 0, sizeof(t));
		t.rule = q->rule;
		t.line = q->line;
		t.action = ACTION_GREYLIST;
		tries_add(&t, first, &unknown, NULL, NULL);
	}
	tries_add(&t, now, &q->client, q->name, q->helo);
	if (passed)
		let_in(&t, now, &a);
	(void)ledger_put_tries(l->store, q, &t);
}

void
ledger_tries_hung_up(struct ledger *l, const struct grey_question *q, int64_t now)
{
	struct tries t;

	if (ledger_get_tries(l->store, q, &t) == -1)
		return;
	(void)add_try(&t, q, ACTION_TARPIT, now);
	propose(&t, q);
	(void)ledger_put_tries(l->store, q, &t);
}

void
ledger_tries_let_in(
    struct ledger *l, const struct grey_question *q, int64_t now, struct grey_answer *a)
{
	struct tries t;

	if (ledger_get_tries(l->store, q, &t) != 1 || tries_are_over(&t, now))
		return;
	tries_add(&t, now, &q->client, q->name, q->helo);
	let_in(&t, now, a);
	l->changed = true;
	if (ledger_put_tries(l->store, q, &t) == 1 && t.action != ACTION_TARPIT)
		ledger_count_returned(l->count, l->store, (enum action)t.action, t.rule, t.line,
		    t.made[0].time);
}

/* Written again when half of its time is over, not for every mail; what is over stays so. */
static void
renew(struct ledger *l, enum operator_kind kind, const char *text, uint32_t seconds, int64_t now)
{
	const struct operator_entry *found;
	struct operator_entry e;

	found = operator_list_find(l->operators, kind, text);
	if (found == NULL || !found->rescued || found->expires < now || found->expires - now >= seconds / 2)
		return;
	e = *found;
	e.expires = now + seconds;
	if (ledger_put_operator(l->store, &e) == 1)
		operator_list_put(l->operators, &e);
	l->changed = true;
}

void
ledger_tries_renew(struct ledger *l, const struct grey_question *q, int64_t now)
{
	struct ipnet net;

	if (q->rescue == 0)
		return;
	renew(l, OPERATOR_IDENTITY, q->identity, q->rescue, now);
	net = ip_network(&q->client, q->client.family == AF_INET6 ? 128 : 32);
	if (q->client.family != 0)
		renew(l, OPERATOR_CLIENT, ipnet_text(&net).s, q->rescue, now);
}

bool
ledger_tries_are_open(const struct ledger *l, const struct ledger_item *item, int64_t now)
{
	const struct try_made *last = &item->tries.made[item->tries.n - 1];
	struct grey_question q = { .identity = item->identity,
		.sender = item->sender,
		.recipient = item->recipient,
		.client = last->client,
		.name = *last->name != '\0' ? last->name : NULL };

	return ledger_operator_word(l, &q, now) == OPERATOR_SILENT;
}
