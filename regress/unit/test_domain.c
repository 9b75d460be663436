/*
 * Mailbox formats: every field, and every value that must not become more than one component of a path.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/domain.h"

#define USER "alice"
#define DOMAIN "example.net"
#define HOME "/home/alice"

static void
test_expand(void **state)
{
	static const struct {
		const char *format;
		struct mailbox_fields fields; /* NULL where the format does not look */
		const char *path;
	} cases[] = {
		{ "", { .user = USER }, "" },
		{ "/var/mail/all", { .user = USER }, "/var/mail/all" },
		{ "%{home}/Maildir", { .home = HOME }, HOME "/Maildir" },
		{ "/m/%{domain}/%{user}", { .user = USER, .domain = DOMAIN }, "/m/example.net/alice" },
		{ "%{user}%{user}", { .user = USER }, "alicealice" },
		{ "/m/%{address}", { .address = "a@b.example" }, "/m/a@b.example" },
		{ "/m/%{user}/.%{extension}", { .user = USER, .extension = "lists" }, "/m/alice/.lists" },
		/* no extension is an extension too */
		{ "/m/%{user}/%{extension}", { .user = USER }, "/m/alice/" },
		{ "/m/%{user}/%{extension}", { .user = USER, .extension = "" }, "/m/alice/" },
		/* what is no field stays */
		{ "100% %user {home} %", { .user = USER }, "100% %user {home} %" },
		/* a value is not read again */
		{ "/m/%{user}", { .user = "%{home}", .home = HOME }, "/m/%{home}" },
		{ "/m/%{user}%{domain}", { .user = "%{", .domain = "home}" }, "/m/%{home}" },
		/* values that leave their component */
		{ "/m/%{user}", { .user = "../root" }, NULL },
		{ "/m/%{user}", { .user = "a/b" }, NULL },
		{ "/m/%{user}", { .user = "/" }, NULL },
		{ "/m/%{user}", { .user = "." }, NULL },
		{ "/m/%{user}", { .user = ".." }, NULL },
		{ "/m/%{user}", { .user = "" }, NULL },
		{ "/m/%{user}", { .user = NULL }, NULL },
		{ "/m/%{domain}", { .domain = ".." }, NULL },
		{ "/m/%{address}", { .address = "../x@example.net" }, NULL },
		{ "/m/%{user}/%{extension}", { .user = USER, .extension = ".." }, NULL },
		{ "/m/%{user}/%{extension}", { .user = USER, .extension = "x/../../y" }, NULL },
		{ "/m/%{user}/%{extension}", { .user = USER, .extension = "..." }, "/m/alice/..." },
		{ "%{home}", { .home = "" }, NULL },
		{ "%{home}", { .home = NULL }, NULL },
		/* a format that was never checked */
		{ "/m/%{hme}", { .home = HOME }, NULL },
		{ "/m/%{user", { .user = USER }, NULL },
		{ "/m/%{}", { .user = USER }, NULL },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *path = mailbox_expand(cases[i].format, &cases[i].fields);

		if (cases[i].path == NULL ? path != NULL : path == NULL || strcmp(path, cases[i].path) != 0)
			fail_msg("\"%s\" became %s", cases[i].format, path == NULL ? "nothing" : path);
		free(path);
	}
}

static void
test_check(void **state)
{
	static const struct {
		const char *format, *why; /* its beginning; NULL: right */
	} cases[] = {
		{ "/var/mail/%{user}", NULL },
		{ "%{home}%{domain}%{address}%{extension}%{user}", NULL },
		{ "", NULL },
		{ "50% {off} %", NULL },
		{ "%{hme}/Maildir", "unknown field \"%{hme}\"; fields are %{user}, %{domain}, " },
		{ "%{user}/%{User}", "unknown field \"%{User}\"" },
		{ "/m/%{}", "unknown field \"%{}\"" },
		{ "/m/%{user", "\"%{user\" has no closing \"}\"; fields are " },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *why = mailbox_check(cases[i].format);

		if (cases[i].why == NULL) {
			assert_null(why);
			continue;
		}
		assert_non_null(why);
		if (strncmp(why, cases[i].why, strlen(cases[i].why)) != 0)
			fail_msg("\"%s\": %s", cases[i].format, why);
		free(why);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expand),
		cmocka_unit_test(test_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
