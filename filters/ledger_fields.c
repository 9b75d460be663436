/*
 * How the ledger's items are told (ledger_fields.h).
 *
 * smtpctl's requests call it for each record that they answer.  Nothing can fail.  A time that no
 * calendar has is left out.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "filters/ledger_fields.h"
#include "lib/buf.h"
#include "lib/ctl.h"
#include "lib/id.h"

#define FIELDS_MAX 32
#define TIMES_MAX 8

/* A record under construction; texts of times live beside it. */
struct record {
	struct field fields[FIELDS_MAX];
	unsigned n;
	struct ledger_time_text times[TIMES_MAX];
	unsigned times_n;
};

struct record_texts {
	struct buf whom, evidence;
};

struct ledger_time_text
ledger_time_text(int64_t t)
{
	struct ledger_time_text text = { "" };
	time_t seconds = (time_t)t;
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(text.s, sizeof(text.s), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		text.s[0] = '\0';
	return text;
}

static void
add(struct record *r, struct field f)
{
	if (r->n < FIELDS_MAX - 1)
		r->fields[r->n++] = f;
}

/* KEY and its text under TEXT_KEY; a time of 0 is none. */
static void
add_time(struct record *r, const char *key, const char *text_key, int64_t t)
{
	if (t == 0 || r->times_n == TIMES_MAX)
		return;
	add(r, F_I64(key, t));
	r->times[r->times_n] = ledger_time_text(t);
	add(r, F_STR(text_key, r->times[r->times_n++].s));
}

static void
send_record(struct ctl *ctl, struct record *r)
{
	r->fields[r->n] = F_END;
	ctl_record(ctl, r->fields);
}

static void
add_triplet(struct record *r, const struct ledger_item *item, int64_t now, bool detailed)
{
	const struct grey_record *t = &item->triplet;

	add(r, F_STR("identity", item->identity));
	add(r, F_STR("from", item->sender));
	add(r, F_STR("to", item->recipient));
	add(r, F_U64("tries", t->count));
	add_time(r, "first", "first_text", t->first);
	if (t->passed != 0)
		add(r, F_I64("waited", t->passed - t->first));
	else
		add(r, F_U64("left", grey_record_left(t, now)));
	if (t->waived)
		add(r, F_BOOL("waived", true));
	if (!detailed)
		return;
	add_time(r, "last", "last_text", t->last);
	add_time(r, "passed", "passed_text", t->passed);
	add_time(r, "expires", "expires_text", t->expires);
	add(r, F_U64("rule", t->rule));
	add(r, F_U64("line", t->line));
	add(r, F_U64("delay", t->delay));
}

/* What an operator would type, and what he would look at first. */
static void
add_tries(struct record *r, const struct ledger_item *item, struct record_texts *texts)
{
	const struct tries *t = &item->tries;
	enum operator_kind kind;
	char *whom;

	add(r, F_STR("identity", item->identity));
	add(r, F_STR("from", item->sender));
	add(r, F_STR("to", item->recipient));
	add(r, F_U64("tries", t->rhythm.total));
	add_time(r, "first", "first_text", t->made[0].time);
	if (t->let_in != 0)
		add_time(r, "passed", "passed_text", t->let_in);
	else
		add_time(r, "last", "last_text", t->rhythm.last);
	add(r, F_U64("waited", tries_waited(t)));
	add(r, F_STR("action", action_name((enum action)t->action)));
	add(r, F_U64("rule", t->rule));
	add(r, F_U64("line", t->line));
	if (t->proposed && t->let_in == 0) {
		whom = tries_whom(t, item->identity, &kind);
		buf_addf(&texts->whom, "%s=%s", operator_kind_name(kind), whom);
		free(whom);
		add(r, F_STR("allow", buf_str(&texts->whom)));
	}
	tries_print(&texts->evidence, t);
	add(r, F_STR("evidence", buf_str(&texts->evidence)));
}

static void
add_login(struct record *r, const struct ledger_item *item, int64_t now)
{
	const struct lockout *l = &item->lockout;

	if (*item->account != '\0')
		add(r, F_STR("account", item->account));
	add(r, F_U64("failures", lockout_failures(l, now)));
	if (lockout_left(l, now) > 0)
		add(r, F_U64("left", lockout_left(l, now)));
	add_time(r, "last", "last_text", l->last);
	add_time(r, "passed", "passed_text", l->passed);
	add_time(r, "expires", "expires_text", l->until);
}

static void
add_operator(struct record *r, const struct operator_entry *e)
{
	add(r, F_STR(operator_kind_name(e->kind), e->text));
	if (e->rescued)
		add(r, F_BOOL("rescued", true));
	if (*e->note != '\0')
		add(r, F_STR("note", e->note));
	add_time(r, "expires", "expires_text", e->expires);
	add_time(r, "created", "created_text", e->created);
	add(r, F_U64("uid", e->uid));
}

void
ledger_answer_item(struct ctl *ctl, const struct ledger_item *item, int64_t now, bool detailed)
{
	struct record r = { .n = 0 };
	struct record_texts texts = { .whom = { 0 } };
	struct ip_text client;

	add(&r, F_STR("state", ledger_item_state(item, now)));
	switch (item->type) {
	case ITEM_TRIPLET:
		add_triplet(&r, item, now, detailed);
		break;
	case ITEM_IDENTITY:
		add(&r, F_STR("identity", item->identity));
		add(&r, F_U64("triplets", item->trust.count));
		add(&r, F_U64("trust_after", item->trust.trust_after));
		add_time(&r, "last", "last_text", item->trust.last);
		if (detailed)
			add_time(&r, "expires", "expires_text", item->trust.expires);
		break;
	case ITEM_OPERATOR:
		add_operator(&r, &item->operator_entry);
		break;
	case ITEM_PASSED:
	case ITEM_TRAP:
	case ITEM_LEFT:
	case ITEM_STAYED:
		client = ip_text(&item->client);
		add(&r, F_STR("client", client.s));
		add_time(&r, "expires", "expires_text", item->until);
		break;
	case ITEM_TRIES:
		add_tries(&r, item, &texts);
		break;
	case ITEM_LOGIN:
		client = lockout_net_text(item->subject, &item->client);
		add(&r, F_STR("what", lockout_name(item->subject)));
		if (item->client.family != 0)
			add(&r, F_STR("client", client.s));
		add_login(&r, item, now);
		break;
	case ITEM_CORRESPONDENT:
		add(&r, F_STR("from", item->theirs));
		add(&r, F_STR("to", item->ours));
		add_time(&r, "expires", "expires_text", item->until);
		break;
	default:
		break;
	}
	send_record(ctl, &r);
	buf_free(&texts.whom);
	buf_free(&texts.evidence);
}

void
ledger_answer_event(struct ctl *ctl, const struct gate_event *e)
{
	struct record r = { .n = 0 };
	struct id_text session = id_text(e->session);
	struct ip_text client = ip_text(&e->client);

	add_time(&r, "time", "time_text", e->time);
	add(&r, F_STR("session", session.s));
	add(&r, F_STR("client", e->client.family == 0 ? NULL : client.s));
	add(&r, F_STR("name", e->name));
	add(&r, F_STR("helo", e->helo));
	add(&r, F_STR("from", e->sender));
	add(&r, F_STR("to", e->recipient));
	add(&r, F_STR("identity", e->identity));
	add(&r, F_STR("phase", phase_name(e->phase)));
	add(&r, F_STR("verdict", e->action == ACTION_COUNT ? "let in" : action_name(e->action)));
	if (e->observe)
		add(&r, F_BOOL("observe", true));
	if (e->left)
		add(&r, F_BOOL("left", true));
	if (e->rule != 0) {
		add(&r, F_U64("rule", e->rule));
		add(&r, F_U64("line", e->line));
	}
	if (e->waited != 0)
		add(&r, F_U64("waited", e->waited));
	add(&r, F_STR("evidence", e->evidence));
	send_record(ctl, &r);
}
