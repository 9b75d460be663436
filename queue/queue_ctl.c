/*
 * smtpctl's requests about the queue: `queue VERB SELECTOR...`, `stats`, `pause` and `resume`.
 *
 * One table of verbs.  A request first notes the ids of the messages it is about, then goes through
 * them one by one, resting whenever the caller reads slower than we write and after every few
 * hundred, so that mail goes on meanwhile; a message that is gone when its turn comes is passed
 * over.  A verb that changes something wants to be told what, if only by "all", and shows with
 * "dry-run" what it would have done it to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/lane.h"
#include "queue/outcome.h"
#include "queue/queue.h"
#include "queue/queue_show.h"

/* Messages handled in one turn of the loop, and octets of a content read at once. */
#define TURN_MAX 256
#define PIECE (64 * 1024)
#define TEXT_BOUNCED "554 5.7.0 Returned by the operator of this mail server"

struct request {
	struct queue *queue;
	struct ctl *ctl;
	const struct verb *verb;
	struct selector selector;
	int64_t now;
	uint64_t *ids;
	size_t n, room, at;
	struct summary *summary;
	int fd;           /* content that is being sent, or -1 */
	const char *why;  /* something failed */
};

static struct queue *the_queue;

/* --- what is done to a message --- */

static void
act_list(struct request *rq, struct envelope *env)
{
	show_line(rq->queue, rq->ctl, env);
}

static void
act_summary(struct request *rq, struct envelope *env)
{
	summary_add(rq->summary, rq->queue, env);
}

static void
act_show(struct request *rq, struct envelope *env)
{
	show_message(rq->queue, rq->ctl, env);
}

static void
act_log(struct request *rq, struct envelope *env)
{
	show_log(rq->ctl, env);
}

/* Sends the content, or leaves its descriptor in RQ->FD for go_on(). */
static void
send_content(struct request *rq, struct evbuffer *content, int fd)
{
	size_t len = evbuffer_get_length(content);

	rq->fd = fd;
	if (fd < 0)
		ctl_text(rq->ctl, evbuffer_pullup(content, -1), len);
}

static bool
open_content(struct request *rq, const struct envelope *env, struct evbuffer *content, int *fd)
{
	int error = store_content(rq->queue->store, env, content, fd);

	if (error == 0)
		return true;
	log_error("queue.content", F_STR("message", id_text(env->id).s),
	    F_STR("error", strerror(-error)));
	rq->why = "the content of a message could not be read; see the log";
	return false;
}

static void
act_cat(struct request *rq, struct envelope *env)
{
	struct evbuffer *content = evbuffer_new();
	int fd;

	if (open_content(rq, env, content, &fd))
		send_content(rq, content, fd);
	evbuffer_free(content);
}

static void
act_flush(struct request *rq, struct envelope *env)
{
	const struct work *work = work_find(rq->queue, env);
	uint32_t i;

	if (env->held)
		return;
	for (i = 0; i < env->recipients_n; i++)
		if (env->recipients[i].due > rq->now && (work == NULL || !work_is_busy(work, i)))
			env->recipients[i].due = rq->now;
	dispatch_message(rq->queue, env);
}

static void
act_hold(struct request *rq, struct envelope *env)
{
	struct work *work = work_find(rq->queue, env);

	if (env->held)
		return;
	env->held = true;
	store_update_all(rq->queue->store, env, NULL, NULL);
	if (work != NULL)
		lanes_withdraw(work);
}

static void
act_release(struct request *rq, struct envelope *env)
{
	if (!env->held)
		return;
	env->held = false;
	store_update_all(rq->queue->store, env, NULL, NULL);
	dispatch_message(rq->queue, env);
}

static void
act_remove(struct request *rq, struct envelope *env)
{
	struct work *work;
	uint32_t i;

	for (i = 0; i < env->recipients_n; i++) {
		if (!recipient_is_open(&env->recipients[i]))
			continue;
		if (env->recipients[i].state == RECIPIENT_WAITING)
			env->recipients[i].state = RECIPIENT_REMOVED;
		env->recipients[i].owed = false;
		store_update(rq->queue->store, env, i);
	}
	/* what is with a deliverer ends there, and the message with it */
	work = work_find(rq->queue, env);
	if (work != NULL)
		lanes_withdraw(work);
	else
		store_finish(rq->queue->store, env);
}

static void
act_bounce(struct request *rq, struct envelope *env)
{
	struct work *work = work_find(rq->queue, env);
	uint32_t i, n = env->recipients_n;
	uint64_t id = env->id;

	if (work != NULL)
		lanes_withdraw(work);
	/* with its last recipient the message may go */
	for (i = 0; i < n && (env = store_find(rq->queue->store, id)) != NULL; i++) {
		if (env->recipients[i].state != RECIPIENT_WAITING)
			continue;
		work = work_begin(rq->queue, env, i);
		if (work != NULL)
			outcome_local(work, i, DELIVERY_PERM, TEXT_BOUNCED);
	}
}

/* --- verbs --- */

enum verb_flags {
	CHANGES = 1,  /* wants a selector, knows dry-run, is logged */
	ANY = 2,      /* no selector means all */
	NAMED = 4,    /* it is an error if there is no such message */
	WAKES = 8     /* dead destinations are tried again now */
};

static const struct verb {
	const char *name;
	void (*act)(struct request *, struct envelope *);
	unsigned flags;
	const char *done; /* what happened to the message */
} verbs[] = {
	{ "list", act_list, ANY, NULL },
	{ "summary", act_summary, ANY, NULL },
	{ "show", act_show, NAMED, NULL },
	{ "cat", act_cat, NAMED, NULL },
	{ "log", act_log, NAMED, NULL },
	{ "flush", act_flush, CHANGES | ANY | WAKES, "tried" },
	{ "hold", act_hold, CHANGES, "held" },
	{ "release", act_release, CHANGES, "released" },
	{ "remove", act_remove, CHANGES, "removed" },
	{ "bounce", act_bounce, CHANGES, "returned" },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void go_on(struct ctl *, void *);

/* --- a request --- */

static void
end(struct request *rq)
{
	const struct verb *verb = rq->verb;
	const char *why = rq->why;

	if (rq->summary != NULL)
		summary_end(rq->summary, rq->ctl);
	if (why == NULL && rq->n == 0 && ((verb->flags & NAMED) != 0 || rq->selector.ids_n > 0))
		why = "there is no such message in the queue; the log tells of those that are "
		      "finished";
	if ((verb->flags & CHANGES) != 0 && !rq->selector.dry_run)
		log_notice("queue.operator", F_STR("verb", verb->name),
		    F_U64("uid", ctl_uid(rq->ctl)), F_U64("messages", rq->n));
	ctl_end(rq->ctl, why != NULL, why != NULL ? why : "");
	if (rq->fd >= 0)
		close(rq->fd);
	free(rq->ids);
	free(rq);
}

/* The next piece of a large content. */
static void
send_piece(struct request *rq)
{
	char *piece = xmalloc(PIECE);
	ssize_t n = read(rq->fd, piece, PIECE);

	if (n > 0)
		ctl_text(rq->ctl, piece, (size_t)n);
	if (n < 0)
		rq->why = "the content of a message could not be read; see the log";
	if (n <= 0) {
		close(rq->fd);
		rq->fd = -1;
	}
	free(piece);
}

static void
act(struct request *rq, uint64_t id)
{
	const struct verb *verb = rq->verb;
	struct envelope *env = store_find(rq->queue->store, id);
	struct id_text text = id_text(id);

	if (env == NULL)
		return;
	if (rq->selector.dry_run && (verb->flags & CHANGES) != 0) {
		show_line(rq->queue, rq->ctl, env);
		return;
	}
	if (verb->done != NULL)
		ctl_record(rq->ctl, FIELDS(F_STR("message", text.s), F_STR("result", verb->done)));
	verb->act(rq, env);
}

static void
go_on(struct ctl *ctl, void *arg)
{
	struct request *rq = arg;
	unsigned turn;

	for (turn = 0; rq->at < rq->n || rq->fd >= 0; turn++) {
		if (ctl_gone(ctl))
			break;
		if (turn == TURN_MAX || ctl_busy(ctl)) {
			ctl_on_drained(ctl, go_on, rq);
			return;
		}
		if (rq->fd >= 0)
			send_piece(rq);
		else
			act(rq, rq->ids[rq->at++]);
	}
	end(rq);
}

static bool
note(struct envelope *env, void *arg)
{
	struct request *rq = arg;

	if (!select_match(&rq->selector, env, message_state(rq->queue, env), rq->now))
		return true;
	if (rq->n == rq->room) {
		rq->room = rq->room == 0 ? 16 : rq->room * 2;
		rq->ids = xreallocarray(rq->ids, rq->room, sizeof(*rq->ids));
	}
	rq->ids[rq->n++] = env->id;
	return true;
}

/* Who names messages has them looked up, not searched. */
static void
note_all(struct request *rq)
{
	struct envelope *env;
	unsigned i;

	if (rq->selector.ids_n == 0) {
		store_each(rq->queue->store, note, rq);
		return;
	}
	for (i = 0; i < rq->selector.ids_n; i++)
		if ((env = store_find(rq->queue->store, rq->selector.ids[i])) != NULL)
			note(env, rq);
}

static const struct verb *
find_verb(const char *name)
{
	size_t i;

	for (i = 0; i < VERBS; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static void
refuse(struct ctl *ctl, char *why)
{
	ctl_end(ctl, 2, why);
	free(why);
}

static void
on_queue(struct ctl *ctl, unsigned n, const char *const *words)
{
	const struct verb *verb = n > 1 ? find_verb(words[1]) : NULL;
	struct request *rq;
	struct selector selector;
	char *why;

	if (verb == NULL) {
		refuse(ctl, xstrdup("queue: what? list, summary, show, cat, log, flush, hold, "
				    "release, remove or bounce"));
		return;
	}
	why = select_parse(&selector, n - 2, words + 2);
	if (why == NULL && select_is_empty(&selector) && (verb->flags & ANY) == 0)
		why = xasprintf(
		    "queue %s: name messages by id or by conditions, or say \"all\"", verb->name);
	if (why != NULL) {
		refuse(ctl, why);
		return;
	}
	rq = xcalloc(1, sizeof(*rq));
	*rq = (struct request){ .queue = the_queue,
		.ctl = ctl,
		.verb = verb,
		.selector = selector,
		.now = clock_now(),
		.fd = -1 };
	if (verb->act == act_summary)
		rq->summary = summary_new();
	note_all(rq);
	if ((verb->flags & WAKES) != 0 && !selector.dry_run)
		lanes_wake(rq->queue->lanes);
	/* the words are ours only during this call */
	rq->selector = (struct selector){ .ids_n = selector.ids_n, .dry_run = selector.dry_run };
	go_on(ctl, rq);
}

/* --- the rest --- */

static void
on_stats(struct ctl *ctl, unsigned n, const char *const *words)
{
	(void)n;
	(void)words;
	show_stats(the_queue, ctl);
	ctl_end(ctl, 0, "");
}

/* `pause` and `resume`, of both ways or of one: out to other servers, local into mailboxes. */
static void
set_paused(struct ctl *ctl, const char *verb, const char *way, bool paused)
{
	struct queue *q = the_queue;
	bool relay = way == NULL || strcmp(way, "out") == 0,
	     local = way == NULL || strcmp(way, "local") == 0;

	if (!relay && !local) {
		ctl_end(ctl, 2, "out or local, or nothing for both");
		return;
	}
	log_notice(
	    "queue.operator", F_STR("verb", verb), F_STR("way", way), F_U64("uid", ctl_uid(ctl)));
	if (relay)
		q->paused[LANE_RELAY] = paused;
	if (local)
		q->paused[LANE_LOCAL] = paused;
	ctl_record(ctl, FIELDS(F_BOOL("relay_paused", q->paused[LANE_RELAY]),
	    F_BOOL("local_paused", q->paused[LANE_LOCAL])));
	ctl_end(ctl, 0, "");
	lanes_pump_all(q->lanes);
	queue_wake(q, clock_now());
}

static void
on_pause(struct ctl *ctl, unsigned n, const char *const *words)
{
	set_paused(ctl, "pause", n > 1 ? words[1] : NULL, true);
}

static void
on_resume(struct ctl *ctl, unsigned n, const char *const *words)
{
	set_paused(ctl, "resume", n > 1 ? words[1] : NULL, false);
}

void
queue_ctl_init(struct queue *q)
{
	the_queue = q;
	ctl_register("queue", on_queue);
	ctl_register("stats", on_stats);
	ctl_register("pause", on_pause);
	ctl_register("resume", on_resume);
}
