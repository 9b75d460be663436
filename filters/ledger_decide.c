/*
 * What the ledger answers (ledger_role.h): the operator's word first, then what is remembered.
 *
 * The role calls this for each message and the tests call it without one.  A store that gives no
 * answer, or that cannot keep what it must for the next try, makes the answer "unknown", which lets
 * mail in: a caller that is told to come back and is not remembered would be told so for ever.
 */
#include <stdlib.h>
#include <string.h>

#include "filters/identity.h"
#include "filters/ledger_role.h"
#include "filters/ledger_tries.h"
#include "lib/buf.h"
#include "lib/log.h"

void
ledger_judge_caller(
    struct ledger *l, const struct ip *ip, const char *name, int64_t now, struct ledger_caller *a)
{
	enum operator_word word;
	int passed, trapped, left, stayed;

	memset(a, 0, sizeof(*a));
	word = operator_on_caller(l->operators, ip, name, now);
	a->allowed = word == OPERATOR_ALLOW;
	a->denied = word == OPERATOR_DENY;
	a->mail_words = operator_list_knows_mail(l->operators);
	passed = ledger_get_caller(l->store, ITEM_PASSED, ip, now);
	trapped = ledger_get_caller(l->store, ITEM_TRAP, ip, now);
	left = ledger_get_caller(l->store, ITEM_LEFT, ip, now);
	stayed = ledger_get_caller(l->store, ITEM_STAYED, ip, now);
	a->passed = passed == 1;
	a->trapped = trapped == 1;
	a->stayed = stayed == 1;
	a->left = left == 1 && stayed != 1;
	/* the operator's word is in memory and holds without the store */
	a->unknown = (passed == -1 || trapped == -1 || left == -1 || stayed == -1) &&
		     word == OPERATOR_SILENT;
}

/*
 * What is not known under the identity may be under the caller's network or address: learnt from
 * another server's greylist, or while the caller had no name.  NAMES[] are freed by the caller.
 */
static unsigned
elsewhere(const struct grey_question *q, char *names[2])
{
	unsigned i, n = 0;

	if (q->client.family == 0 || q->narrow)
		return 0;
	names[n++] = identity_of(&q->client, NULL, NULL);
	names[n++] = identity_of_address(&q->client);
	for (i = 0; i < n; i++) {
		if (strcmp(names[i], q->identity) != 0)
			continue;
		free(names[i]);
		names[i] = names[--n];
	}
	return n;
}

static int
get_triplet(struct ledger *l, const struct grey_question *q, struct grey_record *r)
{
	struct grey_question other = *q;
	char *names[2];
	unsigned i, n;
	int rc;

	rc = ledger_get_triplet(l->store, q, r);
	if (rc != 0)
		return rc;
	n = elsewhere(q, names);
	for (i = 0; i < n; i++) {
		other.identity = names[i];
		if (rc == 0)
			rc = ledger_get_triplet(l->store, &other, r);
		free(names[i]);
	}
	return rc;
}

/* True when the caller's network or address is trusted, whatever his identity is. */
static bool
trusted_elsewhere(struct ledger *l, const struct grey_question *q, int64_t now)
{
	struct grey_identity id;
	bool trusted = false;
	char *names[2];
	unsigned i, n;

	n = elsewhere(q, names);
	for (i = 0; i < n; i++) {
		if (!trusted && ledger_get_identity(l->store, names[i], &id) == 1)
			trusted = grey_identity_trusted(&id, q, now);
		free(names[i]);
	}
	return trusted;
}

/* The triplet of Q passed for the first time: counts for its identity. */
static void
credit_identity(
    struct ledger *l, const struct grey_question *q, struct grey_identity *id, int64_t now)
{
	grey_identity_passed(id, q, now, true);
	if (ledger_put_identity(l->store, q->identity, id) == 1 && id->count == q->trust_after)
		log_info(
		    "ledger.trusted", F_STR("identity", q->identity), F_U64("triplets", id->count));
}

static void
decide_triplet(struct ledger *l, const struct grey_question *q, struct grey_identity *id,
    int64_t now, struct grey_answer *a)
{
	struct grey_record r;

	if (get_triplet(l, q, &r) == -1) {
		a->state = GREY_UNKNOWN;
		return;
	}
	grey_decide(&r, q, now, a);
	if (q->observe)
		return;
	l->changed = true;
	if (ledger_put_triplet(l->store, q, &r) == -1) {
		memset(a, 0, sizeof(*a));
		a->state = GREY_UNKNOWN;
		return;
	}
	if (a->state == GREY_NEW)
		ledger_count_held(l->count, l->store, q, now);
	if (a->first_pass && r.count > 1) {
		ledger_count_returned(l->count, l->store, ACTION_GREYLIST, r.rule, r.line, r.first);
		credit_identity(l, q, id, now);
	}
	if (a->state == GREY_EARLY || (a->first_pass && r.count > 1))
		ledger_tries_came_back(l, q, r.first, now, a->first_pass);
}

/* The operator lets in whom a rule would put off; or a rule does, that rescued him. */
static void
let_in(struct ledger *l, const struct grey_question *q, int64_t now, struct grey_answer *a)
{
	a->state = GREY_TRUSTED;
	if (q->observe || q->word_only)
		return;
	ledger_tries_let_in(l, q, now, a);
	ledger_tries_renew(l, q, now);
}

void
ledger_decide(struct ledger *l, const struct grey_question *q, int64_t now, struct grey_answer *a)
{
	struct grey_identity id;

	memset(a, 0, sizeof(*a));
	switch (ledger_operator_word(l, q, now)) {
	case OPERATOR_ALLOW:
		let_in(l, q, now, a);
		return;
	case OPERATOR_DENY:
		a->state = GREY_DENIED;
		return;
	case OPERATOR_SILENT:
		break;
	}
	if (q->word_only) {
		a->state = GREY_PASS;
		return;
	}
	if (q->tempfail) {
		ledger_tries_refused(l, q, now, a);
		return;
	}
	if (ledger_get_identity(l->store, q->identity, &id) == -1) {
		a->state = GREY_UNKNOWN;
		return;
	}
	if (!grey_identity_trusted(&id, q, now)) {
		if (id.count == 0 && trusted_elsewhere(l, q, now))
			a->state = GREY_TRUSTED;
		else
			decide_triplet(l, q, &id, now, a);
		return;
	}
	a->state = GREY_TRUSTED;
	if (!q->observe && grey_identity_stale(&id, now)) {
		grey_identity_passed(&id, q, now, false);
		(void)ledger_put_identity(l->store, q->identity, &id);
		l->changed = true;
	}
}

void
ledger_caller_has_passed(struct ledger *l, const struct ip *client, int64_t now)
{
	(void)ledger_put_caller(l->store, ITEM_PASSED, client, now, now + LEDGER_PASSED_SECONDS);
}

void
ledger_caller_has_stayed(struct ledger *l, const struct ip *client, int64_t now)
{
	ledger_caller_has_passed(l, client, now);
	(void)ledger_put_caller(l->store, ITEM_STAYED, client, now, now + LEDGER_PASSED_SECONDS);
	if (ledger_get_caller(l->store, ITEM_LEFT, client, now) == 1)
		(void)ledger_put_caller(l->store, ITEM_LEFT, client, now, now - 1);
}

/* A message got in.  What greylist and tempfail had put off they have counted themselves; a tarpit is not asked. */
static void
note_let_in(struct ledger *l, const struct gate_event *e)
{
	struct grey_question q = { .identity = e->identity,
		.client = e->client,
		.name = e->name,
		.helo = e->helo };
	struct grey_answer a = { .waited = 0 };
	char *sender, *recipient;

	if (e->identity == NULL || e->sender == NULL || e->recipient == NULL)
		return;
	sender = identity_sender(e->sender);
	recipient = identity_recipient(e->recipient);
	q.sender = sender;
	q.recipient = recipient;
	ledger_tries_let_in(l, &q, e->time, &a);
	free(sender);
	free(recipient);
}

void
ledger_take_event(struct ledger *l, const struct gate_event *e)
{
	l->changed = true;
	ledger_count_event(l->count, l->store, e);
	(void)ledger_put_event(l->store, e);
	if (e->action == ACTION_COUNT)
		note_let_in(l, e);
	/* Whoever came back and was let in need not sit through the next pause or tarpit either. */
	if (e->action == ACTION_COUNT && e->waited > 0 && e->client.family != 0)
		ledger_caller_has_stayed(l, &e->client, e->time);
}
