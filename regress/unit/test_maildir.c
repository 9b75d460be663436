/*
 * Delivery into Maildirs: what a file holds, how it is called, loops, folders that are missing or move away, many at
 * once, and what failures leave behind; and the conversion below it, cut at every octet.
 */
#include <sys/resource.h>
#include <sys/stat.h>

#include <dirent.h>
#include <fcntl.h>
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

#include "deliver/maildir.h"
#include "lib/mem.h"
#include "lib/table.h"
#include "regress/unit/tree.h"

#define SENDER "s@example.org"
#define TO "alice@example.net"

/* A disk, as a rule, and memory: two ways of flushing. */
static const char *const places[] = { "/tmp", "/dev/shm" };
static const char *place;
static char dir[64];
static struct maildirs *dirs;

static int
setup(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "%s/test_maildir.XXXXXX", place);
	assert_non_null(mkdtemp(dir));
	dirs = maildirs_new("mx/a:b.example");
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	maildirs_free(dirs);
	return tree_remove(dir);
}

static char *
below(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

/* Entries of a folder; PATH of the last one, if wanted. */
static unsigned
count(const char *folder, char **path)
{
	DIR *d = opendir(folder);
	struct dirent *e;
	unsigned n = 0;

	if (d == NULL)
		return 0;
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if (path != NULL) {
			free(*path);
			*path = xasprintf("%s/%s", folder, e->d_name);
		}
	}
	closedir(d);
	return n;
}

static unsigned
count_in(const char *maildir, const char *sub)
{
	char *folder = xasprintf("%s/%s/%s", dir, maildir, sub);
	unsigned n = count(folder, NULL);

	free(folder);
	return n;
}

static char *
read_file(const char *path)
{
	struct buf b = { 0 };
	char piece[4096];
	size_t n;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(&b, piece, n);
	fclose(f);
	return buf_take(&b);
}

/* The content as a file with that text. */
static int
text_fd(const char *text)
{
	FILE *f = tmpfile();
	int fd;

	assert_non_null(f);
	fputs(text, f);
	fflush(f);
	fd = dup(fileno(f));
	fclose(f);
	return fd;
}

static struct maildir_item
deliver_one(const char *maildir, const char *address, const char *text, bool from_file)
{
	struct maildir_content content;
	char *path = below(maildir);
	struct maildir_item item = { .path = path, .sender = SENDER, .address = address, .content = &content };

	if (from_file)
		maildir_content_init_fd(&content, BODY_7BIT, text_fd(text));
	else
		maildir_content_init(&content, BODY_7BIT, text, strlen(text));
	maildirs_deliver(dirs, &item, 1);
	maildir_content_free(&content);
	free(path);
	return item;
}

#define HEAD "Return-Path: <" SENDER ">\nDelivered-To: " TO "\n"

static const struct {
	const char *in, *out; /* OUT: behind HEAD */
} texts[] = {
	{ "A: 1\r\n\r\nbody\r\n", "A: 1\n\nbody\n" },
	{ "", "" },
	{ "A: 1\r\n", "A: 1\n" },
	{ "\r\nbody\r\n\r\n.\r\n..\r\n", "\nbody\n\n.\n..\n" },
	/* only the header loses its Return-Path, with its continuation, in any case of letters */
	{ "A: 1\r\nReturn-Path: <x@y.example>\r\n (more)\r\n\tand more\r\nB: 2\r\n c\r\n\r\nReturn-Path: stays\r\n",
	    "A: 1\nB: 2\n c\n\nReturn-Path: stays\n" },
	{ "RETURN-path : <>\r\nReturn-Path:<>\r\nReturn-Paths: stays\r\n\r\n", "Return-Paths: stays\n\n" },
	/* somebody else's Delivered-To stays */
	{ "Delivered-To: bob@example.net\r\nA: 1\r\n\r\n", "Delivered-To: bob@example.net\nA: 1\n\n" },
	{ "A: 1\r\n\r\nDelivered-To: " TO "\r\n", "A: 1\n\nDelivered-To: " TO "\n" },
	/* a body without a header */
	{ "no header\r\nReturn-Path: stays\r\n", "no header\nReturn-Path: stays\n" },
	{ "A: 1\r\nno field\r\nReturn-Path: stays\r\n", "A: 1\nno field\nReturn-Path: stays\n" },
	/* odd line ends, which the door does not let in, lose nothing */
	{ "A: 1\r\n\r\na\rb\r\r\nc\nd\r", "A: 1\n\na\rb\r\nc\nd\r" },
	{ "A: 1\nB: 2\r\n\r\n\r", "A: 1\nB: 2\n\n\r" },
	{ "A: 1\r\n\r\n8-bit \xe3\x81\x82\r\n", "A: 1\n\n8-bit \xe3\x81\x82\n" },
};

static void
test_content(void **state)
{
	size_t i;
	int from_file;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		for (from_file = 0; from_file < 2; from_file++) {
			struct maildir_item item = deliver_one("m", TO, texts[i].in, from_file);
			char *wanted = xasprintf("%s%s", HEAD, texts[i].out), *got;

			assert_int_equal(item.status, DELIVERY_OK);
			assert_non_null(strstr(item.text, "250 2.0.0 delivered to "));
			got = read_file(item.file);
			assert_string_equal(got, wanted);
			free(got);
			free(wanted);
			maildir_item_free(&item);
		}
	}
	assert_int_equal(count_in("m", "tmp"), 0);
	assert_int_equal(count_in("m", "new"), 2 * sizeof(texts) / sizeof(texts[0]));
}

/* Cut anywhere, in two places, the conversion is the same. */
static void
test_pieces(void **state)
{
	size_t i, a, b, len;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		len = strlen(texts[i].in);
		for (a = 0; a <= len; a++) {
			for (b = a; b <= len; b++) {
				struct mailtext text = { .in_body = false };
				struct buf out = { 0 };

				mailtext_feed(&text, texts[i].in, a, &out);
				mailtext_feed(&text, texts[i].in + a, b - a, &out);
				mailtext_feed(&text, texts[i].in + b, len - b, &out);
				mailtext_end(&text, &out);
				assert_string_equal(buf_str(&out), texts[i].out);
				mailtext_free(&text);
				buf_free(&out);
			}
		}
	}
}

/* A line that no header has ends the looking and loses nothing. */
static void
test_endless_line(void **state)
{
	struct mailtext text = { .in_body = false };
	struct buf in = { 0 }, out = { 0 };
	size_t at;

	(void)state;
	buf_adds(&in, "A: 1\r\nB: ");
	while (in.len < 200000)
		buf_adds(&in, "xxxxxxxxxxxxxxxxxxxxxxx");
	buf_adds(&in, "\r\nReturn-Path: stays\r\n\r\n");
	for (at = 0; at < in.len; at += 1000)
		mailtext_feed(&text, in.data + at, in.len - at < 1000 ? in.len - at : 1000, &out);
	mailtext_end(&text, &out);
	assert_int_equal(out.len, in.len - 4);
	assert_non_null(strstr(out.data, "x\nReturn-Path: stays\n\n"));
	mailtext_free(&text);
	buf_free(&in);
	buf_free(&out);
}

static void
test_null_sender(void **state)
{
	struct maildir_content content;
	char *path = below("m"), *got;
	/* a line end in an address must not become a header */
	struct maildir_item item = { .path = path, .sender = "", .address = "a\nB: c@example.net",
		.content = &content };

	(void)state;
	maildir_content_init(&content, BODY_7BIT, "\r\n", 2);
	maildirs_deliver(dirs, &item, 1);
	got = read_file(item.file);
	assert_string_equal(got, "Return-Path: <>\nDelivered-To: a?B: c@example.net\n\n");
	free(got);
	free(path);
	maildir_item_free(&item);
	maildir_content_free(&content);
}

static void
test_loop(void **state)
{
	static const char *const loops[] = {
		"Delivered-To: " TO "\r\n\r\n",
		"A: 1\r\ndelivered-to:\tALICE@Example.NET \r\n\r\n",
		"Delivered-To: x@example.net\r\nDelivered-To: " TO "\r\n\r\nbody\r\n",
	};
	size_t i;
	int from_file;

	(void)state;
	for (i = 0; i < sizeof(loops) / sizeof(loops[0]); i++) {
		for (from_file = 0; from_file < 2; from_file++) {
			struct maildir_item item = deliver_one("m", TO, loops[i], from_file);

			assert_int_equal(item.status, DELIVERY_PERM);
			assert_string_equal(item.text, "554 5.4.6 mail loop: this message was delivered to " TO
			    " before");
			assert_null(item.file);
			maildir_item_free(&item);
		}
	}
	assert_int_equal(count_in("m", "tmp"), 0);
	assert_int_equal(count_in("m", "new"), 0);
}

static void
test_name(void **state)
{
	struct maildir_item item = deliver_one("m", TO, "A: 1\r\n\r\n", false);
	const char *name = strrchr(item.file, '/') + 1;
	long long seconds;
	long usec;
	int pid, used = 0;
	unsigned long long number, size;
	struct stat st;

	(void)state;
	assert_int_equal(sscanf(name, "%lld.M%6ldP%dQ%llu.mx_a_b.example,S=%llu%n", &seconds, &usec, &pid, &number,
	    &size, &used), 5);
	assert_int_equal(used, strlen(name));
	assert_int_equal(pid, getpid());
	assert_int_equal(stat(item.file, &st), 0);
	assert_int_equal(size, st.st_size);
	assert_int_equal(st.st_mode & 07777, 0600);
	maildir_item_free(&item);
}

static void
test_missing_folders(void **state)
{
	struct maildir_item item = deliver_one("a/b/c", TO, "\r\n", false);
	static const char *const made[] = { "a", "a/b", "a/b/c", "a/b/c/tmp", "a/b/c/new", "a/b/c/cur" };
	struct stat st;
	size_t i;

	(void)state;
	assert_int_equal(item.status, DELIVERY_OK);
	maildir_item_free(&item);
	for (i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		char *path = below(made[i]);

		assert_int_equal(stat(path, &st), 0);
		assert_true(S_ISDIR(st.st_mode));
		assert_int_equal(st.st_mode & 07777, 0700);
		free(path);
	}
}

/* The user moves his mail away: the next message goes into a new Maildir, not after the old one. */
static void
test_moved_folder(void **state)
{
	char *from = below("m"), *to = below("old"), *tmp = below("m/tmp");
	struct maildir_item item;

	(void)state;
	item = deliver_one("m", TO, "\r\n", false);
	maildir_item_free(&item);
	assert_int_equal(rename(from, to), 0);
	item = deliver_one("m", TO, "\r\n", false);
	assert_int_equal(item.status, DELIVERY_OK);
	maildir_item_free(&item);
	assert_int_equal(count_in("old", "new"), 1);
	assert_int_equal(count_in("m", "new"), 1);
	/* only tmp/ is gone: that one is put off, and the next finds it made again */
	assert_int_equal(rmdir(tmp), 0);
	item = deliver_one("m", TO, "\r\n", false);
	assert_int_equal(item.status, DELIVERY_TEMP);
	maildir_item_free(&item);
	item = deliver_one("m", TO, "\r\n", false);
	assert_int_equal(item.status, DELIVERY_OK);
	maildir_item_free(&item);
	assert_int_equal(count_in("m", "new"), 2);
	free(from);
	free(to);
	free(tmp);
}

#define MANY 10000
#define EACH 250

/* Names are unique; more folders than are kept open; all sizes of batches. */
static void
test_many(void **state)
{
	static struct maildir_item items[EACH];
	struct table *names = table_new("");
	struct maildir_content content;
	char *paths[100];
	unsigned i, n, total = 0;

	(void)state;
	maildir_content_init(&content, BODY_7BIT, "A: 1\r\n\r\n", 8);
	for (i = 0; i < 100; i++)
		paths[i] = xasprintf("%s/%u", dir, i);
	while (total < MANY) {
		n = total < 10 ? total + 1 : EACH;
		for (i = 0; i < n; i++)
			items[i] = (struct maildir_item){ .path = paths[(total + i) % 100], .sender = SENDER,
				.address = TO, .content = &content };
		maildirs_deliver(dirs, items, n);
		for (i = 0; i < n; i++) {
			assert_int_equal(items[i].status, DELIVERY_OK);
			assert_true(table_add(names, strrchr(items[i].file, '/') + 1, NULL));
			assert_int_equal(access(items[i].file, R_OK), 0);
			maildir_item_free(&items[i]);
		}
		total += n;
	}
	assert_int_equal(table_count(names), total);
	table_free(names);
	for (i = 0; i < 100; i++)
		free(paths[i]);
	maildir_content_free(&content);
}

static void
expect_temporary(struct maildir_item *item, const char *text)
{
	assert_int_equal(item->status, DELIVERY_TEMP);
	if (strstr(item->text, text) == NULL || strstr(item->text, dir) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", item->text, text);
	assert_null(item->file);
	maildir_item_free(item);
}

static void
test_not_a_folder(void **state)
{
	char *path = below("file"), *cur = below("half");
	struct maildir_item item;

	(void)state;
	close(open(path, O_CREAT | O_WRONLY, 0600));
	item = deliver_one("file", TO, "\r\n", false);
	expect_temporary(&item, "451 4.2.0 cannot make or open");
	item = deliver_one("file/below", TO, "\r\n", false);
	expect_temporary(&item, "Not a directory");
	/* new/ is a file */
	assert_int_equal(mkdir(cur, 0700), 0);
	free(cur);
	cur = below("half/new");
	close(open(cur, O_CREAT | O_WRONLY, 0600));
	item = deliver_one("half", TO, "\r\n", false);
	expect_temporary(&item, "Not a directory");
	free(cur);
	free(path);
}

/* As another user, in folders that are not his; the others of the batch are delivered all the same. */
static void
test_no_permission(void **state)
{
	static const char *const closed[] = { "closed", "closed/m", "closed/m/tmp", "closed/m/new", "closed/m/cur" };
	struct maildir_content content;
	struct maildir_item items[5];
	char *paths[3] = { below("open"), below("closed/m"), below("closed/none") };
	bool root = geteuid() == 0;
	size_t i;

	(void)state;
	chmod(dir, 0777);
	for (i = 0; i < 5; i++) {
		char *path = below(closed[i]);

		assert_int_equal(mkdir(path, 0700), 0);
		chmod(path, 0555);
		free(path);
	}
	maildir_content_init(&content, BODY_7BIT, "\r\n", 2);
	for (i = 0; i < 5; i++)
		items[i] = (struct maildir_item){ .path = paths[i % 3], .sender = SENDER, .address = TO,
			.content = &content };
	if (root)
		assert_int_equal(seteuid(65534), 0);
	maildirs_deliver(dirs, items, 5);
	if (root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(items[0].status, DELIVERY_OK);
	assert_int_equal(items[3].status, DELIVERY_OK);
	maildir_item_free(&items[0]);
	maildir_item_free(&items[3]);
	expect_temporary(&items[1], "451 4.2.0 cannot create a file in");
	expect_temporary(&items[4], "Permission denied");
	expect_temporary(&items[2], "451 4.2.0 cannot make or open");
	for (i = 0; i < 5; i++) {
		char *path = below(closed[i]);

		chmod(path, 0700);
		free(path);
	}
	for (i = 0; i < 3; i++)
		free(paths[i]);
	maildir_content_free(&content);
}

/* A write that stops half-way leaves nothing: as a full disk would. */
static void
test_short_write(void **state)
{
	struct rlimit before, small = { .rlim_cur = 1000 };
	struct maildir_item item;
	char *text = xmalloc(8193);
	int from_file;

	(void)state;
	memset(text, 'x', 8192);
	memcpy(text, "A: 1\r\n\r\n", 8);
	text[8192] = '\0';
	for (from_file = 0; from_file < 2; from_file++) {
		int fd = from_file ? text_fd(text) : -1; /* made before the limit */
		struct maildir_content content;
		char *path = below("m");

		if (from_file)
			maildir_content_init_fd(&content, BODY_7BIT, fd);
		else
			maildir_content_init(&content, BODY_7BIT, text, 8192);
		item = (struct maildir_item){ .path = path, .sender = SENDER, .address = TO, .content = &content };
		assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
		small.rlim_max = before.rlim_max;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
		maildirs_deliver(dirs, &item, 1);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		expect_temporary(&item, "the quota of");
		maildir_content_free(&content);
		free(path);
	}
	assert_int_equal(count_in("m", "tmp"), 0);
	assert_int_equal(count_in("m", "new"), 0);
	free(text);
}

/* A file larger than the pieces it is read in. */
static void
test_large_file(void **state)
{
	struct buf in = { 0 }, wanted = { 0 };
	struct maildir_item item;
	char *got;
	unsigned i;

	(void)state;
	buf_adds(&wanted, HEAD "A: 1\n\n");
	buf_adds(&in, "A: 1\r\nReturn-Path: <x>\r\n\r\n");
	for (i = 0; in.len < 1000000; i++) {
		buf_addf(&in, "line %u\r\n", i);
		buf_addf(&wanted, "line %u\n", i);
	}
	item = deliver_one("m", TO, buf_str(&in), true);
	assert_int_equal(item.status, DELIVERY_OK);
	assert_int_equal(item.size, wanted.len);
	got = read_file(item.file);
	assert_true(strcmp(got, buf_str(&wanted)) == 0);
	free(got);
	maildir_item_free(&item);
	buf_free(&in);
	buf_free(&wanted);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_content, setup, teardown),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_endless_line),
		cmocka_unit_test_setup_teardown(test_null_sender, setup, teardown),
		cmocka_unit_test_setup_teardown(test_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_name, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_folders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_moved_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_a_folder, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_permission, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_file, setup, teardown),
	};

	int failed = 0;
	size_t i;

	signal(SIGXFSZ, SIG_IGN);
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		place = places[i];
		if (access(place, W_OK) == 0)
			failed += cmocka_run_group_tests_name(place, tests, NULL, NULL);
	}
	return failed;
}
