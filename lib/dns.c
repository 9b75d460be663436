/*
 * The DNS engine: questions, those who wait for them, and the state of the way out.  The resolver role owns one;
 * smtpctl's stand-alone commands and the tests make their own.
 *
 * A question is asked once however many wait for it, at most running_max at a time; whoever asks has a deadline of his own,
 * and a question that nobody waits for any more still counts as running until libunbound is through with it, since it
 * costs the same.  Callbacks come from turn() and deadline_passed() only, never from inside a call of ours and never
 * from inside libunbound; libunbound is called from turn() only.
 *
 * The way out is in one of four states.  At first servers are probed; when one answers, DNSSEC is tried; then questions go out.  When
 * answers stay away the servers are probed again, and while none of them lives every question fails at once: a caller
 * at the door does not wait ten seconds for an answer that cannot come.  A new way out is a new libunbound context:
 * the old one has learnt to avoid the servers that were dead.  When the servers strip DNSSEC (or a wrong clock or
 * anchor makes it fail), mail goes on unvalidated, says so, and tries again later.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/dns.h"
#include "lib/dns_probe.h"
#include "lib/dns_upstream.h"
#include "lib/dns_wire.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/resolvconf.h"

#define TIMEOUT_MS 10000
#define RUNNING_MAX 1000
/* Questions that may wait for each one that may run. */
#define WAITING_FACTOR 100
#define DNS_DNSKEY 48
/* How long until DNSSEC is tried again, in timeouts: 30 s at first, then twice as long each time, up to 16 min. */
#define RECHECK_FIRST 3
#define RECHECK_MAX 96

/* https://data.iana.org/root-anchors/root-anchors.xml: KSK-2017 and KSK-2024 */
static const char *const root_anchors[] = {
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
	". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16",
	NULL
};

enum question_state { QUESTION_WAITING, QUESTION_RUNNING, QUESTION_DONE };

TAILQ_HEAD(question_list, question);

struct question {
	RB_ENTRY(question) by_name; /* until it is done: later askers get a new one, which the cache answers */
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

enum way_out {
	OUT_PROBING,  /* at the start: does any server live? */
	OUT_CHECKING, /* one does; does it let DNSSEC through? */
	OUT_UP,
	OUT_DOWN      /* none lives; every question fails at once */
};

struct dns_engine {
	struct event_base *base;
	struct dns_server *servers;
	unsigned servers_n;
	char **anchors; /* NULL: does not validate */
	char check_name[DNS_NAME_WIRE_MAX + 1]; /* the zone of the first anchor */
	unsigned timeout_ms, interval_ms;
	unsigned running_max;

	enum way_out way_out;
	struct dns_upstream *upstream;  /* while up */
	struct dns_upstream *candidate; /* validating, being tried */
	struct dns_probe *probe;        /* a round under way */
	struct dns_answer *check_answer;
	uint64_t probe_ms;              /* when the last round began */
	uint64_t success_ms;            /* the last answer that came from outside */
	unsigned recheck;               /* in timeouts */
	bool asking;                    /* inside dns_upstream_ask: what comes now comes from the cache */

	struct question_tree questions;
	struct question_list waiting, running, done;
	TAILQ_HEAD(, dns_query) deadlines; /* all have the same patience, so the list is in order */

	struct event *turn_event;     /* delivers, and starts what waits */
	struct event *deadline_timer;
	struct event *watch_timer;    /* up: are answers staying away?  down: probe again */
	struct event *check_timer;    /* the candidate answered, or took too long */
	struct event *recheck_timer;
	struct dns_stats stats;
};

static int
question_compare(const struct question *a, const struct question *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(question_tree, question, by_name, question_compare, __attribute__((unused)) static)

static void
timer_in(struct event *timer, unsigned ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(timer, &tv);
}

/* By a timer of zero: an event that is made active within a turn of the loop would run in that same turn, before any
 * socket is looked at again. */
static void
turn_soon(struct dns_engine *engine)
{
	if (!event_pending(engine->turn_event, EV_TIMEOUT, NULL))
		timer_in(engine->turn_event, 0);
}

/* Takes over ANSWER. */
static void
question_done(struct question *question, struct dns_answer *answer)
{
	struct dns_engine *engine = question->engine;

	if (question->state == QUESTION_RUNNING) {
		TAILQ_REMOVE(&engine->running, question, entry);
		engine->stats.running--;
	} else {
		TAILQ_REMOVE(&engine->waiting, question, entry);
		engine->stats.waiting--;
	}
	RB_REMOVE(question_tree, &engine->questions, question);
	question->state = QUESTION_DONE;
	question->answer = answer;
	TAILQ_INSERT_TAIL(&engine->done, question, entry);
	turn_soon(engine);
}

/* Nobody waits for it and it has not begun. */
static void
question_forget(struct question *question)
{
	struct dns_engine *engine = question->engine;

	RB_REMOVE(question_tree, &engine->questions, question);
	TAILQ_REMOVE(&engine->waiting, question, entry);
	engine->stats.waiting--;
	free(question);
}

/* Takes QUERY off all lists and frees it. */
static void
query_end(struct dns_query *query)
{
	struct question *question = query->question;

	TAILQ_REMOVE(&question->askers, query, of_question);
	TAILQ_REMOVE(&question->engine->deadlines, query, by_deadline);
	if (question->state == QUESTION_WAITING && TAILQ_EMPTY(&question->askers))
		question_forget(question);
	free(query);
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

static void probe_done(bool alive, void *arg);

static void
probe_begin(struct dns_engine *engine)
{
	if (engine->probe != NULL)
		return;
	engine->probe_ms = clock_ms();
	engine->probe =
	    dns_probe_start(engine->base, engine->servers, engine->servers_n, engine->interval_ms, probe_done, engine);
}

/* QUESTION failed or takes long.  If nothing at all came from outside since it was asked, the servers are probed. */
static void
doubt(struct dns_engine *engine, const struct question *question)
{
	if (engine->success_ms <= question->started_ms && clock_ms() - engine->probe_ms >= engine->interval_ms)
		probe_begin(engine);
}

static void
question_answered(struct dns_answer *answer, void *arg)
{
	struct question *question = arg;
	struct dns_engine *engine = question->engine;

	if (!engine->asking) {
		if (answer->status != DNS_TEMP || answer->bogus)
			engine->success_ms = clock_ms();
		else
			doubt(engine, question);
	}
	question_done(question, answer);
}

static void
question_start(struct question *question)
{
	struct dns_engine *engine = question->engine;

	TAILQ_REMOVE(&engine->waiting, question, entry);
	engine->stats.waiting--;
	TAILQ_INSERT_TAIL(&engine->running, question, entry);
	engine->stats.running++;
	question->state = QUESTION_RUNNING;
	question->started_ms = clock_ms();
	engine->asking = true;
	dns_upstream_ask(engine->upstream, question->name, question->type, question_answered, question);
	engine->asking = false;
}

static void
fail_all(struct question_list *list, const char *why)
{
	struct question *question;

	while ((question = TAILQ_FIRST(list)) != NULL)
		question_done(question, dns_answer_temp(why));
}

/* Starts what may start. */
static void
pump(struct dns_engine *engine)
{
	struct question *question;

	if (engine->way_out == OUT_DOWN)
		fail_all(&engine->waiting, "no DNS server answers");
	if (engine->way_out != OUT_UP)
		return;
	while (engine->stats.running < engine->running_max && (question = TAILQ_FIRST(&engine->waiting)) != NULL)
		question_start(question);
	if (engine->stats.running > 0 && !event_pending(engine->watch_timer, EV_TIMEOUT, NULL))
		timer_in(engine->watch_timer, 2 * engine->interval_ms);
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
	uint64_t now = clock_ms();

	if (first != NULL)
		timer_in(engine->deadline_timer, first->deadline_ms > now ? (unsigned)(first->deadline_ms - now) : 0);
}

static void
deadline_passed(int fd, short what, void *arg)
{
	static const struct dns_answer late = { .status = DNS_TEMP, .why = "no answer in time", .canonical = "" };
	struct dns_engine *engine = arg;
	uint64_t now = clock_ms();
	struct dns_query *query;

	(void)fd;
	(void)what;
	while ((query = TAILQ_FIRST(&engine->deadlines)) != NULL && query->deadline_ms <= now) {
		engine->stats.timed_out++;
		if (query->question->state == QUESTION_RUNNING)
			doubt(engine, query->question);
		query_answer(engine, query, &late);
	}
	deadline_arm(engine);
}

/* Questions go to UPSTREAM from now on, also those that are under way. */
static void
use_upstream(struct dns_engine *engine, struct dns_upstream *upstream, bool validating)
{
	struct question *question;

	while ((question = TAILQ_LAST(&engine->running, question_list)) != NULL) {
		TAILQ_REMOVE(&engine->running, question, entry);
		engine->stats.running--;
		question->state = QUESTION_WAITING;
		TAILQ_INSERT_HEAD(&engine->waiting, question, entry);
		engine->stats.waiting++;
	}
	dns_upstream_free(engine->upstream);
	engine->upstream = upstream;
	engine->way_out = OUT_UP;
	engine->stats.validating = validating;
	turn_soon(engine);
}

/* Every question fails, now and until a probe is answered. */
static void
go_down(struct dns_engine *engine, const char *why)
{
	if (engine->way_out != OUT_DOWN)
		log_warning("dns.down", F_STR("why", why), F_U64("running", engine->stats.running),
		    F_U64("waiting", engine->stats.waiting));
	engine->way_out = OUT_DOWN;
	fail_all(&engine->running, why);
	fail_all(&engine->waiting, why);
	dns_upstream_free(engine->upstream);
	dns_upstream_free(engine->candidate);
	engine->upstream = engine->candidate = NULL;
	engine->stats.validating = false;
	event_del(engine->check_timer);
	event_del(engine->recheck_timer);
	timer_in(engine->watch_timer, 2 * engine->interval_ms);
}

static void
go_unvalidated(struct dns_engine *engine)
{
	char *why = NULL;
	struct dns_upstream *plain =
	    dns_upstream_new(engine->base, engine->servers, engine->servers_n, NULL, engine->running_max, &why);

	if (plain != NULL)
		use_upstream(engine, plain, false);
	else
		go_down(engine, why);
	free(why);
}

/* May come from inside libunbound: check_ended does the rest. */
static void
check_answered(struct dns_answer *answer, void *arg)
{
	struct dns_engine *engine = arg;

	engine->check_answer = answer;
	timer_in(engine->check_timer, 0);
}

/* Tries DNSSEC: the anchor's own keys must come and be secure. */
static void
check_begin(struct dns_engine *engine)
{
	char *why = NULL;

	if (engine->way_out != OUT_UP)
		engine->way_out = OUT_CHECKING;
	if (engine->anchors == NULL) {
		go_unvalidated(engine);
		return;
	}
	engine->candidate = dns_upstream_new(engine->base, engine->servers, engine->servers_n,
	    (const char *const *)engine->anchors, engine->running_max, &why);
	if (engine->candidate == NULL) {
		check_answered(dns_answer_temp(why), engine);
		free(why);
		return;
	}
	timer_in(engine->check_timer, 5 * engine->interval_ms);
	dns_upstream_ask(engine->candidate, engine->check_name, DNS_DNSKEY, check_answered, engine);
}

static void
check_ended(int fd, short what, void *arg)
{
	struct dns_engine *engine = arg;
	struct dns_answer *answer = engine->check_answer;
	struct dns_upstream *candidate = engine->candidate;

	(void)fd;
	(void)what;
	engine->check_answer = NULL;
	engine->candidate = NULL;
	if (answer != NULL && answer->secure) {
		log_info("dns.validating", F_STR("anchor", engine->check_name[0] != '\0' ? engine->check_name : "."));
		engine->recheck = RECHECK_FIRST;
		use_upstream(engine, candidate, true);
	} else {
		dns_upstream_free(candidate);
		log_warning("dns.unvalidated", F_STR("why", answer == NULL ? "no answer in time" :
		    answer->why != NULL ? answer->why : "the anchor's keys are not signed"),
		    F_U64("again_in_s", engine->recheck * engine->timeout_ms / 1000));
		timer_in(engine->recheck_timer, engine->recheck * engine->timeout_ms);
		if (engine->recheck < RECHECK_MAX)
			engine->recheck *= 2;
		if (engine->way_out != OUT_UP)
			go_unvalidated(engine);
	}
	dns_answer_free(answer);
}

static void
recheck(int fd, short what, void *arg)
{
	struct dns_engine *engine = arg;

	(void)fd;
	(void)what;
	check_begin(engine);
}

static void
probe_done(bool alive, void *arg)
{
	struct dns_engine *engine = arg;
	bool answered_meanwhile = engine->success_ms > engine->probe_ms;

	dns_probe_free(engine->probe);
	engine->probe = NULL;
	if (alive && engine->way_out != OUT_UP) {
		if (engine->way_out == OUT_DOWN)
			log_notice("dns.up", F_END);
		check_begin(engine);
	} else if (!alive && !(engine->way_out == OUT_UP && answered_meanwhile)) {
		go_down(engine, "no DNS server answers");
	}
}

/* Up: probes when the oldest question is old and nothing came since.  Down: probes. */
static void
watch(int fd, short what, void *arg)
{
	struct dns_engine *engine = arg;
	const struct question *oldest = TAILQ_FIRST(&engine->running);

	(void)fd;
	(void)what;
	if (engine->way_out == OUT_DOWN)
		probe_begin(engine);
	if (engine->way_out != OUT_UP || oldest == NULL)
		return;
	if (clock_ms() - oldest->started_ms >= 2 * engine->interval_ms)
		doubt(engine, oldest);
	timer_in(engine->watch_timer, 2 * engine->interval_ms);
}

static char **
copy_anchors(const char *const *from)
{
	char **copy;
	size_t n = 0;

	while (from[n] != NULL)
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	while (n-- > 0)
		copy[n] = xstrdup(from[n]);
	return copy;
}

static bool
set_anchors(struct dns_engine *engine, const struct dns_conf *conf, char **why)
{
	const char *const *anchors = conf->anchors != NULL ? conf->anchors : root_anchors;
	const char *first;
	char *owner;
	bool ok;

	if (!conf->validate || anchors[0] == NULL)
		return true;
	engine->anchors = copy_anchors(anchors);
	first = anchors[0] + strspn(anchors[0], " \t");
	owner = xstrndup(first, strcspn(first, " \t"));
	ok = owner[0] != '\0' && strlen(owner) <= DNS_NAME_WIRE_MAX && dns_name_normalize(owner, engine->check_name);
	if (!ok)
		*why = xasprintf("a DNSSEC anchor begins with the name of its zone: \"%s\"", anchors[0]);
	free(owner);
	return ok;
}

static void
set_servers(struct dns_engine *engine, const struct dns_conf *conf)
{
	struct dns_server system_servers[RESOLVCONF_SERVERS_MAX];
	const struct dns_server *from = conf->servers;

	engine->servers_n = conf->servers_n;
	if (conf->servers_n == 0) {
		engine->servers_n = resolvconf_read(system_servers);
		from = system_servers;
	}
	engine->servers = xcalloc(engine->servers_n, sizeof(*engine->servers));
	memcpy(engine->servers, from, engine->servers_n * sizeof(*engine->servers));
}

static void
make_events(struct dns_engine *engine)
{
	engine->turn_event = evtimer_new(engine->base, turn, engine);
	engine->deadline_timer = evtimer_new(engine->base, deadline_passed, engine);
	engine->watch_timer = evtimer_new(engine->base, watch, engine);
	engine->check_timer = evtimer_new(engine->base, check_ended, engine);
	engine->recheck_timer = evtimer_new(engine->base, recheck, engine);
}

struct dns_engine *
dns_engine_new(struct event_base *base, const struct dns_conf *conf, char **why)
{
	struct dns_engine *engine = xcalloc(1, sizeof(*engine));

	engine->base = base;
	engine->timeout_ms = conf->timeout_ms != 0 ? conf->timeout_ms : TIMEOUT_MS;
	engine->interval_ms = engine->timeout_ms / 10 > 0 ? engine->timeout_ms / 10 : 1;
	engine->running_max = conf->running_max != 0 ? conf->running_max : RUNNING_MAX;
	engine->recheck = RECHECK_FIRST;
	RB_INIT(&engine->questions);
	TAILQ_INIT(&engine->waiting);
	TAILQ_INIT(&engine->running);
	TAILQ_INIT(&engine->done);
	TAILQ_INIT(&engine->deadlines);
	make_events(engine);
	set_servers(engine, conf);
	if (!set_anchors(engine, conf, why)) {
		dns_engine_free(engine);
		return NULL;
	}
	probe_begin(engine);
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
	size_t i;

	if (engine == NULL)
		return;
	dns_probe_free(engine->probe);
	dns_upstream_free(engine->upstream);
	dns_upstream_free(engine->candidate);
	dns_answer_free(engine->check_answer);
	free_questions(&engine->waiting);
	free_questions(&engine->running);
	free_questions(&engine->done);
	event_free(engine->turn_event);
	event_free(engine->deadline_timer);
	event_free(engine->watch_timer);
	event_free(engine->check_timer);
	event_free(engine->recheck_timer);
	for (i = 0; engine->anchors != NULL && engine->anchors[i] != NULL; i++)
		free(engine->anchors[i]);
	free(engine->anchors);
	free(engine->servers);
	free(engine);
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

/* A question that is answered before it is asked. */
static void
question_refuse(struct question *question, enum dns_status status, const char *why)
{
	struct dns_answer *answer = dns_answer_temp(why);

	answer->status = status;
	question_done(question, answer);
}

struct dns_query *
dns_engine_query(struct dns_engine *engine, const char *name, uint16_t type, dns_callback callback, void *arg)
{
	struct dns_query *query = xcalloc(1, sizeof(*query));
	char normal[DNS_NAME_WIRE_MAX + 1];
	bool possible = dns_name_normalize(name, normal);
	/* type 0 is nobody's: an impossible name shares its question with no real one */
	struct question *question = question_find(engine, possible ? normal : "", possible ? type : 0);

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
	else if (question->state == QUESTION_WAITING &&
	    engine->stats.waiting > (uint64_t)engine->running_max * WAITING_FACTOR)
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
}
