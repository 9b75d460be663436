/*
 * Files with accounts at other servers: what is a line, which one is found, who may read them; and
 * which TLSA records are of use.
 */
#include <sys/stat.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "deliver/login.h"
#include "deliver/tlsa.h"

static struct logins *
parse(const char *text)
{
	char *why = NULL;
	struct logins *logins = login_parse("f", text, strlen(text), &why);

	if (logins == NULL)
		fail_msg("%s", why);
	return logins;
}

static void
test_find(void **state)
{
	static const struct {
		const char *host;
		uint16_t port;
		const char *user; /* NULL: none */
	} cases[] = {
		{ "smtp.example.net", 587, "with-port" }, { "smtp.example.net", 25, "any" }, { "SMTP.example.net", 25, "any" },
		{ "brackets.example", 587, "postfix" }, { "brackets.example", 25, NULL }, { "[192.0.2.1]", 25, "four" },
		{ "[2001:db8::1]", 25, "six" }, { "[2001:db8::2]", 587, "six-port" }, { "other.example", 25, NULL },
		{ "192.0.2.1", 25, NULL },
	};
	struct logins *logins = parse("# comment\n\n  smtp.example.net  any:a\r\nSmtp.Example.net:587\twith-port:b c:d \n"
				      "[brackets.example]:587 postfix:e\n192.0.2.1 four:f\n2001:DB8::1 six:g\n"
				      "[2001:db8:0::2]:587 six-port:h");
	const struct login *login;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		login = login_find(logins, cases[i].host, cases[i].port);
		if ((login == NULL) != (cases[i].user == NULL) ||
		    (login != NULL && strcmp(login->user, cases[i].user) != 0))
			fail_msg("%s:%u is %s", cases[i].host, cases[i].port, login != NULL ? login->user : "nobody");
	}
	assert_string_equal(login_find(logins, "smtp.example.net", 587)->password, "b c:d ");
	assert_string_equal(login_path(logins), "f");
	login_free(logins);
	login_free(NULL);
}

static void
test_bad(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "a\n", "f:1: expected HOST USER:PASSWORD" }, { "\na b\n", "f:2: expected HOST USER:PASSWORD" },
		{ "a :b\n", "f:1: expected HOST USER:PASSWORD" }, { "a b:\n", "f:1: expected HOST USER:PASSWORD" },
		{ "a b:c\n:587 b:c", "f:2: the host is none; expected smtp.example.net or smtp.example.net:587" },
		{ "a:0 b:c", "f:1: the host is none; expected smtp.example.net or smtp.example.net:587" },
		{ "a:65536 b:c", "f:1: the host is none; expected smtp.example.net or smtp.example.net:587" },
		{ "a:1x b:c", "f:1: the host is none; expected smtp.example.net or smtp.example.net:587" },
	};
	char *why = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_null(login_parse("f", cases[i].text, strlen(cases[i].text), &why));
		assert_string_equal(why, cases[i].why);
		free(why);
	}
	assert_null(login_parse("f", "a b:c\0d", 7, &why));
	assert_string_equal(why, "f:1: there is a NUL in it");
	free(why);
}

static void
expect_file(const char *path, const char *words)
{
	char *why = NULL;
	struct logins *logins = login_load(path, &why);

	if (words == NULL) {
		assert_non_null(logins);
		login_free(logins);
		return;
	}
	assert_null(logins);
	assert_non_null(strstr(why, words));
	assert_int_equal(strncmp(why, path, strlen(path)), 0);
	free(why);
}

static void
test_file(void **state)
{
	char path[] = "/tmp/test_login.XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(write(fd, "a b:c\n", 6), 6);
	expect_file(path, NULL);
	assert_int_equal(fchmod(fd, 0640), 0);
	expect_file(path, "others may read");
	assert_int_equal(fchmod(fd, 0602), 0);
	expect_file(path, "others may read");
	assert_int_equal(fchmod(fd, 0600), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchown(fd, 65534, 65534), 0);
		expect_file(path, "it belongs to somebody else");
	}
	assert_int_equal(ftruncate(fd, 1024 * 1024), 0);
	assert_int_equal(fchown(fd, geteuid(), getegid()), 0);
	expect_file(path, "longer than");
	close(fd);
	unlink(path);
	expect_file(path, "No such file");
	expect_file("/tmp", "it is no file");
}

/* --- TLSA --- */

static void
test_tlsa(void **state)
{
	uint8_t r[3 + 64] = { 0 };
	unsigned usage, selector, matching;
	size_t len;

	(void)state;
	for (usage = 0; usage < 5; usage++) {
		for (selector = 0; selector < 3; selector++) {
			for (matching = 1; matching < 4; matching++) {
				r[0] = (uint8_t)usage;
				r[1] = (uint8_t)selector;
				r[2] = (uint8_t)matching;
				for (len = 0; len <= sizeof(r); len++) {
					/* RFC 7672 3.1.3: 0 and 1 are unusable */
					bool right = (usage == 2 || usage == 3) && selector < 2 &&
					    ((matching == 1 && len == 3 + 32) || (matching == 2 && len == 3 + 64));

					assert_int_equal(tlsa_is_usable(r, len), right);
				}
			}
		}
	}
}

static void
test_tlsa_whole(void **state)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	unsigned char *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	uint8_t *r = malloc((size_t)n + 4);

	(void)state;
	memcpy(r, "\003\001\000", 3);
	memcpy(r + 3, der, (size_t)n);
	assert_true(tlsa_is_usable(r, (size_t)n + 3));
	assert_false(tlsa_is_usable(r, (size_t)n + 2));
	r[n + 3] = 0;
	assert_false(tlsa_is_usable(r, (size_t)n + 4));
	r[1] = 0; /* a key is no certificate */
	assert_false(tlsa_is_usable(r, (size_t)n + 3));
	free(r);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_tlsa),
		cmocka_unit_test(test_tlsa_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
