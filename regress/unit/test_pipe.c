/*
 * Programs that take mail: what they get, what their ends mean, the time limit, and commands as text.
 */
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/pipe.h"
#include "lib/mem.h"

static const char *big; /* 1 MiB */

/* Runs /bin/sh as any other program, with SCRIPT as an argument. */
static char *
run(const char *script, const char *text, bool by_file, uint32_t limit_ms, enum delivery_status *status)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)(uintptr_t)script, (char *)"name", (char *)"a; b $(c)",
		NULL };
	struct command command = { .user = (char *)"alice", .home = (char *)"", .domain = (char *)"example.net",
		.extension = (char *)"x", .argv = argv, .argv_n = 5 };
	struct maildir_content content;
	struct pipe_item item = { .command = &command, .sender = "s@b.example", .address = "alice+x@example.net",
		.content = &content, .limit_ms = limit_ms };
	FILE *f = tmpfile();

	fputs(text, f);
	fflush(f);
	if (by_file)
		maildir_content_init_fd(&content, BODY_7BIT, dup(fileno(f)));
	else
		maildir_content_init(&content, BODY_7BIT, text, strlen(text));
	fclose(f);
	pipe_deliver(&item);
	maildir_content_free(&content);
	*status = item.result.status;
	return item.result.text;
}

static void
expect(const char *script, const char *text, const char *expected)
{
	enum delivery_status status;
	char *got;
	int i;

	for (i = 0; i < 2; i++) {
		got = run(script, text, i == 1, 60000, &status);
		if (strncmp(got, expected, strlen(expected)) != 0)
			fail_msg("%s\n got: %s\nnot: %s", script, got, expected);
		assert_int_equal(status,
		    *expected == '2' ? DELIVERY_OK : *expected == '5' ? DELIVERY_PERM : DELIVERY_TEMP);
		free(got);
	}
}

static void
test_ends(void **state)
{
	static const struct {
		const char *script, *text;
	} cases[] = {
		{ "exit 0", "250 2.0.0 delivered to /bin/sh" },
		{ "exit 1", "554 5.3.0 /bin/sh failed, exit 1" },
		{ "echo no such luck >&2; exit 67", "550 5.1.1 there is no such user here (/bin/sh, exit 67): no such luck" },
		{ "exit 64", "554 5.3.5" },
		{ "exit 65", "554 5.6.0" },
		{ "exit 71", "451 4.3.0" },
		{ "exit 73", "554 5.2.0" },
		{ "printf 'a\\nb\\001c'; exit 75", "451 4.3.0 the program asks to try again later (/bin/sh, exit 75): a b?c" },
		{ "printf '\\346\\274\\242 \\303\\274 \\302\\205 \\374\\033[1m \\303'; exit 75",
		    "451 4.3.0 the program asks to try again later (/bin/sh, exit 75): \346\274\242 \303\274 ? ??[1m ?" },
		{ "exit 77", "550 5.7.0" },
		{ "exit 78", "451 4.3.5" },
		{ "/no/such/program", "451 4.3.5" },
		{ "kill -9 $$", "451 4.3.0 /bin/sh was ended by signal 9" },
		/* what it gets */
		{ "cat; exit 1", "554 5.3.0 /bin/sh failed, exit 1: Return-Path: <s@b.example> "
		    "Delivered-To: alice+x@example.net A: 1  body" },
		{ "env -u PWD -u _ -u OLDPWD -u SHLVL | sort; exit 1", "554 5.3.0 /bin/sh failed, exit 1: DOMAIN=example.net EXTENSION=x HOME=/ "
		    "PATH=/usr/local/bin:/usr/bin:/bin RECIPIENT=alice+x@example.net SENDER=s@b.example USER=alice" },
		{ "echo \"$1\"; exit 1", "554 5.3.0 /bin/sh failed, exit 1: a; b $(c)" },
		{ "for n in 3 4 5 6 7 8 9 10 11 12; do readlink /proc/$$/fd/$n; done; pwd; exit 1",
		    "554 5.3.0 /bin/sh failed, exit 1: /" },
		/* it need not read, and may say more than anybody keeps */
		{ "exec 0<&-; exit 0", "250 2.0.0" },
		{ "exec 1>&- 2>&-; cat >/dev/null; exit 75", "451 4.3.0" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(cases[i].script, "A: 1\r\n\r\nbody\r\n", cases[i].text);
	expect("cat; exit 0", big, "250 2.0.0 delivered to /bin/sh: Return-Path");
	expect("exit 0", big, "250 2.0.0");
	expect("exit 0", "Delivered-To: alice+x@example.net\r\n\r\n", "554 5.4.6");
}

static void
test_limits(void **state)
{
	enum delivery_status status;
	char *got;

	(void)state;
	got = run("sleep 1000 & sleep 1000", big, false, 300, &status);
	assert_string_equal(got, "451 4.3.0 /bin/sh was killed after 0 s");
	assert_int_equal(status, DELIVERY_TEMP);
	free(got);
	got = run("cat; cat /dev/zero | head -c 100000; exit 1", big, false, 60000, &status);
	assert_true(strlen(got) < PIPE_OUTPUT_MAX + 100 && strlen(got) >= PIPE_OUTPUT_MAX);
	free(got);
}

static void
test_no_program(void **state)
{
	char *argv[] = { (char *)"/no/such", NULL };
	struct command command = { .user = (char *)"", .home = (char *)"", .domain = (char *)"", .extension = (char *)"",
		.argv = argv, .argv_n = 1 };
	struct maildir_content content;
	struct pipe_item item = { .command = &command, .sender = "", .address = "a@b.example", .content = &content,
		.limit_ms = 60000 };

	(void)state;
	maildir_content_init(&content, BODY_7BIT, big, strlen(big));
	pipe_deliver(&item);
	assert_string_equal(item.result.text, "451 4.3.5 cannot run /no/such: No such file or directory");
	final_result_free(&item.result);
	maildir_content_free(&content);
}

static void
test_commands(void **state)
{
	static const char *const bad[] = { "", "5:alice,", "1:a,1:b,1:c,1:d,", "1:a,1:b,1:c,1:d,1:x,", "1:a,1:b,1:c,1:d,3:/x,",
		"1:a,1:b,1:c,1:d,2:/x", "1:a,1:b,1:c,1:d,2:/x,junk", "1:a,1:b,1:c,1:d,99999999:/x,", ":,1:b,1:c,1:d,2:/x,",
		"-1:a,1:b,1:c,1:d,2:/x,", "1:a,1:b,1:c,1:d,2:/x,1" };
	char *argv[] = { (char *)"/bin/x", (char *)"", (char *)"a,1:b", (char *)"\xc3\xa9\n", NULL };
	const struct command command = { .user = (char *)"alice", .home = NULL, .domain = (char *)"d", .extension = (char *)"",
		.argv = argv };
	struct command got;
	char *text = command_encode(&command);
	size_t i;

	(void)state;
	assert_string_equal(text, "5:alice,0:,1:d,0:,6:/bin/x,0:,5:a,1:b,3:\xc3\xa9\n,");
	assert_true(command_decode(text, &got));
	assert_int_equal(got.argv_n, 4);
	for (i = 0; i < 4; i++)
		assert_string_equal(got.argv[i], argv[i]);
	assert_null(got.argv[4]);
	assert_string_equal(got.home, "");
	command_free(&got);
	free(text);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(command_decode(bad[i], &got));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_program),
	};
	struct buf text = { 0 };
	int failed, i;

	signal(SIGPIPE, SIG_IGN);
	buf_adds(&text, "A: 1\r\n\r\n");
	for (i = 0; i < 16384; i++)
		buf_adds(&text, "0123456789012345678901234567890123456789012345678901234567890\r\n");
	big = buf_str(&text);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	buf_free(&text);
	return failed;
}
