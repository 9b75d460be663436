/*
 * mbox files: what is quoted, the separator, the locks of others, what is no mailbox of ours, and that an error leaves the file
 * as it was.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/mbox.h"
#include "lib/mem.h"

static char dir[] = "/tmp/test_mbox.XXXXXX";
static char *box, *dotlock, *other;

static void
test_quotes(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "" },
		{ "x\n", "x\n" },
		{ "x", "x\n" },
		{ "\n", "\n" },
		{ "From a\n", ">From a\n" },
		{ "x\nFrom a\nFrom b\n", "x\n>From a\n>From b\n" },
		{ ">From a\n>>From a\n", ">>From a\n>>>From a\n" },
		{ ">x\n> From a\n", ">x\n> From a\n" },
		{ "From\nFrom:\nfrom a\n From a\n", "From\nFrom:\nfrom a\n From a\n" },
		{ "FFrom a\nFroFrom a\n", "FFrom a\nFroFrom a\n" },
		{ "From ", ">From \n" },
		{ ">>Fro", ">>Fro\n" },
		{ ">F>From x\n", ">F>From x\n" },
		{ "\r\nFrom x", "\r\n>From x\n" },
	};
	size_t i, step, at, len;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		len = strlen(cases[i].in);
		for (step = 1; step <= len + 1; step++) {
			struct mbox_quote q = { 0 };
			struct buf out = { 0 };

			for (at = 0; at < len; at += step)
				mbox_quote_feed(&q, cases[i].in + at, step < len - at ? step : len - at, &out);
			mbox_quote_end(&q, &out);
			assert_string_equal(buf_str(&out), cases[i].out);
			buf_free(&out);
		}
	}
}

static void
test_separators(void **state)
{
	static const struct {
		const char *sender;
		time_t when;
		const char *line;
	} cases[] = {
		{ "a@b.example", 0, "From a@b.example Thu Jan  1 00:00:00 1970\n" },
		{ "", 1709210096, "From MAILER-DAEMON Thu Feb 29 12:34:56 2024\n" },
		{ "\"a b\n\"@c.example", 0, "From \"a_b_\"@c.example Thu Jan  1 00:00:00 1970\n" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = { 0 };

		mbox_separator(&out, cases[i].sender, cases[i].when);
		assert_string_equal(buf_str(&out), cases[i].line);
		buf_free(&out);
	}
}

/* --- files --- */

static void
put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

/* The file, with the dates of its separators replaced. */
static void
expect_box(const char *expected)
{
	char got[8192], *line, *blank;
	FILE *f = fopen(box, "r");
	size_t n;

	assert_non_null(f);
	n = fread(got, 1, sizeof(got) - 1, f);
	got[n] = '\0';
	fclose(f);
	for (line = got; line != NULL; line = strstr(line + 1, "\nFrom ")) {
		blank = strchr(line + 6, ' ');
		if (strncmp(line + (*line == '\n'), "From ", 5) == 0 && blank != NULL)
			memmove(blank + 1, blank + 25, strlen(blank + 25) + 1);
	}
	assert_string_equal(got, expected);
}

static void
deliver(const char *text, bool by_file, const char *expected)
{
	struct maildir_content content;
	struct mbox_item item = { .path = box, .sender = "s@b.example", .address = "alice@example.net",
		.content = &content };
	FILE *f = tmpfile();

	fputs(text, f);
	fflush(f);
	if (by_file)
		maildir_content_init_fd(&content, BODY_7BIT, dup(fileno(f)));
	else
		maildir_content_init(&content, BODY_7BIT, text, strlen(text));
	fclose(f);
	mbox_deliver(&item);
	assert_int_equal(strncmp(item.result.text, expected, strlen(expected)), 0);
	assert_int_equal(item.result.status,
	    *expected == '2' ? DELIVERY_OK : *expected == '5' ? DELIVERY_PERM : DELIVERY_TEMP);
	final_result_free(&item.result);
	maildir_content_free(&content);
}

#define HEAD "From s@b.example \nReturn-Path: <s@b.example>\nDelivered-To: alice@example.net\n"

static void
test_deliveries(void **state)
{
	struct stat st;

	(void)state;
	deliver("Return-Path: <forged>\r\nA: 1\r\n\r\nFrom x\r\n", false, "250 2.0.0");
	expect_box(HEAD "A: 1\n\n>From x\n\n");
	deliver("A: 2\r\n\r\nbody", true, "250 2.0.0");
	expect_box(HEAD "A: 1\n\n>From x\n\n" HEAD "A: 2\n\nbody\n\n");
	assert_int_equal(stat(box, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	deliver("Delivered-To: ALICE@example.net\r\n\r\n", false, "554 5.4.6");
	deliver("Delivered-To: ALICE@example.net\r\n\r\n", true, "554 5.4.6");
	expect_box(HEAD "A: 1\n\n>From x\n\n" HEAD "A: 2\n\nbody\n\n");
	/* a torn end is kept apart */
	put(box, "torn");
	deliver("A: 3\r\n\r\n", false, "250 2.0.0");
	expect_box("torn\n\n" HEAD "A: 3\n\n\n");
	unlink(box);
}

static void
test_no_mailbox(void **state)
{
	(void)state;
	put(other, "mine");
	assert_int_equal(symlink(other, box), 0);
	deliver("A: 1\r\n\r\n", false, "451 4.2.0 cannot open");
	unlink(box);
	assert_int_equal(link(other, box), 0);
	deliver("A: 1\r\n\r\n", false, "451 4.3.5");
	expect_box("mine");
	unlink(box);
	assert_int_equal(mkdir(box, 0700), 0);
	deliver("A: 1\r\n\r\n", false, "451 4.2.0");
	rmdir(box);
	assert_int_equal(mkfifo(box, 0600), 0);
	deliver("A: 1\r\n\r\n", false, "451 4.");
	unlink(box);
	if (geteuid() == 0) {
		put(box, "theirs");
		assert_int_equal(chown(box, 1, 1), 0);
		deliver("A: 1\r\n\r\n", false, "451 4.3.5");
		expect_box("theirs");
		unlink(box);
	}
}

/* Another process holds the fcntl lock; it is let go by closing a pipe. */
static void
test_locks(void **state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int ready[2], go[2], fd;
	struct timespec old[2];
	pid_t pid;
	char c;

	(void)state;
	put(box, "");
	assert_int_equal(pipe(ready) | pipe(go), 0);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		fd = open(box, O_RDWR);
		if (fcntl(fd, F_SETLK, &lock) < 0 || write(ready[1], "x", 1) != 1)
			_exit(1);
		_exit(read(go[0], &c, 1) != 0);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	deliver("A: 1\r\n\r\n", false, "451 4.2.0");
	expect_box("");
	close(go[1]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	put(dotlock, "1");
	deliver("A: 1\r\n\r\n", false, "451 4.2.0");
	assert_int_equal(access(dotlock, F_OK), 0);
	/* forgotten */
	clock_gettime(CLOCK_REALTIME, &old[0]);
	old[0].tv_sec -= MBOX_STALE + 60;
	old[1] = old[0];
	assert_int_equal(utimensat(AT_FDCWD, dotlock, old, 0), 0);
	deliver("A: 1\r\n\r\n", false, "451 4.2.0"); /* removes it, and would try again */
	deliver("A: 1\r\n\r\n", false, "250 2.0.0");
	expect_box(HEAD "A: 1\n\n\n");
	unlink(box);
}

/* The disk is full in the middle: nothing of it stays. */
static void
test_cut_back(void **state)
{
	struct rlimit before, limit;
	char text[4096];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "A: 1\r\n\r\n", 8);
	text[sizeof(text) - 1] = '\0';
	put(box, "old\n");
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){ 1000, before.rlim_max };
	setrlimit(RLIMIT_FSIZE, &limit);
	deliver(text, false, "452 4.2.2");
	setrlimit(RLIMIT_FSIZE, &before);
	expect_box("old\n");
	unlink(box);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quotes),
		cmocka_unit_test(test_separators),
		cmocka_unit_test(test_deliveries),
		cmocka_unit_test(test_no_mailbox),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_cut_back),
	};
	int failed;

	if (mkdtemp(dir) == NULL)
		return 1;
	box = xasprintf("%s/box", dir);
	dotlock = xasprintf("%s/box.lock", dir);
	other = xasprintf("%s/other", dir);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(other);
	rmdir(dir);
	free(box);
	free(dotlock);
	free(other);
	return failed;
}
