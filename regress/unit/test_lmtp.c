/*
 * The LMTP client against a scripted server, which is another process: what goes out together, whose reply is whose, and what
 * becomes of a connection that ends.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/lmtp.h"
#include "deliver/smtp_client.h"
#include "lib/mem.h"
#include "lib/unix_socket.h"

#define STEPS_MAX 12

struct step {
	const char *expected; /* NULL: the end; "": a new connection */
	const char *answer;   /* NULL: closes the connection */
};

static char dir[] = "/tmp/test_lmtp.XXXXXX";
static char *path;
static const char message[] = "A: 1\r\n\r\n.dot\r\n";

/* --- the server --- */

static void
serve(int listener, const struct step *steps)
{
	int fd = -1;
	size_t got, want;
	char seen[4096];

	for (; steps->expected != NULL; steps++) {
		want = strlen(steps->expected);
		if (want == 0) {
			if (fd >= 0)
				close(fd);
			fd = accept(listener, NULL, NULL);
		}
		for (got = 0; got < want;) {
			ssize_t n = read(fd, seen + got, want - got);

			if (n <= 0)
				_exit(2);
			got += (size_t)n;
		}
		if (memcmp(seen, steps->expected, want) != 0) {
			fprintf(stderr, "got: %.*snot: %s", (int)want, seen, steps->expected);
			_exit(3);
		}
		if (steps->answer != NULL && write(fd, steps->answer, strlen(steps->answer)) < 0)
			_exit(4);
		if (steps->answer == NULL) {
			close(fd);
			fd = -1;
		}
	}
	_exit(0);
}

#define HELLO { "", "220 them LMTP\r\n" }, { "LHLO us\r\n", "250-them\r\n250-8BITMIME\r\n250 PIPELINING\r\n" }
#define MAIL "MAIL FROM:<s@b.example>\r\n"
#define RCPT(a) "RCPT TO:<" a "@c.example>\r\n"
#define DATA "DATA\r\n"
#define TEXT "A: 1\r\n\r\n..dot\r\n.\r\n"

#define CAFE "Subject: s\r\n\r\nmorning caf\xc3\xa9\r\n"
#define CAFE_7BIT "Subject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" \
	"Content-Transfer-Encoding: quoted-printable\r\n\r\nmorning caf=C3=A9\r\n.\r\n"
#define BINARY "Content-Type: x/y\r\n\r\na\n\rb.\r\n"
#define BINARY_7BIT "Content-Type: x/y\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nYQoNYi4NCg==\r\n.\r\n"
#define SEVEN(more) { "", "220 them\r\n" }, { "LHLO us\r\n", "250-them\r\n250-" more "\r\n250 PIPELINING\r\n" }
#define CHUNKING { "", "220 them\r\n" }, { "LHLO us\r\n", "250-them\r\n250-BINARYMIME\r\n250-CHUNKING\r\n250 PIPELINING\r\n" }
#define ALL RCPT("a") RCPT("b") RCPT("c") DATA
#define ALL_OK "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n"
#define FATES "250 a\r\n250 b\r\n250 c\r\n"

static const struct scene {
	const char *name;
	unsigned messages; /* with recipients a, b and c each */
	struct step steps[STEPS_MAX];
	const char *expected; /* results, one digit each */
	const char *content;  /* NULL: MESSAGE */
	uint8_t body;         /* enum body_type */
	bool utf8;
} scenes[] = {
	{ "a reply for each", 1,
	    { HELLO, { MAIL RCPT("a") RCPT("b") RCPT("c") DATA, "250 ok\r\n250 a\r\n550 b\r\n250 c\r\n354 go\r\n" },
		{ TEXT, "450 full\r\n250 done\r\n" } },
	    "452", NULL, 0, false },
	{ "two messages, one connection", 2,
	    { HELLO, { MAIL RCPT("a") RCPT("b") RCPT("c") DATA, "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n" },
		{ TEXT, "250 1\r\n250 2\r\n552 3\r\n" },
		{ MAIL RCPT("a") RCPT("b") RCPT("c") DATA, "250 ok\r\n250 a\r\n250 b\r\n450 c\r\n354 go\r\n" },
		{ TEXT, "250 1\r\n550 2\r\n" } },
	    "225254", NULL, 0, false },
	{ "nobody", 2,
	    { HELLO, { MAIL RCPT("a") RCPT("b") RCPT("c") DATA, "250 ok\r\n550 a\r\n450 b\r\n550 c\r\n503 nobody\r\n" },
		{ "RSET\r\n", "250 ok\r\n" },
		{ MAIL RCPT("a") RCPT("b") RCPT("c") DATA, "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n451 no\r\n" },
		{ "RSET\r\n", "250 ok\r\n" } },
	    "545444", NULL, 0, false },
	{ "sender refused", 1,
	    { HELLO, { MAIL RCPT("a") RCPT("b") RCPT("c") DATA, "550 s\r\n503 a\r\n503 b\r\n503 c\r\n503 d\r\n" },
		{ "RSET\r\n", "250 ok\r\n" } },
	    "555", NULL, 0, false },
	{ "no pipelining", 1,
	    { { "", "220 them\r\n" }, { "LHLO us\r\n", "250 them\r\n" }, { MAIL, "250 ok\r\n" }, { RCPT("a"), "250 ok\r\n" },
		{ RCPT("b"), "550 ok\r\n" }, { RCPT("c"), "250 ok\r\n" }, { DATA, "354 go\r\n" }, { TEXT, "250 ok\r\n550 ok\r\n" } },
	    "255", NULL, 0, false },
	{ "closed between two", 2,
	    { HELLO, { MAIL RCPT("a") RCPT("b") RCPT("c") DATA, "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n" },
		{ TEXT, "250 1\r\n250 2\r\n250 3\r\n" }, { MAIL, NULL }, HELLO,
		{ MAIL RCPT("a") RCPT("b") RCPT("c") DATA, "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n" },
		{ TEXT, "250 1\r\n250 2\r\n250 3\r\n" } },
	    "222222", NULL, 0, false },
	{ "closed after the dot", 1,
	    { HELLO, { MAIL RCPT("a") RCPT("b") RCPT("c") DATA, "250 ok\r\n250 a\r\n250 b\r\n250 c\r\n354 go\r\n" },
		{ TEXT, "250 1\r\n" } },
	    "244", NULL, 0, false },
	{ "no LMTP", 1, { { "", "hello\r\n" } }, "444", NULL, 0, false },
	{ "not welcome", 1, { { "", "554 go away\r\n" } }, "444", NULL, 0, false },
	/* what the server does not take as it is */
	{ "8-bit text that is welcome", 1,
	    { HELLO, { "MAIL FROM:<s@b.example> BODY=8BITMIME\r\n" ALL, ALL_OK }, { CAFE ".\r\n", FATES } }, "222", CAFE,
	    BODY_8BITMIME, false },
	{ "8-bit text, encoded", 1, { SEVEN("SIZE"), { "MAIL FROM:<s@b.example> SIZE=138\r\n" ALL, ALL_OK },
	    { CAFE_7BIT, FATES } }, "222", CAFE, BODY_8BITMIME, false },
	{ "8-bit text that cannot be encoded goes as it is", 1,
	    { SEVEN("X"), { MAIL ALL, ALL_OK }, { "\xe3\x81\x82\r\n.\r\n", FATES } }, "222", "\xe3\x81\x82\r\n", BODY_8BITMIME,
	    false },
	{ "SMTPUTF8 that only the text needs", 1, { SEVEN("X"), { MAIL ALL, ALL_OK }, { CAFE_7BIT, FATES } }, "222", CAFE,
	    BODY_8BITMIME, true },
	{ "SMTPUTF8 that is missing", 1, { SEVEN("X") }, "555", "Subject: \xc3\xa9\r\n\r\n", BODY_8BITMIME, true },
	{ "binary, encoded", 1, { HELLO, { MAIL ALL, ALL_OK }, { BINARY_7BIT, FATES } }, "222", BINARY, BODY_BINARYMIME, false },
	{ "binary, in a chunk", 1,
	    { CHUNKING, { "MAIL FROM:<s@b.example> BODY=BINARYMIME\r\n" RCPT("a") RCPT("b") RCPT("c"),
		"250 ok\r\n250 a\r\n550 b\r\n250 c\r\n" }, { "BDAT 28 LAST\r\n" BINARY, "250 a\r\n450 c\r\n" } }, "254", BINARY,
	    BODY_BINARYMIME, false },
	{ "binary, for nobody", 1,
	    { CHUNKING, { "MAIL FROM:<s@b.example> BODY=BINARYMIME\r\n" RCPT("a") RCPT("b") RCPT("c"),
		"250 ok\r\n550 a\r\n550 b\r\n450 c\r\n" }, { "RSET\r\n", "250 ok\r\n" } }, "554", BINARY, BODY_BINARYMIME, false },
	{ "binary that cannot be encoded", 1, { HELLO }, "555", "\xe3\n\x82", BODY_BINARYMIME, false },
};

static void
run(const struct scene *scene)
{
	struct smtp_client_message m = { .sender = "s@b.example", .content = message,
		.size = sizeof(message) - 1, .content_len = sizeof(message) - 1, .fd = -1 };
	char *why = NULL, got[16] = "";
	int listener = unix_socket_listen(path, 0600, &why), status;
	struct lmtp *l = lmtp_new(path, "us", &lmtp_timeouts);
	unsigned i, k;
	pid_t pid;

	if (scene->content != NULL) {
		m.content = scene->content;
		m.size = m.content_len = strlen(scene->content);
		m.body = scene->body;
		m.utf8 = scene->utf8;
	}
	assert_true(listener >= 0);
	pid = fork();
	if (pid == 0) {
		fcntl(listener, F_SETFL, 0);
		alarm(20);
		serve(listener, scene->steps);
	}
	close(listener);
	for (i = 0; i < scene->messages; i++) {
		struct lmtp_recipient to[] = { { .address = "a@c.example" }, { .address = "b@c.example" },
			{ .address = "c@c.example" } };

		lmtp_deliver(l, &m, to, 3);
		for (k = 0; k < 3; k++) {
			got[strlen(got)] = to[k].result.text[0];
			assert_int_equal(to[k].result.status, to[k].result.text[0] == '2' ? DELIVERY_OK
			    : to[k].result.text[0] == '5' ? DELIVERY_PERM : DELIVERY_TEMP);
			final_result_free(&to[k].result);
		}
	}
	lmtp_free(l);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (strcmp(got, scene->expected) != 0 || status != 0)
		fail_msg("%s: %s, not %s; the server ended with %d", scene->name, got, scene->expected, status);
	unlink(path);
}

static void
test_scenes(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		run(&scenes[i]);
}

static void
test_addresses(void **state)
{
	static const struct {
		const char *text, *ip;
		uint16_t port;
	} cases[] = { { "[127.0.0.1]:24", "127.0.0.1", 24 }, { "[::1]:65535", "::1", 65535 }, { "/run/x", "", 0 },
		{ "/", NULL, 0 }, { "", NULL, 0 }, { "x", NULL, 0 }, { "[127.0.0.1]", NULL, 0 }, { "[127.0.0.1]:0", NULL, 0 },
		{ "[127.0.0.1]:65536", NULL, 0 }, { "[127.0.0.1]:2x", NULL, 0 }, { "[mail]:24", NULL, 0 } };
	struct ip ip;
	uint16_t port;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		port = 0;
		assert_int_equal(lmtp_parse(cases[i].text, &ip, &port), cases[i].ip != NULL);
		if (cases[i].ip == NULL)
			continue;
		assert_int_equal(ip.family == 0, cases[i].ip[0] == '\0');
		if (ip.family != 0)
			assert_string_equal(ip_text(&ip).s, cases[i].ip);
		assert_int_equal(port, cases[i].port);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_addresses), cmocka_unit_test(test_scenes) };
	int failed;

	signal(SIGPIPE, SIG_IGN);
	if (mkdtemp(dir) == NULL)
		return 1;
	path = xasprintf("%s/socket", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(dir);
	free(path);
	return failed;
}
