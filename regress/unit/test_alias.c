/*
 * What aliases and .forward files say: items, command lines, texts of recipients; files that are not
 * to be believed; and return addresses (SRS), which must come back only when they are ours.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "deliver/alias.h"
#include "deliver/alias_item.h"
#include "deliver/command_line.h"
#include "deliver/forward.h"
#include "deliver/srs.h"
#include "deliver/target.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* "address a, program |/b c": all items of VALUE, or what is wrong with the first that is none. */
static char *
items_of(const char *value)
{
	static const char *const kinds[] = {
		[ITEM_ADDRESS] = "address",
		[ITEM_MAILBOX] = "mailbox",
		[ITEM_DOMAIN] = "domain",
		[ITEM_PROGRAM] = "program",
		[ITEM_FILE] = "file",
		[ITEM_INCLUDE] = "include",
	};
	struct buf out = { 0 };
	struct alias_item item;
	char *why;
	int got;

	while ((got = alias_item_next(&value, &item, &why)) > 0) {
		buf_addf(&out, "%s%s %s", out.len > 0 ? ", " : "", kinds[item.kind], item.text);
		free(item.text);
	}
	if (got < 0)
		buf_addf(&out, "%s! %s", out.len > 0 ? ", " : "", why);
	free(why);
	return buf_take(&out);
}

static void
test_items(void **state)
{
	static const struct {
		const char *value, *items;
	} cases[] = {
		{ "", "" },
		{ " , ,", "" },
		{ "alice", "address alice" },
		{ "alice,bob@x.example , \\carol", "address alice, address bob@x.example, mailbox carol" },
		{ "\"alice\"", "address \"alice\"" },
		{ "\"a b\"@x.example", "address \"a b\"@x.example" },
		{ "\"a, b\"@x.example, c", "address \"a, b\"@x.example, address c" },
		{ "\"alice@x.example\"", "address alice@x.example" },
		{ "Alice <alice@x.example>", "address alice@x.example" },
		{ "\"A, B\" <alice@x.example>", "address alice@x.example" },
		{ "\"\\\\alice\"", "mailbox alice" },
		{ "alice@x.example (Alice)", "address alice@x.example" },
		{ "alice (A, \"the (first)\"), (B) bob", "address alice, address bob" },
		{ "(A \\) a) Alice <alice@x.example>, \\bob(B)", "address alice@x.example, mailbox bob" },
		{ "\"a(b\"@x.example, c", "address \"a(b\"@x.example, address c" },
		{ "alice (A, bob", "! a parenthesis is not closed" },
		{ "/var/log/mail(1), bob", "file /var/log/mail(1), address bob" },
		{ "|/bin/prog", "program |/bin/prog" },
		{ "|/bin/prog a b, c", "program |/bin/prog a b, address c" },
		{ "\"|/bin/prog a, b\"", "program |/bin/prog a, b" },
		{ "| \"/bin/prog a, b\"", "program |/bin/prog a, b" },
		{ "|/bin/prog \"a, b\" c", "program |/bin/prog \"a, b\" c" },
		{ "\"|/bin/prog \\\"a, b\\\"\"", "program |/bin/prog \"a, b\"" },
		{ "\"|exec /bin/prog\"", "program |exec /bin/prog" },
		{ "/var/log/mail", "file /var/log/mail" },
		{ "\"/var/a b\"", "file /var/a b" },
		{ "/home/a/Maildir/", "file /home/a/Maildir/" },
		{ ":include:/etc/x", "include /etc/x" },
		{ ":Include: /etc/x , b", "include /etc/x, address b" },
		{ "\":include:/etc/a, b\"", "include /etc/a, b" },
		{ ":include:\"x\"", "! \":include:\"x\"\": the path must begin with \"/\"" },
		{ "@x.example", "domain @x.example" },
		{ "a, \"b", "address a, ! a quote (\") is not closed" },
		{ ":fail: x", "! only \":include:/path\" may begin with a colon" },
		{ "|", "! there is no program behind the \"|\"" },
		{ "|prog", "! \"prog\": a program is named by its whole path" },
		{ "|/bin/a; /bin/b", "! ';' would need a shell, and none is run; name the program alone, and "
		    "put the rest into a script" },
		{ "a\nb\001", "! there is a control character in it" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		char *got = items_of(cases[i].value);

		if (strcmp(got, cases[i].items) != 0)
			fail_msg("%s\n got: %s\nnot: %s", cases[i].value, got, cases[i].items);
		free(got);
	}
}

static void
test_long_item(void **state)
{
	char *value = xmalloc(TARGET_MAX + 1), *got;

	(void)state;
	memset(value, 'a', TARGET_MAX);
	value[0] = '/';
	value[TARGET_MAX] = '\0';
	got = items_of(value);
	assert_non_null(strstr(got, "! an item is longer than"));
	free(got);
	free(value);
}

static void
test_commands(void **state)
{
	static const struct {
		const char *text, *words; /* with '|' between; NULL: an error */
	} cases[] = {
		{ "/bin/a", "/bin/a" },
		{ "  /bin/a  b\tc ", "/bin/a|b|c" },
		{ "exec /bin/a b", "/bin/a|b" },
		{ "/bin/a 'b c' \"d e\"", "/bin/a|b c|d e" },
		{ "/bin/a 'b'\"c\"d", "/bin/a|bcd" },
		{ "/bin/a ''", "/bin/a|" },
		{ "/bin/a b\\ c \"\\\"\"", "/bin/a|b c|\"" },
		{ "/bin/a '\\' '$x;`'", "/bin/a|\\|$x;`" },
		{ "/bin/a \"b;c>d\"", "/bin/a|b;c>d" },
		{ "/bin/a \"$x\"", NULL },
		{ "/bin/a $x", NULL },
		{ "/bin/a `b`", NULL },
		{ "/bin/a && /bin/b", NULL },
		{ "/bin/a #75", NULL },
		{ "IFS=' ' && exec /bin/a", NULL },
		{ "/bin/a 'b", NULL },
		{ "", NULL },
		{ "exec ", NULL },
		{ "bin/a", NULL },
	};
	size_t i, k;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		char **argv = NULL, *why = command_split(cases[i].text, &argv);
		struct buf got = { 0 };

		for (k = 0; why == NULL && argv[k] != NULL; k++)
			buf_addf(&got, "%s%s", k > 0 ? "|" : "", argv[k]);
		if ((why == NULL) != (cases[i].words != NULL) ||
		    (why == NULL && strcmp(buf_str(&got), cases[i].words) != 0))
			fail_msg("%s: %s", cases[i].text, why != NULL ? why : buf_str(&got));
		if (why == NULL)
			command_argv_free(argv);
		free(why);
		buf_free(&got);
	}
}

static void
test_targets(void **state)
{
	static const struct {
		const char *text;
		enum target_kind kind;
		const char *address, *item;
	} cases[] = {
		{ "a@b.example", TARGET_ADDRESS, "a@b.example", NULL },
		{ "a|b/c@b.example", TARGET_ADDRESS, "a|b/c@b.example", NULL },
		{ "\"a@b|c\"@b.example", TARGET_ADDRESS, "\"a@b|c\"@b.example", NULL },
		{ "\\a@b.example", TARGET_MAILBOX, "a@b.example", NULL },
		{ "\\a@b.example|/bin/x y@z", TARGET_PROGRAM, "a@b.example", "|/bin/x y@z" },
		{ "\\a@b.example/var/x", TARGET_FILE, "a@b.example", "/var/x" },
		{ "\\a|b@b.example|/bin/x", TARGET_PROGRAM, "a|b@b.example", "|/bin/x" },
		{ "\\\"a@b\\\"|/c\"@b.example/var/x", TARGET_FILE, "\"a@b\\\"|/c\"@b.example", "/var/x" },
		{ "\\a@[192.0.2.1]|/bin/x", TARGET_PROGRAM, "a@[192.0.2.1]", "|/bin/x" },
		{ "\\", TARGET_MAILBOX, "", NULL },
		{ "", TARGET_ADDRESS, "", NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		struct target target;

		target_parse(cases[i].text, &target);
		assert_int_equal(target.kind, cases[i].kind);
		assert_string_equal(target.address, cases[i].address);
		if (cases[i].item == NULL)
			assert_null(target.item);
		else
			assert_string_equal(target.item, cases[i].item);
		target_free(&target);
	}
	assert_string_equal(target_words("\\a@b.example|/bin/x"), "a@b.example|/bin/x");
	assert_string_equal(target_address_end("a|b@c.example"), "");
}

/* --- .forward --- */

static char home[] = "/tmp/test_alias.XXXXXX";

static void
put_named(const char *name, const char *text, mode_t mode)
{
	char *path = xasprintf("%s/%s", home, name);
	FILE *f;

	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
	free(path);
}

static void
put_forward(const char *text, mode_t mode)
{
	put_named(".forward", text, mode);
}

static enum forward_result
read_forward(uid_t uid, const char *address, struct alias_targets *got, char **why)
{
	struct forward_of who = { .account = "alice", .home = home, .uid = uid, .address = address };
	enum forward_result result;
	char *file;

	result = forward_read(&who, got, &file, why);
	free(file);
	return result;
}

static void
expect_forward_of(
    const char *address, enum forward_result wanted, const char *targets, const char *words)
{
	struct alias_targets got = { .n = 0 };
	struct buf list = { 0 };
	char *why;
	enum forward_result result = read_forward(geteuid(), address, &got, &why);
	size_t i;

	for (i = 0; i < got.n; i++)
		buf_addf(&list, "%s%s", i > 0 ? " " : "", got.addresses[i]);
	if (result != wanted || (wanted == FORWARD_TARGETS && strcmp(buf_str(&list), targets) != 0) ||
	    (words == NULL) != (why == NULL) || (words != NULL && strstr(why, words) == NULL))
		fail_msg("%d \"%s\" %s", result, buf_str(&list), why != NULL ? why : "");
	buf_free(&list);
	alias_free(&got);
	free(why);
}

static void
expect_forward(enum forward_result wanted, const char *targets, const char *words)
{
	expect_forward_of("alice@ours.example", wanted, targets, words);
}

/* As sendmail and Postfix: user+ext looks for ~/.forward+ext first, under the same conditions. */
static void
test_forward_extension(void **state)
{
	static const struct {
		const char *local, *file; /* below HOME; NULL: .forward alone */
	} cases[] = {
		{ "alice+lists", "/.forward+lists" }, { "Alice+Lists", "/.forward+lists" }, { "alice-a-b", "/.forward-a-b" },
		{ "alice", NULL }, { "alice+", NULL }, { "alic", NULL }, { "bob+lists", NULL }, { "alice+../x", NULL },
		{ "alice+/etc/passwd", NULL }, { "alice+..", "/.forward+.." },
	};
	char *path;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		path = forward_extended("/home/a", "alice", cases[i].local);
		if (cases[i].file == NULL)
			assert_null(path);
		else
			assert_string_equal(path + strlen("/home/a"), cases[i].file);
		free(path);
	}
	strcpy(home, "/tmp/test_alias.XXXXXX");
	assert_non_null(mkdtemp(home));
	put_forward("bob\n", 0600);
	put_named(".forward+lists", "carol, alice\n", 0600);
	expect_forward_of("alice@ours.example", FORWARD_TARGETS, "bob@ours.example", NULL);
	expect_forward_of("alice+other@ours.example", FORWARD_TARGETS, "bob@ours.example", NULL);
	expect_forward_of("Alice+Lists@ours.example", FORWARD_TARGETS, "carol@ours.example alice@ours.example", NULL);
	/* the first that is there decides, also when it is not believed, or empty */
	put_named(".forward+lists", "carol\n", 0660);
	expect_forward_of("alice+lists@ours.example", FORWARD_NONE, "", ".forward+lists is not believed");
	put_named(".forward+lists", "", 0600);
	expect_forward_of("alice+lists@ours.example", FORWARD_NONE, "", NULL);
	path = xasprintf("%s/.forward+lists", home);
	unlink(path);
	free(path);
	path = xasprintf("%s/.forward", home);
	unlink(path);
	free(path);
	expect_forward_of("alice+lists@ours.example", FORWARD_NONE, "", NULL);
	rmdir(home);
}

static void
test_forward(void **state)
{
	char *path;

	(void)state;
	assert_non_null(mkdtemp(home));
	path = xasprintf("%s/.forward", home);
	expect_forward(FORWARD_NONE, "", NULL);
	put_forward("", 0600);
	expect_forward(FORWARD_NONE, "", NULL);
	put_forward("# nobody\n\n", 0600);
	expect_forward(FORWARD_NONE, "", NULL);
	put_forward("# a comment\n\\alice, bob\n\"|/bin/prog 'a b'\"\n/tmp/box\nalice@elsewhere.example", 0644);
	expect_forward(FORWARD_TARGETS, "\\alice@ours.example bob@ours.example "
	    "\\alice@ours.example|/bin/prog 'a b' \\alice@ours.example/tmp/box alice@elsewhere.example", NULL);
	/* his own name is his mailbox */
	put_forward("Alice\n", 0600);
	expect_forward(FORWARD_TARGETS, "\\Alice@ours.example", NULL);
	/* what makes no sense is a reason to wait */
	put_forward("bob\n\"|/bin/a\n", 0600);
	expect_forward(FORWARD_LATER, "", "/.forward: line 2: a quote");
	/* what others can write is not believed */
	put_forward("bob\n", 0660);
	expect_forward(FORWARD_NONE, "", "may be written by its group");
	put_forward("bob\n", 0602);
	expect_forward(FORWARD_NONE, "", "may be written by everybody");
	put_forward("bob\n", 0600);
	assert_int_equal(chmod(home, 0777), 0);
	expect_forward(FORWARD_NONE, "", "may be written by");
	assert_int_equal(chmod(home, 0700), 0);
	expect_forward(FORWARD_TARGETS, "bob@ours.example", NULL);
	if (geteuid() == 0) {
		struct alias_targets got = { .n = 0 };
		char *why;

		assert_int_equal(chown(path, 12345, 12345), 0);
		expect_forward(FORWARD_NONE, "", "belongs to somebody else");
		/* root's may stand in anybody's home, another's not */
		assert_int_equal(read_forward(12345, "alice@ours.example", &got, &why), FORWARD_TARGETS);
		alias_free(&got);
	}
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	expect_forward(FORWARD_NONE, "", "is no text file");
	rmdir(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	expect_forward(FORWARD_NONE, "", "is no text file");
	unlink(path);
	rmdir(home);
	free(path);
}

/* --- SRS --- */

#define DAY 86400

static struct srs srs = { .secret = "tops3cr3t-and-long", .len = 18 };

static void
expect_back(const char *address, int64_t now, enum srs_result wanted, const char *original)
{
	char *local = xstrndup(address, strcspn(address, "@")), *got;
	enum srs_result result = srs_reverse(&srs, local, now, &got);

	if (result != wanted || (wanted == SRS_GOOD && strcmp(got, original) != 0))
		fail_msg("%s: %d %s", address, result, got != NULL ? got : "");
	free(got);
	free(local);
}

static void
test_srs(void **state)
{
	static const char *const senders[] = { "alice@example.net", "Alice.B+x@Example.NET", "a=b=c@x-y.example",
		"\"a b\"@example.net", "srs0@example.net", "\xc3\xa9@example.net" };
	int64_t now = 1800000000;
	char *there, *again, *changed, *at;
	size_t i;

	(void)state;
	for (i = 0; i < N(senders); i++) {
		char *normal;

		there = srs_forward(&srs, senders[i], "ours.example", now);
		assert_non_null(there);
		assert_non_null(strstr(there, "SRS0="));
		normal = xstrdup(senders[i]);
		if ((at = strrchr(normal, '@')) != NULL && strcmp(at, "@Example.NET") == 0)
			strcpy(at, "@example.net");
		if (there[0] != '"')
			expect_back(there, now + 3 * DAY, SRS_GOOD, normal);
		free(normal);
		free(there);
	}
	/* known to libsrs2, too: HMAC-SHA1 over stamp, domain and name in small letters */
	there = srs_forward(&srs, "alice@example.net", "ours.example", now);
	assert_int_equal(strlen(there), strlen("SRS0=HHHH=TT=example.net=alice@ours.example"));
	expect_back(there, now, SRS_GOOD, "alice@example.net");
	expect_back(there, now - DAY, SRS_GOOD, "alice@example.net");
	expect_back(there, now + SRS_DAYS * DAY, SRS_GOOD, "alice@example.net");
	expect_back(there, now + (SRS_DAYS + 1) * DAY, SRS_EXPIRED, NULL);
	/* every octet of the address counts, but for the case of letters */
	for (i = 5; there[i] != '@'; i++) {
		changed = xstrdup(there);
		changed[i] = changed[i] == 'q' || changed[i] == 'Q' ? 'z' : 'q';
		if (strcasecmp(changed, there) != 0)
			expect_back(changed, now, SRS_FORGED, NULL);
		free(changed);
	}
	changed = xstrdup(there);
	for (i = 0; i < strlen(changed); i++)
		changed[i] = changed[i] >= 'A' && changed[i] <= 'Z' ? (char)(changed[i] + 32) : changed[i];
	expect_back(changed, now, SRS_GOOD, "alice@example.net");
	free(changed);
	/* forwarded once more, by another with this secret: the first host is kept */
	again = srs_forward(&srs, there, "second.example", now);
	assert_int_equal(strncmp(again, "SRS1=", 5), 0);
	expect_back(again, now, SRS_GOOD, there);
	changed = srs_forward(&srs, again, "third.example", now);
	assert_int_equal(strncmp(changed, "SRS1=", 5), 0);
	expect_back(changed, now, SRS_GOOD, there);
	free(changed);
	free(again);
	free(there);
	/* what is too long is left as it is */
	changed = xmalloc(260);
	memset(changed, 'a', 240);
	strcpy(changed + 230, "@example.net");
	assert_null(srs_forward(&srs, changed, "ours.example", now));
	free(changed);
	expect_back("alice", now, SRS_NONE, NULL);
	expect_back("SRS0", now, SRS_NONE, NULL);
	expect_back("SRS0x=", now, SRS_NONE, NULL);
	expect_back("SRS0=", now, SRS_FORGED, NULL);
	expect_back("SRS0=AAAA=BB", now, SRS_FORGED, NULL);
	expect_back("SRS0=AAAA=BB=", now, SRS_FORGED, NULL);
	expect_back("SRS1=", now, SRS_FORGED, NULL);
	expect_back("SRS1=AAAA=x", now, SRS_FORGED, NULL);
	expect_back("SRS1=AAAA=x==y", now, SRS_FORGED, NULL);
}

static void
test_secret(void **state)
{
	char dir[] = "/tmp/test_alias.XXXXXX", *path, *why;
	struct srs one = { .len = 0 }, two = { .len = 0 };
	struct stat st;
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(dir));
	path = xasprintf("%s/secret", dir);
	why = srs_load(&one, path, false);
	assert_non_null(why);
	free(why);
	assert_int_equal(one.len, 0);
	assert_null(srs_forward(&one, "a@b.example", "ours.example", 1));
	assert_null(srs_load(&one, path, true));
	assert_null(srs_load(&two, path, true));
	assert_int_equal(one.len, 32);
	assert_memory_equal(one.secret, two.secret, 32);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	f = fopen(path, "w");
	fputs("short\n", f);
	fclose(f);
	why = srs_load(&two, path, true);
	assert_non_null(strstr(why, "too short"));
	assert_int_equal(two.len, 0);
	free(why);
	unlink(path);
	rmdir(dir);
	free(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_long_item),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_forward_extension),
		cmocka_unit_test(test_srs),
		cmocka_unit_test(test_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
