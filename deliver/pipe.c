/*
 * Running programs that take mail (pipe.h).
 *
 * Called by the delivery process of a domain with `deliver pipe`, which alone may run programs.
 * The program gets the message with Return-Path and Delivered-To on top, an environment of a few
 * variables that strangers cannot name, no descriptor but its three, a process group of its own,
 * and the ids that the process has.  It need not read the message to its end.  Its output and
 * errors together are read to their end and the first of them kept for the reply.
 *
 * What is the host's fault (no such program, out of memory, killed by a signal, the time limit) is
 * a reason to try again; what the program says of the message or the recipient is for good.  What
 * must never happen: that a value from the message is read by a shell, or that a program outlives
 * its time.
 */
#include <sys/syscall.h>
#include <sys/wait.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "deliver/pipe.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/utf8.h"

#define PATH_DEFAULT "PATH=/usr/local/bin:/usr/bin:/bin"
#define ENVIRONMENT_MAX 9

struct run {
	struct pipe_item *item;
	pid_t pid;
	int ended;  /* a descriptor that is readable when it has ended */
	int in;	    /* -1: closed */
	int out;    /* -1: at its end */
	int failed; /* the errno of an exec that failed comes here */
	uint64_t end_ms;
	bool late;
	struct buf output;
};

/* --- what its end means --- */

static const struct {
	int code;
	enum delivery_status status;
	const char *text;
} meanings[] = {
	{ EX_USAGE, DELIVERY_PERM, "554 5.3.5 the program was used wrongly" },
	{ EX_DATAERR, DELIVERY_PERM, "554 5.6.0 the message is not as it should be" },
	{ EX_NOINPUT, DELIVERY_PERM, "554 5.3.0 the program misses its input" },
	{ EX_NOUSER, DELIVERY_PERM, "550 5.1.1 there is no such user here" },
	{ EX_NOHOST, DELIVERY_PERM, "550 5.1.2 there is no such host" },
	{ EX_UNAVAILABLE, DELIVERY_PERM, "554 5.3.0 the program's service is unavailable" },
	{ EX_SOFTWARE, DELIVERY_PERM, "554 5.3.0 the program has an error" },
	{ EX_OSERR, DELIVERY_TEMP, "451 4.3.0 the system failed" },
	{ EX_OSFILE, DELIVERY_TEMP, "451 4.3.0 a file of the system is missing" },
	{ EX_CANTCREAT, DELIVERY_PERM, "554 5.2.0 the program cannot write its output" },
	{ EX_IOERR, DELIVERY_TEMP, "451 4.3.0 input or output failed" },
	{ EX_TEMPFAIL, DELIVERY_TEMP, "451 4.3.0 the program asks to try again later" },
	{ EX_PROTOCOL, DELIVERY_PERM, "554 5.5.0 the program speaks another protocol" },
	{ EX_NOPERM, DELIVERY_PERM, "550 5.7.0 the program refuses" },
	{ EX_CONFIG, DELIVERY_TEMP, "451 4.3.5 the program is not set up rightly" },
	/* what shells and env(1) end with in a program's place */
	{ 126, DELIVERY_TEMP, "451 4.3.5 what the program runs cannot be run" },
	{ 127, DELIVERY_TEMP, "451 4.3.5 what the program runs is not there" },
};

/* ": ", and what it has said, in one line: UTF-8 as it is, for people read it in a notice. */
static void
add_output(struct buf *text, const struct buf *output)
{
	size_t len = output->len, n;
	const char *s = buf_str(output), *end;
	uint32_t c;

	while (len > 0 && (unsigned char)s[len - 1] <= ' ')
		len--;
	if (len > 0)
		buf_adds(text, ": ");
	for (end = s + len; s < end; s += n > 0 ? n : 1) {
		n = utf8_next(s, end, &c);
		if (*s == '\n' || *s == '\t' || *s == '\r')
			buf_addc(text, ' ');
		else if (n == 0 || c < ' ' || (c >= 0x7f && c < 0xa0))
			buf_addc(text, '?');
		else
			buf_add(text, s, n);
	}
}

static void __attribute__((format(printf, 3, 4)))
conclude(struct run *run, enum delivery_status status, const char *fmt, ...)
{
	struct buf text = { 0 };
	va_list ap;
	char *words;

	va_start(ap, fmt);
	words = xvasprintf(fmt, ap);
	va_end(ap);
	buf_adds(&text, words);
	free(words);
	add_output(&text, &run->output);
	final_settle(&run->item->result, status, buf_take(&text));
}

static void
judge_exit(struct run *run, int code)
{
	size_t i;

	if (code == 0) {
		conclude(run, DELIVERY_OK, "250 2.0.0 delivered to %s", run->item->command->argv[0]);
		return;
	}
	for (i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (meanings[i].code != code)
			continue;
		conclude(run, meanings[i].status, "%s (%s, exit %d)", meanings[i].text,
		    run->item->command->argv[0], code);
		return;
	}
	conclude(run, DELIVERY_PERM, "554 5.3.0 %s failed, exit %d", run->item->command->argv[0], code);
}

static void
judge(struct run *run, int status, int exec_error)
{
	const char *program = run->item->command->argv[0];

	if (exec_error != 0)
		conclude(run, DELIVERY_TEMP, "451 4.3.5 cannot run %s: %s", program,
		    strerror(exec_error));
	else if (run->late)
		conclude(run, DELIVERY_TEMP, "451 4.3.0 %s was killed after %u s", program,
		    run->item->limit_ms / 1000);
	else if (WIFSIGNALED(status))
		conclude(run, DELIVERY_TEMP, "451 4.3.0 %s was ended by signal %d", program,
		    WTERMSIG(status));
	else
		judge_exit(run, WEXITSTATUS(status));
}

/* --- in the child --- */

static char **
make_environment(const struct pipe_item *item)
{
	const struct command *command = item->command;
	char **environment = xcalloc(ENVIRONMENT_MAX, sizeof(*environment));
	unsigned n = 0;

	environment[n++] = xstrdup(PATH_DEFAULT);
	environment[n++] = xasprintf("SENDER=%s", item->sender);
	environment[n++] = xasprintf("RECIPIENT=%s", item->address);
	environment[n++] = xasprintf("DOMAIN=%s", command->domain);
	environment[n++] = xasprintf("USER=%s", command->user);
	environment[n++] = xasprintf("HOME=%s", command->home[0] != '\0' ? command->home : "/");
	environment[n++] = xasprintf("EXTENSION=%s", command->extension);
	return environment;
}

static void __attribute__((noreturn))
become(const struct pipe_item *item, int in, int out, int failed)
{
	char **environment = make_environment(item);
	sigset_t none;
	int error, copy;

	/* out of the way of 0 to 2; the first from 3 on closes by itself */
	in = fcntl(in, F_DUPFD, 10);
	out = fcntl(out, F_DUPFD, 10);
	copy = fcntl(failed, F_DUPFD, 10);
	setpgid(0, 0);
	if (dup2(in, 0) == 0 && dup2(out, 1) == 1 && dup2(out, 2) == 2 && dup2(copy, 3) == 3) {
		closefrom(4);
		fcntl(3, F_SETFD, FD_CLOEXEC);
		failed = 3;
		signal(SIGPIPE, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		signal(SIGHUP, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (item->command->home[0] == '\0' || chdir(item->command->home) < 0)
			(void)!chdir("/");
		umask(077);
		execve(item->command->argv[0], item->command->argv, environment);
	}
	error = errno;
	(void)!write(failed, &error, sizeof(error));
	_exit(EX_OSERR);
}

/* --- the message in, the output out --- */

static void
close_end(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* The first of it is kept, the others are read so that it can go on. */
static void
read_output(struct run *run)
{
	char piece[4096];
	ssize_t n = read(run->out, piece, sizeof(piece));
	size_t room = PIPE_OUTPUT_MAX - run->output.len;

	if (n > 0)
		buf_add(&run->output, piece, (size_t)n < room ? (size_t)n : room);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_end(&run->out);
}

/* Waits until it takes more input (when EVENTS says so), has ended, or its time is over; reads its
 * output meanwhile.  True when it has ended. */
static bool
attend(struct run *run, short events)
{
	struct pollfd fds[] = { { run->ended, POLLIN, 0 }, { run->out, POLLIN, 0 },
		{ events != 0 ? run->in : -1, events, 0 } };
	uint64_t now = clock_ms();
	int n;

	if (now >= run->end_ms) {
		run->late = true;
		(void)kill(-run->pid, SIGKILL);
		(void)kill(run->pid, SIGKILL);
		return true;
	}
	n = poll(fds, 3, (int)(run->end_ms - now));
	if (n > 0 && fds[1].revents != 0)
		read_output(run);
	return n > 0 && fds[0].revents != 0;
}

/* EPIPE: it does not want more, which is its right. */
static int
write_piece(const char *s, size_t len, void *arg)
{
	struct run *run = arg;
	ssize_t n;

	while (len > 0) {
		n = write(run->in, s, len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return errno;
		if (n > 0) {
			s += n;
			len -= (size_t)n;
		} else if (attend(run, POLLOUT)) {
			return EPIPE;
		}
	}
	return 0;
}

/* 0, or the errno of the content, which then must not count as delivered. */
static int
write_message(struct run *run)
{
	struct buf head = { 0 };
	int error;

	final_head(&head, run->item->sender, run->item->address);
	error = write_piece(head.data, head.len, run);
	if (error == 0)
		error = final_copy(run->item->content, write_piece, run);
	buf_free(&head);
	close_end(&run->in);
	return error == EPIPE ? 0 : error;
}

/* What is there by now; something that it has started may hold the other end for long. */
static void
read_rest(struct run *run)
{
	struct pollfd fd = { run->out, POLLIN, 0 };

	while (run->out >= 0 && run->output.len < PIPE_OUTPUT_MAX && poll(&fd, 1, 0) > 0)
		read_output(run);
}

static int
await_end(struct run *run, int *exec_error)
{
	int status = 0;

	while (!attend(run, 0))
		;
	while (waitpid(run->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (read(run->failed, exec_error, sizeof(*exec_error)) != (ssize_t)sizeof(*exec_error))
		*exec_error = 0;
	read_rest(run);
	return status;
}

static void
attend_all(struct run *run)
{
	int error, exec_error = 0, status;

	fcntl(run->in, F_SETFL, O_NONBLOCK);
	fcntl(run->out, F_SETFL, O_NONBLOCK);
	error = write_message(run);
	if (error != 0)
		(void)kill(-run->pid, SIGKILL);
	status = await_end(run, &exec_error);
	if (error != 0)
		final_settle_error(&run->item->result, "read the message for",
		    run->item->command->argv[0], error);
	else
		judge(run, status, exec_error);
}

/* --- starting it --- */

static void
start_failed(struct run *run, int error)
{
	final_settle_error(&run->item->result, "run", run->item->command->argv[0], error);
}

static void
start(struct run *run, int in[2], int out[2], int failed[2])
{
	run->pid = fork();
	if (run->pid == 0)
		become(run->item, in[0], out[1], failed[1]);
	close_end(&in[0]);
	close_end(&out[1]);
	close_end(&failed[1]);
	if (run->pid < 0) {
		start_failed(run, errno);
		return;
	}
	(void)setpgid(run->pid, run->pid); /* whoever is first */
	run->in = in[1];
	run->out = out[0];
	run->failed = failed[0];
	run->ended = (int)syscall(SYS_pidfd_open, run->pid, 0);
	if (run->ended < 0) {
		start_failed(run, errno);
		(void)kill(-run->pid, SIGKILL);
		(void)waitpid(run->pid, NULL, 0);
	} else {
		attend_all(run);
	}
	in[1] = run->in;
	out[0] = run->out;
	close_end(&run->ended);
}

void
pipe_deliver(struct pipe_item *item)
{
	struct run run = { .item = item, .end_ms = clock_ms() + item->limit_ms };
	int in[2] = { -1, -1 }, out[2] = { -1, -1 }, failed[2] = { -1, -1 }, i;

	if (!final_check_loop(item->content, item->address, &item->result))
		return;
	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0)
		start_failed(&run, errno);
	else
		start(&run, in, out, failed);
	for (i = 0; i < 2; i++) {
		close_end(&in[i]);
		close_end(&out[i]);
		close_end(&failed[i]);
	}
	buf_free(&run.output);
}
