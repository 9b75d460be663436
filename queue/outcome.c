/*
 * Outcomes: what a deliverer, the address book, the operator or the clock says about a recipient
 * becomes a state in the store, a line in the log and, where the sender must hear of it, a notice.
 *
 * The order that makes a crash harmless: a notice is made durable first, then the recipients that
 * it is about change their state.  A crash between the two tells the sender twice; no crash leaves
 * a recipient failed and its sender untold. While a notice is being stored its recipients stay
 * busy, so nothing else happens to them.  With notices of success it is the other way round: the
 * delivery is recorded at once, with a mark that its sender is owed a notice, and the mark goes when
 * the notice is durable.  A notice that cannot be stored (the disk is full) leaves
 * them waiting for another attempt.
 */
#include <errno.h>
#include <string.h>

#include <event2/buffer.h>

#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "queue/calendar.h"
#include "queue/notice.h"
#include "queue/outcome.h"
#include "queue/queue.h"
#include "queue/telling.h"
#include "queue/wake.h"
#include "queue/work.h"

#define TEXT_RETURNED "554 5.7.0 Returned by the operator of this mail server"
#define TEXT_UNREACHABLE                                                                           \
	"451 4.4.1 The destination does not answer; waiting until it is tried again"

static void
log_outcome(
    int level, const char *event, const struct work *work, uint32_t index, const char *detail)
{
	const struct envelope *env = work->env;
	const struct recipient *r = &env->recipients[index];
	struct id_text session = id_text(env->session), message = id_text(env->id);
	int64_t now = clock_now();
	bool waits = r->state == RECIPIENT_WAITING;
	const struct field fields[] = {
		F_STR("session", env->session != 0 ? session.s : NULL),
		F_STR("message", message.s),
		F_STR("from", env->sender),
		F_STR("to", r->address),
		F_STR("for", r->parent != UINT32_MAX ? r->original : NULL),
		F_STR("host", r->host),
		F_STR("reply", r->reason),
		F_STR("detail", detail != NULL && detail[0] != '\0' ? detail : NULL),
		F_U64("attempts", r->attempts),
		F_I64("delay", now - env->time),
		waits ? F_I64("retry_in", r->due - now) : F_END,
		F_END,
	};

	log_event(level, event, fields);
}

/* --- final and waiting states --- */

/* What was learnt of some recipients is told when nothing else of the message is under way any
 * more, so that one notice tells all of it. */
static void
end(struct work *work, uint32_t index)
{
	work_pin(work);
	work_end(work, index);
	if (work_is_decided(work))
		outcome_tell(work);
	work_unpin(work);
}

static void
decide(struct work *work, const struct verdict *verdict)
{
	work_add_verdict(work, verdict);
	if (work_is_decided(work))
		outcome_tell(work);
}

static void
settle(struct work *work, uint32_t index, enum recipient_state state)
{
	work->env->recipients[index].state = (uint8_t)state;
	store_update(work->queue->store, work->env, index);
}

static void
settle_failed(struct work *work, uint32_t index, bool expired)
{
	struct queue_counters *counters = &work->queue->counters;

	settle(work, index, RECIPIENT_FAILED);
	(*(expired ? &counters->expired : &counters->failed))++;
	log_outcome(LOG_NOTICE, expired ? "queue.expired" : "queue.failed", work, index, NULL);
	end(work, index);
}

/* It waits until DUE.  KEEP: on disk too, which a mere postponement is not worth. */
static void
settle_waiting(struct work *work, uint32_t index, int64_t due, bool keep)
{
	struct queue *q = work->queue;

	if (work->env->recipients[index].returned) {
		outcome_returned(work, index);
		return;
	}
	work->env->recipients[index].due = due;
	if (keep)
		store_update(q->store, work->env, index);
	if (!work->env->held)
		wake_for(q, work->env, index);
	end(work, index);
}

static void
fail(struct work *work, uint32_t index, bool expired)
{
	const struct envelope *env = work->env;
	struct verdict verdict = { .index = index,
		.kind = expired ? VERDICT_EXPIRED : VERDICT_FAILED };
	bool is_double = notice_wanted(NOTICE_DOUBLE, env, index);

	if (envelope_sender(env, index)[0] == '\0') {
		work->queue->counters.double_bounces++;
		log_warning("queue.double_bounce", F_STR("message", id_text(env->id).s),
		    F_STR("to", env->recipients[index].address), F_STR("origin", env->origin),
		    F_STR("what", is_double ? "the postmaster is told, as there is no sender" :
					      "there is nobody left to tell; it is dropped"));
	}
	if (is_double || notice_wanted(NOTICE_FAILURE, env, index))
		decide(work, &verdict);
	else
		settle_failed(work, index, expired);
}

/* RFC 2852 4.1.3: a sender who said by when hears of it then, and once. */
static bool
is_late(const struct queue *q, const struct envelope *env)
{
	int64_t now = clock_now(), since = env->release > env->time ? env->release : env->time;
	uint32_t delay_notice = q->conf->delay_notice;

	if (env->by & BY_NOTIFY)
		return now >= env->deliver_by;
	return delay_notice != 0 && calendar_is_over(q, since + delay_notice);
}

/* The delay notice, once, when it is time. */
static bool
is_delay_told(struct work *work, uint32_t index, int64_t due)
{
	const struct envelope *env = work->env;
	const struct recipient *r = &env->recipients[index];
	struct verdict verdict = { .index = index, .kind = VERDICT_DELAYED, .due = due };

	if (r->delay_told || !is_late(work->queue, env) ||
	    !notice_wanted(NOTICE_DELAY, env, index))
		return false;
	decide(work, &verdict);
	return true;
}

static void
defer(struct work *work, uint32_t index, const char *detail, int64_t not_before)
{
	struct queue *q = work->queue;
	const struct envelope *env = work->env;
	struct recipient *r = &work->env->recipients[index];
	int64_t now = clock_now(), due;

	if (calendar_is_over(q, env->expires)) {
		fail(work, index, true);
		return;
	}
	due = now + retry_wait(&q->retry, r->attempts, env->id);
	if (due < not_before)
		due = not_before;
	if (due > env->expires && now < env->expires)
		due = env->expires;
	if ((env->by & BY_NOTIFY) && now < env->deliver_by && due > env->deliver_by)
		due = env->deliver_by; /* that the notice goes out then */
	r->due = due;
	q->counters.deferred++;
	log_outcome(LOG_INFO, "queue.deferred", work, index, detail);
	if (!is_delay_told(work, index, due))
		settle_waiting(work, index, due, true);
}

/* --- what others report --- */

static void
note_answer(struct recipient *r, const char *host, const char *text)
{
	envelope_set(&r->reason, text != NULL && text[0] != '\0' ? text : NULL);
	envelope_set(&r->host, host != NULL && host[0] != '\0' ? host : NULL);
}

/* The state is recorded first, and that the sender is owed a notice with it: a crash after that
 * tells him, perhaps twice, and never delivers again for his notice's sake. */
static void
delivered(struct work *work, uint32_t index, const struct delivery_result *result)
{
	work->env->recipients[index].owed =
	    !result->dsn && notice_wanted(NOTICE_SUCCESS, work->env, index);
	settle(work, index, RECIPIENT_DELIVERED);
	work->queue->counters.delivered++;
	log_outcome(LOG_INFO, "queue.delivered", work, index, result->detail);
	outcome_owed(work, index);
}

void
outcome_report(
    struct work *work, uint32_t index, const struct delivery_result *result, int64_t not_before)
{
	struct recipient *r = &work->env->recipients[index];

	if (r->attempts < UINT16_MAX)
		r->attempts++;
	note_answer(r, result->host, result->text);
	if (r->state != RECIPIENT_WAITING) {
		/* removed by the operator while it was under way */
		log_outcome(LOG_NOTICE,
		    result->status == DELIVERY_OK ? "queue.delivered" : "queue.removed", work,
		    index, result->detail);
		end(work, index);
		return;
	}
	switch ((enum delivery_status)result->status) {
	case DELIVERY_OK:
		delivered(work, index, result);
		break;
	case DELIVERY_PERM:
		fail(work, index, false);
		break;
	case DELIVERY_TEMP:
	case DELIVERY_TEMP_HOST:
	case DELIVERY_TEMP_DOMAIN:
		defer(work, index, result->detail, not_before);
		break;
	}
}

void
outcome_local(struct work *work, uint32_t index, enum delivery_status status, const char *text)
{
	struct delivery_result result = { .status = (uint8_t)status, .text = text };

	outcome_report(work, index, &result, 0);
}

void
outcome_returned(struct work *work, uint32_t index)
{
	work->env->recipients[index].returned = false;
	outcome_local(work, index, DELIVERY_PERM, TEXT_RETURNED);
}

void
outcome_unreachable(
    struct work *work, uint32_t index, const char *host, const char *text, int64_t until)
{
	const struct envelope *env = work->env;
	struct recipient *r = &work->env->recipients[index];
	bool is_news = r->reason == NULL;

	if (r->state != RECIPIENT_WAITING) {
		end(work, index);
		return;
	}
	if (is_news)
		note_answer(r, host, text != NULL ? text : TEXT_UNREACHABLE);
	if (calendar_is_over(work->queue, env->expires)) {
		fail(work, index, true);
		return;
	}
	r->due = until > env->expires && clock_now() < env->expires ? env->expires : until;
	/* a million that wait for one dead host are one line in the log, not a million each time */
	if (is_news) {
		work->queue->counters.deferred++;
		log_outcome(
		    LOG_INFO, "queue.deferred", work, index, "not tried: its destination is dead, or asked for a pause");
	}
	if (!is_delay_told(work, index, r->due))
		settle_waiting(work, index, r->due, is_news);
}

void
outcome_expired(struct work *work, uint32_t index)
{
	fail(work, index, true);
}

void
outcome_postponed(struct work *work, uint32_t index, int64_t due)
{
	if (recipient_is_open(&work->env->recipients[index]))
		settle_waiting(work, index, due, false);
	else
		end(work, index);
}

void
outcome_expanded(struct work *work, uint32_t index)
{
	log_outcome(LOG_INFO, "queue.expanded", work, index, NULL);
	outcome_owed(work, index);
}

void
outcome_owed(struct work *work, uint32_t index)
{
	struct verdict verdict = { .index = index, .kind = VERDICT_SUCCEEDED };

	if (work->env->recipients[index].owed)
		decide(work, &verdict);
	else
		end(work, index);
}

/* --- telling the sender --- */

static void
settle_verdict(struct work *work, const struct verdict *verdict)
{
	struct recipient *r = &work->env->recipients[verdict->index];

	work->telling--;
	if (verdict->kind == VERDICT_SUCCEEDED && r->owed) {
		r->owed = false;
		store_update(work->queue->store, work->env, verdict->index);
	}
	if (r->state != RECIPIENT_WAITING) {
		end(work, verdict->index);
	} else if (verdict->kind == VERDICT_DELAYED) {
		r->delay_told = true;
		settle_waiting(work, verdict->index, verdict->due, true);
	} else {
		settle_failed(work, verdict->index, verdict->kind == VERDICT_EXPIRED);
	}
}

/* The notice is not safe, so what it was to tell has not happened: these recipients are tried once
 * more, later; the senders of those who have it are told later. */
static void
take_back_verdict(struct work *work, const struct verdict *verdict)
{
	work->telling--;
	outcome_postponed(
	    work, verdict->index, clock_now() + retry_wait(&work->queue->retry, 1, work->env->id));
}

static void
told(struct telling *telling, int error)
{
	static const char *const kinds[] = {
		[NOTICE_FAILURE] = "failure",
		[NOTICE_DELAY] = "delay",
		[NOTICE_SUCCESS] = "success",
		[NOTICE_DOUBLE] = "double bounce",
	};
	struct work *work = telling->work;
	struct queue *q = work->queue;
	uint32_t i;

	if (error == 0) {
		q->counters.notices++;
		log_info("queue.notice", F_STR("message", id_text(work->env->id).s),
		    F_STR("notice", id_text(telling->notice).s),
		    F_STR("kind", kinds[telling->kind]),
		    F_STR("to", telling->kind == NOTICE_DOUBLE ? "postmaster" : telling->to),
		    F_U64("recipients", telling->n));
	} else {
		log_error("queue.notice", F_STR("message", id_text(work->env->id).s),
		    F_STR("error", strerror(-error)),
		    F_STR("what",
			"the notice could not be stored; its recipients are tried again later"));
	}
	work_pin(work);
	for (i = 0; i < telling->n; i++) {
		if (error == 0)
			settle_verdict(work, &telling->verdicts[i]);
		else
			take_back_verdict(work, &telling->verdicts[i]);
	}
	work_unpin(work);
	telling_free(telling);
}

static void
on_told(struct envelope *notice, int error, void *arg)
{
	struct telling *telling = arg;
	struct queue *q = telling->work->queue;
	uint32_t i;

	told(telling, error);
	for (i = 0; error == 0 && i < notice->recipients_n; i++)
		wake_for(q, notice, i);
}

static void
store_notice(struct telling *telling)
{
	struct queue *q = telling->work->queue;
	struct evbuffer *content = evbuffer_new();
	struct envelope *env;

	env = telling_compose(telling, content);
	if (store_add(q->store, env, content, on_told, telling) < 0) {
		envelope_free(env);
		told(telling, -EIO);
	}
	evbuffer_free(content);
}

void
outcome_tell(struct work *work)
{
	STAILQ_HEAD(, telling) tellings = STAILQ_HEAD_INITIALIZER(tellings);
	struct telling *telling;

	TAILQ_REMOVE(&work->queue->untold, work, untold);
	work_pin(work);
	/* all of them first: one that cannot be stored ends its recipients' being busy */
	while (work->verdicts_n > 0) {
		telling = telling_pick(work);
		STAILQ_INSERT_TAIL(&tellings, telling, next);
	}
	while ((telling = STAILQ_FIRST(&tellings)) != NULL) {
		STAILQ_REMOVE_HEAD(&tellings, next);
		store_notice(telling);
	}
	work_unpin(work);
}

void
outcome_tell_due(struct queue *q, int64_t now)
{
	struct work *work;

	while ((work = TAILQ_FIRST(&q->untold)) != NULL && now >= work->tell_at)
		outcome_tell(work);
}
