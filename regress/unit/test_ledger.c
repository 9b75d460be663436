/*
 * What the ledger remembers and answers, without its process: messages, records, the operator's
 * entries, decisions over a store, counters and the report's arithmetic, smtpctl's selectors.
 */
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "filters/grey_selector.h"
#include "filters/ledger_role.h"
#include "filters/ledger_tries.h"
#include "filters/ledger_wire.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "regress/unit/tree.h"

#define T0 1700000000
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* What an environment had when it broke is lost, Berkeley DB does not free it. */
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libdb-5.3\n";
}

static struct ip
ip(const char *text)
{
	struct ip out;

	assert_true(ip_parse(text, &out));
	return out;
}

/*
 * Messages
 */

static const struct gate_event event = { .session = 0x1122334455667788,
	.time = T0,
	.name = "mx.example.org",
	.helo = NULL,
	.sender = "",
	.recipient = "b@example.net",
	.identity = "name:example.org",
	.rule = 5,
	.line = 14,
	.action = ACTION_GREYLIST,
	.phase = PHASE_RCPT,
	.observe = true,
	.left = true,
	.waited = 7,
	.evidence = "rdns=pass s25r=1" };

static void
test_event_message(void **state)
{
	struct gate_event in = event, out;
	struct buf b = { 0 };
	struct cursor c;
	size_t i;

	(void)state;
	in.client = ip("2001:db8::25");
	ledger_encode_event(&b, &in);
	c = cursor_init(b.data, b.len);
	ledger_decode_event(&c, &out);
	assert_true(cursor_done(&c));
	assert_true(
	    out.session == in.session && out.time == in.time && out.rule == 5 && out.line == 14);
	assert_true(out.action == ACTION_GREYLIST && out.phase == PHASE_RCPT && out.observe &&
		    out.left && out.waited == 7);
	assert_string_equal(out.identity, in.identity);
	assert_true(ip_equal(&out.client, &in.client));
	assert_string_equal(out.name, in.name);
	assert_null(out.helo);
	assert_string_equal(out.sender, "");
	assert_string_equal(out.evidence, in.evidence);
	for (i = 0; i < b.len; i++) {
		c = cursor_init(b.data, i);
		ledger_decode_event(&c, &out);
		assert_false(cursor_done(&c));
	}
	buf_free(&b);
}

/* Texts are cut, not refused: a name of a mile must not cost the record. */
static void
test_long_text(void **state)
{
	char *text;
	struct buf b = { 0 };
	struct cursor c;

	(void)state;
	text = xmalloc(LEDGER_TEXT_MAX + 100);
	memset(text, 'x', LEDGER_TEXT_MAX + 99);
	text[LEDGER_TEXT_MAX + 99] = '\0';
	ledger_encode_text(&b, text);
	c = cursor_init(b.data, b.len);
	assert_int_equal(strlen(ledger_decode_text(&c)), LEDGER_TEXT_MAX);
	assert_true(cursor_done(&c));
	buf_clear(&b);
	buf_add_u8(&b, 1);
	buf_add_str(&b, text);
	c = cursor_init(b.data, b.len);
	assert_null(ledger_decode_text(&c));
	assert_false(cursor_done(&c));
	buf_free(&b);
	free(text);
}

static void
test_question_and_answer(void **state)
{
	struct grey_question q = { .identity = "name:example.org",
		.sender = "",
		.recipient = "b@example.net",
		.delay = 1,
		.window = 2,
		.lifetime = 3,
		.trust_after = 4,
		.rule = 5,
		.line = 6,
		.observe = true,
		.narrow = true,
		.tempfail = true,
		.word_only = true,
		.rescue = 7,
		.client = { .family = AF_INET, .bytes = { 192, 0, 2, 7 } },
		.name = "mx.example.org" },
			     q2;
	struct grey_answer a = { .state = GREY_PASS,
		.left = 1,
		.waited = 2,
		.first_pass = true,
		.first = T0 },
			   a2;
	struct ledger_caller l = { .denied = true, .trapped = true, .left = true, .stayed = true, .mail_words = true }, l2;
	struct buf b = { 0 };
	struct cursor c;

	(void)state;
	ledger_encode_question(&b, &q);
	ledger_encode_answer(&b, &a);
	ledger_encode_caller(&b, &l);
	c = cursor_init(b.data, b.len);
	ledger_decode_question(&c, &q2);
	ledger_decode_answer(&c, &a2);
	ledger_decode_caller(&c, &l2);
	assert_true(cursor_done(&c));
	assert_string_equal(q2.identity, q.identity);
	assert_string_equal(q2.sender, "");
	assert_string_equal(q2.recipient, q.recipient);
	assert_true(q2.delay == 1 && q2.window == 2 && q2.lifetime == 3 && q2.trust_after == 4 &&
		    q2.rule == 5 && q2.line == 6 && q2.observe && !q2.client_only);
	assert_true(ip_equal(&q2.client, &q.client));
	assert_true(q2.narrow && q2.tempfail && q2.word_only && q2.rescue == 7 && q2.helo == NULL);
	assert_string_equal(q2.name, q.name);
	assert_true(a2.state == GREY_PASS && a2.left == 1 && a2.waited == 2 && a2.first_pass &&
		    a2.first == T0);
	assert_true(!l2.unknown && !l2.allowed && l2.denied && !l2.passed && l2.trapped && l2.left &&
		    l2.stayed && l2.mail_words);

	/* values that do not exist */
	buf_clear(&b);
	a.state = (enum grey_state)(GREY_DENIED + 1);
	ledger_encode_answer(&b, &a);
	c = cursor_init(b.data, b.len);
	ledger_decode_answer(&c, &a2);
	assert_false(cursor_done(&c));
	buf_free(&b);
}

/*
 * Records
 */

static void
test_keys_do_not_run_together(void **state)
{
	static const char *const triplets[][3] = { { "a", "b", "c" }, { "ab", "", "c" },
		{ "a", "bc", "" }, { "", "ab", "c" }, { "", "", "abc" }, { "a\nb", "c", "" },
		{ "a", "b/c", "" }, { "a/b", "c", "" } };
	struct buf keys[COUNT(triplets)] = { { 0 } };
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(triplets); i++) {
		ledger_key_triplet(&keys[i], triplets[i][0], triplets[i][1], triplets[i][2]);
		for (j = 0; j < i; j++)
			assert_false(keys[i].len == keys[j].len &&
				     memcmp(keys[i].data, keys[j].data, keys[i].len) == 0);
	}
	for (i = 0; i < COUNT(triplets); i++)
		buf_free(&keys[i]);
}

static void
test_items(void **state)
{
	struct grey_record r = {
		.first = T0, .last = T0, .expires = T0 + 9, .count = 1, .delay = 60
	};
	struct ledger_item item;
	struct buf k = { 0 }, v = { 0 };
	struct ip client = ip("192.0.2.7");

	(void)state;
	ledger_key_triplet(&k, "net:192.0.2.0/24", "", "b@example.net");
	grey_record_encode(&v, &r);
	assert_true(ledger_item_decode(TABLE_GREY, k.data, k.len, v.data, v.len, &item));
	assert_int_equal(item.type, ITEM_TRIPLET);
	assert_string_equal(item.identity, "net:192.0.2.0/24");
	assert_string_equal(item.sender, "");
	assert_string_equal(item.recipient, "b@example.net");
	assert_int_equal(ledger_item_expires(&item), T0 + 9);
	assert_string_equal(ledger_item_state(&item, T0 + 1), "waiting");
	assert_string_equal(ledger_item_state(&item, T0 + 10), "expired");
	assert_false(ledger_item_decode(TABLE_GREY, k.data, k.len - 1, v.data, v.len, &item));
	assert_false(ledger_item_decode(TABLE_CALLER, k.data, k.len, v.data, v.len, &item));

	buf_clear(&k);
	buf_clear(&v);
	ledger_key_caller(&k, ITEM_TRAP, &client);
	ledger_until_encode(&v, T0 + 5);
	assert_true(ledger_item_decode(TABLE_CALLER, k.data, k.len, v.data, v.len, &item));
	assert_int_equal(item.type, ITEM_TRAP);
	assert_true(ip_equal(&item.client, &client));
	assert_string_equal(ledger_item_state(&item, T0), "trapped");

	buf_clear(&k);
	buf_clear(&v);
	ledger_key_event(&k, 42);
	ledger_event_value(&v, &event);
	assert_true(ledger_item_decode(TABLE_EVENT, k.data, k.len, v.data, v.len, &item));
	assert_int_equal(item.number, 42);
	assert_string_equal(item.event.evidence, event.evidence);
	buf_free(&k);
	buf_free(&v);
}

/*
 * The operator's entries
 */

static void
test_operator_spelling(void **state)
{
	static const struct {
		enum operator_kind kind;
		const char *given, *text;
	} cases[] = {
		{ OPERATOR_CLIENT, "192.0.2.1", "192.0.2.1/32" },
		{ OPERATOR_CLIENT, "192.0.2.0/24", "192.0.2.0/24" },
		{ OPERATOR_CLIENT, "2001:DB8:0::1", "2001:db8::1/128" },
		{ OPERATOR_CLIENT, "192.0.2.1/24", NULL },
		{ OPERATOR_CLIENT, "example.org", NULL },
		{ OPERATOR_NAME, "Example.ORG", "example.org" },
		{ OPERATOR_NAME, "*.example.org.", "example.org" },
		{ OPERATOR_NAME, ".example.org", "example.org" },
		{ OPERATOR_NAME, "a@b", NULL },
		{ OPERATOR_NAME, "..", NULL },
		{ OPERATOR_NAME, "a b", NULL },
		{ OPERATOR_NAME, "", NULL },
		{ OPERATOR_IDENTITY, "Name:Example.org", "name:example.org" },
		{ OPERATOR_IDENTITY, "net:192.0.2.0/24", "net:192.0.2.0/24" },
		{ OPERATOR_IDENTITY, "example.org", NULL },
		{ OPERATOR_IDENTITY, "name:", NULL },
		{ OPERATOR_FROM, "<Bounce-123@List.Example>", "bounce-#@list.example" },
		{ OPERATOR_FROM, "a+tag@example.org", "a@example.org" },
		{ OPERATOR_FROM, "@example.org", "example.org" },
		{ OPERATOR_FROM, "example.org", "example.org" },
		{ OPERATOR_FROM, "<>", "<>" },
		{ OPERATOR_FROM, "a@", NULL },
		{ OPERATOR_FROM, "<", NULL },
		{ OPERATOR_FROM, "+tag@example.org", NULL },
		{ OPERATOR_FROM, "example.org..", NULL },
		{ OPERATOR_TO, "Bob+x@Example.net", "bob+x@example.net" },
		{ OPERATOR_TO, "<>", NULL },
	};
	const char *why;
	char *text, *again;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		text = operator_text(cases[i].kind, cases[i].given, &why);
		if (cases[i].text == NULL && text == NULL) {
			assert_non_null(why);
			continue;
		}
		if (text == NULL || cases[i].text == NULL || strcmp(text, cases[i].text) != 0)
			fail_msg("%s: %s", cases[i].given, text == NULL ? why : text);
		again = operator_text(cases[i].kind, text, &why);
		assert_string_equal(again, text);
		free(again);
		free(text);
	}
}

/* "+" allows, "-" denies; behind it the kind and the text. */
static void
enter(struct operator_list *list, const char *entry, int64_t expires)
{
	const char *colon = strchr(entry, ':'), *why;
	struct operator_entry e = { .allow = *entry == '+', .created = T0, .expires = expires };
	char *text;
	int kind;

	kind = operator_kind_by_name(entry + 1, (size_t)(colon - entry - 1));
	assert_true(kind >= 0);
	e.kind = (enum operator_kind)kind;
	text = operator_text(e.kind, colon + 1, &why);
	assert_non_null(text);
	e.text = text;
	operator_list_put(list, &e);
	free(text);
}

static void
test_operator_on_caller(void **state)
{
	static const struct {
		const char *entries[3];
		const char *client, *name;
		enum operator_word word;
	} cases[] = {
		{ { NULL }, "192.0.2.1", "mx.example.org", OPERATOR_SILENT },
		{ { "+client:192.0.2.1" }, "192.0.2.1", NULL, OPERATOR_ALLOW },
		{ { "+client:192.0.2.1" }, "192.0.2.2", NULL, OPERATOR_SILENT },
		{ { "-client:192.0.2.0/24" }, "192.0.2.2", NULL, OPERATOR_DENY },
		{ { "-client:192.0.2.0/24", "+client:192.0.2.2" }, "192.0.2.2", NULL,
		    OPERATOR_ALLOW },
		{ { "+client:192.0.2.0/24", "-client:192.0.2.0/25" }, "192.0.2.2", NULL,
		    OPERATOR_DENY },
		{ { "-client:0.0.0.0/0" }, "192.0.2.2", NULL, OPERATOR_DENY },
		{ { "-client:0.0.0.0/0" }, "2001:db8::1", NULL, OPERATOR_SILENT },
		{ { "+client:2001:db8::/32" }, "2001:db8:ffff::1", NULL, OPERATOR_ALLOW },
		{ { "+name:example.org" }, "192.0.2.1", "MX.Example.org", OPERATOR_ALLOW },
		{ { "+name:example.org" }, "192.0.2.1", "example.org", OPERATOR_ALLOW },
		{ { "+name:example.org" }, "192.0.2.1", "badexample.org", OPERATOR_SILENT },
		{ { "+name:example.org" }, "192.0.2.1", NULL, OPERATOR_SILENT },
		{ { "+name:example.org", "-name:dyn.example.org" }, "192.0.2.1",
		    "a.dyn.example.org", OPERATOR_DENY },
		{ { "-client:192.0.2.0/24", "+name:example.org" }, "192.0.2.1", "mx.example.org",
		    OPERATOR_DENY },
		{ { "+client:192.0.2.0/24", "-name:example.org" }, "192.0.2.1", "mx.example.org",
		    OPERATOR_ALLOW },
	};
	struct operator_list *list;
	struct ip client;
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		list = operator_list_new();
		for (j = 0; j < 3 && cases[i].entries[j] != NULL; j++)
			enter(list, cases[i].entries[j], 0);
		client = ip(cases[i].client);
		if (operator_on_caller(list, &client, cases[i].name, T0) != cases[i].word)
			fail_msg("case %zu: %s %s", i, cases[i].client, cases[i].name);
		operator_list_free(list);
	}
}

static void
test_operator_on_mail(void **state)
{
	static const struct {
		const char *entries[3];
		const char *identity, *sender, *recipient;
		enum operator_word word;
	} cases[] = {
		{ { "+identity:name:example.org" }, "name:example.org", "", "b@c.net",
		    OPERATOR_ALLOW },
		{ { "+identity:name:example.org" }, "name:mx.example.org", "", "b@c.net",
		    OPERATOR_SILENT },
		{ { "-from:example.org" }, "x", "a@example.org", "b@c.net", OPERATOR_DENY },
		{ { "-from:example.org" }, "x", "a@sub.example.org", "b@c.net", OPERATOR_DENY },
		{ { "-from:example.org" }, "x", "example.org@a.net", "b@c.net", OPERATOR_SILENT },
		{ { "-from:example.org", "+from:a@example.org" }, "x", "a@example.org", "b@c.net",
		    OPERATOR_ALLOW },
		{ { "-from:<>" }, "x", "", "b@c.net", OPERATOR_DENY },
		{ { "-from:<>" }, "x", "a@example.org", "b@c.net", OPERATOR_SILENT },
		{ { "+to:postmaster@c.net" }, "x", "a@example.org", "postmaster@c.net",
		    OPERATOR_ALLOW },
		{ { "+to:postmaster@c.net", "-from:example.org" }, "x", "a@example.org",
		    "postmaster@c.net", OPERATOR_ALLOW },
		{ { "+to:c.net", "-from:example.org" }, "x", "a@example.org", "b@c.net",
		    OPERATOR_DENY },
		{ { "+from:example.org", "-to:c.net" }, "x", "a@example.org", "b@c.net",
		    OPERATOR_DENY },
		{ { "+to:c.net", "-identity:name:x.org" }, "name:x.org", "a@example.org", "b@c.net",
		    OPERATOR_ALLOW },
	};
	struct operator_list *list;
	size_t i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		list = operator_list_new();
		for (j = 0; j < 3 && cases[i].entries[j] != NULL; j++)
			enter(list, cases[i].entries[j], 0);
		if (operator_on_mail(list, cases[i].identity, cases[i].sender, cases[i].recipient,
			T0) != cases[i].word)
			fail_msg("case %zu: %s %s", i, cases[i].sender, cases[i].recipient);
		operator_list_free(list);
	}
}

static void
test_operator_list(void **state)
{
	struct operator_list *list = operator_list_new();
	struct ip client = ip("192.0.2.1");
	const struct operator_entry *e;

	(void)state;
	enter(list, "+client:192.0.2.1", T0 + 10);
	assert_int_equal(operator_on_caller(list, &client, NULL, T0 + 10), OPERATOR_ALLOW);
	assert_int_equal(operator_on_caller(list, &client, NULL, T0 + 11), OPERATOR_SILENT);
	enter(list, "-client:192.0.2.1", 0); /* replaces */
	assert_int_equal(operator_on_caller(list, &client, NULL, T0 + 11), OPERATOR_DENY);
	enter(list, "+name:example.org", 0);
	e = operator_list_next(list, NULL);
	assert_string_equal(e->text, "192.0.2.1/32");
	e = operator_list_next(list, e);
	assert_string_equal(e->text, "example.org");
	assert_null(operator_list_next(list, e));
	assert_non_null(operator_list_find(list, OPERATOR_NAME, "example.org"));
	assert_true(operator_list_remove(list, OPERATOR_CLIENT, "192.0.2.1/32"));
	assert_false(operator_list_remove(list, OPERATOR_CLIENT, "192.0.2.1/32"));
	assert_int_equal(operator_on_caller(list, &client, NULL, T0), OPERATOR_SILENT);
	operator_list_free(list);
}

static void
test_operator_octets(void **state)
{
	struct operator_entry e = { .kind = OPERATOR_FROM,
		.allow = true,
		.uid = 1000,
		.created = T0,
		.expires = T0 + 1,
		.text = "a@example.org",
		.note = "asked by telephone" },
			      out;
	struct buf k = { 0 }, v = { 0 };

	(void)state;
	operator_encode_key(&k, e.kind, e.text);
	operator_encode(&v, &e);
	assert_true(operator_decode(k.data, k.len, v.data, v.len, &out));
	assert_true(out.kind == e.kind && out.allow && out.uid == 1000 && out.created == T0 &&
		    out.expires == T0 + 1);
	assert_string_equal(out.text, e.text);
	assert_string_equal(out.note, e.note);
	operator_entry_clear(&out);
	assert_false(operator_decode(k.data, k.len, v.data, v.len - 1, &out));
	assert_false(operator_decode(k.data, 1, v.data, v.len, &out));
	assert_false(operator_decode(k.data, 0, v.data, v.len, &out));
	k.data[1] = 'A'; /* a spelling that nobody writes */
	assert_false(operator_decode(k.data, k.len, v.data, v.len, &out));
	k.data[0] = OPERATOR_KINDS;
	assert_false(operator_decode(k.data, k.len, v.data, v.len, &out));
	buf_free(&k);
	buf_free(&v);
}

/*
 * Decisions over a store
 */

static char base[] = "/tmp/test_ledger.XXXXXX";
static char dir[64];
static struct ledger ledger;

static struct report_counts counts(
    int64_t time, uint16_t rule, uint16_t line, enum action action, bool observe);

static void
open_ledger(void)
{
	char *why;

	ledger.store = ledger_store_open(dir, &why);
	if (ledger.store == NULL || why != NULL)
		fail_msg("%s", why);
	ledger.operators = operator_list_new();
	ledger.count = ledger_count_new();
	ledger_load_operators(&ledger);
}

static void
close_ledger(void)
{
	assert_int_equal(ledger_count_flush(ledger.count, ledger.store), 0);
	ledger_count_free(ledger.count);
	operator_list_free(ledger.operators);
	ledger_store_close(ledger.store);
}

static int
setup(void **state)
{
	(void)state;
	strcpy(base + sizeof(base) - 7, "XXXXXX");
	assert_non_null(mkdtemp(base));
	snprintf(dir, sizeof(dir), "%s/db", base);
	open_ledger();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	close_ledger();
	return tree_remove(base);
}

static struct grey_question
question(const char *identity, const char *sender, const char *recipient)
{
	return (struct grey_question){ .identity = identity,
		.sender = sender,
		.recipient = recipient,
		.delay = 120,
		.window = 3600,
		.lifetime = 86400,
		.trust_after = 2,
		.rule = 3,
		.line = 10 };
}

static enum grey_state
try(const char *identity, const char *sender, const char *recipient, int64_t at)
{
	struct grey_question q = question(identity, sender, recipient);
	struct grey_answer a;

	ledger_decide(&ledger, &q, T0 + at, &a);
	return a.state;
}

static void
test_decide(void **state)
{
	(void)state;
	assert_int_equal(try("id", "a@x.org", "b@y.net", 0), GREY_NEW);
	assert_int_equal(try("id", "a@x.org", "b@y.net", 60), GREY_EARLY);
	/* each part of the triplet counts */
	assert_int_equal(try("id2", "a@x.org", "b@y.net", 60), GREY_NEW);
	assert_int_equal(try("id", "", "b@y.net", 60), GREY_NEW);
	assert_int_equal(try("id", "a@x.org", "c@y.net", 60), GREY_NEW);
	assert_int_equal(try("id", "a@x.org", "b@y.net", 120), GREY_PASS);
	/* over a restart */
	close_ledger();
	open_ledger();
	assert_int_equal(try("id", "a@x.org", "b@y.net", 121), GREY_PASS);
	/* one passed; the second makes the identity trusted */
	assert_int_equal(try("id", "z@x.org", "b@y.net", 130), GREY_NEW);
	assert_int_equal(try("id", "", "b@y.net", 300), GREY_PASS);
	assert_int_equal(try("id", "z@x.org", "b@y.net", 301), GREY_TRUSTED);
	assert_int_equal(try("id", "never@x.org", "b@y.net", 86400 + 300), GREY_TRUSTED);
	/* that was a use: it lives on */
	assert_int_equal(try("id", "never@x.org", "b@y.net", 2 * 86400 + 300), GREY_TRUSTED);
	assert_int_equal(try("id", "never@x.org", "b@y.net", 3 * 86400 + 301), GREY_NEW);
	assert_int_equal(try("id2", "z@x.org", "b@y.net", 131), GREY_NEW);
}

/* The address alone is the key: whoever writes to whom. */
static void
test_decide_client_only(void **state)
{
	struct grey_question q = question("net:192.0.2.7/32", "a@x.org", "b@y.net");
	struct grey_answer a;

	(void)state;
	q.client_only = true;
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_NEW);
	q.sender = "other@x.org";
	q.recipient = "c@y.net";
	ledger_decide(&ledger, &q, T0 + 60, &a);
	assert_int_equal(a.state, GREY_EARLY);
	ledger_decide(&ledger, &q, T0 + 120, &a);
	assert_int_equal(a.state, GREY_PASS);
	/* the triplets of that identity are others' */
	q.client_only = false;
	ledger_decide(&ledger, &q, T0 + 120, &a);
	assert_int_equal(a.state, GREY_NEW);
}

/* What his network or his address has earned counts when nothing is known of his identity. */
static void
test_decide_elsewhere(void **state)
{
	struct grey_question q = question("name:x.org", "a@x.org", "b@y.net");
	struct grey_answer a;

	(void)state;
	assert_int_equal(try("net:192.0.2.0/24", "a@x.org", "b@y.net", 0), GREY_NEW);
	assert_true(ip_parse("192.0.2.7", &q.client));
	ledger_decide(&ledger, &q, T0 + 60, &a);
	assert_int_equal(a.state, GREY_EARLY);
	ledger_decide(&ledger, &q, T0 + 120, &a);
	assert_int_equal(a.state, GREY_PASS);
	assert_int_equal(a.waited, 120);
	/* from then on it is his own, wherever he calls from */
	assert_true(ip_parse("203.0.113.9", &q.client));
	ledger_decide(&ledger, &q, T0 + 130, &a);
	assert_int_equal(a.state, GREY_PASS);
	/* another network gives nothing */
	q.identity = "name:z.org";
	ledger_decide(&ledger, &q, T0 + 130, &a);
	assert_int_equal(a.state, GREY_NEW);
	/* an address that is trusted */
	try("net:203.0.113.9/32", "1@x.org", "b@y.net", 0);
	try("net:203.0.113.9/32", "2@x.org", "b@y.net", 0);
	try("net:203.0.113.9/32", "1@x.org", "b@y.net", 200);
	try("net:203.0.113.9/32", "2@x.org", "b@y.net", 200);
	ledger_decide(&ledger, &q, T0 + 210, &a);
	assert_int_equal(a.state, GREY_TRUSTED);
	/* a key that is narrower asks without an address */
	q.client.family = 0;
	ledger_decide(&ledger, &q, T0 + 210, &a);
	assert_int_equal(a.state, GREY_EARLY);
}

static void
test_decide_observe(void **state)
{
	struct grey_question q = question("id", "a@x.org", "b@y.net");
	struct grey_record r;
	struct grey_answer a;

	(void)state;
	q.observe = true;
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_NEW);
	assert_int_equal(ledger_get_triplet(ledger.store, &q, &r), 0);
}

static void
test_decide_operator(void **state)
{
	struct operator_entry e = {
		.kind = OPERATOR_FROM, .allow = true, .text = "x.org", .note = "", .created = T0
	};

	(void)state;
	assert_int_equal(ledger_put_operator(ledger.store, &e), 1);
	e = (struct operator_entry){
		.kind = OPERATOR_TO, .text = "closed@y.net", .note = "", .created = T0
	};
	assert_int_equal(ledger_put_operator(ledger.store, &e), 1);
	close_ledger();
	open_ledger();
	assert_int_equal(try("id", "a@x.org", "b@y.net", 0), GREY_TRUSTED);
	assert_int_equal(try("id", "a@x.org", "closed@y.net", 0), GREY_DENIED);
	assert_int_equal(try("id", "a@other.org", "b@y.net", 0), GREY_NEW);
	assert_int_equal(ledger_delete_operator(ledger.store, OPERATOR_TO, "closed@y.net"), 1);
	close_ledger();
	open_ledger();
	assert_int_equal(try("id", "a@x.org", "closed@y.net", 0), GREY_TRUSTED);
}

/* What `grey allow` and `deny` say of an address or a name holds for the greylist, too; a mail's own entry is more exact. */
static void
test_decide_operator_on_caller(void **state)
{
	struct grey_question q = question("id", "a@x.org", "b@y.net");
	struct grey_answer a;

	(void)state;
	enter(ledger.operators, "+client:192.0.2.0/24", 0);
	enter(ledger.operators, "-name:bad.example", 0);
	q.client = ip("192.0.2.7");
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_TRUSTED);
	enter(ledger.operators, "-from:a@x.org", 0);
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_DENIED);
	q.sender = "c@x.org";
	q.client = ip("203.0.113.7");
	q.name = "p1.bad.example";
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_DENIED);
	q.tempfail = true;
	ledger_decide(&ledger, &q, T0, &a);
	assert_int_equal(a.state, GREY_DENIED);
}

/*
 * What a tempfail puts off
 */

static struct grey_question
refused(const char *identity, const char *client)
{
	struct grey_question q = question(identity, "a@x.org", "b@y.net");

	q.tempfail = true;
	q.client = ip(client);
	q.name = "mx1.x.org";
	q.helo = "mx1";
	return q;
}

static struct tries
tries_of(const struct grey_question *q)
{
	struct tries t;

	(void)ledger_get_tries(ledger.store, q, &t);
	return t;
}

/* The rhythm makes a proposal and nothing more; what the operator says of it holds, and the evidence is kept. */
static void
test_proposal(void **state)
{
	struct grey_question q = refused("name:x.org", "192.0.2.7");
	struct ledger_item item = { .type = ITEM_TRIES,
		.identity = q.identity,
		.sender = q.sender,
		.recipient = q.recipient };
	struct report_counts c;
	struct grey_answer a;

	(void)state;
	ledger_decide(&ledger, &q, T0, &a);
	assert_true(a.state == GREY_NEW && a.left == 0);
	ledger_decide(&ledger, &q, T0 + 300, &a);
	assert_int_equal(a.state, GREY_EARLY);
	ledger_decide(&ledger, &q, T0 + 900, &a);
	assert_int_equal(a.state, GREY_EARLY); /* still refused */
	item.tries = tries_of(&q);
	assert_string_equal(ledger_item_state(&item, T0 + 900), "proposed");
	assert_true(ledger_tries_are_open(&ledger, &item, T0 + 900));
	c = counts(T0, 3, 10, ACTION_TEMPFAIL, false);
	assert_true(c.triplets == 1 && c.returned == 0 && c.window == 3600);
	/* denied for good: no proposal any more, and no entry of a rule beside it */
	enter(ledger.operators, "-identity:name:x.org", 0);
	assert_false(ledger_tries_are_open(&ledger, &item, T0 + 900));
	q.rescue = 86400;
	ledger_decide(&ledger, &q, T0 + 1800, &a);
	assert_int_equal(a.state, GREY_DENIED);
	/* or taken */
	enter(ledger.operators, "+identity:name:x.org", 0);
	assert_false(ledger_tries_are_open(&ledger, &item, T0 + 900));
	q.rescue = 0;
	ledger_decide(&ledger, &q, T0 + 2700, &a);
	assert_true(a.state == GREY_TRUSTED && a.first_pass && a.waited == 2700);
	item.tries = tries_of(&q);
	assert_string_equal(ledger_item_state(&item, T0 + 2700), "rescued");
	assert_string_equal(item.tries.made[3].helo, "mx1");
	c = counts(T0, 3, 10, ACTION_TEMPFAIL, false);
	assert_true(c.triplets == 1 && c.returned == 1);
	ledger_decide(&ledger, &q, T0 + 3000, &a); /* its next mail has not waited */
	assert_true(a.state == GREY_TRUSTED && !a.first_pass && a.waited == 0);
}

/* `tempfail rescue 1d`: taken by the rule, renewed by use, and over when nobody uses it. */
static void
test_rescue(void **state)
{
	struct grey_question q = refused("name:x.org", "192.0.2.7"), other;
	const struct operator_entry *e;
	struct grey_answer a;

	(void)state;
	q.rescue = 86400;
	ledger_decide(&ledger, &q, T0, &a);
	ledger_decide(&ledger, &q, T0 + 300, &a);
	assert_int_equal(a.state, GREY_EARLY);
	q.client = ip("203.0.113.9"); /* another host of the pool */
	ledger_decide(&ledger, &q, T0 + 900, &a);
	assert_true(a.state == GREY_TRUSTED && a.first_pass && a.waited == 900);
	e = operator_list_find(ledger.operators, OPERATOR_IDENTITY, "name:x.org");
	assert_non_null(e);
	assert_true(e->allow && e->rescued && e->expires == T0 + 900 + 86400);
	assert_string_equal(e->note, "3 tries in 15m, line 10");
	/* whoever writes to whom, over a restart */
	close_ledger();
	open_ledger();
	other = q;
	other.sender = "z@x.org";
	other.recipient = "c@y.net";
	ledger_decide(&ledger, &other, T0 + 1000, &a);
	assert_int_equal(a.state, GREY_TRUSTED);
	e = operator_list_find(ledger.operators, OPERATOR_IDENTITY, "name:x.org");
	assert_int_equal(e->expires, T0 + 900 + 86400); /* not for every mail */
	ledger_decide(&ledger, &other, T0 + 80000, &a);
	e = operator_list_find(ledger.operators, OPERATOR_IDENTITY, "name:x.org");
	assert_int_equal(e->expires, T0 + 80000 + 86400);
	ledger_decide(&ledger, &other, T0 + 80000 + 86401, &a);
	assert_int_equal(a.state, GREY_NEW);
	/* the null sender, and one host of a network */
	q = refused("net:192.0.2.0/24", "192.0.2.8");
	q.sender = "";
	q.name = NULL;
	q.rescue = 3600;
	ledger_decide(&ledger, &q, T0, &a);
	ledger_decide(&ledger, &q, T0 + 600, &a);
	ledger_decide(&ledger, &q, T0 + 1200, &a);
	assert_int_equal(a.state, GREY_TRUSTED);
	assert_non_null(operator_list_find(ledger.operators, OPERATOR_CLIENT, "192.0.2.8/32"));
	q.client = ip("192.0.2.9");
	q.recipient = "c@y.net";
	ledger_decide(&ledger, &q, T0 + 1300, &a);
	assert_int_equal(a.state, GREY_NEW);
}

/* An operator's own entry with an end is not made longer by use. */
static void
test_rescue_leaves_the_operator(void **state)
{
	struct grey_question q = refused("name:x.org", "192.0.2.7");
	struct grey_answer a;

	(void)state;
	enter(ledger.operators, "+identity:name:x.org", T0 + 100);
	q.rescue = 86400;
	ledger_decide(&ledger, &q, T0 + 50, &a);
	assert_int_equal(a.state, GREY_TRUSTED);
	assert_int_equal(
	    operator_list_find(ledger.operators, OPERATOR_IDENTITY, "name:x.org")->expires, T0 + 100);
}

/* Tries that return to the greylist are evidence, with the first of them although only its time is known. */
static void
test_greylist_tries(void **state)
{
	struct grey_question q = question("name:x.org", "a@x.org", "b@y.net");
	struct grey_answer a;
	struct tries t;

	(void)state;
	q.client = ip("192.0.2.7");
	ledger_decide(&ledger, &q, T0, &a);
	t = tries_of(&q);
	assert_int_equal(t.n, 0); /* who never returns costs nothing */
	ledger_decide(&ledger, &q, T0 + 60, &a);
	ledger_decide(&ledger, &q, T0 + 1000, &a);
	assert_int_equal(a.state, GREY_PASS);
	t = tries_of(&q);
	assert_true(t.n == 3 && t.made[0].time == T0 && t.made[0].client.family == 0);
	assert_true(t.let_in == T0 + 1000 && t.action == ACTION_GREYLIST && !t.proposed);
	ledger_decide(&ledger, &q, T0 + 2000, &a);
	t = tries_of(&q);
	assert_int_equal(t.rhythm.total, 3); /* another mail */
}

/* Who hung up in a tarpit and sat it out later; in what order the rest of the mail is told does not matter. */
static void
test_hung_up(void **state)
{
	struct grey_question q = question("name:x.org", "a@x.org", "b@y.net");
	struct gate_event e = { .session = 1,
		.time = T0 + 700,
		.sender = "a+tag@X.org",
		.recipient = "b@y.net",
		.identity = "name:x.org",
		.action = ACTION_COUNT,
		.phase = PHASE_MESSAGE };
	struct tries t;

	(void)state;
	ledger_tries_hung_up(&ledger, &q, T0);
	ledger_tries_hung_up(&ledger, &q, T0 + 300);
	t = tries_of(&q);
	assert_true(t.rhythm.total == 2 && t.action == ACTION_TARPIT && t.let_in == 0);
	ledger_take_event(&ledger, &e);
	t = tries_of(&q);
	assert_true(t.rhythm.total == 3 && t.let_in == T0 + 700 && tries_waited(&t) == 700);
}

/* A store that is down: what is not known is unknown, what the operator said holds. */
static void
test_decide_without_store(void **state)
{
	struct ledger_store *store = ledger.store;
	struct ip client = ip("192.0.2.1");
	struct ledger_caller c;

	(void)state;
	enter(ledger.operators, "+from:x.org", 0);
	enter(ledger.operators, "-client:192.0.2.1", 0);
	ledger.store = NULL;
	assert_int_equal(try("id", "a@other.org", "b@y.net", 0), GREY_UNKNOWN);
	assert_int_equal(try("id", "a@x.org", "b@y.net", 0), GREY_TRUSTED);
	ledger_judge_caller(&ledger, &client, NULL, T0, &c);
	assert_true(c.denied && !c.unknown);
	client = ip("192.0.2.2");
	ledger_judge_caller(&ledger, &client, NULL, T0, &c);
	assert_true(c.unknown && !c.denied && !c.passed && !c.trapped && !c.allowed);
	ledger.store = store;
}

/* What cannot be remembered must not be asked to come back: it would be asked so for ever. */
static void
test_decide_full_disk(void **state)
{
	struct rlimit limit;
	rlim_t before;
	char sender[32];
	unsigned i, n;
	enum grey_state answer = GREY_NEW;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = 100 * 1000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (n = 0; n < 5000 && answer == GREY_NEW; n++) {
		snprintf(sender, sizeof(sender), "a%u@x.org", n);
		answer = try("id", sender, "b@y.net", 0);
	}
	limit.rlim_cur = before;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(answer, GREY_UNKNOWN);
	assert_false(ledger_store_is_open(ledger.store));
	ledger_count_free(ledger.count); /* what it holds cannot be flushed now */
	ledger.count = ledger_count_new();
	close_ledger();
	open_ledger();
	assert_true(ledger_store_is_open(ledger.store));
	for (i = 0; i < n - 1; i++) {
		snprintf(sender, sizeof(sender), "a%u@x.org", i);
		assert_int_equal(try("id", sender, "b@y.net", 60), GREY_EARLY);
	}
}

static void
test_callers(void **state)
{
	struct ip client = ip("192.0.2.1"), other = ip("192.0.2.2");
	struct gate_event e = {
		.session = 1, .time = T0, .action = ACTION_COUNT, .phase = PHASE_RCPT, .waited = 130
	};
	struct ledger_caller c;

	(void)state;
	ledger_judge_caller(&ledger, &client, NULL, T0, &c);
	assert_true(!c.unknown && !c.passed && !c.trapped);
	assert_int_equal(ledger_put_caller(ledger.store, ITEM_PASSED, &client, T0 + 100), 1);
	assert_int_equal(ledger_put_caller(ledger.store, ITEM_TRAP, &client, T0 + 50), 1);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 50, &c);
	assert_true(c.passed && c.trapped);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 51, &c);
	assert_true(c.passed && !c.trapped);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 101, &c);
	assert_true(!c.passed && !c.trapped);
	ledger_judge_caller(&ledger, &other, NULL, T0, &c);
	assert_true(!c.passed && !c.trapped);
	/* let in after waiting in the greylist: no pause or tarpit either */
	e.client = other;
	ledger_take_event(&ledger, &e);
	ledger_judge_caller(&ledger, &other, NULL, T0 + 86400, &c);
	assert_true(c.passed && c.stayed);
	/* who hung up has to be greylisted, until he shows that he waits */
	client = ip("192.0.2.3");
	assert_int_equal(ledger_put_caller(ledger.store, ITEM_LEFT, &client, T0 + 100), 1);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 100, &c);
	assert_true(c.left && !c.passed && !c.unknown);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 101, &c);
	assert_true(!c.left);
	ledger_caller_has_passed(&ledger, &client, T0 + 10); /* a pause is not what he left */
	ledger_judge_caller(&ledger, &client, NULL, T0 + 11, &c);
	assert_true(c.left && c.passed && !c.stayed);
	ledger_caller_has_stayed(&ledger, &client, T0 + 10);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 11, &c);
	assert_true(!c.left && c.passed && c.stayed);
	ledger_judge_caller(&ledger, &client, NULL, T0 + 11 + 86400, &c);
	assert_true(!c.left && !c.passed && !c.stayed);
}

static void
test_correspondents(void **state)
{
	(void)state;
	assert_int_equal(
	    ledger_put_correspondent(ledger.store, "Them@Example.org", "us@y.net", T0 + 10), 1);
	assert_int_equal(
	    ledger_get_correspondent(ledger.store, "them@example.org", "US@y.net", T0), 1);
	assert_int_equal(
	    ledger_get_correspondent(ledger.store, "them@example.org", "us@y.net", T0 + 11), 0);
	assert_int_equal(
	    ledger_get_correspondent(ledger.store, "them@example.org", "you@y.net", T0), 0);
	assert_int_equal(
	    ledger_get_correspondent(ledger.store, "them@example.or", "gus@y.net", T0), 0);
}

/* A record that does not decode is deleted and was never there. */
static void
test_bad_record(void **state)
{
	struct kv_table *t;
	struct buf key = { 0 };
	struct kv *kv;
	char *why, out[100];
	size_t len;

	(void)state;
	close_ledger();
	kv = kv_open(dir, &why);
	assert_non_null(kv);
	t = kv_table_open(kv, "grey", &why);
	assert_non_null(t);
	ledger_key_triplet(&key, "id", "a@x.org", "b@y.net");
	assert_int_equal(kv_put(t, key.data, key.len, "rubbish", 7), 0);
	kv_close(kv);
	open_ledger();
	assert_int_equal(try("id", "a@x.org", "b@y.net", 0), GREY_NEW);
	assert_int_equal(try("id", "a@x.org", "b@y.net", 120), GREY_PASS);
	close_ledger();

	/* a scan throws it out as well */
	kv = kv_open(dir, &why);
	t = kv_table_open(kv, "operator", &why);
	assert_int_equal(kv_put(t, "rubbish", 7, "rubbish", 7), 0);
	kv_close(kv);
	open_ledger();
	close_ledger();
	kv = kv_open(dir, &why);
	t = kv_table_open(kv, "operator", &why);
	assert_int_equal(kv_get(t, "rubbish", 7, out, sizeof(out), &len), 0);
	kv_close(kv);
	open_ledger();
	buf_free(&key);
}

struct ring {
	uint64_t first, last;
	unsigned n;
};

static enum kv_step
see_event(const struct ledger_item *item, void *arg)
{
	struct ring *ring = arg;

	if (ring->n++ == 0)
		ring->first = item->event.session;
	else
		assert_int_equal(item->event.session, ring->last + 1);
	ring->last = item->event.session;
	return KV_NEXT;
}

static void
test_event_ring(void **state)
{
	struct gate_event e = event;
	struct buf position = { 0 };
	struct ring ring = { .n = 0 };
	uint64_t i;

	(void)state;
	for (i = 1; i <= LEDGER_EVENTS_KEPT + 50; i++) {
		if (i == LEDGER_EVENTS_KEPT / 2) {
			close_ledger();
			open_ledger();
		}
		e.session = i;
		assert_int_equal(ledger_put_event(ledger.store, &e), 1);
	}
	while (ledger_scan(ledger.store, TABLE_EVENT, &position, 100, see_event, &ring) == 100)
		;
	assert_int_equal(ring.n, LEDGER_EVENTS_KEPT);
	assert_int_equal(ring.first, 51);
	assert_int_equal(ring.last, LEDGER_EVENTS_KEPT + 50);
	buf_free(&position);
}

/*
 * Counting
 */

static struct report_counts
counts(int64_t time, uint16_t rule, uint16_t line, enum action action, bool observe)
{
	struct report_key k = { .hour = report_hour(time),
		.rule = rule,
		.line = line,
		.action = (uint8_t)action,
		.observe = observe };
	struct report_counts c;

	assert_int_equal(ledger_count_flush(ledger.count, ledger.store), 0);
	(void)ledger_get_counts(ledger.store, &k, &c);
	return c;
}

static void
test_count_events(void **state)
{
	static const struct {
		uint64_t session;
		uint16_t rule;
		enum action action;
		bool observe;
		const char *recipient;
		uint32_t waited;
	} events[] = {
		{ 1, 4, ACTION_REJECT, false, "a@y.net", 0 },
		{ 1, 4, ACTION_REJECT, false, "b@y.net", 0 }, /* the same session */
		{ 2, 4, ACTION_REJECT, false, "a@y.net", 0 },
		{ 2, 4, ACTION_REJECT, true, "a@y.net", 0 }, /* another counter */
		{ 3, 2, ACTION_PAUSE, false, NULL, 20 },
		{ 4, 2, ACTION_PAUSE, false, NULL, 20 },
		{ 5, 0, ACTION_COUNT, false, "a@y.net", 0 },
		{ 6, 0, ACTION_COUNT, false, "a@y.net", 130 },
	};
	struct report_counts c;
	struct report_waits w;
	struct gate_event e;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(events); i++) {
		e = (struct gate_event){ .session = events[i].session,
			.time = T0,
			.rule = events[i].rule,
			.line = 10,
			.action = events[i].action,
			.phase = PHASE_RCPT,
			.observe = events[i].observe,
			.recipient = events[i].recipient,
			.left = events[i].session == 3,
			.waited = events[i].waited };
		ledger_take_event(&ledger, &e);
		if (i == 1) {
			close_ledger(); /* counting goes on where it was */
			open_ledger();
		}
	}
	c = counts(T0, 4, 10, ACTION_REJECT, false);
	assert_true(c.sessions == 2 && c.recipients == 3);
	c = counts(T0, 4, 10, ACTION_REJECT, true);
	assert_true(c.sessions == 1 && c.recipients == 1);
	c = counts(T0, 2, 10, ACTION_PAUSE, false);
	assert_true(c.sessions == 2 && c.recipients == 0 && c.seconds == 40);
	assert_true(c.left == 1 && c.stayed == 1);
	ledger_count_pause(ledger.count, ledger.store, 2, 10, 20, T0);
	c = counts(T0, 2, 10, ACTION_PAUSE, false);
	assert_true(c.sessions == 3 && c.left == 1 && c.stayed == 2 && c.seconds == 60);
	c = counts(T0, 0, 0, ACTION_COUNT, false);
	assert_true(c.sessions == 2 && c.recipients == 2 && c.seconds == 130);
	assert_int_equal(ledger_get_waits(ledger.store, report_hour(T0), &w), 1);
	assert_true(w.count == 1 && w.max == 130);
}

static void
test_count_greylist(void **state)
{
	struct report_counts c;
	uint64_t waiting, stopped;

	(void)state;
	(void)try("id", "a@x.org", "b@y.net", 0);
	(void)try("id", "a@x.org", "b@y.net", 60);
	(void)try("id", "b@x.org", "b@y.net", 0);
	(void)try("id", "c@x.org", "b@y.net", 0);
	/* comes back in another hour: counts where it was held */
	(void)try("id", "a@x.org", "b@y.net", 3600);
	(void)try("id", "a@x.org", "b@y.net", 3700);
	c = counts(T0, 3, 10, ACTION_GREYLIST, false);
	assert_true(c.triplets == 3 && c.returned == 1 && c.window == 3600);
	report_unreturned(&c, report_hour(T0), T0 + 3600, &waiting, &stopped);
	assert_true(waiting == 2 && stopped == 0);
	report_unreturned(&c, report_hour(T0), T0 + 3 * 3600, &waiting, &stopped);
	assert_true(waiting == 0 && stopped == 2);
}

/* One unit a rule, and what an observer says would have been. */
static void
test_effect(void **state)
{
	static const struct {
		enum action action;
		bool observe;
		struct report_counts counts;
		struct report_effect in_time, later;
	} cases[] = {
		{ ACTION_GREYLIST, false, { .sessions = 9, .recipients = 12, .triplets = 8, .returned = 3, .window = 7200 },
		    { .delayed = 3, .waiting = 5 }, { .delayed = 3, .stopped = 5 } },
		{ ACTION_TEMPFAIL, false, { .sessions = 9, .recipients = 12, .triplets = 8, .returned = 3, .window = 7200 },
		    { .delayed = 3, .waiting = 5 }, { .delayed = 3, .stopped = 5 } },
		/* came back, but was first seen in another hour */
		{ ACTION_GREYLIST, false, { .sessions = 1, .recipients = 2 }, { .stopped = 0 }, { .stopped = 0 } },
		{ ACTION_TEMPFAIL, false, { .sessions = 4 }, { .stopped = 4 }, { .stopped = 4 } },
		{ ACTION_REJECT, false, { .sessions = 2, .recipients = 5 }, { .stopped = 5 }, { .stopped = 5 } },
		{ ACTION_DROP, false, { .sessions = 2 }, { .stopped = 2 }, { .stopped = 2 } },
		{ ACTION_PAUSE, false, { .sessions = 7, .left = 2, .stayed = 5 }, { .stopped = 2, .delayed = 5 },
		    { .stopped = 2, .delayed = 5 } },
		{ ACTION_TRUST, false, { .sessions = 3 }, { .let_in = 3 }, { .let_in = 3 } },
		{ ACTION_MARK, false, { .sessions = 3 }, { .let_in = 0 }, { .let_in = 0 } },
		{ ACTION_COUNT, false, { .sessions = 3, .recipients = 4 }, { .let_in = 4 }, { .let_in = 4 } },
		{ ACTION_GREYLIST, true, { .sessions = 3, .recipients = 4 }, { .delayed = 4 }, { .delayed = 4 } },
		{ ACTION_REJECT, true, { .sessions = 3, .recipients = 4 }, { .stopped = 4 }, { .stopped = 4 } },
		{ ACTION_TARPIT, true, { .sessions = 3 }, { .delayed = 3 }, { .delayed = 3 } },
	};
	struct report_key key = { .hour = report_hour(T0) };
	struct report_effect e;
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		key.action = (uint8_t)cases[i].action;
		key.observe = cases[i].observe;
		report_effect(&key, &cases[i].counts, T0 + 3600, &e);
		if (memcmp(&e, &cases[i].in_time, sizeof(e)) != 0)
			fail_msg("case %zu in time", i);
		report_effect(&key, &cases[i].counts, T0 + 5 * 3600, &e);
		if (memcmp(&e, &cases[i].later, sizeof(e)) != 0)
			fail_msg("case %zu later", i);
	}
}

static void
test_report_keys(void **state)
{
	struct report_key k = { .hour = 0x01020304,
		.rule = 5,
		.line = 6,
		.action = ACTION_COUNT,
		.observe = true },
			  out;
	uint8_t octets[REPORT_KEY_LEN];

	(void)state;
	report_key_encode(octets, &k);
	assert_int_equal(octets[0], 1); /* sorts by hour */
	assert_true(report_key_decode(octets, sizeof(octets), &out));
	assert_true(out.hour == k.hour && out.rule == 5 && out.line == 6 &&
		    out.action == ACTION_COUNT && out.observe);
	assert_false(report_key_decode(octets, sizeof(octets) - 1, &out));
	octets[8] = ACTION_COUNT + 1;
	assert_false(report_key_decode(octets, sizeof(octets), &out));
	octets[8] = 0;
	octets[9] = 2;
	assert_false(report_key_decode(octets, sizeof(octets), &out));
}

static void
test_report_octets(void **state)
{
	struct report_counts c = { .sessions = 1,
		.recipients = 2,
		.triplets = 3,
		.returned = 4,
		.seconds = 5,
		.left = 6,
		.stayed = 7,
		.window = 8 },
			     out;
	struct buf b = { 0 };
	size_t i;

	(void)state;
	memset(&out, 0, sizeof(out));
	report_counts_encode(&b, &c);
	assert_true(report_counts_decode(b.data, b.len, &out));
	/* but for the padding behind it */
	assert_memory_equal(&out, &c, offsetof(struct report_counts, window) + sizeof(c.window));
	for (i = 0; i < b.len; i++)
		assert_false(report_counts_decode(b.data, i, &out));
	b.data[8] = (char)0xff; /* 2^56 and more */
	assert_false(report_counts_decode(b.data, b.len, &out));
	buf_free(&b);
}

static void
test_waits(void **state)
{
	static const struct {
		uint32_t waits[6];
		unsigned n;
		uint32_t median, p90, max;
	} cases[] = {
		{ { 0 }, 0, 0, 0, 0 },
		{ { 7 }, 1, 7, 7, 7 },
		{ { 100000 }, 1, 100000, 100000, 100000 },
		{ { 1, 2, 3, 4, 5 }, 5, 3, 5, 5 },
		{ { 1, 2, 3, 4, 5, 1000 }, 6, 3, 1000, 1000 },
		{ { 1, 1, 1, 1, 20, 31 }, 6, 1, 31, 31 },
		{ { UINT32_MAX, 1 }, 2, 1, UINT32_MAX, UINT32_MAX },
	};
	struct report_waits w, out;
	struct buf b = { 0 };
	uint32_t seconds, p;
	unsigned i, j;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		memset(&w, 0, sizeof(w));
		for (j = 0; j < cases[i].n; j++)
			report_waits_add(&w, cases[i].waits[j]);
		if (report_waits_percentile(&w, 50) != cases[i].median ||
		    report_waits_percentile(&w, 90) != cases[i].p90 || w.max != cases[i].max ||
		    w.count != cases[i].n)
			fail_msg("case %u: %u %u %u", i, report_waits_percentile(&w, 50),
			    report_waits_percentile(&w, 90), w.max);
		buf_clear(&b);
		report_waits_encode(&b, &w);
		assert_true(report_waits_decode(b.data, b.len, &out));
		assert_memory_equal(&out, &w, sizeof(w));
		assert_false(report_waits_decode(b.data, b.len - 1, &out));
	}
	/* never below what was, never more than a sixteenth above */
	for (seconds = 1; seconds < 3000000000u; seconds += seconds / 7 + 1) {
		memset(&w, 0, sizeof(w));
		report_waits_add(&w, seconds);
		report_waits_add(&w, UINT32_MAX);
		p = report_waits_percentile(&w, 50);
		if (p < seconds || p - seconds > seconds / 16)
			fail_msg("%u reads as %u", seconds, p);
	}
	memset(&w, 0, sizeof(w));
	memset(&out, 0, sizeof(out));
	report_waits_add(&w, 10);
	report_waits_add(&out, 30);
	report_waits_merge(&w, &out);
	assert_true(
	    w.count == 2 && w.sum == 40 && w.max == 30 && report_waits_percentile(&w, 50) == 10);
	buf_free(&b);
}

/*
 * Selectors
 */

static void
test_selector_words(void **state)
{
	static const struct {
		const char *words[3];
		bool ok;
	} cases[] = {
		{ { NULL }, true },
		{ { "state=waiting", "from=example.org", "limit=10" }, true },
		{ { "client=192.0.2.1", "all", "-n" }, true },
		{ { "client=192.0.2.1/24" }, false },
		{ { "state=" }, false },
		{ { "limit=0" }, false },
		{ { "limit=-1" }, false },
		{ { "form=example.org" }, false },
		{ { "example.org" }, false },
		{ { "=x" }, false },
		{ { "from=" }, false },
	};
	struct grey_selector sel;
	char *why;
	unsigned i, n;

	(void)state;
	for (i = 0; i < COUNT(cases); i++) {
		for (n = 0; n < 3 && cases[i].words[n] != NULL; n++)
			;
		if (grey_selector_parse(n, cases[i].words, &sel, &why) != cases[i].ok)
			fail_msg("case %u: %s", i, why == NULL ? "parsed" : why);
		assert_int_equal(why == NULL, cases[i].ok);
		free(why);
		if (cases[i].ok)
			grey_selector_clear(&sel);
	}
}

static void
test_selector_matches(void **state)
{
	static const struct {
		const char *word;
		bool named, networked, caller, correspondent;
	} cases[] = {
		{ "state=waiting", true, false, false, false },
		{ "state=passed", false, true, false, false },
		{ "state=caller", false, false, true, false },
		{ "state=correspondent", false, false, false, true },
		{ "identity=name:example.org", true, false, false, false },
		{ "name=example.org", true, false, false, false },
		{ "name=org", true, false, false, false },
		{ "name=ample.org", false, false, false, false },
		{ "client=192.0.2.77", false, true, false, false },
		{ "client=192.0.2.7", false, true, true, false },
		{ "client=192.0.0.0/16", false, true, true, false },
		{ "client=198.51.100.1", false, false, false, false },
		{ "from=a@x.org", true, false, false, true },
		{ "from=org", true, false, false, true },
		{ "from=.x.org", true, false, false, true },
		{ "from=<>", false, true, false, false },
		{ "to=y.net", true, true, false, true },
		{ "to=b@y.net", true, false, false, true },
		{ "to=et", false, false, false, false },
	};
	struct ledger_item named = { .type = ITEM_TRIPLET,
		.identity = "name:example.org",
		.sender = "a@x.org",
		.recipient = "b@y.net",
		.triplet = {
		    .first = T0, .last = T0, .expires = T0 + 99, .count = 1, .delay = 1 } };
	struct ledger_item networked = { .type = ITEM_TRIPLET,
		.identity = "net:192.0.2.0/24",
		.sender = "",
		.recipient = "c@y.net",
		.triplet = {
		    .first = T0, .last = T0, .passed = T0, .expires = T0 + 99, .count = 1 } };
	struct ledger_item caller = { .type = ITEM_PASSED, .until = T0 + 99 };
	struct ledger_item correspondent = {
		.type = ITEM_CORRESPONDENT, .theirs = "a@x.org", .ours = "b@y.net", .until = T0 + 99
	};
	struct grey_selector sel;
	char *why;
	size_t i;

	(void)state;
	caller.client = ip("192.0.2.7");
	for (i = 0; i < COUNT(cases); i++) {
		if (!grey_selector_parse(1, &cases[i].word, &sel, &why))
			fail_msg("%s: %s", cases[i].word, why);
		if (grey_selector_matches(&sel, &named, T0 + 1) != cases[i].named ||
		    grey_selector_matches(&sel, &networked, T0 + 1) != cases[i].networked ||
		    grey_selector_matches(&sel, &caller, T0 + 1) != cases[i].caller ||
		    grey_selector_matches(&sel, &correspondent, T0 + 1) != cases[i].correspondent)
			fail_msg("%s", cases[i].word);
		grey_selector_clear(&sel);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_event_message),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_question_and_answer),
		cmocka_unit_test(test_keys_do_not_run_together),
		cmocka_unit_test(test_items),
		cmocka_unit_test(test_operator_spelling),
		cmocka_unit_test(test_operator_on_caller),
		cmocka_unit_test(test_operator_on_mail),
		cmocka_unit_test(test_operator_list),
		cmocka_unit_test(test_operator_octets),
		cmocka_unit_test_setup_teardown(test_decide, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_client_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_elsewhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_observe, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_operator, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_operator_on_caller, setup, teardown),
		cmocka_unit_test_setup_teardown(test_proposal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rescue, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rescue_leaves_the_operator, setup, teardown),
		cmocka_unit_test_setup_teardown(test_greylist_tries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hung_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_without_store, setup, teardown),
		cmocka_unit_test_setup_teardown(test_decide_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_callers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_correspondents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_event_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(test_count_events, setup, teardown),
		cmocka_unit_test_setup_teardown(test_count_greylist, setup, teardown),
		cmocka_unit_test(test_effect),
		cmocka_unit_test(test_report_keys),
		cmocka_unit_test(test_report_octets),
		cmocka_unit_test(test_waits),
		cmocka_unit_test(test_selector_words),
		cmocka_unit_test(test_selector_matches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
