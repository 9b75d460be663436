/*
 * The ledger's process (ledger.h): the only opener of the database.
 *
 * Sessions, the queue and the relays ask by message; smtpctl's requests come through the control
 * role.  Every message is answered in the turn in which it came, from memory and a few reads of the
 * store; the disk is flushed beside the loop, and the purge goes in small steps.  What can fail is
 * the store.  It then mends itself or is opened again from here, and until it is, the answers are
 * "unknown".  What must never happen: that a broken database stops or refuses mail.
 */
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "filters/ledger_gather.h"
#include "filters/ledger_login.h"
#include "filters/ledger_purge.h"
#include "filters/ledger_role.h"
#include "filters/ledger_tries.h"
#include "filters/ledger_wire.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role.h"

#define TICK_SECONDS 10
/* Counters and decisions go to the store so long after they came. */
#define FLUSH_SECONDS 1
/* A store that could not be opened is tried again after so many ticks. */
#define REOPEN_TICKS 3
#define PURGE_SECONDS (6 * 3600)
/* By then a clock that was wrong at boot has been set, or what it made old would be lost. */
#define PURGE_FIRST 3600
#define CORRESPONDENT_SECONDS (180 * 86400)

static struct ledger ledger;

static struct {
	char *dir;
	struct event tick, flush;
	unsigned ticks;
	int64_t purged; /* when the last purge began */
	struct clock_watch clock;
} here;

/*
 * The store and its timers
 */

static void
open_store(void)
{
	char *why = NULL;

	ledger.store = ledger_store_open(here.dir, &why);
	if (ledger.store == NULL)
		log_error("ledger.down", F_STR("dir", here.dir), F_STR("text", why),
		    F_STR("effect", "callers are let in as if unknown to the ledger"));
	else if (why != NULL)
		log_error("ledger.damaged", F_STR("dir", here.dir), F_STR("text", why));
	free(why);
	if (ledger.store != NULL)
		ledger_load_operators(&ledger);
}

static void
purge_if_due(void)
{
	int64_t now = clock_now(), by = clock_was_set(&here.clock);

	/* nothing is thrown away before it has shown that it goes right now */
	if (by != 0 || now < here.purged)
		here.purged = now - PURGE_SECONDS + PURGE_FIRST;
	if (now - here.purged < PURGE_SECONDS)
		return;
	here.purged = now;
	ledger_purge(&ledger, now);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	here.ticks++;
	if (ledger.store == NULL && here.ticks % REOPEN_TICKS == 0)
		open_store();
	if (ledger.changed && ledger.store != NULL && ledger_store_sync(ledger.store) == 0)
		ledger.changed = false;
	purge_if_due();
}

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (ledger_count_flush(ledger.count, ledger.store) == -1)
		log_debug("ledger.unflushed", F_STR("what", "counters"));
	if (ledger_flush_events(ledger.store) == -1)
		log_debug("ledger.unflushed", F_STR("what", "decisions"));
}

static void
flush_soon(void)
{
	static const struct timeval soon = { FLUSH_SECONDS, 0 };

	if (!evtimer_pending(&here.flush, NULL))
		evtimer_add(&here.flush, &soon);
}

/*
 * Messages
 */

static bool
ask_caller(struct peer *peer, struct message *m)
{
	struct ledger_caller a;
	struct ip ip;
	const char *name;

	ledger_decode_ip(&m->body, &ip);
	name = ledger_decode_text(&m->body);
	if (!cursor_done(&m->body))
		return false;
	ledger_judge_caller(&ledger, &ip, name, clock_now(), &a);
	ledger_encode_caller(channel_begin(peer->channel, LEDGER_CALLER, m->id), &a);
	channel_end(peer->channel, -1);
	return true;
}

static bool
ask_grey(struct peer *peer, struct message *m)
{
	struct grey_question q;
	struct grey_answer a;

	ledger_decode_question(&m->body, &q);
	if (!cursor_done(&m->body))
		return false;
	ledger_decide(&ledger, &q, clock_now(), &a);
	flush_soon();
	ledger_encode_answer(channel_begin(peer->channel, LEDGER_GREY, m->id), &a);
	channel_end(peer->channel, -1);
	return true;
}

static bool
ask_correspondent(struct peer *peer, struct message *m)
{
	const char *theirs, *ours;

	theirs = cursor_str(&m->body);
	ours = cursor_str(&m->body);
	if (!cursor_done(&m->body))
		return false;
	buf_add_u8(channel_begin(peer->channel, LEDGER_CORRESPONDENT, m->id),
	    ledger_get_correspondent(ledger.store, theirs, ours, clock_now()) == 1);
	channel_end(peer->channel, -1);
	return true;
}

static bool
ask_login(struct peer *peer, struct message *m)
{
	struct login_answer a;
	struct ip ip;
	unsigned step = cursor_u8(&m->body);
	const char *account;

	ledger_decode_ip(&m->body, &ip);
	account = ledger_decode_text(&m->body);
	if (!cursor_done(&m->body) || step > LOGIN_PASSED || ip.family == 0 || account == NULL)
		return false;
	ledger_judge_login(&ledger, (enum login_step)step, &ip, account, clock_now(), &a);
	ledger_encode_login(channel_begin(peer->channel, LEDGER_LOGIN, m->id), &a);
	channel_end(peer->channel, -1);
	return true;
}

static bool
ask_policy(struct peer *peer, struct message *m)
{
	const char *domain = cursor_str(&m->body);
	struct ledger_policy p;
	bool found;
	struct buf *b;

	if (!cursor_done(&m->body))
		return false;
	found = ledger_get_policy(ledger.store, domain, &p) == 1 && clock_now() <= p.until;
	b = channel_begin(peer->channel, LEDGER_POLICY, m->id);
	buf_add_u8(b, found);
	if (found)
		ledger_encode_policy(b, &p);
	channel_end(peer->channel, -1);
	return true;
}

static bool
told_policy(struct peer *peer, struct message *m)
{
	const char *domain = cursor_str(&m->body);
	struct ledger_policy p;

	(void)peer;
	ledger_decode_policy(&m->body, &p);
	if (!cursor_done(&m->body))
		return false;
	(void)ledger_put_policy(ledger.store, domain, &p);
	return true;
}

static bool
told_passed(struct peer *peer, struct message *m)
{
	uint16_t rule, line;
	uint32_t seconds;
	struct ip ip;

	(void)peer;
	ledger_decode_ip(&m->body, &ip);
	rule = cursor_u16(&m->body);
	line = cursor_u16(&m->body);
	seconds = cursor_u32(&m->body);
	if (!cursor_done(&m->body) || ip.family == 0)
		return false;
	ledger_caller_has_passed(&ledger, &ip, clock_now());
	if (rule == 0)
		return true;
	ledger_count_pause(ledger.count, ledger.store, rule, line, seconds, clock_now());
	flush_soon();
	return true;
}

static bool
told_stayed(struct peer *peer, struct message *m)
{
	struct ip ip;

	(void)peer;
	ledger_decode_ip(&m->body, &ip);
	if (!cursor_done(&m->body) || ip.family == 0)
		return false;
	ledger_caller_has_stayed(&ledger, &ip, clock_now());
	return true;
}

static bool
told_left(struct peer *peer, struct message *m)
{
	struct ip ip;

	(void)peer;
	ledger_decode_ip(&m->body, &ip);
	if (!cursor_done(&m->body) || ip.family == 0)
		return false;
	(void)ledger_put_caller(ledger.store, ITEM_LEFT, &ip, clock_now(), clock_now() + GREYLIST_WINDOW);
	return true;
}

static bool
told_trap(struct peer *peer, struct message *m)
{
	struct ip ip;
	uint32_t seconds;

	(void)peer;
	ledger_decode_ip(&m->body, &ip);
	seconds = cursor_u32(&m->body);
	if (!cursor_done(&m->body) || ip.family == 0)
		return false;
	(void)ledger_put_caller(ledger.store, ITEM_TRAP, &ip, clock_now(), clock_now() + seconds);
	return true;
}

static bool
told_event(struct peer *peer, struct message *m)
{
	struct gate_event e;

	(void)peer;
	ledger_decode_event(&m->body, &e);
	if (!cursor_done(&m->body))
		return false;
	ledger_take_event(&ledger, &e);
	flush_soon();
	return true;
}

static bool
told_wrote(struct peer *peer, struct message *m)
{
	const char *ours, *theirs;

	(void)peer;
	ours = cursor_str(&m->body);
	theirs = cursor_str(&m->body);
	if (!cursor_done(&m->body))
		return false;
	(void)ledger_put_correspondent(
	    ledger.store, theirs, ours, clock_now() + CORRESPONDENT_SECONDS);
	return true;
}

static bool
told_hung_up(struct peer *peer, struct message *m)
{
	struct grey_question q;

	(void)peer;
	ledger_decode_question(&m->body, &q);
	if (!cursor_done(&m->body))
		return false;
	ledger_tries_hung_up(&ledger, &q, clock_now());
	return true;
}

static bool
on_message(struct peer *peer, struct message *m)
{
	static const struct {
		uint16_t type;
		bool (*handler)(struct peer *, struct message *);
		bool changes;
	} handlers[] = {
		{ LEDGER_ASK_CALLER, ask_caller, false },
		{ LEDGER_ASK_GREY, ask_grey, false },
		{ LEDGER_ASK_CORRESPONDENT, ask_correspondent, false },
		{ LEDGER_ASK_LOGIN, ask_login, true },
		{ LEDGER_ASK_POLICY, ask_policy, false },
		{ LEDGER_TELL_POLICY, told_policy, true },
		{ LEDGER_TELL_PASSED, told_passed, true },
		{ LEDGER_TELL_TRAP, told_trap, true },
		{ LEDGER_TELL_LEFT, told_left, true },
		{ LEDGER_TELL_STAYED, told_stayed, true },
		{ LEDGER_TELL_EVENT, told_event, true },
		{ LEDGER_TELL_WROTE, told_wrote, true },
		{ LEDGER_TELL_HUNG_UP, told_hung_up, true },
		{ LEDGER_ALL_TOLD, ledger_gathered, false },
	};
	size_t i;

	for (i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++) {
		if (handlers[i].type != m->type)
			continue;
		ledger.changed = ledger.changed || handlers[i].changes;
		return handlers[i].handler(peer, m);
	}
	return false;
}

void
ledger_role_start(const struct ledger_conf *conf)
{
	static const struct subject_ops ops = { .message = on_message };
	static const struct timeval tick = { TICK_SECONDS, 0 };

	here.dir = xstrdup(conf->dir);
	here.purged = clock_now() - PURGE_SECONDS + PURGE_FIRST;
	ledger.operators = operator_list_new();
	ledger.count = ledger_count_new();
	open_store();
	event_assign(&here.tick, peer_base(), -1, EV_PERSIST, on_tick, NULL);
	event_add(&here.tick, &tick);
	evtimer_assign(&here.flush, peer_base(), on_flush, NULL);
	peer_register(SUBJECT_LEDGER, &ops);
	ledger_ctl_init(&ledger);
	ledger_login_ctl_init(&ledger);
}

void
ledger_role_stop(void)
{
	(void)ledger_count_flush(ledger.count, ledger.store);
	ledger_store_close(ledger.store);
	role_exit(0);
}
