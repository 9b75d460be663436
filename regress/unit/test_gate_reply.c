/* Replies: the fields of a rule's text, and what a client could try with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filters/gate_reply.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void
test_fields(void **state)
{
	static const struct {
		const char *text, *reply;
	} cases[] = {
		{ "no", "no" },
		{ "<%{name}[%{client}]>: be patient", "<mail.example.net[192.0.2.7]>: be patient" },
		{ "%{helo} %{sender} %{recipient}", "h.example a@b.example c@d.example" },
		{ "in %{minutes} min", "in 5 min" },
		{ "100% %{ %", "100% %{ %" },
		{ "später: %{client}", "spaeter: 192.0.2.7" },
		{ "%{client}%{client}", "192.0.2.7192.0.2.7" },
	};
	struct facts facts = { .name = "mail.example.net", .helo = "h.example", .sender = "a@b.example",
		.recipient = "c@d.example" };
	char *reply;
	size_t i;

	(void)state;
	assert_true(ip_parse("192.0.2.7", &facts.client));
	for (i = 0; i < N(cases); i++) {
		assert_null(gate_reply_unknown_field(cases[i].text));
		reply = gate_reply(cases[i].text, &facts, 5);
		assert_string_equal(reply, cases[i].reply);
		free(reply);
	}
}

/* A value never becomes a field, a line or a letter that SMTP does not know; one that is not there is empty. */
static void
test_values(void **state)
{
	struct facts facts = { .helo = "%{client}\r\n250 \xc3\xa9", .client.family = 0 };
	char *reply;

	(void)state;
	assert_true(ip_parse("2001:db8::1", &facts.client));
	reply = gate_reply("%{name} %{helo} <%{sender}>", &facts, 0);
	assert_string_equal(reply, "unknown %{client}??250 ?? <>");
	free(reply);
}

static void
test_unknown(void **state)
{
	char *field = gate_reply_unknown_field("%{client} %{adress} %{x}");

	(void)state;
	assert_string_equal(field, "adress");
	free(field);
}

static struct condition
asks(enum fact fact, int value)
{
	return (struct condition){ .op = CONDITION_TEST, .test = { .fact = fact, .value = value } };
}

/* RFC 7505 4.2 and RFC 7372 3 have statuses for some of what a rule may ask for; it must be what the refusal is for. */
static void
test_status(void **state)
{
	struct condition nullmx = asks(FACT_SENDER_DOMAIN, SENDER_DOMAIN_NULLMX), none = asks(FACT_RDNS, RDNS_NONE),
			 lies = asks(FACT_RDNS, RDNS_MISMATCH), pass = asks(FACT_RDNS, RDNS_PASS),
			 tls = asks(FACT_TLS, 0), spf = asks(FACT_SPF, AUTH_FAIL);
	struct condition no_pass = { .op = CONDITION_NOT, .left = &pass },
			 no_nullmx = { .op = CONDITION_NOT, .left = &nullmx },
			 both = { .op = CONDITION_AND, .left = &tls, .right = &spf },
			 same = { .op = CONDITION_OR, .left = &none, .right = &lies },
			 one_of = { .op = CONDITION_OR, .left = &none, .right = &nullmx };
	const struct {
		struct condition *when;
		const char *status;
	} cases[] = {
		{ NULL, "5.7.1" }, { &tls, "5.7.1" }, { &nullmx, "5.7.27" }, { &no_nullmx, "5.7.1" }, { &none, "5.7.25" },
		{ &pass, "5.7.1" }, { &no_pass, "5.7.25" }, { &both, "5.7.23" }, { &same, "5.7.25" }, { &one_of, "5.7.1" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < N(cases); i++) {
		struct rule rule = { .action = ACTION_REJECT, .when = cases[i].when };

		assert_string_equal(gate_status(&rule, ACTION_REJECT), cases[i].status);
		assert_string_equal(gate_status(&rule, ACTION_TEMPFAIL), "4.7.1");
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
