/*
 * What smtpctl shows of the queue: lists, one message in full, its events, the counters.
 *
 * Called by queue_ctl.c for one message at a time.  Only reads; the names of the fields are an
 * interface that scripts rely on (smtpctl(8)).
 */
#include <inttypes.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/id.h"
#include "queue/lane.h"
#include "queue/queue.h"
#include "queue/queue_show.h"
#include "queue/work.h"

/* Recipients that a line of the list names. */
#define NAMED_MAX 5

static const char *const recipient_state_names[] = {
	[RECIPIENT_WAITING] = "waiting",
	[RECIPIENT_DELIVERED] = "delivered",
	[RECIPIENT_FAILED] = "failed",
	[RECIPIENT_EXPANDED] = "expanded",
	[RECIPIENT_REMOVED] = "removed",
};

/* As RFC 2852 has them; of no other value is an envelope. */
static const char *const by_names[(BY_NOTIFY | BY_RETURN | BY_TRACE) + 1] = {
	[BY_NOTIFY] = "N",
	[BY_RETURN] = "R",
	[BY_NOTIFY | BY_TRACE] = "NT",
	[BY_RETURN | BY_TRACE] = "RT",
};

static const char *const body_names[] = {
	[BODY_7BIT] = "7BIT",
	[BODY_8BITMIME] = "8BITMIME",
	[BODY_BINARYMIME] = "BINARYMIME",
};

static int64_t
age(const struct envelope *env)
{
	int64_t now = clock_now();

	return now > env->time ? now - env->time : 0;
}

/* A field that is not left out when there is nothing to say: a table has it in every row. */
static const char *
or_empty(const char *s)
{
	return s != NULL ? s : "";
}

/* What the recipients that wait have in common, or the first of them. */
struct waiting {
	uint32_t n;
	const struct recipient *told; /* the first that somebody said something about */
	bool tried;
	int64_t due;                  /* the least */
};

/* OF: NULL, or what a recipient must meet. */
static bool
is_waiting(const struct recipient *r, const struct selector *of)
{
	return r->state == RECIPIENT_WAITING && (of == NULL || select_recipient(of, r));
}

static struct waiting
look_at_waiting(const struct envelope *env, const struct selector *of)
{
	struct waiting w = { .due = INT64_MAX };
	const struct recipient *r;
	uint32_t i;

	for (i = 0; i < env->recipients_n; i++) {
		r = &env->recipients[i];
		if (!is_waiting(r, of))
			continue;
		w.n++;
		w.tried = w.tried || r->reason != NULL;
		if (w.told == NULL && r->reason != NULL)
			w.told = r;
		if (r->due < w.due)
			w.due = r->due;
	}
	return w;
}

enum message_state
message_state(struct queue *q, const struct envelope *env)
{
	if (env->held)
		return MESSAGE_HELD;
	if (work_find(q, env) != NULL)
		return MESSAGE_ACTIVE;
	return look_at_waiting(env, NULL).tried ? MESSAGE_DEFERRED : MESSAGE_WAITING;
}

/* The first addresses that wait, with commas. */
static void
add_names(struct buf *b, const struct envelope *env, const struct selector *of)
{
	uint32_t i, n = 0;

	for (i = 0; i < env->recipients_n; i++) {
		if (!is_waiting(&env->recipients[i], of))
			continue;
		if (n++ < NAMED_MAX)
			buf_addf(b, "%s%s", n > 1 ? "," : "", env->recipients[i].address);
	}
	if (n > NAMED_MAX)
		buf_addf(b, ",+%" PRIu32, n - NAMED_MAX);
}

void
show_line(struct queue *q, struct ctl *ctl, const struct envelope *env, const struct selector *of)
{
	struct waiting w = look_at_waiting(env, of);
	struct id_text id = id_text(env->id);
	struct buf names = { 0 };

	add_names(&names, env, of);
	ctl_record(
	    ctl, FIELDS(F_STR("message", id.s), F_I64("age", age(env)), F_U64("size", env->size),
		     F_STR("state", message_state_name(message_state(q, env))),
		     F_STR("sender", env->sender), F_STR("recipients", buf_str(&names)),
		     F_U64("waiting", w.n), F_I64("due", w.n > 0 ? w.due : env->time),
		     F_STR("host", or_empty(w.told != NULL ? w.told->host : NULL)),
		     F_STR("reason", or_empty(w.told != NULL ? w.told->reason : NULL))));
	buf_free(&names);
}

/* As sendmail -N has it; NULL when nothing was said. */
#define NOTIFY_TEXT sizeof("success,failure,delay")
static const char *
notify_text(uint8_t notify, char text[NOTIFY_TEXT])
{
	static const struct {
		uint8_t bit;
		const char *name;
	} names[] = { { NOTIFY_NEVER, "never" }, { NOTIFY_SUCCESS, "success" },
		{ NOTIFY_FAILURE, "failure" }, { NOTIFY_DELAY, "delay" } };
	size_t i;

	text[0] = '\0';
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if ((notify & names[i].bit) == 0)
			continue;
		if (text[0] != '\0')
			strlcat(text, ",", NOTIFY_TEXT);
		strlcat(text, names[i].name, NOTIFY_TEXT);
	}
	return notify != NOTIFY_DEFAULT ? text : NULL;
}

static void
show_recipient(struct queue *q, struct ctl *ctl, const struct envelope *env, uint32_t index)
{
	const struct work *work = work_find(q, env);
	const struct recipient *r = &env->recipients[index];
	const char *from = r->parent != UINT32_MAX ? env->recipients[r->parent].address : NULL;
	char notify[NOTIFY_TEXT];

	ctl_record(ctl,
	    FIELDS(F_STR("recipient", r->address), F_STR("state", recipient_state_names[r->state]),
		F_BOOL("active", work != NULL && work_is_busy(work, index)),
		F_STR("original", r->original), F_STR("expanded_from", from),
		F_U64("attempts", r->attempts), F_I64("due", r->due), F_STR("host", r->host),
		F_STR("reason", r->reason), F_STR("route", r->route),
		F_STR("notify", notify_text(r->notify, notify))));
}

void
show_message(struct queue *q, struct ctl *ctl, const struct envelope *env)
{
	struct id_text id = id_text(env->id), session = id_text(env->session);
	uint32_t i;

	ctl_record(ctl,
	    FIELDS(F_STR("message", id.s), F_STR("session", env->session != 0 ? session.s : NULL),
		F_STR("state", message_state_name(message_state(q, env))), F_I64("time", env->time),
		F_I64("expires", env->expires), F_U64("size", env->size),
		F_STR("sender", env->sender), F_STR("origin", env->origin),
		F_BOOL("ours", env->ours), F_STR("envid", env->envid),
		F_STR("ret", env->ret == 1 ? "full" : env->ret == 2 ? "hdrs" : NULL),
		F_STR("verp", env->verp[0] != '\0' ? env->verp : NULL),
		F_STR("body", body_names[env->body]), F_BOOL("smtputf8", env->utf8),
		F_BOOL("requiretls", env->requiretls), F_STR("hold", env->hold),
		env->release != 0 ? F_I64("release", env->release) : F_STR("release", NULL),
		env->by != 0 ? F_I64("deliver_by", env->deliver_by) : F_STR("deliver_by", NULL),
		F_STR("by", by_names[env->by]),
		F_U64("recipients", env->recipients_n)));
	for (i = 0; i < env->recipients_n; i++)
		show_recipient(q, ctl, env, i);
}

/* --- the role --- */

void
show_stats(struct queue *q, struct ctl *ctl)
{
	const struct queue_counters *c = &q->counters;
	struct store_stats s;

	store_stats(q->store, &s);
	ctl_record(ctl,
	    FIELDS(F_STR("part", "queue"), F_BOOL("relay_paused", q->paused[LANE_RELAY]),
		F_BOOL("local_paused", q->paused[LANE_LOCAL]), F_U64("messages", s.messages),
		F_U64("recipients", s.recipients), F_U64("busy", q->busy),
		F_U64("under_way", q->lanes->out_n), F_U64("local_processes", q->lanes->processes),
		F_U64("scheduled", q->schedule.n), F_U64("accepted", c->accepted),
		F_U64("refused", c->refused), F_U64("delivered", c->delivered),
		F_U64("deferred", c->deferred), F_U64("failed", c->failed),
		F_U64("expired", c->expired), F_U64("notices", c->notices),
		F_U64("double_bounces", c->double_bounces)));
	ctl_record(ctl,
	    FIELDS(F_STR("part", "journal"), F_U64("segments", s.segments), F_U64("bytes", s.bytes),
		F_U64("live_bytes", s.live_bytes), F_U64("records", s.records),
		F_U64("flushes", s.flushes), F_U64("flush_errors", s.flush_errors)));
}
