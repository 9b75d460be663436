/*
 * Asking the ledger (ledger.h), from the sessions, the queue and the relays.
 *
 * Every request has an id and a timer of its own.  It is answered by the ledger's message, or else
 * by the timer: after five seconds, or at once when there is no ledger, when it goes away, or when
 * it has more to read than it can.  So a callback always comes, exactly once, from the loop and
 * never inside the call that asks, and what it says without an answer is "unknown".  What must
 * never happen: that a ledger in trouble makes a caller wait or be refused.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "filters/ledger.h"
#include "filters/ledger_wire.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

#define ANSWER_SECONDS 5
/* Octets that the ledger has not yet taken: behind so much nobody gets an answer in time. */
#define BACKLOG_MAX (1024 * 1024)
#define COMPLAIN_MS 60000
#define LOGIN_DELAY 2 /* seconds, when nobody counts the failures */

struct ledger_request {
	uint64_t id;
	uint16_t answer; /* the type that answers it */
	union {
		void (*caller)(const struct ledger_caller *, void *);
		void (*grey)(const struct grey_answer *, void *);
		void (*correspondent)(bool, void *);
		void (*login)(const struct login_answer *, void *);
		void (*policy)(const struct ledger_policy *, void *);
	} done;
	void *arg;
	struct event timer;
	RB_ENTRY(ledger_request) tree;
};

RB_HEAD(request_tree, ledger_request);

static struct request_tree requests = RB_INITIALIZER(&requests);
static uint64_t last_id;
static const struct timeval *answer_time; /* libevent's queue for timers of one length */
static uint64_t complained;		  /* clock_ms() */
static uint64_t unanswered, untold;	  /* since then */

static int
request_compare(const struct ledger_request *a, const struct ledger_request *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(
    request_tree, ledger_request, tree, request_compare, __attribute__((unused)) static)

static void
request_free(struct ledger_request *r)
{
	event_del(&r->timer);
	RB_REMOVE(request_tree, &requests, r);
	free(r);
}

void
ledger_cancel(struct ledger_request *r)
{
	if (r != NULL)
		request_free(r);
}

/* One line a minute says that the ledger does not keep up. */
static void
complain(uint64_t *counter)
{
	uint64_t now;

	++*counter;
	now = clock_ms();
	if (complained != 0 && now - complained < COMPLAIN_MS)
		return;
	complained = now;
	log_warning("ledger.silent", F_U64("unanswered", unanswered), F_U64("untold", untold),
	    F_STR("effect", "callers are let in as if unknown to the ledger"));
	unanswered = untold = 0;
}

/* Takes R apart first: the callback may ask again, or cancel others. */
static void
answer_unknown(struct ledger_request *r)
{
	struct ledger_request copy = *r;
	struct ledger_caller caller;
	struct grey_answer grey;
	struct login_answer login = { .delay = LOGIN_DELAY };

	request_free(r);
	switch (copy.answer) {
	case LEDGER_CALLER:
		memset(&caller, 0, sizeof(caller));
		caller.unknown = true;
		copy.done.caller(&caller, copy.arg);
		break;
	case LEDGER_GREY:
		memset(&grey, 0, sizeof(grey));
		grey.state = GREY_UNKNOWN;
		copy.done.grey(&grey, copy.arg);
		break;
	case LEDGER_POLICY:
		copy.done.policy(NULL, copy.arg);
		break;
	case LEDGER_LOGIN:
		copy.done.login(&login, copy.arg);
		break;
	default:
		copy.done.correspondent(false, copy.arg);
		break;
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	complain(&unanswered);
	answer_unknown(arg);
}

bool
ledger_is_there(void)
{
	return peer_find(ROLE_LEDGER, 0) != NULL;
}

/* The ledger's channel, if it takes anything. */
static struct channel *
channel(void)
{
	struct peer *peer;

	peer = peer_find(ROLE_LEDGER, 0);
	return peer == NULL || channel_backlog(peer->channel) > BACKLOG_MAX ? NULL : peer->channel;
}

/* A request that waits for ANSWER; *CH is where to ask, or NULL: it will be answered "unknown" in
 * the next turn. */
static struct ledger_request *
request_new(uint16_t answer, void *arg, struct channel **ch)
{
	static const struct timeval now = { 0, 0 };
	struct ledger_request *r;

	r = xcalloc(1, sizeof(*r));
	r->id = ++last_id;
	r->answer = answer;
	r->arg = arg;
	RB_INSERT(request_tree, &requests, r);
	*ch = channel();
	evtimer_assign(&r->timer, peer_base(), on_timer, r);
	evtimer_add(&r->timer, *ch == NULL ? &now : answer_time);
	return r;
}

struct ledger_request *
ledger_ask_caller(const struct ip *ip, const char *name,
    void (*done)(const struct ledger_caller *, void *), void *arg)
{
	struct ledger_request *r;
	struct channel *ch;
	struct buf *b;

	r = request_new(LEDGER_CALLER, arg, &ch);
	r->done.caller = done;
	if (ch != NULL) {
		b = channel_begin(ch, LEDGER_ASK_CALLER, r->id);
		ledger_encode_ip(b, ip);
		ledger_encode_text(b, name);
		channel_end(ch, -1);
	}
	return r;
}

struct ledger_request *
ledger_ask_grey(
    const struct grey_question *q, void (*done)(const struct grey_answer *, void *), void *arg)
{
	struct ledger_request *r;
	struct channel *ch;

	r = request_new(LEDGER_GREY, arg, &ch);
	r->done.grey = done;
	if (ch != NULL) {
		ledger_encode_question(channel_begin(ch, LEDGER_ASK_GREY, r->id), q);
		channel_end(ch, -1);
	}
	return r;
}

struct ledger_request *
ledger_ask_correspondent(
    const char *theirs, const char *ours, void (*done)(bool, void *), void *arg)
{
	struct ledger_request *r;
	struct channel *ch;
	struct buf *b;

	r = request_new(LEDGER_CORRESPONDENT, arg, &ch);
	r->done.correspondent = done;
	if (ch != NULL) {
		b = channel_begin(ch, LEDGER_ASK_CORRESPONDENT, r->id);
		buf_add_str(b, theirs);
		buf_add_str(b, ours);
		channel_end(ch, -1);
	}
	return r;
}

struct ledger_request *
ledger_ask_login(enum login_step step, const struct ip *ip, const char *account,
    void (*done)(const struct login_answer *, void *), void *arg)
{
	struct ledger_request *r;
	struct channel *ch;
	struct buf *b;

	r = request_new(LEDGER_LOGIN, arg, &ch);
	r->done.login = done;
	if (ch != NULL) {
		b = channel_begin(ch, LEDGER_ASK_LOGIN, r->id);
		buf_add_u8(b, (uint8_t)step);
		ledger_encode_ip(b, ip);
		ledger_encode_text(b, account);
		channel_end(ch, -1);
	}
	return r;
}

struct ledger_request *
ledger_ask_policy(
    const char *domain, void (*done)(const struct ledger_policy *, void *), void *arg)
{
	struct ledger_request *r;
	struct channel *ch;

	r = request_new(LEDGER_POLICY, arg, &ch);
	r->done.policy = done;
	if (ch != NULL) {
		buf_add_str(channel_begin(ch, LEDGER_ASK_POLICY, r->id), domain);
		channel_end(ch, -1);
	}
	return r;
}

/*
 * Telling: what does not reach the ledger is lost, and nobody waits for it.  What the next decision may hang on goes at once;
 * history goes lazily, so that a flood of refusals costs the ledger a few messages a second.
 */

/* Where to write a message of TYPE; NULL when it is dropped. */
static struct channel *
tell(uint16_t type, struct buf **b)
{
	struct channel *ch;

	ch = channel();
	if (ch == NULL)
		complain(&untold);
	else
		*b = channel_begin(ch, type, 0);
	return ch;
}

void
ledger_caller_passed(const struct ip *ip, uint16_t rule, uint16_t line, uint32_t seconds)
{
	struct channel *ch;
	struct buf *b;

	ch = tell(LEDGER_TELL_PASSED, &b);
	if (ch == NULL)
		return;
	ledger_encode_ip(b, ip);
	buf_add_u16(b, rule);
	buf_add_u16(b, line);
	buf_add_u32(b, seconds);
	channel_end(ch, -1);
}

void
ledger_caller_stayed(const struct ip *ip)
{
	struct channel *ch;
	struct buf *b;

	ch = tell(LEDGER_TELL_STAYED, &b);
	if (ch == NULL)
		return;
	ledger_encode_ip(b, ip);
	channel_end(ch, -1);
}

void
ledger_caller_left(const struct ip *ip)
{
	struct channel *ch;
	struct buf *b;

	ch = tell(LEDGER_TELL_LEFT, &b);
	if (ch == NULL)
		return;
	ledger_encode_ip(b, ip);
	channel_end(ch, -1);
}

void
ledger_hung_up(const struct grey_question *q)
{
	struct channel *ch;
	struct buf *b;

	ch = tell(LEDGER_TELL_HUNG_UP, &b);
	if (ch == NULL)
		return;
	ledger_encode_question(b, q);
	channel_end(ch, -1);
}

void
ledger_trap(const struct ip *ip, uint32_t seconds)
{
	struct channel *ch;
	struct buf *b;

	ch = tell(LEDGER_TELL_TRAP, &b);
	if (ch == NULL)
		return;
	ledger_encode_ip(b, ip);
	buf_add_u32(b, seconds);
	channel_end(ch, -1);
}

void
ledger_record(const struct gate_event *e)
{
	struct channel *ch;
	struct buf *b;

	ch = tell(LEDGER_TELL_EVENT, &b);
	if (ch == NULL)
		return;
	ledger_encode_event(b, e);
	if (e->action == ACTION_COUNT) /* whoever was let in need not wait again, and may come again at once */
		channel_end(ch, -1);
	else
		channel_end_lazily(ch);
}

void
ledger_correspondent(const char *ours, const char *theirs)
{
	struct channel *ch;
	struct buf *b;

	ch = tell(LEDGER_TELL_WROTE, &b);
	if (ch == NULL)
		return;
	buf_add_str(b, ours);
	buf_add_str(b, theirs);
	channel_end(ch, -1);
}

void
ledger_policy(const char *domain, const struct ledger_policy *p)
{
	struct channel *ch;
	struct buf *b;

	if (strlen(p->text) > LEDGER_POLICY_MAX)
		return;
	ch = tell(LEDGER_TELL_POLICY, &b);
	if (ch == NULL)
		return;
	buf_add_str(b, domain);
	ledger_encode_policy(b, p);
	channel_end(ch, -1);
}

/*
 * The peer
 */

static bool
answered_caller(struct ledger_request *r, struct cursor *c)
{
	struct ledger_request copy = *r;
	struct ledger_caller a;

	ledger_decode_caller(c, &a);
	if (!cursor_done(c))
		return false;
	request_free(r);
	copy.done.caller(&a, copy.arg);
	return true;
}

static bool
answered_grey(struct ledger_request *r, struct cursor *c)
{
	struct ledger_request copy = *r;
	struct grey_answer a;

	ledger_decode_answer(c, &a);
	if (!cursor_done(c))
		return false;
	request_free(r);
	copy.done.grey(&a, copy.arg);
	return true;
}

static bool
answered_correspondent(struct ledger_request *r, struct cursor *c)
{
	struct ledger_request copy = *r;
	uint8_t known;

	known = cursor_u8(c);
	if (!cursor_done(c) || known > 1)
		return false;
	request_free(r);
	copy.done.correspondent(known != 0, copy.arg);
	return true;
}

static bool
answered_login(struct ledger_request *r, struct cursor *c)
{
	struct ledger_request copy = *r;
	struct login_answer a;

	ledger_decode_login(c, &a);
	if (!cursor_done(c))
		return false;
	request_free(r);
	copy.done.login(&a, copy.arg);
	return true;
}

static bool
answered_policy(struct ledger_request *r, struct cursor *c)
{
	struct ledger_request copy = *r;
	struct ledger_policy p;
	bool found = cursor_u8(c) == 1;

	if (found)
		ledger_decode_policy(c, &p);
	if (!cursor_done(c))
		return false;
	request_free(r);
	copy.done.policy(found ? &p : NULL, copy.arg);
	return true;
}

static bool
on_message(struct peer *peer, struct message *m)
{
	struct ledger_request key = { .id = m->id }, *r;

	if (peer->role != ROLE_LEDGER)
		return false;
	if (m->type == LEDGER_HURRY) {
		channel_send(peer->channel, LEDGER_ALL_TOLD, m->id);
		return true;
	}
	if (m->type != LEDGER_CALLER && m->type != LEDGER_GREY && m->type != LEDGER_CORRESPONDENT &&
	    m->type != LEDGER_LOGIN && m->type != LEDGER_POLICY)
		return false;
	r = RB_FIND(request_tree, &requests, &key);
	if (r == NULL) {
		message_skip(m); /* cancelled, or its time was over */
		return true;
	}
	if (r->answer != m->type)
		return false;
	if (m->type == LEDGER_CALLER)
		return answered_caller(r, &m->body);
	if (m->type == LEDGER_GREY)
		return answered_grey(r, &m->body);
	if (m->type == LEDGER_POLICY)
		return answered_policy(r, &m->body);
	if (m->type == LEDGER_LOGIN)
		return answered_login(r, &m->body);
	return answered_correspondent(r, &m->body);
}

/* None of the requests will be answered. */
static void
on_down(struct peer *peer)
{
	static const struct timeval now = { 0, 0 };
	struct ledger_request *r;

	if (peer->role != ROLE_LEDGER)
		return;
	RB_FOREACH(r, request_tree, &requests)
	evtimer_add(&r->timer, &now);
}

void
ledger_client_init(void)
{
	static const struct subject_ops ops = { .message = on_message, .down = on_down };
	static const struct timeval limit = { ANSWER_SECONDS, 0 };

	answer_time = event_base_init_common_timeout(peer_base(), &limit);
	if (answer_time == NULL)
		answer_time = &limit;
	peer_register(SUBJECT_LEDGER, &ops);
}
