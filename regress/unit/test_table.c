/*
 * Tables: every kind of question, every form of line in a file, what happens when the file turns
 * bad; and the three small readers of the configuration's values: quoted strings, quantities, the
 * nearest word.
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

#include "lib/buf.h"
#include "lib/ip.h"
#include "lib/mem.h"
#include "lib/nearest.h"
#include "lib/quantity.h"
#include "lib/quote.h"
#include "lib/table.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static struct table *
make(const char *const *keys, size_t n)
{
	struct table *table = table_new("t");
	size_t i;

	for (i = 0; i < n; i++)
		assert_true(table_add(table, keys[i], NULL));
	return table;
}

static void
test_get(void **state)
{
	struct table *table = table_new("virtual");
	struct buf out = { 0 };

	(void)state;
	assert_string_equal(table_name(table), "virtual");
	assert_null(table_path(table));
	assert_null(table_get(table, "alice"));
	assert_true(table_add(table, "Alice@Example.NET", "bob"));
	assert_true(table_add(table, "set", NULL));
	assert_true(table_add(table, "192.0.2.1/32", "host"));
	assert_true(table_add(table, "2001:DB8::/32", "net \"6\""));
	assert_false(table_add(table, "ALICE@example.net", "other"));
	assert_false(table_add(table, "192.0.2.1", NULL));
	assert_false(table_add(table, "::ffff:192.0.2.1", NULL));
	assert_false(table_add(table, "2001:db8:0::/32", NULL));
	assert_string_equal(table_get(table, "alice@EXAMPLE.net"), "bob");
	assert_string_equal(table_get(table, "SET"), "");
	assert_string_equal(table_get(table, "192.0.2.1/32"), "host");
	assert_null(table_get(table, "192.0.2.2"));
	assert_null(table_get(table, ""));
	assert_int_equal(table_count(table), 4);
	table_print(&out, table);
	assert_string_equal(buf_str(&out), "<virtual>");
	buf_clear(&out);
	table_print_content(&out, table);
	assert_string_equal(buf_str(&out),
	    "{ \"alice@example.net\" = \"bob\", \"set\", 192.0.2.1 = \"host\", "
	    "2001:db8::/32 = \"net \\\"6\\\"\" }");
	table_free_in_place(table);
	assert_int_equal(table_count(table), 4);
	table_free(table);
	table_free_in_place(NULL);
	table_free_in_place(table_new(""));
	buf_free(&out);
}


static void
note(const char *key, const char *value, void *arg)
{
	(void)value;
	buf_addf(arg, "%s ", key);
}

/* Many keys: growth keeps them all, in order. */
static void
test_growth(void **state)
{
	struct table *table = table_new("");
	struct buf keys = { 0 }, expected = { 0 };
	char key[32];
	int i;

	(void)state;
	for (i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "key-%d", i);
		assert_true(table_add(table, key, key + 4));
		buf_addf(&expected, "%s ", key);
	}
	assert_int_equal(table_count(table), 20000);
	for (i = 0; i < 20000; i++) {
		snprintf(key, sizeof(key), "KEY-%d", i);
		assert_string_equal(table_get(table, key), key + 4);
	}
	table_each(table, note, &keys);
	assert_string_equal(buf_str(&keys), buf_str(&expected));
	buf_free(&keys);
	buf_free(&expected);
	table_free(table);
}

static void
test_client(void **state)
{
	static const char *const keys[] = { "192.0.2.0/24", "198.51.100.7", "2001:db8::/32",
		"203.0.113.128/25", "example.net", ".example.org", "localhost" };
	static const struct {
		const char *ip, *name;
		bool match;
	} cases[] = {
		{ "192.0.2.1", NULL, true },
		{ "192.0.2.255", NULL, true },
		{ "192.0.3.0", NULL, false },
		{ "198.51.100.7", NULL, true },
		{ "198.51.100.8", NULL, false },
		{ "::ffff:198.51.100.7", NULL, true },
		{ "203.0.113.127", NULL, false },
		{ "203.0.113.128", NULL, true },
		{ "2001:db8:ffff::1", NULL, true },
		{ "2001:db9::1", NULL, false },
		{ "::192.0.2.1", NULL, false },
		{ "10.0.0.1", "example.net", true },
		{ "10.0.0.1", "Mail.Example.NET", true },
		{ "10.0.0.1", "a.b.example.net.", true },
		{ "10.0.0.1", "badexample.net", false },
		{ "10.0.0.1", "example.net.evil.example", false },
		{ "10.0.0.1", "net", false },
		{ "10.0.0.1", "example.org", false },
		{ "10.0.0.1", "mail.example.org", true },
		{ "10.0.0.1", ".example.org", true },
		{ "10.0.0.1", "localhost", true },
		{ "10.0.0.1", "a.localhost", true },
		{ "10.0.0.1", "", false },
		{ "10.0.0.1", ".", false },
		{ "10.0.0.1", "..", false },
		{ "10.0.0.1", NULL, false },
	};
	struct table *table = make(keys, N(keys)), *empty = table_new("");
	struct ip ip;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		assert_true(ip_parse(cases[i].ip, &ip));
		if (table_match_client(table, &ip, cases[i].name) != cases[i].match)
			fail_msg("%s %s", cases[i].ip, cases[i].name != NULL ? cases[i].name : "-");
		assert_false(table_match_client(empty, &ip, cases[i].name));
	}
	assert_false(table_match_client(table, &(struct ip){ .family = 0 }, NULL));
	table_free(table);
	table_free(empty);
}

/* The whole of a family is a network too. */
static void
test_everybody(void **state)
{
	static const char *const keys[] = { "0.0.0.0/0" };
	struct table *table = make(keys, N(keys));
	struct ip ip;

	(void)state;
	assert_true(ip_parse("255.1.2.3", &ip) && table_match_client(table, &ip, NULL));
	assert_true(ip_parse("::1", &ip) && !table_match_client(table, &ip, NULL));
	table_free(table);
}

static void
test_address(void **state)
{
	static const char *const keys[] = { "alice@example.net", "postmaster@", "@example.com",
		"example.org", ".sub.example", "\"a b\"@example.net", "<>" };
	static const struct {
		const char *address;
		bool match;
	} cases[] = {
		{ "alice@example.net", true },
		{ "Alice@EXAMPLE.net", true },
		{ "alice@mail.example.net", false },
		{ "bob@example.net", false },
		{ "postmaster@anywhere.example", true },
		{ "xpostmaster@anywhere.example", false },
		{ "x@example.com", true },
		{ "x@mail.example.com", false },
		{ "x@example.org", true },
		{ "x@mail.example.org", true },
		{ "x@xexample.org", false },
		{ "x@sub.example", false },
		{ "x@a.sub.example", true },
		{ "\"a b\"@example.net", true },
		{ "\"x@example.com\"@example.net", false },
		{ "mail.example.org", false },
		{ "", true },
		{ "@", false },
	};
	struct table *table = make(keys, N(keys)), *empty = table_new("");
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		if (table_match_address(table, cases[i].address) != cases[i].match)
			fail_msg("%s", cases[i].address);
		assert_false(table_match_address(empty, cases[i].address));
	}
	table_free(table);
	table_free(empty);
}

/* --- files --- */

static char path[] = "/tmp/genkan-table-XXXXXX";

static int
make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd == -1)
		return -1;
	close(fd);
	return 0;
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

static void
write_file(const char *content, size_t len)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(content, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void
test_file_forms(void **state)
{
	static const char content[] =
	    "# a comment\n"
	    "\n"
	    "alone\n"
	    "key value\n"
	    "root:alice\n"
	    "Info: alice, bob # and nobody else\n"
	    "tabbed\t\tvalue \t \n"
	    "list: \"|/usr/bin/prog -a\"\n"
	    "  , continued\n"
	    "\t# a comment between\n"
	    "\tand again\n"
	    "\"a b\": spaced\n"
	    "\"q\\\"c\":x#y\n"
	    "192.0.2.0/24 OK\n"
	    "198.51.100.1: OK\n"
	    "2001:db8::/32 OK\n"
	    "2001:db8:1::5: OK\n"
	    "::1\n"
	    "dos: ends\r\n"
	    "a@example.net b@example.net\n"
	    "empty:\n"
	    "last: line";
	static const struct {
		const char *key, *value;
	} expected[] = {
		{ "alone", "" },
		{ "key", "value" },
		{ "root", "alice" },
		{ "info", "alice, bob" },
		{ "tabbed", "value" },
		{ "list", "\"|/usr/bin/prog -a\" , continued and again" },
		{ "a b", "spaced" },
		{ "q\"c", "x#y" },
		{ "192.0.2.0/24", "OK" },
		{ "198.51.100.1", "OK" },
		{ "2001:db8::/32", "OK" },
		{ "2001:db8:1::5", "OK" },
		{ "::1", "" },
		{ "dos", "ends" },
		{ "a@example.net", "b@example.net" },
		{ "empty", "" },
		{ "last", "line" },
	};
	struct table *table = table_new("f");
	const char *value;
	size_t i;

	(void)state;
	write_file(content, strlen(content));
	assert_null(table_load_file(table, path));
	assert_string_equal(table_path(table), path);
	for (i = 0; i < N(expected); i++) {
		value = table_get(table, expected[i].key);
		if (value == NULL || strcmp(value, expected[i].value) != 0)
			fail_msg("%s: %s", expected[i].key, value != NULL ? value : "(none)");
	}
	assert_int_equal(table_count(table), N(expected));
	table_free(table);
}

static void
add_line(const char *what, void *arg)
{
	assert_int_equal(strncmp(what, path, strlen(path)), 0);
	buf_addf(arg, "%s\n", what + strlen(path) + 1);
}

/* The lines of the last file that make no sense, "LINE: why" each, in TEXT. */
static const char *
faults_of(const struct table *table, struct buf *text)
{
	buf_clear(text);
	table_each_fault(table, add_line, text);
	return buf_str(text);
}

/* Each costs what it would have said, and "z" is served whatever stands above it. */
static void
test_bad_lines(void **state)
{
#define CASE(text, ...) { text "z: last\n", sizeof(text "z: last\n") - 1, __VA_ARGS__ }
	static const struct {
		const char *content;
		size_t len;
		const char *faults;
		bool unread;       /* whose line it is cannot be told */
		const char *key;   /* that the lines are about */
		const char *value; /* NULL: it has none */
		const char *fault; /* nor can one be told */
	} cases[] = {
		CASE("a b\n\nb\n  c\nA b\n", "5: \"A\" is there already, in line 1\n", false, "a", "b", NULL),
		CASE("a b\na: c\nA d\na b\n", "2: \"a\" is there already, in line 1, with another value; neither counts\n"
			"3: \"A\" is there already, in line 1, with another value; neither counts\n"
			"4: \"a\" is there already, in line 1\n", false, "a", NULL, "\"a\" has different values in lines 1 and 2"),
		CASE("192.0.2.1\n192.0.2.1/32\n", "2: \"192.0.2.1/32\" is there already, in line 1\n", false, "192.0.2.1", "",
			NULL),
		CASE(": x\n", "1: there is no key before the \":\"\n", true, "", NULL, NULL),
		CASE("a\nb\0c\n d\n", "2: there is a NUL in this line\n", true, "b", NULL, NULL),
		CASE("a b\n \0\n e\nf g\n", "2: there is a NUL in this line\n", true, "a", NULL, NULL),
		CASE("\0\n a: b\n", "1: there is a NUL in this line\n", true, "a", NULL, NULL),
		CASE("\n\"open: x\n", "2: the string is not closed on its line\n", true, "open", NULL, NULL),
		CASE("\"a\\x\": x\n\"\n", "1: in a string only \\\" and \\\\ are escapes\n"
			"2: the string is not closed on its line\n", true, "ax", NULL, NULL),
	};
#undef CASE
	struct buf faults = { 0 };
	struct table *table = table_new("f");
	const char *value;
	char *fault;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		write_file(cases[i].content, cases[i].len);
		assert_null(table_load_file(table, path));
		assert_string_equal(faults_of(table, &faults), cases[i].faults);
		assert_string_equal(table_get(table, "z"), "last");
		assert_null(table_fault(table, "z"));
		assert_int_equal(table_unread(table) != NULL, cases[i].unread);
		value = table_get(table, cases[i].key);
		if (cases[i].value != NULL)
			assert_string_equal(value, cases[i].value);
		else
			assert_null(value);
		fault = table_fault(table, cases[i].key);
		if (cases[i].fault != NULL)
			assert_string_equal(fault + strlen(path) + 2, cases[i].fault);
		else
			assert_null(fault);
		free(fault);
	}
	buf_free(&faults);
	table_free(table);
}

/* Of a set two lines say the same, and of a map they still say that it is a member. */
static void
test_doubled_member(void **state)
{
	static const char twice[] = "a@example.net OK\nA@example.net yes\nexample.org\nexample.org\n";
	struct table *table = table_new("f");

	(void)state;
	write_file(twice, strlen(twice));
	assert_null(table_load_file(table, path));
	assert_true(table_match_address(table, "a@example.net"));
	assert_true(table_match_address(table, "b@example.org"));
	assert_int_equal(table_count(table), 2);
	/* good again */
	write_file("a b\n", 4);
	assert_null(table_refresh(table));
	assert_null(table_first_fault(table));
	assert_string_equal(table_get(table, "a"), "b");
	table_free(table);
}

static void
test_file_errors(void **state)
{
	struct table *table = table_new("f");
	char *error;

	(void)state;
	assert_true(table_add(table, "kept", "yes"));
	error = table_load_file(table, "/nonexistent/file");
	assert_string_equal(error, "/nonexistent/file: No such file or directory");
	free(error);
	error = table_load_file(table, "/tmp");
	assert_string_equal(error, "/tmp: not a regular file");
	free(error);
	assert_int_equal(table_count(table), 1);
	assert_string_equal(table_get(table, "kept"), "yes");
	table_free(table);
}

static void
test_refresh(void **state)
{
	struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
	struct table *table = table_new("f");
	char *error;

	(void)state;
	assert_null(table_refresh(table)); /* there is no file */
	write_file("a: 1\n", 5);
	assert_null(table_load_file(table, path));
	assert_null(table_refresh(table));
	write_file("a: 2\nb: 3\n", 10);
	assert_null(table_refresh(table));
	assert_string_equal(table_get(table, "a"), "2");
	assert_string_equal(table_get(table, "b"), "3");
	/* the same size, another time */
	write_file("a: 4\nb: 5\n", 10);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_null(table_refresh(table));
	assert_string_equal(table_get(table, "a"), "4");
	/* turns bad in one line: the others count */
	write_file("a: 6\na: 7\nb: 8\n", 15);
	assert_null(table_refresh(table));
	assert_null(table_get(table, "a"));
	assert_string_equal(table_get(table, "b"), "8");
	/* is gone: the old content stays */
	unlink(path);
	error = table_refresh(table);
	assert_non_null(error);
	free(error);
	assert_string_equal(table_get(table, "b"), "8");
	/* and good again */
	write_file("c\n", 2);
	assert_null(table_refresh(table));
	assert_null(table_get(table, "a"));
	assert_int_equal(table_count(table), 1);
	table_free(table);
}

/* --- strings, quantities, words --- */

/* Every question, asked of a file that was built, must have the answer of the list it was built from. */
static void
test_db(void **state)
{
	static const char *const names[] = { "Alice@Example.net", "bob@example.net", "x@sub.example.org", "example.org",
		"a.example.org", "", "nobody@else.example", "root@y.example" };
	static const char *const clients[] = { "192.0.2.7", "198.51.100.1", "2001:db8::7", "203.0.113.1" };
	static const char content[] = "alice@example.net bob, carol\nexample.org\n192.0.2.0/24 ok\n"
				      "2001:db8::/32 v6\nroot@ admin\n<> null\n\"sp ace\" x\n";
	struct table *list = table_new("l"), *db = table_new("d");
	char *built = xasprintf("%s.db", path), *why, *where;
	struct buf text = { 0 };
	struct ip ip;
	size_t i;

	(void)state;
	write_file(content, strlen(content));
	assert_null(table_load_file(list, path));
	assert_null(table_build(list, built));
	table_set_kind(db, TABLE_DB);
	assert_null(table_load_file(db, built));
	assert_int_equal(table_count(db), table_count(list));
	assert_int_equal(table_has_names(db), true);
	for (i = 0; i < N(names); i++) {
		const char *a = table_get(list, names[i]), *b = table_get(db, names[i]);

		assert_int_equal(a == NULL, b == NULL);
		if (a != NULL)
			assert_string_equal(a, b);
		assert_int_equal(table_match_address(list, names[i]), table_match_address(db, names[i]));
		assert_int_equal(table_match_name(list, names[i]), table_match_name(db, names[i]));
	}
	for (i = 0; i < N(clients); i++) {
		assert_true(ip_parse(clients[i], &ip));
		assert_int_equal(
		    table_match_client(list, &ip, NULL), table_match_client(db, &ip, NULL));
	}
	assert_true(ip_parse("192.0.2.7", &ip));
	assert_true(table_match_client(db, &ip, NULL));
	assert_string_equal(table_get(db, "SP ACE"), "x");
	where = table_where(db, "sp ace");
	assert_string_equal(where, built);
	free(where);
	table_print_content(&text, db);
	assert_int_equal(strncmp(buf_str(&text), "db \"", 4), 0);
	buf_free(&text);
	/* built again while it is open: the old one is whole until it is looked at */
	write_file("new\n", 4);
	assert_null(table_load_file(list, path));
	assert_null(table_build(list, built));
	assert_string_equal(table_get(db, "alice@example.net"), "bob, carol");
	assert_null(table_refresh(db));
	assert_null(table_get(db, "alice@example.net"));
	assert_string_equal(table_get(db, "new"), "");
	/* others' files are not believed, and the old content stays */
	why = table_load_file(db, path);
	assert_non_null(why);
	free(why);
	assert_string_equal(table_get(db, "new"), "");
	unlink(built);
	free(built);
	table_free(list);
	table_free(db);
}

static void
test_regex(void **state)
{
	static const struct {
		const char *key, *value;
	} asked[] = {
		{ "sales-east@example.net", "east@shop.example" },
		{ "SALES-West@example.net", "West@shop.example" },
		{ "\"sales-a,b\"@example.net", NULL },
		{ "sales-|x@example.net", NULL },
		{ "sales-/etc/x@example.net", NULL },
		{ "x/y@example.net", "slash" },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", NULL },
		{ "12@example.net", "digits" },
		{ "nobody@example.net", NULL },
	};
	static const char content[] = "# patterns\n/^\"?sales-(.+?)\"?@example\\.net$/ $1@shop.example\n"
				      "/^x\\/y@/  slash\n/^(a+)+$/ never\n/^\\d+@/ digits\n/^set$/\n";
	struct table *table = table_new("r");
	struct ip ip;
	char *why;
	size_t i;

	(void)state;
	table_set_kind(table, TABLE_REGEX);
	write_file(content, strlen(content));
	why = table_load_file(table, path);
	assert_null(why);
	for (i = 0; i < N(asked); i++) {
		const char *got = table_get(table, asked[i].key);

		if ((got == NULL) != (asked[i].value == NULL) || (got != NULL && strcmp(got, asked[i].value) != 0))
			fail_msg("%s: %s", asked[i].key, got != NULL ? got : "(none)");
	}
	assert_string_equal(table_get(table, "set"), "");
	why = table_where(table, "12@example.net");
	assert_non_null(strstr(why, ":5"));
	free(why);
	assert_true(table_match_address(table, "77@x.example"));
	assert_false(table_match_name(table, "mail.example.net"));
	assert_null(table_add_element(table, "^mail\\.", NULL));
	assert_null(table_add_element(table, "^192\\.0\\.2\\.", NULL));
	assert_true(table_match_name(table, "mail.example.net"));
	assert_false(table_match_name(table, "x.mail.example.net"));
	assert_true(ip_parse("192.0.2.9", &ip));
	assert_true(table_match_client(table, &ip, NULL));
	/* what is no pattern, with its line; what stands above it counts, what stands below may not be meant */
	write_file("/^a/ b\n/(/ c\n/^d/ e\n", 20);
	assert_null(table_load_file(table, path));
	why = table_first_fault(table);
	assert_non_null(strstr(why, ":2: \"(\" is no pattern"));
	free(why);
	assert_string_equal(table_get(table, "a"), "b");
	assert_null(table_get(table, "d"));
	why = table_fault(table, "d");
	assert_non_null(strstr(why, ":2: \"(\" is no pattern"));
	free(why);
	assert_null(table_fault(table, "x"));
	assert_non_null(table_unread(table));
	assert_true(table_match_address(table, "d"));
	write_file("a b\n", 4);
	assert_null(table_load_file(table, path));
	why = table_first_fault(table);
	assert_non_null(strstr(why, ":1: expected \"/pattern/\""));
	free(why);
	write_file("/(a)/ $2\n", 9);
	assert_null(table_load_file(table, path));
	why = table_first_fault(table);
	assert_non_null(strstr(why, ":1: there is no group $2"));
	free(why);
	table_free(table);
}

static char *
no_bad(const char *key, const char *value)
{
	(void)key;
	return strcmp(value, "bad") == 0 ? xstrdup("bad is bad") : NULL;
}

/* The line of a value that makes no sense is told. */
static void
test_check(void **state)
{
	struct table *table = table_new("c");
	char *why;

	(void)state;
	table_set_check(table, no_bad);
	write_file("a good\n\nb bad\n", 14);
	assert_null(table_load_file(table, path));
	why = table_first_fault(table);
	assert_non_null(strstr(why, ":3: bad is bad"));
	free(why);
	assert_string_equal(table_get(table, "a"), "good");
	write_file("a good\n", 7);
	assert_null(table_load_file(table, path));
	assert_null(table_first_fault(table));
	table_set_check(table, NULL);
	assert_true(table_add(table, "x", "bad"));
	table_set_check(table, no_bad);
	why = table_first_fault(table);
	assert_string_equal(why, "\"x\": bad is bad");
	free(why);
	table_free(table);
}

static void
test_quote(void **state)
{
	static const char *const values[] = { "", "a", "a \"b\" \\ c", "\\\\\"", "tab\there",
		"\xe7\x8e\x84\xe9\x96\xa2" };
	static const char *const bad[] = { "\"", "\"abc", "\"abc\\", "\"a\nb\"", "\"a\\n\"",
		"\"\001\"", "\"\x7f\"" };
	struct buf quoted = { 0 }, back = { 0 };
	const char *why = NULL;
	size_t i, at = 0;

	(void)state;
	for (i = 0; i < N(values); i++) {
		quote_add(&quoted, values[i]);
		assert_int_equal(
		    quote_read(buf_str(&quoted), quoted.len, &back, &why, &at), quoted.len);
		assert_string_equal(buf_str(&back), values[i]);
		buf_clear(&quoted);
		buf_clear(&back);
	}
	for (i = 0; i < N(bad); i++) {
		why = NULL;
		assert_int_equal(quote_read(bad[i], strlen(bad[i]), &back, &why, &at), 0);
		assert_non_null(why);
		assert_true(at < strlen(bad[i]));
	}
	buf_free(&quoted);
	buf_free(&back);
}

static void
test_quantity(void **state)
{
	static const struct {
		const char *text;
		enum quantity kind;
		uint64_t value;
		const char *printed;
	} cases[] = {
		{ "0", QUANTITY_COUNT, 0, NULL },
		{ "007", QUANTITY_COUNT, 7, NULL },
		{ "9223372036854775807", QUANTITY_COUNT, INT64_MAX, NULL },
		{ "9223372036854775808", QUANTITY_TOO_LARGE, 0, NULL },
		{ "18446744073709551616", QUANTITY_TOO_LARGE, 0, NULL },
		{ "99999999999999999999999", QUANTITY_TOO_LARGE, 0, NULL },
		{ "0s", QUANTITY_TIME, 0, "0s" },
		{ "20s", QUANTITY_TIME, 20, "20s" },
		{ "120s", QUANTITY_TIME, 120, "2m" },
		{ "2m", QUANTITY_TIME, 120, "2m" },
		{ "90m", QUANTITY_TIME, 5400, "90m" },
		{ "4h", QUANTITY_TIME, 14400, "4h" },
		{ "48h", QUANTITY_TIME, 172800, "2d" },
		{ "36d", QUANTITY_TIME, 36 * 86400, "36d" },
		{ "4294967295s", QUANTITY_TIME, UINT32_MAX, "4294967295s" },
		{ "4294967296s", QUANTITY_TOO_LARGE, 0, NULL },
		{ "18446744073709551615d", QUANTITY_TOO_LARGE, 0, NULL },
		{ "256K", QUANTITY_SIZE, 256 << 10, "256K" },
		{ "1024K", QUANTITY_SIZE, 1 << 20, "1M" },
		{ "50M", QUANTITY_SIZE, 50 << 20, "50M" },
		{ "2G", QUANTITY_SIZE, 2ull << 30, "2G" },
		{ "17179869184G", QUANTITY_TOO_LARGE, 0, NULL },
		{ "", QUANTITY_NONE, 0, NULL },
		{ "s", QUANTITY_NONE, 0, NULL },
		{ "-1s", QUANTITY_NONE, 0, NULL },
		{ "1 s", QUANTITY_NONE, 0, NULL },
		{ "1ms", QUANTITY_NONE, 0, NULL },
		{ "1k", QUANTITY_NONE, 0, NULL },
		{ "1.5h", QUANTITY_NONE, 0, NULL },
	};
	struct buf out = { 0 };
	uint64_t value;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		value = 0;
		if (quantity_parse(cases[i].text, strlen(cases[i].text), &value) != cases[i].kind ||
		    value != cases[i].value)
			fail_msg("%s: %llu", cases[i].text, (unsigned long long)value);
		if (cases[i].printed == NULL)
			continue;
		if (cases[i].kind == QUANTITY_TIME)
			quantity_add_time(&out, value);
		else
			quantity_add_size(&out, value);
		assert_string_equal(buf_str(&out), cases[i].printed);
		buf_clear(&out);
	}
	quantity_add_size(&out, 1000);
	assert_string_equal(buf_str(&out), "1000");
	buf_free(&out);
}

static void
test_nearest(void **state)
{
	static const char *const words[] = { "greylist", "reject", "trust", NULL, "trap", "tarpit",
		"at", "rcpt" };
	static const struct {
		const char *word, *nearest;
	} cases[] = {
		{ "greylst", "greylist" },
		{ "greylits", "greylist" },
		{ "GREYLIST", "greylist" },
		{ "graylisting", NULL },
		{ "rejcet", "reject" },
		{ "trsut", "trust" },
		{ "tarp", "trap" },
		{ "tarpti", "tarpit" },
		{ "ta", "at" },
		{ "x", NULL },
		{ "", NULL },
		{ "zz", NULL },
		{ "entirely-different", NULL },
		{ "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaa",
		    NULL },
	};
	const char *nearest;
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		nearest = nearest_word(cases[i].word, words, N(words));
		if ((nearest == NULL) != (cases[i].nearest == NULL) ||
		    (nearest != NULL && strcmp(nearest, cases[i].nearest) != 0))
			fail_msg("%s: %s", cases[i].word, nearest != NULL ? nearest : "none");
	}
	assert_null(nearest_word("a", NULL, 0));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_client),
		cmocka_unit_test(test_everybody),
		cmocka_unit_test(test_address),
		cmocka_unit_test(test_file_forms),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_doubled_member),
		cmocka_unit_test(test_file_errors),
		cmocka_unit_test(test_refresh),
		cmocka_unit_test(test_db),
		cmocka_unit_test(test_regex),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_quantity),
		cmocka_unit_test(test_nearest),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
