/*
 * The DNS engine: questions, and those who wait for them.  The resolver role owns one; smtpctl's
 * stand-alone commands and the tests make their own.  Where questions go, and whether there is
 * anywhere to go, is lib/dns_out.c's.
 *
 * A question is asked once however many wait for it, at most running_max at a time; whoever asks
 * has a deadline of his own, and a question that nobody waits for any more still counts as running
 * until libunbound is through with it, since it costs the same.  Callbacks come from turn() and
 * deadline_passed() only, never from inside a call of ours and never from inside libunbound;
 * libunbound is asked from turn() only.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/dns.h"
#include "lib/dns_out.h"
#include "lib/dns_upstream.h"
#include "lib/dns_wire.h"
#include "lib/mem.h"
#include "lib/resolvconf.h"

#define TIMEOUT_MS 10000
#define RUNNING_MAX 1000
/* Questions that may wait for each one that may run. */
#define WAITING_FACTOR 100
/* A question takes long after this part of its time. */
#define LONG_PART 5

enum question_state { QUESTION_WAITING, QUESTION_RUNNING, QUESTION_DONE };

TAILQ_HEAD(question_list, question);

/* In the tree until it is done: later askers get a new one, which the cache answers. */
struct question {
	RB_ENTRY(question) by_name;
	TAILQ_ENTRY(question) entry; /* in the list of its state */
	TAILQ_HEAD(, dns_query) askers;
	struct dns_engine *engine;
	struct dns_answer *answer; /* once done */
	uint64_t started_ms;
	enum question_state state;
	uint16_t type;
	char name[];
};

struct dns_query {
	TAILQ_ENTRY(dns_query) of_question;
	TAILQ_ENTRY(dns_query) by_deadline;
	struct question *question;
	uint64_t deadline_ms;
	dns_callback callback;
	void *arg;
};

RB_HEAD(question_tree, question);

struct dns_engine {
	struct event_base *base;
	struct dns_out *out;
	unsigned timeout_ms;
	unsigned running_max;
	bool asking; /* inside dns_upstream_ask: what comes now comes from the cache */
	struct question_tree questions;
	struct question_list waiting, running, done;
	TAILQ_HEAD(, dns_query) deadlines; /* all have the same patience, so the list is in order */
	struct event *turn_event;          /* delivers, and starts what waits */
	struct event *deadline_timer;
	struct event *watch_timer; /* are answers staying away? */
	struct dns_stats stats;
};

static int
question_compare(const struct question *a, const struct question *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(
    question_tree, question, by_name, question_compare, __attribute__((unused)) static)

static void
timer_in(struct event *timer, unsigned ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(timer, &tv);
}

/* By a timer of zero: an event that is made active within a turn of the loop would run in that same
 * turn, before any socket is looked at again. */
static void
turn_soon(struct dns_engine *engine)
{
	if (!event_pending(engine->turn_event, EV_TIMEOUT, NULL))
		timer_in(engine->turn_event, 0);
}

/* --- questions --- */

/* Out of the list of its state. */
static void
question_unlist(struct question *question)
{
	struct dns_engine *engine = question->engine;

	if (question->state == QUESTION_RUNNING) {
		TAILQ_REMOVE(&engine->running, question, entry);
		engine->stats.running--;
	} else {
		TAILQ_REMOVE(&engine->waiting, question, entry);
		engine->stats.waiting--;
	}
}

/* Takes over ANSWER. */
static void
question_done(struct question *question, struct dns_answer *answer)
{
	struct dns_engine *engine = question->engine;

	question_unlist(question);
	RB_REMOVE(question_tree, &engine->questions, question);
	question->state = QUESTION_DONE;
	question->answer = answer;
	TAILQ_INSERT_TAIL(&engine->done, question, entry);
	turn_soon(engine);
}

static void
question_answered(struct dns_answer *answer, void *arg)
{
	struct question *question = arg;
	struct dns_engine *engine = question->engine;

	/* what the cache says tells nothing of the servers */
	if (!engine->asking && (answer->status != DNS_TEMP || answer->bogus))
		dns_out_succeeded(engine->out);
	else if (!engine->asking)
		dns_out_doubt(engine->out, question->started_ms);
	question_done(question, answer);
}

static void
question_start(struct question *question)
{
	struct dns_engine *engine = question->engine;

	question_unlist(question);
	TAILQ_INSERT_TAIL(&engine->running, question, entry);
	engine->stats.running++;
	question->state = QUESTION_RUNNING;
	question->started_ms = clock_ms();
	engine->asking = true;
	dns_upstream_ask(dns_out_upstream(engine->out), question->name, question->type,
	    question_answered, question);
	engine->asking = false;
}

/* Back to the head of those that wait. */
static void
question_restart(struct question *question)
{
	struct dns_engine *engine = question->engine;

	question_unlist(question);
	TAILQ_INSERT_HEAD(&engine->waiting, question, entry);
	engine->stats.waiting++;
	question->state = QUESTION_WAITING;
}

static struct question *
question_find(struct dns_engine *engine, const char *name, uint16_t type)
{
	size_t size = strlen(name) + 1;
	struct question *question = xcalloc(1, sizeof(*question) + size), *same;

	memcpy(question->name, name, size);
	question->type = type;
	same = RB_INSERT(question_tree, &engine->questions, question);
	if (same != NULL) {
		free(question);
		return same;
	}
	TAILQ_INIT(&question->askers);
	question->engine = engine;
	question->state = QUESTION_WAITING;
	TAILQ_INSERT_TAIL(&engine->waiting, question, entry);
	engine->stats.waiting++;
	return question;
}

/* --- those who wait --- */

/* Takes QUERY off all lists and frees it, and its question when nobody else waits for it and it has
 * not begun. */
static void
query_end(struct dns_query *query)
{
	struct question *question = query->question;
	struct dns_engine *engine = question->engine;

	TAILQ_REMOVE(&question->askers, query, of_question);
	TAILQ_REMOVE(&engine->deadlines, query, by_deadline);
	free(query);
	if (question->state == QUESTION_WAITING && TAILQ_EMPTY(&question->askers)) {
		question_unlist(question);
		RB_REMOVE(question_tree, &engine->questions, question);
		free(question);
	}
}

/* QUERY is gone before its callback runs, so that the callback may do what it likes. */
static void
query_answer(struct dns_engine *engine, struct dns_query *query, const struct dns_answer *answer)
{
	dns_callback callback = query->callback;
	void *arg = query->arg;

	if (answer->status == DNS_TEMP)
		engine->stats.failed++;
	else
		engine->stats.answered++;
	query_end(query);
	callback(answer, arg);
}

/* --- turns of the loop --- */

/* Starts what may start. */
static void
pump(struct dns_engine *engine)
{
	struct question *question;
	struct dns_answer *answer;

	while ((question = TAILQ_FIRST(&engine->waiting)) != NULL && dns_out_is_down(engine->out)) {
		answer = dns_answer_temp("no DNS server answers");
		answer->outage = true;
		question_done(question, answer);
	}
	if (dns_out_upstream(engine->out) == NULL)
		return;
	while (engine->stats.running < engine->running_max &&
	       (question = TAILQ_FIRST(&engine->waiting)) != NULL)
		question_start(question);
	if (engine->stats.running > 0 && !event_pending(engine->watch_timer, EV_TIMEOUT, NULL))
		timer_in(engine->watch_timer, engine->timeout_ms / LONG_PART);
}

static void
turn(int fd, short what, void *arg)
{
	struct dns_engine *engine = arg;
	struct question_list list = TAILQ_HEAD_INITIALIZER(list);
	struct question *question;
	struct dns_query *query;

	(void)fd;
	(void)what;
	/* what callbacks cause has its turn later */
	TAILQ_CONCAT(&list, &engine->done, entry);
	while ((question = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, question, entry);
		while ((query = TAILQ_FIRST(&question->askers)) != NULL)
			query_answer(engine, query, question->answer);
		dns_answer_free(question->answer);
		free(question);
	}
	pump(engine);
}

static void
deadline_arm(struct dns_engine *engine)
{
	struct dns_query *first = TAILQ_FIRST(&engine->deadlines);
	uint64_t now = clock_ms(), left = 0;

	if (first == NULL)
		return;
	if (first->deadline_ms > now)
		left = first->deadline_ms - now;
	timer_in(engine->deadline_timer, (unsigned)left);
}

static void
deadline_passed(int fd, short what, void *arg)
{
	static const struct dns_answer late = {
		.status = DNS_TEMP, .why = "no answer in time", .canonical = ""
	};
	struct dns_engine *engine = arg;
	uint64_t now = clock_ms();
	struct dns_query *query;

	(void)fd;
	(void)what;
	while ((query = TAILQ_FIRST(&engine->deadlines)) != NULL && query->deadline_ms <= now) {
		engine->stats.timed_out++;
		if (query->question->state == QUESTION_RUNNING)
			dns_out_doubt(engine->out, query->question->started_ms);
		query_answer(engine, query, &late);
	}
	deadline_arm(engine);
}

/* Looks at the oldest question under way. */
static void
watch(int fd, short what, void *arg)
{
	struct dns_engine *engine = arg;
	const struct question *oldest = TAILQ_FIRST(&engine->running);

	(void)fd;
	(void)what;
	if (oldest == NULL)
		return;
	if (clock_ms() - oldest->started_ms >= engine->timeout_ms / LONG_PART)
		dns_out_doubt(engine->out, oldest->started_ms);
	timer_in(engine->watch_timer, engine->timeout_ms / LONG_PART);
}

/* Another way out, or none: what was under way begins anew, or fails when its turn comes. */
static void
out_changed(void *arg)
{
	struct dns_engine *engine = arg;
	struct question *question;

	while ((question = TAILQ_LAST(&engine->running, question_list)) != NULL)
		question_restart(question);
	turn_soon(engine);
}

/* --- beginning and end --- */

struct dns_engine *
dns_engine_new(struct event_base *base, const struct dns_conf *conf, char **why)
{
	struct dns_engine *engine = xcalloc(1, sizeof(*engine));
	struct dns_server system_servers[RESOLVCONF_SERVERS_MAX];
	struct dns_conf effective = *conf;

	if (conf->servers_n == 0) {
		effective.servers = system_servers;
		effective.servers_n = resolvconf_read(system_servers);
	}
	if (conf->timeout_ms == 0)
		effective.timeout_ms = TIMEOUT_MS;
	if (conf->running_max == 0)
		effective.running_max = RUNNING_MAX;
	engine->base = base;
	engine->timeout_ms = effective.timeout_ms;
	engine->running_max = effective.running_max;
	RB_INIT(&engine->questions);
	TAILQ_INIT(&engine->waiting);
	TAILQ_INIT(&engine->running);
	TAILQ_INIT(&engine->done);
	TAILQ_INIT(&engine->deadlines);
	engine->turn_event = evtimer_new(base, turn, engine);
	engine->deadline_timer = evtimer_new(base, deadline_passed, engine);
	engine->watch_timer = evtimer_new(base, watch, engine);
	engine->out = dns_out_new(base, &effective, out_changed, engine, why);
	if (engine->out == NULL) {
		dns_engine_free(engine);
		return NULL;
	}
	return engine;
}

static void
free_questions(struct question_list *list)
{
	struct question *question;
	struct dns_query *query;

	while ((question = TAILQ_FIRST(list)) != NULL) {
		TAILQ_REMOVE(list, question, entry);
		while ((query = TAILQ_FIRST(&question->askers)) != NULL) {
			TAILQ_REMOVE(&question->askers, query, of_question);
			free(query);
		}
		dns_answer_free(question->answer);
		free(question);
	}
}

void
dns_engine_free(struct dns_engine *engine)
{
	if (engine == NULL)
		return;
	dns_out_free(engine->out);
	free_questions(&engine->waiting);
	free_questions(&engine->running);
	free_questions(&engine->done);
	event_free(engine->turn_event);
	event_free(engine->deadline_timer);
	event_free(engine->watch_timer);
	free(engine);
}

/* --- asking --- */

/* QUESTION is answered without being asked. */
static void
question_refuse(struct question *question, enum dns_status status, const char *why)
{
	struct dns_answer *answer = dns_answer_temp(why);

	answer->status = status;
	question_done(question, answer);
}

struct dns_query *
dns_engine_query(
    struct dns_engine *engine, const char *name, uint16_t type, dns_callback callback, void *arg)
{
	uint64_t waiting_max = (uint64_t)engine->running_max * WAITING_FACTOR;
	struct dns_query *query = xcalloc(1, sizeof(*query));
	char normal[DNS_NAME_TEXT_MAX];
	bool possible = dns_name_normalize(name, normal);
	/* type 0 is nobody's: an impossible name shares its question with no real one */
	struct question *question =
	    question_find(engine, possible ? normal : "", possible ? type : 0);

	query->question = question;
	query->callback = callback;
	query->arg = arg;
	query->deadline_ms = clock_ms() + engine->timeout_ms;
	TAILQ_INSERT_TAIL(&question->askers, query, of_question);
	TAILQ_INSERT_TAIL(&engine->deadlines, query, by_deadline);
	if (TAILQ_FIRST(&engine->deadlines) == query)
		deadline_arm(engine);
	engine->stats.asked++;
	if (!possible)
		question_refuse(question, DNS_NXDOMAIN, "DNS cannot hold such a name");
	else if (question->state == QUESTION_WAITING && engine->stats.waiting > waiting_max)
		question_refuse(question, DNS_TEMP, "too many DNS questions at once");
	else if (question->state == QUESTION_WAITING)
		turn_soon(engine);
	return query;
}

void
dns_engine_cancel(struct dns_query *query)
{
	query->question->engine->stats.cancelled++;
	query_end(query);
}

void
dns_engine_stats(const struct dns_engine *engine, struct dns_stats *stats)
{
	*stats = engine->stats;
	stats->validating = dns_out_validating(engine->out);
}
