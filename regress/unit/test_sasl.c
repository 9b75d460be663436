/*
 * What is read of SASL without knowing anybody: base 64, PLAIN, SCRAM's name, mechanisms, lines of Dovecot, stored passwords,
 * the vault's messages.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base64.h"
#include "lib/buf.h"
#include "vault/dovecot_line.h"
#include "vault/mechanism.h"
#include "vault/password.h"
#include "vault/vault_wire.h"

#define LIT(s) s, sizeof(s) - 1

static void
test_base64(void **state)
{
	static const struct {
		const char *text;
		const char *plain; /* NULL: none */
		size_t len;
	} rows[] = {
		{ "", LIT("") }, { "Zg==", LIT("f") }, { "Zm8=", LIT("fo") }, { "Zm9v", LIT("foo") }, /* RFC 4648 10 */
		{ "Zm9vYg==", LIT("foob") }, { "Zm9vYmE=", LIT("fooba") }, { "Zm9vYmFy", LIT("foobar") },
		{ "AAAA", LIT("\0\0\0") }, { "////", LIT("\xff\xff\xff") },
		{ "Zg", NULL, 0 }, { "Zg=", NULL, 0 }, { "Zg===", NULL, 0 }, { "=", NULL, 0 }, { "====", NULL, 0 },
		{ "Zm==", NULL, 0 }, { "Zm9=", NULL, 0 }, /* bits behind the end */
		{ "Zg==Zg==", NULL, 0 }, { "Z=g=", NULL, 0 }, { "Zm9v\r", NULL, 0 }, { " Zm9", NULL, 0 }, { "Zm9-", NULL, 0 },
		{ "Zm\xc3\xa9", NULL, 0 },
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_clear(&b);
		buf_adds(&b, "x");
		assert_int_equal(base64_decode(&b, rows[i].text, strlen(rows[i].text)), rows[i].plain != NULL);
		assert_int_equal(b.len, rows[i].len + 1);
		assert_memory_equal(b.data + 1, rows[i].plain != NULL ? rows[i].plain : "", rows[i].len);
		if (rows[i].plain == NULL)
			continue;
		buf_clear(&b);
		base64_encode(&b, rows[i].plain, rows[i].len);
		assert_string_equal(buf_str(&b), rows[i].text);
	}
	assert_false(base64_decode(&b, "AA\0A", 4));
	buf_free(&b);
}

static void
test_plain(void **state)
{
	char longest[SASL_TEXT_MAX + 4];
	struct sasl_plain p;

	(void)state;
	assert_true(sasl_plain_parse(LIT("\0alice\0secret"), &p));
	assert_int_equal(p.authzid_len, 0);
	assert_int_equal(p.authcid_len, 5);
	assert_memory_equal(p.password, "secret", 6);
	assert_true(sasl_plain_parse(LIT("bob\0alice\0s"), &p));
	assert_memory_equal(p.authzid, "bob", p.authzid_len);
	assert_true(sasl_plain_parse(LIT("\0\xc3\xa9l\0\xff\xfe"), &p)); /* passwords need not be UTF-8 */
	assert_false(sasl_plain_parse(LIT(""), &p));
	assert_false(sasl_plain_parse(LIT("alice"), &p));
	assert_false(sasl_plain_parse(LIT("\0alice"), &p));
	assert_false(sasl_plain_parse(LIT("\0alice\0"), &p));
	assert_false(sasl_plain_parse(LIT("\0\0secret"), &p));
	assert_false(sasl_plain_parse(LIT("\0alice\0sec\0ret"), &p));
	assert_false(sasl_plain_parse(LIT("\0al\nice\0s"), &p));
	assert_false(sasl_plain_parse(LIT("\0al\xffice\0s"), &p));
	assert_false(sasl_plain_parse(LIT("\0\xc0\xaf\0s"), &p));
	memset(longest, 'a', sizeof(longest));
	longest[0] = longest[2] = '\0';
	assert_true(sasl_plain_parse(longest, SASL_TEXT_MAX + 3, &p));
	assert_false(sasl_plain_parse(longest, SASL_TEXT_MAX + 4, &p));
}

static void
test_scram_name(void **state)
{
	static const struct {
		const char *message, *name; /* NULL: none */
	} rows[] = {
		{ "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "user" }, /* RFC 5802 5 */
		{ "y,,n=user,r=x", "user" }, { "p=tls-exporter,,n=user,r=x", "user" },
		{ "n,a=user,n=user,r=x", "user" }, { "n,a=other,n=user,r=x", NULL },
		{ "n,,n=a=2Cb=3Dc,r=x", "a,b=c" }, { "n,,n=a=2cb,r=x", NULL }, { "n,,n=a=,r=x", NULL }, { "n,,n=a=3,r=x", NULL },
		{ "n,,n=,r=x", NULL }, { "n,,n=user", NULL }, { "n,,r=x,n=user", NULL }, { "n,,m=ext,n=user,r=x", NULL },
		{ "x,,n=user,r=x", NULL }, { "n,n=user,r=x", NULL }, { "n", NULL }, { "", NULL }, { "n,,", NULL },
		{ "n,,n=a\x01z,r=x", NULL }, { "n,,n=\xc3\xa9,r=x", "\xc3\xa9" },
	};
	char *name;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		name = sasl_scram_name(rows[i].message, strlen(rows[i].message));
		if (rows[i].name == NULL)
			assert_null(name);
		else
			assert_string_equal(name, rows[i].name);
		free(name);
	}
}

static void
test_mechanisms(void **state)
{
	struct mechanism_caller clear = { .tls = false }, tls = { .tls = true }, bound = { .tls = true,
		.binding = "tls-unique" }, known = { .tls = true, .certificate = "alice" };
	uint32_t all = MECHANISM_BIT(MECHANISM_COUNT) - 1;
	struct buf list = { 0 };

	(void)state;
	mechanism_list(&list, mechanism_usable(all, &clear));
	assert_string_equal(buf_str(&list), "SCRAM-SHA-256 SCRAM-SHA-1");
	buf_clear(&list);
	mechanism_list(&list, mechanism_usable(all, &tls));
	assert_string_equal(buf_str(&list), "SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN");
	buf_clear(&list);
	mechanism_list(&list, mechanism_usable(all, &bound) & ~MECHANISM_PASSWORDS);
	assert_string_equal(buf_str(&list), "SCRAM-SHA-256-PLUS SCRAM-SHA-1-PLUS SCRAM-SHA-256 SCRAM-SHA-1");
	assert_true(mechanism_usable(all, &known) & MECHANISM_BIT(MECHANISM_EXTERNAL));
	assert_int_equal(mechanism_by_name("plain", 5), MECHANISM_PLAIN);
	assert_int_equal(mechanism_by_name("PLAIN", 4), -1);
	assert_int_equal(mechanism_by_name("", 0), -1);
	buf_free(&list);
}

static void
check_line(const char *text, bool good, enum dovecot_word word, uint32_t id, const char *value, const char *user)
{
	struct dovecot_line line;

	assert_int_equal(dovecot_line_parse(text, strlen(text), &line), good);
	if (!good)
		return;
	assert_int_equal(line.word, word);
	assert_int_equal(line.id, id);
	if (value != NULL)
		assert_string_equal(line.text, value);
	if (user != NULL)
		assert_string_equal(line.user, user);
	else
		assert_null(line.user);
	dovecot_line_free(&line);
}

static void
test_dovecot(void **state)
{
	struct dovecot_line line;
	struct buf b = { 0 };

	(void)state;
	check_line("VERSION\t1\t2", true, DOVECOT_VERSION, 1, NULL, NULL);
	check_line("MECH\tPLAIN\tplaintext", true, DOVECOT_MECH, 0, "PLAIN", NULL);
	check_line("SPID\t123", true, DOVECOT_OTHER, 0, NULL, NULL);
	check_line("DONE", true, DOVECOT_DONE, 0, NULL, NULL);
	check_line("OK\t7\tuser=alice\tnologin", true, DOVECOT_OK, 7, NULL, "alice");
	check_line("OK\t7\tuser=a\001tb\0011\tuser=x", true, DOVECOT_OK, 7, NULL, "a\tb\001");
	check_line("FAIL\t4294967295\tuser=alice\ttemp", true, DOVECOT_FAIL, UINT32_MAX, NULL, "alice");
	check_line("CONT\t3\tdj1yPQ==", true, DOVECOT_CONT, 3, "dj1yPQ==", NULL);
	check_line("CONT\t3", false, 0, 0, NULL, NULL);
	check_line("OK", false, 0, 0, NULL, NULL);
	check_line("OK\t", false, 0, 0, NULL, NULL);
	check_line("OK\t1x", false, 0, 0, NULL, NULL);
	check_line("OK\t4294967296", false, 0, 0, NULL, NULL);
	check_line("MECH", false, 0, 0, NULL, NULL);
	check_line("", true, DOVECOT_OTHER, 0, NULL, NULL);
	assert_true(dovecot_line_parse("FAIL\t1\ttemp", 11, &line));
	assert_true(line.temp);
	dovecot_line_free(&line);
	dovecot_add_value(&b, "a\tb\n\001\r");
	assert_string_equal(buf_str(&b), "a\001tb\001n\0011\001r");
	buf_free(&b);
}

static void
test_passwords(void **state)
{
	static const struct {
		const char *stored;
		enum password_kind kind;
		const char *right; /* NULL: nobody gets in */
	} rows[] = {
		/* openssl passwd -6 -salt saltsalt one */
		{ "$6$saltsalt$kiRCEN9h6.zvW9LfVNgSwgm2787.AP2FffCmRoXgfIr6JNAEomr.2TTu4gXSLZC8ktz9QdSO9U53P04XAACMi1",
		  PASSWORD_CRYPT, "one" },
		{ "{SHA512-CRYPT}$6$saltsalt$kiRCEN9h6.zvW9LfVNgSwgm2787.AP2FffCmRoXgfIr6JNAEomr.2TTu4gXSLZC8ktz9QdSO9U53P04XAACMi1:1000:1000",
		  PASSWORD_CRYPT, "one" },
		{ "{PLAIN}one:two", PASSWORD_PLAIN, "one:two" }, { "{cleartext}x", PASSWORD_PLAIN, "x" },
		{ "{PLAIN}", PASSWORD_NONE, NULL }, { "", PASSWORD_NONE, NULL }, { "one", PASSWORD_NONE, NULL },
		{ "!$6$saltsalt$x", PASSWORD_NONE, NULL }, { "*", PASSWORD_NONE, NULL }, { "x:19000:0", PASSWORD_NONE, NULL },
		{ "abJnggxhB/yWI", PASSWORD_NONE, NULL }, { "{CRYPT}abJnggxhB/yWI", PASSWORD_NONE, NULL },
		{ "{SSHA}abc", PASSWORD_NONE, NULL }, { "{PLAIN", PASSWORD_NONE, NULL }, { "$9$x$y", PASSWORD_CRYPT, NULL },
		/* RFC 7677 3, password "pencil" */
		{ "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=,"
		  "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=", PASSWORD_SCRAM, "pencil" },
		{ "{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", PASSWORD_SCRAM, NULL },
		{ "{SCRAM-SHA-256}0,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d,wfPL", PASSWORD_SCRAM, NULL },
		{ "{SCRAM-SHA-256}x", PASSWORD_SCRAM, NULL },
	};
	static const char *const tries[] = { "", "one", "one:two", "x", "pencil", "{PLAIN}", "!", "*" };
	struct password p;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		p = password_parse(rows[i].stored);
		assert_int_equal(p.kind, rows[i].kind);
		for (k = 0; k < sizeof(tries) / sizeof(tries[0]); k++)
			assert_int_equal(password_check(&p, tries[k]),
			    rows[i].right != NULL && strcmp(rows[i].right, tries[k]) == 0);
	}
}

static void
test_scram_text(void **state)
{
	struct password p = password_parse("{SCRAM-SHA-256}4096,W22ZaJ0SNY7soEsUEjb6gQ==,WG5d,wfPL:rest");
	char *text = password_scram_text(&p);

	(void)state;
	assert_string_equal(text, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d:wfPL"); /* RFC 5803 */
	free(text);
	p = password_parse("{PLAIN}x");
	assert_null(password_scram_text(&p));
}

static void
test_wire(void **state)
{
	struct vault_begin begin = { .mechanism = MECHANISM_PLAIN, .session = 7, .initial = "a\0b", .len = 3,
		.caller = { .tls = true, .certificate = "alice", .binding = "tls-exporter", .binding_data = "\0\1",
		    .binding_len = 2 } }, back;
	struct vault_answer answer = { .result = VAULT_CHALLENGE, .text = "x\0y", .len = 3, .name = "alice" }, again;
	struct buf b = { 0 };
	struct cursor c;
	size_t i;

	(void)state;
	assert_true(ip_parse("2001:db8::1", &begin.caller.ip));
	vault_begin_encode(&b, &begin);
	c = cursor_init(b.data, b.len);
	assert_true(vault_begin_decode(&c, &back));
	assert_int_equal(back.mechanism, MECHANISM_PLAIN);
	assert_memory_equal(back.initial, "a\0b", 3);
	assert_string_equal(back.caller.certificate, "alice");
	assert_string_equal(back.caller.binding, "tls-exporter");
	assert_true(ip_equal(&back.caller.ip, &begin.caller.ip));
	for (i = 0; i < b.len; i++) {
		c = cursor_init(b.data, i);
		assert_false(vault_begin_decode(&c, &back));
	}
	assert_int_equal(b.data[1], 15); /* the flags: all there */
	b.data[1] = 7;
	c = cursor_init(b.data, b.len);
	assert_false(vault_begin_decode(&c, &back)); /* a first response that is said not to be there */
	buf_clear(&b);
	vault_answer_encode(&b, &answer);
	c = cursor_init(b.data, b.len);
	assert_true(vault_answer_decode(&c, &again));
	assert_memory_equal(again.text, "x\0y\0", 4);
	assert_string_equal(again.name, "alice");
	buf_free(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_scram_name),
		cmocka_unit_test(test_mechanisms),
		cmocka_unit_test(test_dovecot),
		cmocka_unit_test(test_passwords),
		cmocka_unit_test(test_scram_text),
		cmocka_unit_test(test_wire),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
