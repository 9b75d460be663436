/*
 * The key-value store: what is put is there, also after the death of the writer; what is damaged,
 * locked or misled is dealt with as kv.h says.
 */
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "lib/clock.h"
#include "lib/kv.h"
#include "lib/mem.h"
#include "regress/unit/tree.h"

/* What an environment had when it broke is lost, Berkeley DB does not free it. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libdb-5.3\n";
}

static char base[] = "/tmp/test_kv.XXXXXX";
static char dir[64];

static int
setup(void **state)
{
	(void)state;
	strcpy(base + sizeof(base) - 7, "XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s/db", base);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	return tree_remove(base);
}

static struct kv *
must_open(void)
{
	struct kv *kv;
	char *why;

	kv = kv_open(dir, &why);
	if (kv == NULL || why != NULL)
		fail_msg("open: %s", why);
	return kv;
}

static struct kv_table *
must_table(struct kv *kv, const char *name)
{
	struct kv_table *t;
	char *why;

	t = kv_table_open(kv, name, &why);
	if (t == NULL || why != NULL)
		fail_msg("table: %s", why);
	return t;
}

/* How many files below DIRECTORY begin with PREFIX. */
static int
files(const char *directory, const char *prefix)
{
	struct dirent *e;
	DIR *d;
	int n = 0;

	d = opendir(directory);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL)
		n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
	closedir(d);
	return n;
}

static void
put_text(struct kv_table *t, const char *key, const char *value)
{
	assert_int_equal(kv_put(t, key, strlen(key), value, strlen(value)), 0);
}

static void
assert_text(struct kv_table *t, const char *key, const char *value)
{
	char out[64];
	size_t len;

	assert_int_equal(kv_get(t, key, strlen(key), out, sizeof(out), &len), 1);
	assert_int_equal(len, strlen(value));
	assert_memory_equal(out, value, len);
}

static void
test_put_get_delete(void **state)
{
	struct kv_table *a, *b;
	struct kv *kv;
	char out[4] = "zzz", big[9000];
	size_t len;

	(void)state;
	kv = must_open();
	a = must_table(kv, "alpha");
	b = must_table(kv, "beta");
	put_text(a, "one", "1");
	put_text(a, "one", "uno");
	put_text(b, "one", "other");
	assert_text(a, "one", "uno");
	assert_text(b, "one", "other");
	assert_int_equal(kv_get(a, "two", 3, out, sizeof(out), &len), 0);
	assert_int_equal(len, 0);

	/* a value that does not fit gives its beginning and its whole length */
	put_text(a, "long", "abcdefgh");
	assert_int_equal(kv_get(a, "long", 4, out, 3, &len), 1);
	assert_int_equal(len, 8);
	assert_memory_equal(out, "abcz", 3);

	/* keys and values are octets */
	assert_int_equal(kv_put(a, "a\0b", 3, "\0", 1), 0);
	assert_int_equal(kv_get(a, "a", 1, out, sizeof(out), &len), 0);
	assert_int_equal(kv_get(a, "a\0b", 3, out, sizeof(out), &len), 1);
	assert_int_equal(len, 1);
	assert_int_equal(kv_put(a, "void", 4, "", 0), 0);
	assert_int_equal(kv_get(a, "void", 4, out, sizeof(out), &len), 1);
	assert_int_equal(len, 0);

	memset(big, 'x', sizeof(big));
	assert_int_equal(kv_put(a, "big", 3, big, sizeof(big)), 0);
	memset(big, 0, sizeof(big));
	assert_int_equal(kv_get(a, "big", 3, big, sizeof(big), &len), 1);
	assert_int_equal(len, sizeof(big));
	assert_int_equal(big[8999], 'x');

	/* many at once; what a deletion does not find is no failure */
	put_text(a, "out", "x");
	assert_int_equal(kv_change_all(a,
	    (const struct kv_change[]){ { "in", 2, "new", 3 }, { "out", 3, NULL, 0 },
		{ "never", 5, NULL, 0 }, { "one", 3, "eins", 4 } }, 4), 0);
	assert_text(a, "in", "new");
	assert_text(a, "one", "eins");
	assert_int_equal(kv_get(a, "out", 3, out, sizeof(out), &len), 0);

	assert_int_equal(kv_delete(a, "one", 3), 1);
	assert_int_equal(kv_delete(a, "one", 3), 0);
	assert_text(b, "one", "other");
	kv_close(kv);

	kv = must_open();
	b = must_table(kv, "beta");
	a = must_table(kv, "alpha");
	assert_text(b, "one", "other");
	assert_text(a, "long", "abcdefgh");
	kv_close(kv);
}

struct seen {
	char text[128];
	char last[8];
	size_t last_len;
	const char *remove, *stop;
};

static enum kv_step
see(const void *key, size_t key_len, const void *value, size_t len, void *arg)
{
	struct seen *s = arg;

	assert_true(key_len < sizeof(s->last));
	memcpy(s->last, key, key_len);
	s->last[key_len] = '\0';
	s->last_len = key_len;
	strcat(s->text, s->last);
	strncat(s->text, value, len);
	strcat(s->text, " ");
	if (s->remove != NULL && strcmp(s->last, s->remove) == 0)
		return KV_DELETE;
	return s->stop != NULL && strcmp(s->last, s->stop) == 0 ? KV_STOP : KV_NEXT;
}

static void
test_scan(void **state)
{
	static const struct {
		const char *from;
		long limit;
		const char *remove, *stop;
		long n;
		const char *text;
	} cases[] = {
		{ "", 99, NULL, NULL, 5, "a1 b2 ba3 c4 d5 " },
		{ "", 0, NULL, NULL, 0, "" },
		{ "", 2, NULL, NULL, 2, "a1 b2 " },
		{ "b", 2, NULL, NULL, 2, "b2 ba3 " },
		{ "bb", 99, NULL, NULL, 2, "c4 d5 " },
		{ "e", 99, NULL, NULL, 0, "" },
		{ "", 99, NULL, "ba", 3, "a1 b2 ba3 " },
		{ "", 99, "b", "c", 4, "a1 b2 ba3 c4 " },
		{ "", 99, "d", NULL, 4, "a1 ba3 c4 d5 " },
		{ "", 99, NULL, NULL, 3, "a1 ba3 c4 " },
	};
	struct kv_table *t;
	struct kv *kv;
	struct seen s;
	size_t i;

	(void)state;
	kv = must_open();
	t = must_table(kv, "scan");
	put_text(t, "c", "4");
	put_text(t, "a", "1");
	put_text(t, "d", "5");
	put_text(t, "b", "2");
	put_text(t, "ba", "3");
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&s, 0, sizeof(s));
		s.remove = cases[i].remove;
		s.stop = cases[i].stop;
		assert_int_equal(
		    kv_scan(t, cases[i].from, strlen(cases[i].from), cases[i].limit, see, &s),
		    cases[i].n);
		assert_string_equal(s.text, cases[i].text);
	}
	/* going on after the last key seen */
	memset(&s, 0, sizeof(s));
	assert_int_equal(kv_scan(t, "", 0, 1, see, &s), 1);
	assert_int_equal(kv_scan(t, s.last, s.last_len + 1, 1, see, &s), 1);
	assert_string_equal(s.text, "a1 ba3 ");
	kv_close(kv);
}

/* Whether 32 octets of it are C. */
static bool
has_run_of(const char *path, char c)
{
	static char block[1024 * 1024];
	FILE *f = fopen(path, "r");
	size_t len, i, run = 0;

	assert_non_null(f);
	len = fread(block, 1, sizeof(block), f);
	fclose(f);
	for (i = 0; i < len && run < 32; i++)
		run = block[i] == c ? run + 1 : 0;
	return run == 32;
}

/* Memory that was not written since it was got holds what AddressSanitizer fills it with. */
static void
test_no_stray_memory_on_disk(void **state)
{
	static const char filling = (char)0xbe;
	const char *const files[] = { "t.db", "log.0000000001" };
	char path[128], key[32] = "", value[100] = "";
	struct kv *kv = must_open();
	struct kv_table *t = must_table(kv, "t");
	unsigned i;

	(void)state;
	for (i = 0; i < 1000; i++) { /* pages split */
		snprintf(key, sizeof(key), "%u", i * 7919 % 10007);
		assert_int_equal(kv_put(t, key, sizeof(key), value, sizeof(value)), 0);
	}
	kv_close(kv);
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		assert_false(has_run_of(path, filling));
	}
}

/* Puts 0, 1, 2, ... for ever and tells OUT of each. */
static void
writer(int out)
{
	struct kv_table *t;
	struct kv *kv;
	uint32_t i, key;
	char *why;

	kv = kv_open(dir, &why);
	if (kv == NULL || why != NULL || (t = kv_table_open(kv, "numbers", &why)) == NULL)
		_exit(1);
	for (i = 0;; i++) {
		key = i % 5000 * 2654435761u;
		if (kv_put(t, &key, sizeof(key), &i, sizeof(i)) != 0 ||
		    write(out, &i, sizeof(i)) != (ssize_t)sizeof(i))
			_exit(1);
		if (i % 100 == 99 && kv_sync(kv) != 0)
			_exit(1);
	}
}

/* The value that the last acknowledged round put under each key is there, or a newer one. */
static void
assert_numbers(uint32_t acknowledged)
{
	struct kv_table *t;
	struct kv *kv;
	uint32_t i, key, value;
	size_t len;

	kv = must_open();
	t = must_table(kv, "numbers");
	for (i = acknowledged >= 5000 ? acknowledged - 4999 : 0; i <= acknowledged; i++) {
		key = i % 5000 * 2654435761u;
		assert_int_equal(kv_get(t, &key, sizeof(key), &value, sizeof(value), &len), 1);
		assert_int_equal(len, sizeof(value));
		if (value < i || value % 5000 != i % 5000)
			fail_msg("key %u holds %u after %u was acknowledged", i % 5000, value, i);
	}
	kv_close(kv);
}

/* kill -9 of the writer anywhere in its work. */
static void
test_killed_writer(void **state)
{
	uint32_t got, enough;
	int fds[2], round, status;
	pid_t pid;

	(void)state;
	for (round = 0; round < 20; round++) {
		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			close(fds[0]);
			writer(fds[1]);
		}
		close(fds[1]);
		enough = (uint32_t)(round * 397 + 1);
		do {
			assert_int_equal(read(fds[0], &got, sizeof(got)), sizeof(got));
		} while (got < enough);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		while (read(fds[0], &enough, sizeof(enough)) == (ssize_t)sizeof(enough))
			got = enough;
		close(fds[0]);
		assert_numbers(got);
	}
	assert_int_equal(files(base, "db."), 0);
}

static void
fill(void)
{
	struct kv_table *t;
	struct kv *kv;
	char key[16];
	int i;

	kv = must_open();
	t = must_table(kv, "fill");
	for (i = 0; i < 3000; i++) {
		snprintf(key, sizeof(key), "key%05d", i);
		put_text(t, key, "0123456789012345678901234567890123456789");
	}
	kv_close(kv);
}

/* Overwrites every file of the directory that begins with PREFIX, from OFFSET on. */
static void
scribble(const char *prefix, off_t offset)
{
	char path[512], junk[512];
	struct dirent *e;
	struct stat st;
	off_t at;
	DIR *d;
	int fd;

	memset(junk, 0xa5, sizeof(junk));
	d = opendir(dir);
	assert_non_null(d);
	while ((e = readdir(d)) != NULL) {
		if (strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		fd = open(path, O_WRONLY);
		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &st), 0);
		for (at = offset; at < st.st_size; at += (off_t)sizeof(junk))
			assert_int_equal(pwrite(fd, junk, sizeof(junk), at), sizeof(junk));
		close(fd);
	}
	closedir(d);
}

/* Damage ends with a store that works; where the damage is found, the old one lies beside it. */
static void
test_damage(void **state)
{
	static const struct {
		const char *prefix;
		off_t offset;
	} cases[] = {
		{ "fill", 0 },	  /* from the first page on */
		{ "fill", 4096 }, /* all but the first page */
		{ "log.", 0 },	  /* the log, from its header on */
	};
	struct kv_table *t;
	struct kv *kv;
	char *why, value[64];
	size_t i, len;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fill();
		scribble(cases[i].prefix, cases[i].offset);
		kv = kv_open(dir, &why);
		assert_non_null(kv);
		free(why);
		t = kv_table_open(kv, "fill", &why);
		assert_non_null(t);
		free(why);
		/* found by checksum at the latest here; the second break in a row gives the files
		 * up */
		(void)kv_get(t, "key01000", 8, value, sizeof(value), &len);
		put_text(t, "after", "damage");
		assert_text(t, "after", "damage");
		assert_true(files(base, "db.damaged-") > 0);
		kv_close(kv);
		kv = must_open();
		t = must_table(kv, "fill");
		assert_text(t, "after", "damage");
		kv_close(kv);
		teardown(state);
		setup(state);
	}
}

/* Files that are gone while others stay: the same end. */
static void
test_lost_logs(void **state)
{
	struct kv_table *t;
	struct kv *kv;
	char command[128], key[16], *why;
	int i;

	(void)state;
	fill();
	snprintf(command, sizeof(command), "rm %s/log.*", dir);
	assert_int_equal(system(command), 0);
	kv = kv_open(dir, &why);
	assert_non_null(kv);
	free(why);
	t = kv_table_open(kv, "fill", &why);
	assert_non_null(t);
	free(why);
	for (i = 0; i < 100; i++) {
		snprintf(key, sizeof(key), "new%05d", i);
		(void)kv_put(t, key, strlen(key), "x", 1);
		(void)kv_sync(kv);
	}
	put_text(t, "after", "loss");
	assert_text(t, "after", "loss");
	kv_close(kv);
	kv = must_open();
	t = must_table(kv, "fill");
	assert_text(t, "after", "loss");
	kv_close(kv);
}

/* Five openings that died in the middle. */
static void
test_deadly_opening(void **state)
{
	struct kv *kv;
	char path[128], *why;
	FILE *f;

	(void)state;
	fill();
	snprintf(path, sizeof(path), "%s/opening", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("....", f);
	fclose(f);
	kv = must_open();
	kv_close(kv);
	assert_int_equal(access(path, F_OK), -1);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(".....", f);
	fclose(f);
	kv = kv_open(dir, &why);
	assert_non_null(kv);
	assert_non_null(why);
	assert_non_null(strstr(why, "moved aside"));
	free(why);
	kv_close(kv);
	assert_int_equal(files(base, "db.damaged-"), 1);
	assert_int_equal(access(path, F_OK), -1);
}

/* A directory whose parent is not ours: its files are renamed in place. */
static void
test_aside_in_place(void **state)
{
	struct kv *kv;
	char command[128], *why;

	(void)state;
	fill();
	scribble("log.", 0);
	assert_int_equal(chmod(base, 0555), 0);
	if (geteuid() == 0) {
		/* root may rename everything: be somebody else */
		snprintf(command, sizeof(command), "chown -R 65534 %s", dir);
		assert_int_equal(system(command), 0);
		assert_int_equal(seteuid(65534), 0);
		kv = kv_open(dir, &why);
		assert_int_equal(seteuid(0), 0);
	} else {
		kv = kv_open(dir, &why);
	}
	assert_int_equal(chmod(base, 0700), 0);
	assert_non_null(kv);
	assert_non_null(why);
	free(why);
	kv_close(kv);
	assert_int_equal(files(base, "db."), 0);
	assert_true(files(dir, "damaged-") > 1);
}

/* The whole of a role's chroot: no /tmp, no /proc, and the directory is the root. */
static void
test_chroot(void **state)
{
	struct kv_table *t;
	struct kv *kv;
	char *why;
	pid_t pid;
	int status;

	(void)state;
	if (geteuid() != 0) {
		print_message("skipped: only root may chroot\n");
		skip();
	}
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (chroot(base) == -1 || chdir("/") == -1 || (kv = kv_open("/", &why)) == NULL ||
		    why != NULL || (t = kv_table_open(kv, "root", &why)) == NULL ||
		    kv_put(t, "a", 1, "b", 1) != 0)
			_exit(1);
		kv_close(kv);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(files(base, "root.db"), 1);
}

static void
test_config_file(void **state)
{
	char path[128], *why;
	struct kv *kv;
	FILE *f;

	(void)state;
	assert_int_equal(mkdir(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/DB_CONFIG", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "set_lg_dir %s\n", base);
	fclose(f);
	fill();
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(files(base, "log."), 0);
	assert_true(files(dir, "log.") > 0);

	/* one that cannot be removed is refused */
	assert_int_equal(mkdir(path, 0700), 0);
	kv = kv_open(dir, &why);
	assert_null(kv);
	assert_non_null(strstr(why, "DB_CONFIG"));
	free(why);
	assert_int_equal(files(base, "db.damaged-"), 0);
}

static void
test_one_opener(void **state)
{
	struct kv *kv, *second;
	char *why;

	(void)state;
	kv = must_open();
	second = kv_open(dir, &why);
	assert_null(second);
	assert_non_null(strstr(why, "in use"));
	free(why);
	kv_close(kv);
	kv = must_open();
	kv_close(kv);
	assert_int_equal(files(base, "db.damaged-"), 0);
}

static void
test_modes(void **state)
{
	struct kv *kv;
	struct stat st;
	char path[128];

	(void)state;
	umask(0);
	assert_int_equal(mkdir(dir, 0755), 0);
	kv = must_open();
	(void)must_table(kv, "modes");
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	snprintf(path, sizeof(path), "%s/modes.db", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(files(dir, "__db"), 0);
	kv_close(kv);
}

/* No room: calls fail, nothing is moved aside, and with room again all goes on. */
static void
no_room(void)
{
	struct rlimit limit;
	struct kv_table *t;
	struct kv *kv;
	char key[16], value[2000], *why;
	size_t len;
	int i, rc = 0;

	signal(SIGXFSZ, SIG_IGN);
	kv = must_open();
	t = must_table(kv, "room");
	put_text(t, "before", "fullness");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = 300 * 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	memset(value, 'v', sizeof(value));
	for (i = 0; i < 2000 && rc == 0; i++) {
		snprintf(key, sizeof(key), "key%05d", i);
		rc = kv_put(t, key, strlen(key), value, sizeof(value));
	}
	assert_int_equal(rc, -1);
	assert_int_equal(kv_put(t, "x", 1, value, sizeof(value)), -1);
	assert_int_equal(kv_get(t, "x", 1, value, sizeof(value), &len), -1);
	kv_close(kv);
	kv = kv_open(dir, &why);
	if (kv != NULL)
		kv_close(kv);
	free(why);
	assert_int_equal(files(base, "db.damaged-"), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	kv = must_open();
	t = must_table(kv, "room");
	assert_text(t, "before", "fullness");
	assert_int_equal(kv_get(t, "key00000", 8, value, sizeof(value), &len), 1);
	assert_int_equal(len, sizeof(value));
	kv_close(kv);
}

static void
test_no_room(void **state)
{
	(void)state;
	no_room();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_put_get_delete, setup, teardown),
		cmocka_unit_test_setup_teardown(test_scan, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_stray_memory_on_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed_writer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_logs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deadly_opening, setup, teardown),
		cmocka_unit_test_setup_teardown(test_aside_in_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_chroot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_config_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_opener, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
