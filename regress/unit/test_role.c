/*
 * The master and its children, with a small table of toys: who is connected with whom, what comes
 * back and when, in which order all ends, and which descriptors a child has.  Each case is a master
 * of its own, in a forked process.
 *
 * Toys tell what happens to them in lines on a pipe, "queue/0 up resolver/0"; a case waits for the
 * lines that must come.  What never comes is ended by an alarm.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role_master.h"
#include "regress/unit/child.h"

#define TOO_LONG 30 /* seconds for a case that hangs */
#define PROCESSES_MAX 64

enum toy_message { TOY_NONSENSE = MESSAGE_TYPE(SUBJECT_RESOLVER, 1), TOY_WANTS = MESSAGE_TYPE(SUBJECT_RESOLVER, 2) };

static int report[2];       /* the pipe */
static char spool[64];
static struct buf lines;    /* read from it and not yet expected */
static bool hangs;          /* the queue does not end when it is told to */
static bool wants;          /* the queue asks the master for a process */
static bool over;           /* the master says that all have ended */
static int listener = -1;   /* stands for what only sessions may have */

/* --- toys --- */

static struct {
	enum role role;
	unsigned instance;
} me;

static void
say(const char *what, const struct peer *peer)
{
	char line[128];
	int n;

	if (peer != NULL)
		n = snprintf(line, sizeof(line), "%s/%u %s %s/%u\n", role_name(me.role), me.instance, what,
		    role_name(peer->role), peer->instance);
	else
		n = snprintf(line, sizeof(line), "%s/%u %s\n", role_name(me.role), me.instance, what);
	if (write(report[1], line, (size_t)n) != n)
		_exit(9);
}

static void
on_up(struct peer *peer)
{
	say("up", peer);
}

static void
on_down(struct peer *peer)
{
	say("down", peer);
}

/* Never reads a message to its end: it is nonsense, and its sender is thrown out. */
static bool
on_toy_message(struct peer *peer, struct message *m)
{
	(void)m;
	say("heard", peer);
	return false;
}

static const struct subject_ops toy_ops = { on_toy_message, on_up, on_down };

static void
prepare(const void *conf, unsigned instance)
{
	(void)conf;
	me.instance = instance;
	sandbox_allow_read("/proc");
}

static void
start_as(enum role role)
{
	me.role = role;
	say("starts", NULL);
	peer_register(SUBJECT_RESOLVER, &toy_ops);
}

static void
start_resolver(const void *conf, unsigned instance)
{
	(void)conf;
	(void)instance;
	start_as(ROLE_RESOLVER);
}

static void
start_queue(const void *conf, unsigned instance)
{
	struct channel *master = peer_find(ROLE_MASTER, 0)->channel;

	(void)conf;
	(void)instance;
	start_as(ROLE_QUEUE);
	if (wants) {
		buf_add_str(channel_begin(master, TOY_WANTS, 0), "delivers as it was told");
		channel_end(master, -1);
	}
}

static void
start_session(const void *conf, unsigned instance)
{
	(void)conf;
	(void)instance;
	start_as(ROLE_SESSION);
}

static void
start_local(const void *conf, unsigned instance)
{
	(void)instance;
	start_as(ROLE_LOCAL);
	say(conf, NULL);
}

static void
start_dying(const void *conf, unsigned instance)
{
	start_resolver(conf, instance);
	role_exit(7);
}

static void
stop_queue(void)
{
	say("stops", NULL);
	if (!hangs)
		role_exit(0);
}

/* One that leaves at once, and one whose guests stay. */
static void
retire_resolver(void)
{
	say("retires", NULL);
	role_exit(0);
}

static void
retire_session(void)
{
	say("retires", NULL);
}

static const struct role_spec toys[] = {
	{ ROLE_RESOLVER, USER_SMTPD, ROLE_EMPTY, 0, ROLE_ONE, 0, prepare, start_resolver, NULL, retire_resolver },
	{ ROLE_QUEUE, USER_SMTPQ, "queue", 0, ROLE_ALONE, ROLE_BIT(ROLE_RESOLVER), prepare, start_queue, stop_queue, NULL },
	{ ROLE_SESSION, USER_SMTPD, ROLE_NO_CHROOT, 0, ROLE_PER_CORE, ROLE_BIT(ROLE_QUEUE) | ROLE_BIT(ROLE_RESOLVER), prepare,
	    start_session, NULL, retire_session },
};
static const struct role_spec dying[] = {
	{ ROLE_RESOLVER, USER_SMTPD, ROLE_EMPTY, 0, ROLE_ONE, 0, prepare, start_dying, NULL, NULL },
};
static const struct role_spec local = { ROLE_LOCAL, USER_SMTPD, ROLE_NO_CHROOT, 0, ROLE_ONE, 0, prepare, start_local,
	NULL, NULL };

static void
forked(const struct role_spec *spec)
{
	if (spec->role != ROLE_SESSION)
		close(listener);
}

static void
ended(void)
{
	over = true;
}

static struct role_master master = { .table = toys, .table_n = sizeof(toys) / sizeof(toys[0]), .spool = spool,
	.run_user = "nobody", .queue_user = "daemon", .forked = forked, .ended = ended };

/* --- a case, as the master --- */

#define CHECK(that)                                                                    \
	do {                                                                           \
		if (!(that)) {                                                         \
			dprintf(STDERR_FILENO, "line %d: " #that "\n", __LINE__);      \
			_exit(1);                                                      \
		}                                                                      \
	} while (0)

static void
on_report(evutil_socket_t fd, short what, void *arg)
{
	ssize_t n = read(fd, buf_reserve(&lines, 4096), 4096);

	(void)what;
	(void)arg;
	if (n > 0)
		lines.len += (size_t)n;
	lines.data[lines.len] = '\0';
}

/* Where LINE begins among those that came, or NULL. */
static char *
find_line(const char *line)
{
	size_t len = strlen(line);
	char *p = lines.data;

	while (p != NULL && *p != '\0' && !(strncmp(p, line, len) == 0 && p[len] == '\n')) {
		p = strchr(p, '\n');
		p += p != NULL;
	}
	return p != NULL && *p != '\0' ? p : NULL;
}

/* Waits for it and takes it out. */
static void
await(const char *line)
{
	char *p;

	while ((p = find_line(line)) == NULL)
		event_base_loop(peer_base(), EVLOOP_ONCE);
	lines.len -= strlen(line) + 1;
	memmove(p, p + strlen(line) + 1, lines.len - (size_t)(p - lines.data) + 1);
}

/* BEFORE session/N AFTER, for all. */
static void
await_each_session(const char *before, const char *after)
{
	char line[128];
	unsigned i;

	for (i = 0; i < role_cores(); i++) {
		snprintf(line, sizeof(line), "%ssession/%u%s", before, i, after);
		await(line);
	}
}

static void
give_up(int sig)
{
	static const char what[] = "nothing happens any more; so far:\n";

	(void)sig;
	if (write(STDERR_FILENO, what, sizeof(what) - 1) > 0 && lines.len > 0 &&
	    write(STDERR_FILENO, lines.data, lines.len) > 0)
		_exit(3);
	_exit(2);
}

static void
become_master(void)
{
	static const struct log_conf conf = { .to_stderr = true };
	char *why = NULL;

	signal(SIGALRM, give_up);
	alarm(TOO_LONG);
	log_init(&conf, "master");
	listener = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	peer_set_base(event_base_new());
	event_add(event_new(peer_base(), report[0], EV_READ | EV_PERSIST, on_report, NULL), NULL);
	if (role_master_start(&master, &why) < 0) {
		dprintf(STDERR_FILENO, "%s\n", why);
		_exit(1);
	}
}

static void
end_master(void)
{
	role_master_stop();
	while (!over)
		event_base_loop(peer_base(), EVLOOP_ONCE);
	event_base_loop(peer_base(), EVLOOP_NONBLOCK); /* what was reported last */
}

static void
await_all_up(void)
{
	await("resolver/0 up master/0");
	await("resolver/0 up queue/0");
	await("queue/0 up resolver/0");
	await_each_session("resolver/0 up ", "");
	await_each_session("queue/0 up ", "");
	await_each_session("", " up resolver/0");
	await_each_session("", " up queue/0");
}

struct find {
	enum role role;
	pid_t pid;
	unsigned starts;
};

static void
find_role(const struct role_spec *spec, unsigned instance, pid_t pid, unsigned starts, void *arg)
{
	struct find *find = arg;

	if (spec->role == find->role && instance == 0) {
		find->pid = pid;
		find->starts = starts;
	}
}

static struct find
found(enum role role)
{
	struct find find = { .role = role };

	role_each(find_role, &find);
	return find;
}

/* --- cases: each returns the exit code of its process --- */

static int
case_connected(void *arg)
{
	(void)arg;
	become_master();
	await_all_up();
	await_each_session("", " up master/0");
	end_master();
	/* nobody else: sessions have nothing to do with each other */
	await("queue/0 up master/0");
	CHECK(strstr(lines.data, " up ") == NULL);
	return 0;
}

static int
case_killed(void *arg)
{
	struct find before, after;

	(void)arg;
	become_master();
	await_all_up();
	before = found(ROLE_RESOLVER);
	CHECK(before.pid > 0 && before.starts == 1);
	kill(before.pid, SIGKILL);
	await("queue/0 down resolver/0");
	await_each_session("", " down resolver/0");
	await("queue/0 up resolver/0");
	await("resolver/0 up queue/0");
	await_each_session("", " up resolver/0");
	await_each_session("resolver/0 up ", "");
	after = found(ROLE_RESOLVER);
	CHECK(after.pid > 0 && after.pid != before.pid && after.starts == 2);
	/* the others went on */
	CHECK(found(ROLE_QUEUE).starts == 1 && found(ROLE_SESSION).starts == 1);
	CHECK(find_line("queue/0 down session/0") == NULL);
	end_master();
	return 0;
}

/* The number of one process of ROLE, of the GENERATIONth made. */
static void
await_numbered(const char *before, enum role role, unsigned instance, const char *after)
{
	char line[128];

	snprintf(line, sizeof(line), "%s%s/%u%s", before, role_name(role), instance, after);
	await(line);
}

/* New ones are there before the old hear of it; who stays keeps his number, and whose place is free gives his away; the
 * queue is alone and goes on. */
static int
case_renewed(void *arg)
{
	unsigned cores = role_cores(), i;
	char *why = NULL;
	pid_t queue;

	(void)arg;
	become_master();
	await_all_up();
	queue = found(ROLE_QUEUE).pid;
	CHECK(role_master_renew(UINT32_MAX, &why) == 0);
	await_each_session("", " retires");
	await("resolver/0 retires");
	await("queue/0 up resolver/1");
	await("queue/0 down resolver/0");
	for (i = 0; i < cores; i++) {
		await_numbered("queue/0 up ", ROLE_SESSION, cores + i, "");
		await_numbered("", ROLE_SESSION, cores + i, " up resolver/1");
	}
	await_each_session("", " up resolver/1"); /* the old ones have the new resolver too */
	CHECK(find_line("queue/0 down session/0") == NULL);
	while (found(ROLE_RESOLVER).pid != 0) /* its place is free when the master has seen it end */
		event_base_loop(peer_base(), EVLOOP_ONCE);
	CHECK(role_master_renew(ROLE_BIT(ROLE_RESOLVER) | ROLE_BIT(ROLE_QUEUE), &why) == 0);
	await("resolver/1 retires");
	await("queue/0 up resolver/0");
	CHECK(found(ROLE_QUEUE).pid == queue && found(ROLE_QUEUE).starts == 1);
	end_master();
	return 0;
}

/* Those of earlier configurations stay on and on: no place is left, they are asked to go, and then there is. */
static int
case_renewed_often(void *arg)
{
	unsigned times = 0;
	char *why = NULL;

	(void)arg;
	become_master();
	await_all_up();
	while (role_master_renew(ROLE_BIT(ROLE_SESSION), &why) == 0)
		CHECK(++times < 1000);
	CHECK(times > 0 && strstr(why, "try again") != NULL);
	free(why);
	while (role_master_renew(ROLE_BIT(ROLE_SESSION), &why) < 0) {
		free(why);
		event_base_loop(peer_base(), EVLOOP_ONCE);
	}
	end_master();
	return 0;
}

/* Dead at once, then after a second, then after two: the log names the waits, the second is waited for. */
static int
case_backoff(void *arg)
{
	(void)arg;
	master.table = dying;
	master.table_n = 1;
	become_master();
	while (found(ROLE_RESOLVER).starts < 3)
		event_base_loop(peer_base(), EVLOOP_ONCE);
	while (found(ROLE_RESOLVER).pid != 0)
		event_base_loop(peer_base(), EVLOOP_ONCE);
	end_master(); /* while it waits to be restarted */
	CHECK(found(ROLE_RESOLVER).starts == 3);
	return 0;
}

/* Asked by an operator, not by the master: it ends as it would, and comes back. */
static int
case_sigterm(void *arg)
{
	(void)arg;
	become_master();
	await_all_up();
	kill(found(ROLE_QUEUE).pid, SIGTERM);
	await("queue/0 stops");
	await("resolver/0 up queue/0");
	CHECK(found(ROLE_QUEUE).starts == 2);
	end_master();
	return 0;
}

/* The last row first; each when the one before is gone. */
static int
case_order(void *arg)
{
	char *why = NULL;

	(void)arg;
	become_master();
	await_all_up();
	role_master_stop();
	role_master_stop();
	CHECK(role_master_renew(UINT32_MAX, &why) < 0 && strstr(why, "ending") != NULL);
	free(why);
	await("queue/0 stops");
	CHECK(found(ROLE_SESSION).pid == 0 && found(ROLE_RESOLVER).pid > 0);
	CHECK(!over);
	end_master();
	CHECK(find_line("queue/0 stops") == NULL); /* told once */
	CHECK(found(ROLE_RESOLVER).pid == 0 && found(ROLE_RESOLVER).starts == 1);
	return 0;
}

/* What does not end is killed, and only that; the others still end in order. */
static int
case_hangs(void *arg)
{
	(void)arg;
	hangs = true;
	master.patience = 1;
	become_master();
	await_all_up();
	kill(found(ROLE_QUEUE).pid, SIGTERM);
	await("queue/0 stops");
	end_master();
	CHECK(find_line("queue/0 stops") == NULL); /* told twice, it began once */
	return 0;
}

/* The master dies: nobody is left behind. */
static int
case_orphans(void *arg)
{
	struct find queue;

	(void)arg;
	become_master();
	await_all_up();
	queue = found(ROLE_QUEUE);
	dprintf(report[1], "the queue is %d\n", (int)queue.pid);
	_exit(0);
}

/* One that threw another out is connected with it again, though neither died. */
static int
case_thrown_out(void *arg)
{
	(void)arg;
	become_master();
	await_all_up();
	buf_clear(&lines);
	/* the queue does not believe its master: it ends */
	channel_send(peer_find(ROLE_QUEUE, 0)->channel, TOY_NONSENSE, 0);
	await("queue/0 heard master/0");
	await("queue/0 stops");
	await("queue/0 up resolver/0");
	await("resolver/0 up queue/0");
	CHECK(found(ROLE_QUEUE).starts == 2 && found(ROLE_RESOLVER).starts == 1);
	end_master();
	return 0;
}

static void
start_rude(const void *conf, unsigned instance)
{
	start_queue(conf, instance);
	channel_send(peer_find(ROLE_RESOLVER, 0)->channel, TOY_NONSENSE, 0);
}

static int
case_lost(void *arg)
{
	static struct role_spec rude[sizeof(toys) / sizeof(toys[0])];

	(void)arg;
	memcpy(rude, toys, sizeof(toys));
	rude[1].start = start_rude;
	master.table = rude;
	become_master();
	await_all_up();
	await("resolver/0 heard queue/0");
	await("resolver/0 down queue/0");
	await("queue/0 down resolver/0");
	await("resolver/0 up queue/0");
	await("queue/0 up resolver/0");
	CHECK(found(ROLE_QUEUE).starts == 1 && found(ROLE_RESOLVER).starts == 1);
	end_master();
	return 0;
}

static int
case_spawn(void *arg)
{
	struct passwd *nobody = getpwnam("nobody");

	(void)arg;
	CHECK(nobody != NULL);
	become_master();
	await_all_up();
	role_spawn(&local, 17, nobody->pw_uid, nobody->pw_gid, "nobody", ROLE_QUEUE, "delivers");
	await("local/17 delivers");
	await("local/17 up queue/0");
	await("queue/0 up local/17");
	role_refuse(ROLE_LOCAL, 18, ROLE_QUEUE);
	await("queue/0 up local/18");
	await("queue/0 down local/18");
	/* its end is nothing that is repaired */
	role_spawn(&local, 19, nobody->pw_uid, nobody->pw_gid, NULL, ROLE_QUEUE, "delivers");
	await("local/19 up queue/0");
	end_master();
	await("queue/0 stops");
	await("local/17 starts");
	CHECK(find_line("local/17 starts") == NULL);
	return 0;
}

static bool
on_wanted(struct peer *peer, struct message *m)
{
	const char *word = cursor_str(&m->body);

	CHECK(peer->role == ROLE_QUEUE && m->type == TOY_WANTS && cursor_done(&m->body));
	role_spawn(&local, 17, 65534, 65534, NULL, ROLE_QUEUE, word);
	return true;
}

/* What is told lies in a message, and messages are the master's: the child forgets them. */
static int
case_wanted(void *arg)
{
	static const struct subject_ops master_ops = { .message = on_wanted };

	(void)arg;
	wants = true;
	peer_register(SUBJECT_RESOLVER, &master_ops);
	become_master();
	await_all_up();
	await("local/17 delivers as it was told");
	end_master();
	return 0;
}

/* Nobody delivers as root, whatever was asked for. */
static int
case_root_refused(void *arg)
{
	(void)arg;
	become_master();
	await_all_up();
	role_spawn(&local, 1, 0, 0, NULL, ROLE_QUEUE, "delivers");
	await("queue/0 up local/1");
	await("queue/0 down local/1");
	CHECK(find_line("local/1 starts") == NULL);
	end_master();
	return 0;
}

/* Without a descriptor left the queue still hears that nothing comes of it. */
static int
case_no_descriptors(void *arg)
{
	struct rlimit none = { 3, 3 };

	(void)arg;
	become_master();
	await_all_up();
	CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
	role_spawn(&local, 5, 65534, 65534, NULL, ROLE_QUEUE, "delivers");
	await("queue/0 up local/5");
	await("queue/0 down local/5");
	return 0;
}

/* --- who holds what --- */

struct process {
	char name[32];
	pid_t pid;
};
static struct process processes[PROCESSES_MAX];
static unsigned processes_n;

static void
add_process(const struct role_spec *spec, unsigned instance, pid_t pid, unsigned starts, void *arg)
{
	struct process *p = &processes[processes_n++];

	(void)starts;
	(void)arg;
	snprintf(p->name, sizeof(p->name), "%s/%u", role_name(spec->role), instance);
	p->pid = pid;
}

/* Calls VISIT with what each descriptor of PID is. */
static void
each_descriptor(pid_t pid, void (*visit)(const char *what, void *arg), void *arg)
{
	char path[320], what[256];
	struct dirent *e;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	CHECK(d != NULL);
	while ((e = readdir(d)) != NULL) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, e->d_name);
		n = readlink(path, what, sizeof(what) - 1);
		if (n <= 0)
			continue;
		what[n] = '\0';
		visit(what, arg);
	}
	closedir(d);
}

struct holdings {
	struct buf own; /* "socket:[1] pipe:[2] ": sockets and pipes that the test does not have */
	struct buf other;
	unsigned epolls, zeros;
};

static struct buf inherited; /* what the test has: the standard three, the report */

static void
add_inherited(const char *what, void *arg)
{
	(void)arg;
	buf_addf(&inherited, "%s ", what);
}

static void
sort_descriptor(const char *what, void *arg)
{
	struct holdings *h = arg;

	if (strstr(buf_str(&inherited), what) != NULL)
		return;
	if (strncmp(what, "socket:", 7) == 0 || strncmp(what, "pipe:", 5) == 0)
		buf_addf(&h->own, "%s ", what);
	else if (strcmp(what, "anon_inode:[eventpoll]") == 0)
		h->epolls++;
	else if (strcmp(what, "/dev/zero") == 0)
		h->zeros++;
	else
		buf_addf(&h->other, "%s ", what);
}

/* Sockets and pipes of A that B has too. */
static unsigned
shared(const struct holdings *a, const struct holdings *b)
{
	char *copy = xstrdup(buf_str(&a->own)), *rest = copy, *word;
	unsigned n = 0;

	while ((word = strsep(&rest, " ")) != NULL && *word != '\0')
		n += strstr(buf_str(&b->own), word) != NULL;
	free(copy);
	return n;
}

static void
check_holdings(const struct process *p, const struct holdings *h, bool may_listen)
{
	if (h->epolls == 1 && h->zeros == may_listen && h->other.len == 0)
		return;
	dprintf(STDERR_FILENO, "%s has %u epolls, %u listeners, %s\n", p->name, h->epolls, h->zeros,
	    buf_str(&h->other));
	_exit(1);
}

/* After restarts, when the most could have leaked.  Only root may look at processes that are not dumpable. */
static int
case_descriptors(void *arg)
{
	struct holdings held[PROCESSES_MAX] = { 0 };
	unsigned i, k;

	(void)arg;
	each_descriptor(getpid(), add_inherited, NULL);
	become_master();
	await_all_up();
	kill(found(ROLE_RESOLVER).pid, SIGKILL);
	kill(found(ROLE_QUEUE).pid, SIGKILL);
	await_all_up();
	role_spawn(&local, 1, 65534, 65534, NULL, ROLE_QUEUE, "delivers");
	await("local/1 up queue/0");
	role_each(add_process, NULL);
	snprintf(processes[processes_n].name, sizeof(processes[0].name), "master");
	processes[processes_n++].pid = getpid();
	for (i = 0; i < processes_n; i++) {
		each_descriptor(processes[i].pid, sort_descriptor, &held[i]);
		check_holdings(&processes[i], &held[i],
		    strncmp(processes[i].name, "session", 7) == 0 || i == processes_n - 1);
	}
	for (i = 0; i < processes_n; i++)
		for (k = 0; k < i; k++)
			if (shared(&held[i], &held[k]) > 0) {
				dprintf(STDERR_FILENO, "%s (%s) has what %s has (%s)\n", processes[i].name,
				    buf_str(&held[i].own), processes[k].name, buf_str(&held[k].own));
				_exit(1);
			}
	end_master();
	return 0;
}

/* --- the runner --- */

static char output[CHILD_STDERR_MAX];

/* Runs CASE as its own master; its log is in OUTPUT afterwards. */
static void
run(int (*body)(void *), void *arg)
{
	int status;

	memset(output, 0, sizeof(output));
	strlcpy(spool, "/tmp/test_role.XXXXXX", sizeof(spool));
	assert_non_null(mkdtemp(spool));
	chmod(spool, 0755);
	assert_int_equal(pipe(report), 0);
	fcntl(report[0], F_SETFL, O_NONBLOCK);
	status = child_run(body, arg, output);
	close(report[1]);
	if (status != 0) {
		fputs(output, stderr);
		fail_msg("status %x", (unsigned)status);
	}
}

static void
clean_up(void)
{
	char path[128];

	close(report[0]);
	snprintf(path, sizeof(path), "%s/%s", spool, ROLE_EMPTY);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/queue", spool);
	rmdir(path);
	assert_int_equal(rmdir(spool), 0); /* nobody left anything there */
}

static void
run_case(int (*body)(void *))
{
	run(body, NULL);
	clean_up();
}

#define CASE(name)                 \
	static void test_##name(void **state) \
	{                          \
		(void)state;       \
		run_case(case_##name); \
	}
CASE(connected)
CASE(killed)
CASE(sigterm)
CASE(order)
CASE(thrown_out)
CASE(lost)
CASE(spawn)
CASE(wanted)
CASE(no_descriptors)
CASE(renewed)
CASE(renewed_often)

static void
test_backoff(void **state)
{
	const char *p = output;
	unsigned i;

	(void)state;
	run_case(case_backoff);
	for (i = 0; i < 3; i++) {
		char want[64];

		snprintf(want, sizeof(want), "how=\"exit status 7\" restart_in=%u", i);
		p = strstr(p, want);
		if (p == NULL)
			fail_msg("no %s in\n%s", want, output);
	}
}

static void
test_hangs(void **state)
{
	(void)state;
	run_case(case_hangs);
	assert_non_null(strstr(output, "role.hangs role=queue"));
	assert_null(strstr(output, "role.hangs role=resolver"));
	assert_null(strstr(output, "role.died"));
}

static void
test_orphans(void **state)
{
	char text[4096], *p;
	ssize_t n;
	size_t len = 0;

	(void)state;
	run(case_orphans, NULL);
	/* the pipe is at its end when the last of them is gone */
	fcntl(report[0], F_SETFL, 0);
	alarm(TOO_LONG);
	while ((n = read(report[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	alarm(0);
	text[len] = '\0';
	assert_int_equal(n, 0);
	assert_non_null(strstr(text, "queue/0 stops\n"));
	p = strstr(text, "the queue is ");
	assert_non_null(p);
	clean_up();
}

static void
test_root_refused(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root could\n");
		skip();
	}
	run_case(case_root_refused);
	assert_non_null(strstr(output, "role.ids"));
}

static void
test_descriptors(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root may look into /proc/PID/fd of a role\n");
		skip();
	}
	run_case(case_descriptors);
}

static void
test_no_account(void **state)
{
	char *why = NULL;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: accounts matter when started as root\n");
		skip();
	}
	master.run_user = "no-such-account";
	peer_set_base(event_base_new());
	assert_int_equal(role_master_start(&master, &why), -1);
	assert_non_null(strstr(why, "no account \"no-such-account\""));
	free(why);
	event_base_free(peer_base());
	master.run_user = "nobody";
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_account),
		cmocka_unit_test(test_connected),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_renewed),
		cmocka_unit_test(test_renewed_often),
		cmocka_unit_test(test_backoff),
		cmocka_unit_test(test_sigterm),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_hangs),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_thrown_out),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_spawn),
		cmocka_unit_test(test_wanted),
		cmocka_unit_test(test_root_refused),
		cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_descriptors),
	};

	setproctitle_init(argc, argv, environ);
	closefrom(3); /* what the caller left open is not counted */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
