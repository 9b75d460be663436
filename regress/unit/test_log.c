/*
 * Units of the log: what a line looks like at each destination, and what becomes of it when syslog
 * is gone or full.
 *
 * Each case runs in a child with the log's own state and standard error.  Syslog is a datagram
 * socket in /tmp.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "regress/unit/child.h"

#define DATAGRAM_MAX 10000

static char err[CHILD_STDERR_MAX];
static char path[64];

/* For use in a child: standard error is the thing under test there, so the line that failed is the
 * exit code. */
#define CHECK(condition)                                                                           \
	do {                                                                                       \
		if (!(condition))                                                                  \
			_exit(__LINE__ % 250 + 1);                                                 \
	} while (0)

static void
run(int (*fn)(void *), void *arg)
{
	int status;

	status = child_run(fn, arg, err);
	unlink(path);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) != 0)
		fail_msg("the check on line n * 250 + %d failed", WEXITSTATUS(status) - 1);
}

/* "NNNN-NN-NN..." for N any digit and the rest to the letter; returns what follows, or NULL. */
static const char *
match(const char *s, const char *pattern)
{
	for (; *pattern != '\0'; s++, pattern++)
		if (*pattern == 'N' ? *s < '0' || *s > '9' : *s != *pattern)
			return NULL;
	return s;
}

static const char *
after(const char *s, const char *mark)
{
	s = strstr(s, mark);
	assert_non_null(s);
	return s + strlen(mark);
}

/* --- standard error --- */

static int
write_lines(void *arg)
{
	int evaluated = 0;

	log_init(arg, "session");
	log_rename("relay");
	log_info("queue.ready");
	log_warning("gate.verdict", F_STR("helo", "a \"b\"\x1b\xff"), F_U64("size", 7),
	    F_STR("none", NULL));
	log_debug("dns.answer", F_I64("n", ++evaluated));
	CHECK(evaluated == (log_is_verbose() ? 1 : 0));
	return 0;
}

static void
test_stderr_text(void **state)
{
	struct log_conf conf = { .to_stderr = true };
	const char *s;

	(void)state;
	run(write_lines, &conf);
	s = match(err, "NNNN-NN-NNTNN:NN:NN.NNNZ relay[");
	assert_non_null(s);
	s = match(after(s, "] info queue.ready\n"), "NNNN-NN-NNTNN:NN:NN.NNNZ relay[");
	assert_non_null(s);
	assert_string_equal(
	    after(s, "] "), "warning gate.verdict helo=\"a \\\"b\\\"\\x1b\\xff\" size=7\n");

	conf.verbose = true;
	run(write_lines, &conf);
	assert_string_equal(after(err, "] debug "), "dns.answer n=1\n");
}

static void
test_stderr_json(void **state)
{
	struct log_conf conf = { .to_stderr = true, .json = true };
	const char *s;

	(void)state;
	run(write_lines, &conf);
	s = match(err, "{\"time\":\"NNNN-NN-NNTNN:NN:NN.NNNZ\",\"level\":\"info\",\"role\":"
		       "\"relay\",\"pid\":N");
	assert_non_null(s);
	s = after(s, ",\"event\":\"queue.ready\"}\n");
	assert_string_equal(after(s, "\"level\":\"warning\",\"role\":\"relay\",\"pid\":") +
				strspn(after(s, "\"pid\":"), "0123456789"),
	    ",\"event\":\"gate.verdict\",\"helo\":\"a "
	    "\\\"b\\\"\\u001b\xef\xbf\xbd\",\"size\":7}\n");
}

static int
write_long(void *arg)
{
	struct field many[101];
	char *value;
	int i;

	log_init(arg, "session");
	value = xmalloc(100001);
	memset(value, 'x', 100000);
	value[100000] = '\0';
	log_info("a.fits", F_STR("k", value + 92000));
	log_info("a.long", F_STR("k", value), F_STR("after", "kept"));
	memset(value, '\x01', 100000);
	log_info("a.escapes", F_STR("k", value), F_STR("after", "kept"));
	for (i = 0; i < 100; i++)
		many[i] = F_STR("many", value);
	many[100] = F_END;
	log_event(LOG_INFO, "a.many", many);
	/* characters of three octets: no power of two ends between them */
	for (i = 0; i < 33333; i++)
		memcpy(value + (size_t)3 * i, "\xe7\x8e\x84", 3);
	log_info("a.utf8", F_STR("k", value));
	free(value);
	return 0;
}

static void
test_long_lines(void **state)
{
	static const struct {
		const char *event;
		bool cut;
	} lines[] = { { "a.fits", false }, { "a.long", true }, { "a.escapes", true },
		{ "a.many", true }, { "a.utf8", true } };
	struct log_conf conf = { .to_stderr = true };
	const char *end;
	char *line, *rest;
	size_t i;
	int json;

	(void)state;
	for (json = 0; json < 2; json++) {
		conf.json = json == 1;
		run(write_long, &conf);
		end = json ? ",\"cut\":true}" : " cut=true";
		rest = err;
		for (i = 0; (line = strsep(&rest, "\n")) != NULL && *line != '\0'; i++) {
			assert_true(i < sizeof(lines) / sizeof(lines[0]));
			assert_non_null(strstr(line, lines[i].event));
			/* the head in front is not counted */
			assert_true(strlen(line) <= 8192 + 64);
			assert_true(strlen(line) > 1000);
			assert_int_equal(
			    strcmp(line + strlen(line) - strlen(end), end) == 0, lines[i].cut);
			if (i == 1 || i == 2)
				assert_non_null(strstr(line, "kept"));
			if (i == 4)
				assert_null(strstr(line, json ? "\xef\xbf\xbd" : "\\x"));
		}
		assert_int_equal(i, sizeof(lines) / sizeof(lines[0]));
	}
}

static int
fatal_child(void *arg)
{
	log_init(arg, "queue");
	fatal("segment %d is %s", 7, "\"gone\"");
}

static void
test_fatal(void **state)
{
	struct log_conf conf = { .to_stderr = true };
	int status;

	(void)state;
	status = child_run(fatal_child, &conf, err);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_string_equal(
	    after(err, "] "), "critical process.fatal reason=\"segment 7 is \\\"gone\\\"\"\n");
}

/* --- syslog --- */

static int
listen_syslog(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd;

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	CHECK(fd != -1 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0);
	return fd;
}

/* The next datagram within MS, as a string; "" when there is none. */
static const char *
receive(int fd, int ms)
{
	static char text[DATAGRAM_MAX + 1];
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n = 0;

	if (poll(&p, 1, ms) == 1)
		n = recv(fd, text, DATAGRAM_MAX, 0);
	CHECK(n >= 0);
	text[n] = '\0';
	return text;
}

/* What stands behind the head "<PRI>Mon dd hh:mm:ss genkan-ROLE[pid]: ". */
static const char *
body_of(const char *line, const char *pri, const char *role)
{
	char *tag;
	const char *s;

	tag = xasprintf(" genkan-%s[%d]: ", role, (int)getpid());
	CHECK(strncmp(line, pri, strlen(pri)) == 0);
	s = line + strlen(pri);
	CHECK(s[0] >= 'A' && s[0] <= 'S' && s[1] >= 'a' && s[2] >= 'a' && s[3] == ' ');
	CHECK(s[4] == ' ' || (s[4] >= '1' && s[4] <= '3'));
	s = match(s + 5, "N NN:NN:NN");
	CHECK(s != NULL && strncmp(s, tag, strlen(tag)) == 0);
	s += strlen(tag);
	free(tag);
	return s;
}

static int
syslog_lines(void *arg)
{
	struct log_conf conf = { .syslog_socket = path };
	const char *s;
	int fd;

	(void)arg;
	fd = listen_syslog();
	log_init(&conf, "master");
	log_rename("ledger");
	log_info("grey.passed", F_STR("sender", "a@b.example"));
	CHECK(strcmp(body_of(receive(fd, 0), "<22>", "ledger"),
		  "info grey.passed sender=a@b.example") == 0);
	log_error("kv.failed");
	CHECK(strcmp(body_of(receive(fd, 0), "<19>", "ledger"), "error kv.failed") == 0);
	conf.json = true;
	log_init(&conf, "ledger");
	log_info("grey.passed");
	s = body_of(receive(fd, 0), "<22>", "ledger");
	CHECK(strncmp(s, "{\"time\":", 8) == 0 && s[strlen(s) - 1] == '}');
	return 0;
}

static void
test_syslog(void **state)
{
	(void)state;
	run(syslog_lines, NULL);
	assert_string_equal(err, "");
}

/* Syslog is not there, comes, goes and comes again. */
static int
syslog_restarts(void *arg)
{
	struct log_conf conf = { .syslog_socket = path };
	char expected[64];
	const char *line;
	unsigned lost;
	int fd, round;

	(void)arg;
	log_init(&conf, "queue");
	for (round = 0; round < 2; round++) {
		log_info("a.lost");
		fd = listen_syslog();
		lost = 1;
		/* The first line may still find the socket that is gone; the next attempt is due
		 * within a second. */
		for (;;) {
			log_info("a.line");
			line = receive(fd, 20);
			if (*line != '\0')
				break;
			lost++;
			CHECK(lost < 1000);
		}
		CHECK(strcmp(body_of(line, "<22>", "queue"), "info a.line") == 0);
		snprintf(expected, sizeof(expected), "warning log.lost lines=%u", lost);
		CHECK(strcmp(body_of(receive(fd, 0), "<20>", "queue"), expected) == 0);
		log_info("a.more");
		CHECK(strcmp(body_of(receive(fd, 0), "<22>", "queue"), "info a.more") == 0);
		close(fd);
		unlink(path);
	}
	return 0;
}

/* A role that cannot look for it is given the way by one that can. */
static int
syslog_is_renewed(void *arg)
{
	struct log_conf conf = { .syslog_socket = path };
	int first, second, taken;

	(void)arg;
	first = listen_syslog();
	log_init(&conf, "queue");
	CHECK(!log_is_renewed());
	close(first);
	unlink(path);
	CHECK(!log_is_renewed()); /* it is away */
	second = listen_syslog();
	CHECK(log_is_renewed());
	CHECK(!log_is_renewed()); /* once */
	taken = dup(log_way());
	log_take(&conf, taken);
	log_info("a.line");
	CHECK(strcmp(body_of(receive(second, 0), "<22>", "queue"), "info a.line") == 0);
	/* another form, and another place, and back */
	conf.json = true;
	log_take(&conf, dup(log_way()));
	log_info("a.line");
	CHECK(strstr(receive(second, 0), "\"event\":\"a.line\"") != NULL);
	taken = dup(log_way());
	log_take(&(struct log_conf){ .to_stderr = true }, -1);
	log_info("on.stderr");
	log_take(&conf, taken);
	log_info("b.line");
	CHECK(strstr(receive(second, 0), "\"event\":\"b.line\"") != NULL);
	return 0;
}

static void
test_syslog_is_renewed(void **state)
{
	(void)state;
	run(syslog_is_renewed, NULL);
	assert_non_null(strstr(err, "on.stderr"));
	assert_null(strstr(err, "line"));
}

static void
test_syslog_restarts(void **state)
{
	(void)state;
	run(syslog_restarts, NULL);
	/* What syslog did not take is here. */
	assert_non_null(strstr(err, "] info a.lost\n"));
	assert_null(strstr(err, "a.more"));
}

/* Nobody reads: no line blocks, and each is received or counted. */
static int
syslog_full(void *arg)
{
	struct log_conf conf = { .syslog_socket = path };
	char expected[64];
	const char *line;
	unsigned sent = 5000, received = 0;
	int fd;

	(void)arg;
	fd = listen_syslog();
	/* What does not go to syslog would come back over a pipe that is read only afterwards. */
	close(STDERR_FILENO);
	log_init(&conf, "queue");
	for (unsigned i = 0; i < sent; i++)
		log_info("a.line", F_U64("n", i));
	while (*receive(fd, 0) != '\0')
		received++;
	CHECK(received > 0 && received < sent);
	log_info("a.after");
	line = receive(fd, 0);
	CHECK(strcmp(body_of(line, "<22>", "queue"), "info a.after") == 0);
	snprintf(expected, sizeof(expected), "warning log.lost lines=%u", sent - received);
	CHECK(strcmp(body_of(receive(fd, 0), "<20>", "queue"), expected) == 0);
	return 0;
}

static void
test_syslog_full(void **state)
{
	(void)state;
	run(syslog_full, NULL);
	assert_string_equal(err, "");
}

/* Whatever has standard error's number later, a connection or the journal, must not get lines. */
static int
stderr_closed(void *arg)
{
	struct log_conf conf = { .syslog_socket = path };
	int fds[2];

	(void)arg;
	CHECK(pipe(fds) == 0);
	close(STDERR_FILENO);
	log_init(&conf, "queue");
	CHECK(dup2(fds[1], STDERR_FILENO) == STDERR_FILENO);
	log_info("a.line");
	log_init(&conf, "queue");
	log_info("a.line");
	conf.to_stderr = true;
	log_init(&conf, "queue");
	log_info("a.line");
	CHECK(poll(&(struct pollfd){ .fd = fds[0], .events = POLLIN }, 1, 0) == 0);
	return 0;
}

static void
test_stderr_closed(void **state)
{
	(void)state;
	run(stderr_closed, NULL);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stderr_text),
		cmocka_unit_test(test_stderr_json),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_fatal),
		cmocka_unit_test(test_syslog),
		cmocka_unit_test(test_syslog_restarts),
		cmocka_unit_test(test_syslog_is_renewed),
		cmocka_unit_test(test_syslog_full),
		cmocka_unit_test(test_stderr_closed),
	};

	snprintf(path, sizeof(path), "/tmp/genkan-log-%d", (int)getpid());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
