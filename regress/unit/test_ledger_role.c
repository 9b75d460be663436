/*
 * The ledger as a process of its own and those who ask it: sessions by message, smtpctl's requests
 * by way of the control role; and what askers hear when it is not there, dies, or says nothing.
 */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include <event2/event.h>

#include "filters/ledger.h"
#include "filters/ledger_purge.h"
#include "filters/ledger_role.h"
#include "filters/ledger_wire.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/field.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "regress/unit/tree.h"

static char base[] = "/tmp/test_ledger_role.XXXXXX";
static char dir[64];
static pid_t ledger;
static struct peer *peer;	/* the ledger, as a session sees it */
static struct channel *control; /* and the control role */
static unsigned answers;	/* callbacks that came */
static struct ledger_caller caller;
static struct grey_answer grey;
static bool known;
/* of the last request to it */
static struct buf output;
static int status;

static void
run_ledger(int session_fd, int control_fd)
{
	struct ledger_conf conf = { .dir = dir };

	peer_set_base(event_base_new());
	peer_connect(ROLE_SESSION, 0, session_fd);
	peer_connect(ROLE_CONTROL, 0, control_fd);
	ledger_role_start(&conf);
	event_base_dispatch(peer_base());
	_exit(1);
}

static bool
on_control_message(struct channel *ch, struct message *m, void *arg)
{
	struct field *fields;
	const char *why;

	(void)ch;
	(void)arg;
	switch (m->type) {
	case CTL_RECORD:
		fields = field_decode(&m->body);
		assert_non_null(fields);
		field_text(&output, fields);
		buf_addc(&output, '\n');
		field_free(fields);
		return true;
	case CTL_END:
		status = cursor_u8(&m->body);
		why = cursor_str(&m->body);
		buf_adds(&output, why);
		answers++;
		return true;
	default:
		return false;
	}
}

static void
on_control_closed(struct channel *ch, void *arg)
{
	(void)ch;
	(void)arg;
	control = NULL;
}

static void
start_ledger(void)
{
	static const struct channel_ops ops = { .message = on_control_message,
		.closed = on_control_closed };
	int session[2], ctl[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, session), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ctl), 0);
	ledger = fork();
	assert_true(ledger >= 0);
	if (ledger == 0) {
		close(session[0]);
		close(ctl[0]);
		peer_forget_inherited();
		run_ledger(session[1], ctl[1]);
	}
	close(session[1]);
	close(ctl[1]);
	if (control != NULL)
		channel_free(control);
	peer = peer_connect(ROLE_LEDGER, 0, session[0]);
	control = channel_new(peer_base(), ctl[0], &ops, NULL);
}

static void
kill_ledger(void)
{
	int ended;

	assert_int_equal(kill(ledger, SIGKILL), 0);
	assert_int_equal(waitpid(ledger, &ended, 0), ledger);
	ledger = 0;
}

static int
setup(void **state)
{
	(void)state;
	strcpy(base + sizeof(base) - 7, "XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s/db", base);
	start_ledger();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (ledger != 0)
		kill_ledger();
	if (peer_find(ROLE_LEDGER, 0) != NULL)
		peer_disconnect(peer_find(ROLE_LEDGER, 0));
	if (control != NULL)
		channel_free(control);
	control = NULL;
	event_base_loop(peer_base(), EVLOOP_NONBLOCK);
	buf_free(&output);
	return tree_remove(base);
}

/* Runs the loop until N answers have come in all. */
static void
await(unsigned n)
{
	uint64_t start = clock_ms();

	while (answers < n) {
		event_base_loop(peer_base(), EVLOOP_ONCE);
		if (clock_ms() - start > 60000)
			fail_msg("no answer");
	}
}

static void
on_caller(const struct ledger_caller *a, void *arg)
{
	(void)arg;
	caller = *a;
	answers++;
}

static void
on_grey(const struct grey_answer *a, void *arg)
{
	(void)arg;
	grey = *a;
	answers++;
}

static void
on_known(bool k, void *arg)
{
	(void)arg;
	known = k;
	answers++;
}

static struct grey_question
question(const char *sender)
{
	return (struct grey_question){ .identity = "name:example.org",
		.sender = sender,
		.recipient = "b@y.net",
		.delay = 3600,
		.window = 7200,
		.lifetime = 86400,
		.trust_after = 3,
		.rule = 3,
		.line = 10 };
}

static struct ledger_request *
ask_grey(const char *sender)
{
	struct grey_question q = question(sender);

	return ledger_ask_grey(&q, on_grey, NULL);
}

static enum grey_state
grey_now(const char *sender)
{
	answers = 0;
	(void)ask_grey(sender);
	await(1);
	return grey.state;
}

static void
caller_now(const char *ip_text_given, const char *name)
{
	struct ip ip;

	assert_true(ip_parse(ip_text_given, &ip));
	answers = 0;
	(void)ledger_ask_caller(&ip, name, on_caller, NULL);
	await(1);
}

/* smtpctl LINE; its words have no blanks in them.  Gives what was printed. */
static const char *
ctl(const char *line)
{
	const char *words[16];
	char *copy, *word, *rest;
	struct buf *b;
	unsigned n = 0, i;

	copy = rest = xstrdup(line);
	while ((word = strsep(&rest, " ")) != NULL)
		words[n++] = word;
	b = channel_begin(control, CTL_REQUEST, 77);
	buf_add_u32(b, 1000);
	buf_add_u32(b, n);
	for (i = 0; i < n; i++)
		buf_add_str(b, words[i]);
	channel_end(control, -1);
	free(copy);
	buf_clear(&output);
	answers = 0;
	status = -1;
	await(1);
	return buf_str(&output);
}

static void
assert_ctl(const char *line, int wanted_status, const char *wanted)
{
	const char *text;

	text = ctl(line);
	if (status != wanted_status || strstr(text, wanted) == NULL)
		fail_msg("%s: %d %s", line, status, text);
}

static void
test_ask_and_tell(void **state)
{
	struct ip ip;

	(void)state;
	assert_int_equal(grey_now("a@x.org"), GREY_NEW);
	assert_int_equal(grey.left, 3600);
	assert_int_equal(grey_now("a@x.org"), GREY_EARLY);
	caller_now("192.0.2.1", NULL);
	assert_true(!caller.unknown && !caller.passed && !caller.trapped);
	assert_true(ip_parse("192.0.2.1", &ip));
	ledger_caller_passed(&ip, 0, 0, 0);
	ledger_trap(&ip, 1000);
	caller_now("192.0.2.1", "mx.example.org");
	assert_true(!caller.unknown && caller.passed && caller.trapped && !caller.stayed);
	ledger_caller_left(&ip);
	caller_now("192.0.2.1", NULL);
	assert_true(caller.left && caller.passed);
	ledger_caller_stayed(&ip);
	caller_now("192.0.2.1", NULL);
	assert_true(!caller.left && caller.stayed);
	ledger_correspondent("b@y.net", "them@x.org");
	answers = 0;
	(void)ledger_ask_correspondent("them@x.org", "b@y.net", on_known, NULL);
	await(1);
	assert_true(known);
	(void)ledger_ask_correspondent("other@x.org", "b@y.net", on_known, NULL);
	await(2);
	assert_false(known);
}

static void
on_policy(const struct ledger_policy *p, void *arg)
{
	char *text = arg;

	answers++;
	text[0] = '\0';
	if (p != NULL)
		snprintf(text, 64, "%s %s %lld", p->id, p->text, (long long)(p->until - p->fetched));
}

/* A relay's policies: kept until their end, in no length that the store cannot hold. */
static void
test_policies(void **state)
{
	char found[64], large[LEDGER_POLICY_MAX + 2];
	int64_t now = clock_now();

	(void)state;
	answers = 0;
	ledger_policy("a.example", &(struct ledger_policy){ "id1", "text", now, now + 500 });
	ledger_policy("b.example", &(struct ledger_policy){ "id2", "over", now - 500, now - 1 });
	(void)ledger_ask_policy("a.example", on_policy, found);
	await(1);
	assert_string_equal(found, "id1 text 500");
	ledger_policy("a.example", &(struct ledger_policy){ "id3", "new", now, now + 600 });
	memset(large, 'x', sizeof(large) - 1);
	large[sizeof(large) - 1] = '\0';
	ledger_policy("a.example", &(struct ledger_policy){ "id4", large, now, now + 600 });
	(void)ledger_ask_policy("a.example", on_policy, found);
	await(2);
	assert_string_equal(found, "id3 new 600");
	(void)ledger_ask_policy("b.example", on_policy, found);
	await(3);
	assert_string_equal(found, "");
	(void)ledger_ask_policy("c.example", on_policy, found);
	await(4);
	assert_string_equal(found, "");
}

/* kill -9 at any moment: who waits hears "unknown", and what was answered is remembered. */
static void
test_killed(void **state)
{
	unsigned i;

	(void)state;
	assert_int_equal(grey_now("a@x.org"), GREY_NEW);
	answers = 0;
	for (i = 0; i < 100; i++)
		(void)ask_grey("a@x.org");
	kill_ledger();
	await(100);
	assert_int_equal(answers, 100);
	assert_int_equal(grey.state, GREY_UNKNOWN);
	/* nobody there: deferred, not inside the call */
	answers = 0;
	(void)ask_grey("a@x.org");
	assert_int_equal(answers, 0);
	await(1);
	assert_int_equal(grey.state, GREY_UNKNOWN);
	caller_now("192.0.2.1", NULL);
	assert_true(caller.unknown && !caller.passed);
	start_ledger();
	assert_int_equal(grey_now("a@x.org"), GREY_EARLY);
}

static struct ledger_request *others[10];

static void
cancel_others(const struct grey_answer *a, void *arg)
{
	unsigned i;

	(void)a;
	(void)arg;
	for (i = 0; i < 10; i++)
		ledger_cancel(others[i]);
	answers++;
}

static void
test_cancel(void **state)
{
	struct grey_question q = question("a@x.org");
	unsigned i;

	(void)state;
	ledger_cancel(NULL);
	answers = 0;
	ledger_cancel(ask_grey("a@x.org"));
	(void)ledger_ask_grey(&q, cancel_others, NULL);
	for (i = 0; i < 10; i++)
		others[i] = ask_grey("a@x.org");
	await(1);
	caller_now("192.0.2.1", NULL); /* all answers before this one have been read */
	assert_int_equal(answers, 1);
	/* the same when the ledger goes */
	answers = 0;
	(void)ledger_ask_grey(&q, cancel_others, NULL);
	for (i = 0; i < 10; i++)
		others[i] = ask_grey("a@x.org");
	kill_ledger();
	await(1);
	event_base_loop(peer_base(), EVLOOP_NONBLOCK);
	assert_int_equal(answers, 1);
}

/* A ledger that is stopped answers nothing; each request has its own five seconds. */
static void
test_silent(void **state)
{
	(void)state;
	assert_int_equal(grey_now("a@x.org"), GREY_NEW);
	assert_int_equal(kill(ledger, SIGSTOP), 0);
	assert_int_equal(grey_now("a@x.org"), GREY_UNKNOWN);
	assert_int_equal(kill(ledger, SIGCONT), 0);
	/* the late answer is nobody's */
	assert_int_equal(grey_now("a@x.org"), GREY_EARLY);
}

/* What makes no sense closes the channel, not the ledger. */
static void
test_nonsense(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 20; i++) {
		buf_add_u8(
		    channel_begin(peer->channel, (uint16_t)MESSAGE_TYPE(SUBJECT_LEDGER, i), 1),
		    0xff);
		channel_end(peer->channel, -1);
		while (peer_find(ROLE_LEDGER, 0) != NULL)
			event_base_loop(peer_base(), EVLOOP_ONCE);
		assert_ctl("grey list", 0, "");
		assert_int_equal(kill(ledger, 0), 0);
		kill_ledger();
		start_ledger();
	}
}

static void
test_ctl_entries(void **state)
{
	(void)state;
	assert_ctl("grey", 2, "grey list");
	assert_ctl("grey frob", 2, "grey list");
	assert_ctl("grey allow", 2, "say whom");
	assert_ctl("grey allow 192.0.2.1/24", 2, "192.0.2.1/24");
	assert_ctl("grey allow name=a b", 2, "one entry");
	assert_ctl("grey allow 192.0.2.0/24 for=soon", 2, "for=30d");
	assert_ctl("grey allow 192.0.2.0/24 for=30d note=partner", 0,
	    "client=192.0.2.0/24 note=partner expires=");
	assert_ctl("grey deny client=192.0.2.9", 0, "state=denied client=192.0.2.9/32");
	assert_ctl("grey deny from=Spam@Example.org", 0, "state=denied from=spam@example.org");
	assert_ctl("grey allow mx.example.org", 0, "state=allowed name=mx.example.org");
	caller_now("192.0.2.1", NULL);
	assert_true(caller.allowed);
	caller_now("192.0.2.9", NULL);
	assert_true(caller.denied);
	caller_now("198.51.100.1", "mx.example.org");
	assert_true(caller.allowed);
	assert_int_equal(grey_now("spam@example.org"), GREY_DENIED);
	assert_ctl("grey show client=192.0.2.9", 0, "192.0.2.9/32");
	/* over a kill */
	kill_ledger();
	start_ledger();
	assert_int_equal(grey_now("spam@example.org"), GREY_DENIED);
	assert_ctl("grey list state=denied", 0, "from=spam@example.org");
	assert_null(strstr(buf_str(&output), "allowed"));
	/* a wider entry than what is forgotten stays */
	assert_ctl("grey forget client=192.0.2.1", 1, "nothing");
	assert_ctl("grey forget client=192.0.2.9 -n", 0, "192.0.2.9/32");
	assert_ctl("grey forget client=192.0.2.9", 0, "192.0.2.9/32");
	assert_ctl("grey forget client=192.0.2.9", 1, "nothing");
	caller_now("192.0.2.9", NULL);
	assert_true(caller.allowed);
	assert_ctl("grey forget all", 1, "nothing");
	assert_ctl("grey forget from=spam@example.org", 0, "spam@example.org");
	assert_int_equal(grey_now("spam@example.org"), GREY_NEW);
}

static void
test_ctl_triplets(void **state)
{
	char sender[32];
	unsigned i, lines;
	const char *p;

	(void)state;
	assert_ctl("grey pass all", 1, "no waiting");
	for (i = 0; i < 250; i++) {
		snprintf(sender, sizeof(sender), "s%c%c@x.org", 'a' + i / 26, 'a' + i % 26);
		assert_int_equal(grey_now(sender), GREY_NEW);
	}
	p = ctl("grey list state=waiting");
	for (lines = 0; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, 250);
	p = ctl("grey list limit=7");
	for (lines = 0; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, 7);
	assert_ctl("grey show from=sab@x.org", 0, "rule=3 line=10 delay=3600");
	assert_ctl("grey show", 2, "say which");
	assert_ctl("grey show from=nobody@x.org", 1, "nothing");
	assert_ctl("grey pass", 2, "say which");
	assert_ctl("grey pass to=b@y.net", 1, "250 waiting triplets");
	assert_ctl("grey pass from=sab@x.org", 0, "waived=true");
	assert_int_equal(grey_now("sac@x.org"), GREY_EARLY);
	assert_int_equal(grey_now("sab@x.org"), GREY_PASS);
	assert_true(grey.first_pass);
	assert_ctl("grey list state=passed", 0, "from=sab@x.org");
	assert_ctl("grey list state=known", 0, "identity=name:example.org triplets=1");
	assert_ctl("grey pass all", 0, "from=sac@x.org");
	assert_int_equal(grey_now("sac@x.org"), GREY_PASS);
	assert_ctl("grey forget from=sac@x.org", 0, "sac@x.org");
	assert_int_equal(grey_now("sac@x.org"), GREY_NEW);
	assert_ctl("grey forget identity=name:other.org", 1, "nothing");
	p = ctl("grey forget identity=name:example.org");
	for (lines = 0; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, 252); /* and the tries of the one that came back */
	assert_ctl("grey list", 0, "");
	assert_int_equal(output.len, 0);
}

static void
test_ctl_report(void **state)
{
	struct gate_event e = { .session = id_new(),
		.time = clock_now(),
		.recipient = "b@y.net",
		.rule = 4,
		.line = 12,
		.action = ACTION_REJECT,
		.phase = PHASE_RCPT,
		.evidence = "early-talker" };
	char line[64];

	(void)state;
	assert_true(ip_parse("192.0.2.1", &e.client));
	assert_int_equal(grey_now("a@x.org"), GREY_NEW);
	ledger_record(&e);
	snprintf(line, sizeof(line), "gate explain session=%s", id_text(e.session).s);
	e.session = id_new();
	e.observe = true;
	ledger_record(&e);
	e = (struct gate_event){ .session = id_new(),
		.time = clock_now(),
		.recipient = "b@y.net",
		.action = ACTION_COUNT,
		.phase = PHASE_MESSAGE,
		.client = e.client };
	ledger_record(&e);
	e.waited = 130;
	ledger_record(&e);
	caller_now("192.0.2.1", NULL);
	assert_true(caller.passed);
	assert_ctl("gate report", 0,
	    "part=rule rule=3 line=10 action=greylist sessions=0 recipients=0 stopped=0 delayed=0 "
	    "waiting=1 let_in=0 triplets=1 came_back=0\n");
	assert_non_null(strstr(buf_str(&output),
	    "part=rule rule=4 line=12 action=reject sessions=1 recipients=1 stopped=1 delayed=0 waiting=0 let_in=0\n"));
	assert_non_null(
	    strstr(buf_str(&output), "action=reject observe=true sessions=1 recipients=1 stopped=1 "));
	assert_non_null(strstr(buf_str(&output), "part=came-back rescued=0 proposed=0\n"));
	assert_non_null(strstr(
	    buf_str(&output), "part=let-in sessions=1 messages=2 at_once=1 after_waiting=1\n"));
	assert_non_null(strstr(buf_str(&output), "part=wait count=1 median=130 p90=130 max=130\n"));
	assert_ctl("gate report since=yesterday", 2, "since=");
	assert_ctl("gate report since=30d", 0, "rule=4");
	assert_ctl("gate report since=30d until=2d", 0, "part=let-in sessions=0 messages=0");
	assert_null(strstr(buf_str(&output), "rule=4"));
	assert_ctl("gate report since=1d until=2d", 2, "longer ago");
	assert_ctl("gate report by=hour", 0, "part=hour time=");
	assert_non_null(strstr(buf_str(&output), "rule=4 line=12 action=reject observe=true "));
	assert_non_null(strstr(buf_str(&output), "part=waited up_to=1"));
	assert_ctl("gate rescued since=1d", 0, "");
	assert_ctl("gate rescued until=1d", 2, "since=");
	assert_ctl(line, 0, "phase=rcpt verdict=reject rule=4 line=12 evidence=early-talker\n");
	assert_ctl("gate explain session=0000000000001", 1, "not among");
	assert_ctl("gate explain session=%", 2, "session=ID");
	assert_ctl("gate open", 2, "gate report");
	/* what a session has not sent yet is fetched for who asks */
	e.action = ACTION_DROP;
	e.rule = 9;
	ledger_record(&e);
	assert_ctl("gate report", 0, "rule=9 line=0 action=drop");
}

/* A database that cannot be opened: everybody is unknown, nobody is refused. */
static void
test_ctl_stats(void **state)
{
	struct gate_event e = { .session = 7, .time = clock_now(), .rule = 1,
		.action = ACTION_REJECT };

	(void)state;
	assert_ctl("stats", 0, "open=true decisions=0 let_in=0 held=0 returned=0 "
	    "operator_entries=0 flush_failures=0 sync_failures=0");
	assert_int_equal(grey_now("a@stats.example"), GREY_NEW);
	assert_int_equal(grey_now("a@stats.example"), GREY_EARLY);
	ledger_record(&e);
	e.action = ACTION_COUNT;
	ledger_record(&e);
	ledger_record(&e);
	assert_ctl("grey deny client=192.0.2.66", 0, "");
	assert_ctl("stats", 0, "decisions=1 let_in=2 held=1 returned=0 operator_entries=1 ");
}

static void
test_no_database(void **state)
{
	FILE *f;

	(void)state;
	assert_int_equal(grey_now("a@x.org"), GREY_NEW);
	kill_ledger();
	assert_int_equal(tree_remove(dir), 0);
	f = fopen(dir, "w"); /* a file where the directory should be */
	assert_non_null(f);
	fclose(f);
	start_ledger();
	assert_int_equal(grey_now("a@x.org"), GREY_UNKNOWN);
	caller_now("192.0.2.1", NULL);
	assert_true(caller.unknown);
	assert_ctl("grey list", 1, "down");
	assert_ctl("grey allow 192.0.2.1", 1, "down");
	assert_ctl("gate report", 1, "down");
}

/* The purge takes what is over and leaves the rest, more than one step of it. */
static void
test_purge(void **state)
{
	struct ledger l = { .operators = operator_list_new() };
	struct operator_entry entry = {
		.kind = OPERATOR_NAME, .text = "x.org", .note = "", .expires = 1000000
	};
	struct grey_question q = question("");
	struct grey_record r;
	struct grey_answer a;
	char sender[32], path[64], *why;
	unsigned i, left = 0;

	(void)state;
	snprintf(path, sizeof(path), "%s/purged", base);
	l.store = ledger_store_open(path, &why);
	assert_non_null(l.store);
	l.count = ledger_count_new();
	for (i = 0; i < 500; i++) {
		snprintf(sender, sizeof(sender), "s%u@x.org", i);
		q.sender = sender;
		ledger_decide(&l, &q, i % 5 == 0 ? 1005000 : 1000000, &a);
		assert_int_equal(a.state, GREY_NEW);
	}
	/* two refused by a tempfail, one of them long ago */
	q.tempfail = true;
	q.sender = "old@x.org";
	ledger_decide(&l, &q, 1000000 - 3 * 86400, &a);
	q.sender = "new@x.org";
	ledger_decide(&l, &q, 1000000, &a);
	q.tempfail = false;
	assert_int_equal(ledger_put_correspondent(l.store, "them", "us", 1000000), 1);
	assert_int_equal(ledger_put_operator(l.store, &entry), 1);
	operator_list_put(l.operators, &entry);
	ledger_purge(&l, 1000000 + q.window + 1);
	while (ledger_purge_running())
		event_base_loop(peer_base(), EVLOOP_ONCE);
	for (i = 0; i < 500; i++) {
		snprintf(sender, sizeof(sender), "s%u@x.org", i);
		q.sender = sender;
		left += ledger_get_triplet(l.store, &q, &r) == 1;
	}
	assert_int_equal(left, 100);
	assert_int_equal(ledger_get_correspondent(l.store, "them", "us", 0), 0);
	assert_int_equal(ledger_delete_operator(l.store, OPERATOR_NAME, "x.org"), 0);
	assert_null(operator_list_next(l.operators, NULL));
	assert_int_equal(ledger_purge_census()->time, 1000000 + q.window + 1);
	assert_int_equal(ledger_purge_census()->triplets, 100);
	assert_int_equal(ledger_purge_census()->correspondents, 0);
	assert_int_equal(ledger_purge_census()->tries, 1);
	ledger_count_free(l.count);
	operator_list_free(l.operators);
	ledger_store_close(l.store);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ask_and_tell, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ctl_entries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ctl_triplets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ctl_report, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ctl_stats, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_database, setup, teardown),
		cmocka_unit_test_setup_teardown(test_purge, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	peer_set_base(event_base_new());
	ledger_client_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
