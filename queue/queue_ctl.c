/*
 * smtpctl's requests about the queue: `queue VERB SELECTOR...` and `stats`.
 *
 * One table of verbs.  A request goes through the messages in the order of their ids, up to the
 * youngest there was when it came, resting whenever the caller reads slower than we write and
 * after every few hundred, so that mail goes on meanwhile; it keeps nothing but its place.  A
 * verb that changes something wants to be told what, if only by "all", and shows with "dry-run"
 * what it would have done it to.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "deliver/destination.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/lanes.h"
#include "queue/queue.h"
#include "queue/queue_act.h"
#include "queue/queue_ctl.h"
#include "queue/queue_history.h"
#include "queue/queue_show.h"

/* Messages handled in one turn of the loop, and octets of a content read at once. */
#define TURN_MAX 256
#define PIECE (64 * 1024)
/* Messages looked at in one turn, of which few may be meant. */
#define LOOK_MAX 4096

struct request {
	struct queue *queue;
	struct ctl *ctl;
	const struct verb *verb;
	struct selector selector; /* points into WORDS */
	struct order order;
	char **words;
	unsigned words_n;
	char *route;
	unsigned ids_at;     /* the selector names messages: how many were looked up */
	uint64_t last, until; /* else: the id looked at last, and the youngest there was at the
			       * beginning: what comes later is not meant */
	uint64_t n;           /* that were meant */
	struct summary *summary;
	int fd;           /* content that is being sent, or -1 */
	const char *why;  /* something failed */
};

static struct queue *the_queue;

/* --- what is done to a message --- */

static void
tell_list(struct request *rq, struct envelope *env)
{
	show_line(rq->queue, rq->ctl, env, NULL);
}

static void
tell_summary(struct request *rq, struct envelope *env)
{
	summary_add(rq->summary, rq->queue, env);
}

static void
tell_show(struct request *rq, struct envelope *env)
{
	show_message(rq->queue, rq->ctl, env);
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
tell_cat(struct request *rq, struct envelope *env)
{
	struct evbuffer *content = evbuffer_new();
	int fd;

	if (open_content(rq, env, content, &fd))
		send_content(rq, content, fd);
	evbuffer_free(content);
}

/* Envelope, recipients and content: all that another server needs, or smtpctl to bring it back. */
static void
tell_export(struct request *rq, struct envelope *env)
{
	struct evbuffer *content = evbuffer_new();
	struct id_text id = id_text(env->id);
	int fd;

	if (open_content(rq, env, content, &fd)) {
		show_message(rq->queue, rq->ctl, env);
		send_content(rq, content, fd);
	} else
		ctl_record(rq->ctl, FIELDS(F_STR("unreadable", id.s)));
	evbuffer_free(content);
}

/* --- verbs --- */

enum verb_flags {
	CHANGES = 1,  /* wants a selector, knows dry-run, is logged */
	ANY = 2,      /* no selector means all */
	NAMED = 4,    /* it is an error if there is no such message */
	WAKES = 8,    /* dead destinations are tried again now */
	TIMED = 16,   /* knows at= */
	ROUTED = 32,  /* ends in "to DESTINATION" */
	PARTLY = 64,  /* done to the recipients that are meant, and says how many */
	HELD = 128    /* a search finds what is held only */
};

static const struct verb {
	const char *name;
	void (*tell)(struct request *, struct envelope *); /* one of the two */
	void (*act)(struct queue *, struct envelope *, const struct order *);
	unsigned flags;
	const char *done; /* what happened to the message */
} verbs[] = {
	{ "list", tell_list, NULL, ANY, NULL },
	{ "summary", tell_summary, NULL, ANY, NULL },
	{ "show", tell_show, NULL, NAMED, NULL },
	{ "cat", tell_cat, NULL, NAMED, NULL },
	{ "export", tell_export, NULL, ANY, NULL },
	{ "flush", NULL, act_flush, CHANGES | ANY | WAKES | TIMED, "tried" },
	{ "hold", NULL, act_hold, CHANGES, "held" },
	{ "release", NULL, act_release, CHANGES | HELD, "released" },
	{ "remove", NULL, act_remove, CHANGES | PARTLY, "removed" },
	{ "bounce", NULL, act_bounce, CHANGES | PARTLY, "returned" },
	{ "reroute", NULL, act_reroute, CHANGES | ROUTED | PARTLY, "rerouted" },
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void go_on(struct ctl *, void *);

/* --- a request --- */

static void
free_request(struct request *rq)
{
	unsigned i;

	if (rq->fd >= 0)
		close(rq->fd);
	for (i = 0; i < rq->words_n; i++)
		free(rq->words[i]);
	free(rq->words);
	free(rq->route);
	free(rq);
}

static void
end(struct request *rq)
{
	const struct verb *verb = rq->verb;
	const char *why = rq->why;

	if (rq->summary != NULL) {
		summary_end(rq->summary, rq->ctl);
		show_destinations(rq->queue, rq->ctl);
	}
	if (why == NULL && rq->n == 0 && ((verb->flags & NAMED) != 0 || rq->selector.ids_n > 0))
		why = "there is no such message in the queue; the log tells of those that are "
		      "finished";
	if ((verb->flags & CHANGES) != 0 && !rq->selector.dry_run)
		log_notice("queue.operator", F_STR("verb", verb->name),
		    F_U64("uid", ctl_uid(rq->ctl)), F_U64("messages", rq->n));
	ctl_end(rq->ctl, why != NULL, why != NULL ? why : "");
	free_request(rq);
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

/* Recipients that it is done to. */
static uint32_t
count_meant(const struct selector *s, const struct envelope *env)
{
	uint32_t i, n = 0;

	for (i = 0; i < env->recipients_n; i++)
		n += select_recipient(s, &env->recipients[i]);
	return n;
}

static void
tell_result(struct request *rq, const struct envelope *env)
{
	struct id_text text = id_text(env->id);
	const char *result = rq->order.due > rq->order.now ? "scheduled" : rq->verb->done;

	if ((rq->verb->flags & PARTLY) != 0)
		ctl_record(rq->ctl, FIELDS(F_STR("message", text.s), F_STR("result", result),
		    F_U64("recipients", count_meant(&rq->selector, env))));
	else
		ctl_record(rq->ctl, FIELDS(F_STR("message", text.s), F_STR("result", result)));
}

static void
act(struct request *rq, struct envelope *env)
{
	const struct verb *verb = rq->verb;

	rq->n++;
	if (verb->tell != NULL)
		verb->tell(rq, env);
	else if (rq->selector.dry_run)
		show_line(rq->queue, rq->ctl, env,
		    (verb->flags & PARTLY) != 0 ? &rq->selector : NULL);
	else {
		tell_result(rq, env);
		verb->act(rq->queue, env, &rq->order);
	}
}

static bool
is_asked_for(const struct request *rq, const struct envelope *env)
{
	if ((rq->verb->flags & HELD) != 0 && rq->selector.ids_n == 0 && !env->held)
		return false;
	return select_match(&rq->selector, env, message_state(rq->queue, env), rq->order.now);
}

/* The next message to look at; who names messages has them looked up, not searched. */
static struct envelope *
next_message(struct request *rq)
{
	struct envelope *env = NULL;

	if (rq->selector.ids_n > 0) {
		while (env == NULL && rq->ids_at < rq->selector.ids_n)
			env = store_find(rq->queue->store, rq->selector.ids[rq->ids_at++]);
		return env;
	}
	env = store_after(rq->queue->store, rq->last);
	if (env == NULL || env->id > rq->until)
		return NULL;
	rq->last = env->id;
	return env;
}

static void
go_on(struct ctl *ctl, void *arg)
{
	struct request *rq = arg;
	struct envelope *env;
	unsigned looked = 0, turn = 0;

	while (!ctl_gone(ctl)) {
		if (turn == TURN_MAX || looked == LOOK_MAX || ctl_busy(ctl)) {
			ctl_on_drained(ctl, go_on, rq);
			return;
		}
		if (rq->fd >= 0) {
			turn++;
			send_piece(rq);
			continue;
		}
		if ((env = next_message(rq)) == NULL)
			break;
		looked++;
		if (!is_asked_for(rq, env))
			continue;
		turn++;
		act(rq, env);
	}
	end(rq);
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

/* --- words --- */

/* "at=SECONDS", since 1970: smtpctl has made it of what a person wrote. */
static char *
take_time(struct request *rq)
{
	unsigned i, kept = 0;
	char *end, *why = NULL;

	for (i = 0; i < rq->words_n; i++) {
		if (strncmp(rq->words[i], "at=", 3) != 0) {
			rq->words[kept++] = rq->words[i];
			continue;
		}
		errno = 0;
		rq->order.due = strtoll(rq->words[i] + 3, &end, 10);
		if (errno != 0 || *end != '\0' || end == rq->words[i] + 3)
			why = xasprintf("%s: this is no time", rq->words[i]);
		free(rq->words[i]);
	}
	rq->words_n = kept;
	return why;
}

/* "... to DESTINATION" */
static char *
take_route(struct request *rq)
{
	const char *text;

	if (rq->words_n < 2 || strcmp(rq->words[rq->words_n - 2], "to") != 0)
		return xstrdup("queue reroute: end with to \"HOST:PORT\", or to default");
	text = rq->words[rq->words_n - 1];
	if (strcmp(text, "default") != 0 && (rq->route = destination_named(text)) == NULL)
		return xasprintf("%s: this is no server; write \"mail.example.net:25\", "
				 "\"[192.0.2.9]:25\", \"mx example.net\" or default", text);
	rq->order.route = rq->route;
	free(rq->words[--rq->words_n]);
	free(rq->words[--rq->words_n]);
	return NULL;
}

static char *
read_words(struct request *rq)
{
	char *why = NULL;

	if ((rq->verb->flags & ROUTED) != 0)
		why = take_route(rq);
	if (why == NULL && (rq->verb->flags & TIMED) != 0)
		why = take_time(rq);
	if (why == NULL)
		why = select_parse(
		    &rq->selector, rq->words_n, (const char *const *)(void *)rq->words);
	if (why == NULL && select_is_empty(&rq->selector) && (rq->verb->flags & ANY) == 0)
		why = xasprintf("queue %s: name messages by id or by conditions, or say \"all\"",
		    rq->verb->name);
	return why;
}

/* The words are ours only during the call, and a request may be long. */
static struct request *
new_request(struct ctl *ctl, const struct verb *verb, unsigned n, const char *const *words)
{
	struct request *rq = xcalloc(1, sizeof(*rq));
	unsigned i;

	rq->queue = the_queue;
	rq->ctl = ctl;
	rq->verb = verb;
	rq->fd = -1;
	rq->order.now = rq->order.due = clock_now();
	rq->order.selector = &rq->selector;
	rq->words = xcalloc(n + 1, sizeof(*rq->words));
	for (i = 0; i < n; i++)
		rq->words[rq->words_n++] = xstrdup(words[i]);
	return rq;
}

static void
on_queue(struct ctl *ctl, unsigned n, const char *const *words)
{
	const struct verb *verb = n > 1 ? find_verb(words[1]) : NULL;
	struct request *rq;
	char *why;

	if (n > 1 && strcmp(words[1], "log") == 0) {
		history_ask(the_queue, ctl, n - 2, words + 2);
		return;
	}
	if (verb == NULL) {
		refuse(ctl, xstrdup("queue: what? list, summary, show, cat, log, flush, hold, "
				    "release, remove, bounce, reroute or export"));
		return;
	}
	rq = new_request(ctl, verb, n - 2, words + 2);
	why = read_words(rq);
	if (why != NULL) {
		free_request(rq);
		refuse(ctl, why);
		return;
	}
	rq->until = store_last(rq->queue->store);
	if (verb->tell == tell_summary)
		rq->summary = summary_new();
	if ((verb->flags & WAKES) != 0 && !rq->selector.dry_run && rq->order.due <= rq->order.now)
		lanes_wake(rq->queue->lanes);
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

void
queue_ctl_init(struct queue *q)
{
	the_queue = q;
	ctl_register("queue", on_queue);
	ctl_register("stats", on_stats);
}
