/*
 * The decision about TLS, as a table: every row is a situation and what comes of it.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/tls_policy.h"

#define MX .by_mx = true
#define SIGNED MX, .mx_secure = true
#define STS(m) .sts = STS_##m, .sts_match = true
#define OTHER(m) .sts = STS_##m, .sts_match = false

static const struct row {
	const char *what;
	struct tls_facts facts;
	enum tls_need need;
	const char *policy;
	const char *refusal; /* its beginning, or NULL */
	bool for_good, testing;
} rows[] = {
	{ "nothing is known", { MX }, TLS_MAY, "opportunistic", NULL, false, false },
	{ "a smarthost", { .by_mx = false }, TLS_MAY, "opportunistic", NULL, false, false },
	/* the route */
	{ "off", { MX, .route = HOP_TLS_OFF }, TLS_NONE, "off", NULL, false, false },
	{ "off lifts DANE", { SIGNED, .route = HOP_TLS_OFF, .dane = DANE_USABLE }, TLS_NONE, "off", NULL, false,
	    false },
	{ "off lifts MTA-STS", { MX, .route = HOP_TLS_OFF, OTHER(ENFORCE) }, TLS_NONE, "off", NULL, false, false },
	{ "required", { MX, .route = HOP_TLS_REQUIRED }, TLS_ENCRYPT, "route", NULL, false, false },
	{ "verify", { MX, .route = HOP_TLS_VERIFY }, TLS_PKIX, "route", NULL, false, false },
	{ "required, DANE is more", { SIGNED, .route = HOP_TLS_REQUIRED, .dane = DANE_USABLE }, TLS_DANE, "dane", NULL,
	    false, false },
	{ "verify, DANE is as good", { SIGNED, .route = HOP_TLS_VERIFY, .dane = DANE_USABLE }, TLS_DANE, "dane", NULL,
	    false, false },
	{ "verify, DANE says nothing of use", { SIGNED, .route = HOP_TLS_VERIFY, .dane = DANE_UNUSABLE }, TLS_PKIX,
	    "route", NULL, false, false },
	{ "verify, DANE fails", { SIGNED, .route = HOP_TLS_VERIFY, .dane = DANE_FAILED }, TLS_PKIX, "dane", "its TLSA",
	    false, false },
	/* RFC 7672 */
	{ "2.2: usable", { SIGNED, .dane = DANE_USABLE }, TLS_DANE, "dane", NULL, false, false },
	{ "2.2.3: unusable records ask for encryption", { SIGNED, .dane = DANE_UNUSABLE }, TLS_ENCRYPT, "dane", NULL,
	    false, false },
	{ "2.1.2: an error makes the server unreachable", { SIGNED, .dane = DANE_FAILED }, TLS_ENCRYPT, "dane",
	    "its TLSA", false, false },
	/* RFC 8461 5 */
	{ "enforce", { MX, STS(ENFORCE) }, TLS_PKIX, "mta-sts", NULL, false, false },
	{ "enforce, not named", { MX, OTHER(ENFORCE) }, TLS_PKIX, "mta-sts", "the domain's MTA-STS", false, false },
	{ "testing", { MX, STS(TESTING) }, TLS_MAY, "opportunistic", NULL, false, true },
	{ "testing, not named", { MX, OTHER(TESTING) }, TLS_MAY, "opportunistic", NULL, false, true },
	{ "required and enforce", { MX, STS(ENFORCE), .route = HOP_TLS_REQUIRED }, TLS_PKIX, "mta-sts", NULL, false,
	    false },
	{ "verify and not named", { MX, OTHER(ENFORCE), .route = HOP_TLS_VERIFY }, TLS_PKIX, "mta-sts",
	    "the domain's MTA-STS", false, false },
	/* both: RFC 8461 2 */
	{ "DANE goes first", { SIGNED, .dane = DANE_USABLE, OTHER(ENFORCE) }, TLS_DANE, "dane", NULL, false, false },
	{ "a policy does not mend DANE", { SIGNED, .dane = DANE_FAILED, STS(ENFORCE) }, TLS_ENCRYPT, "dane",
	    "its TLSA", false, false },
	{ "a policy is more than unusable records", { SIGNED, .dane = DANE_UNUSABLE, STS(ENFORCE) }, TLS_PKIX,
	    "mta-sts", NULL, false, false },
	/* RFC 8689 4.2.1 */
	{ "required, DNSSEC", { SIGNED, .required = true }, TLS_PKIX, "requiretls", NULL, false, false },
	{ "required, DANE", { SIGNED, .required = true, .dane = DANE_USABLE }, TLS_DANE, "dane", NULL, false, false },
	{ "required, MTA-STS", { MX, .required = true, STS(ENFORCE) }, TLS_PKIX, "mta-sts", NULL, false, false },
	{ "required, a smarthost", { .required = true }, TLS_PKIX, "requiretls", NULL, false, false },
	{ "required, MX from anybody", { MX, .required = true }, TLS_PKIX, "requiretls", "neither DNSSEC", true,
	    false },
	{ "required, a policy on trial", { MX, .required = true, STS(TESTING) }, TLS_PKIX, "requiretls",
	    "neither DNSSEC", true, true },
	{ "required, DANE fails for now", { SIGNED, .required = true, .dane = DANE_FAILED }, TLS_PKIX, "dane",
	    "its TLSA", false, false },
	{ "required, off", { SIGNED, .required = true, .route = HOP_TLS_OFF }, TLS_NONE, "requiretls",
	    "the configuration", true, false },
	/* RFC 8689 4.2.2 */
	{ "optional lifts MTA-STS", { MX, .optional = true, OTHER(ENFORCE) }, TLS_MAY, "opportunistic", NULL, false,
	    false },
	{ "optional lifts DANE", { SIGNED, .optional = true, .dane = DANE_FAILED }, TLS_MAY, "opportunistic", NULL,
	    false, false },
	{ "optional lifts nothing of the operator's", { MX, .optional = true, .route = HOP_TLS_VERIFY }, TLS_PKIX,
	    "route", NULL, false, false },
	{ "4.1: the parameter goes before the header field", { MX, .optional = true, .required = true, STS(ENFORCE) },
	    TLS_PKIX, "mta-sts", NULL, false, false },
};

static void
test_rows(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct tls_choice c = tls_decide(&row->facts);

		if (c.need != row->need || strcmp(c.policy, row->policy) != 0 || c.for_good != row->for_good ||
		    c.testing != row->testing || (c.refusal == NULL) != (row->refusal == NULL) ||
		    (c.refusal != NULL && strncmp(c.refusal, row->refusal, strlen(row->refusal)) != 0))
			fail_msg("%s: need %d, %s, \"%s\", for good %d, testing %d", row->what, c.need, c.policy,
			    c.refusal != NULL ? c.refusal : "", c.for_good, c.testing);
	}
}

/* No situation whatever: a wish is never forgotten, except by the two who may. */
static void
test_all(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 4u * 2 * 2 * 4 * 3 * 2 * 2 * 2; i++) {
		struct tls_facts f = { .route = (enum hop_tls)(i & 3), .by_mx = i >> 2 & 1, .mx_secure = i >> 3 & 1,
			.dane = (enum dane_state)(i >> 4 & 3), .sts_match = i >> 6 & 1, .required = i >> 7 & 1,
			.optional = i >> 8 & 1, .sts = (enum sts_mode)(i >> 9) };
		struct tls_choice c = tls_decide(&f);
		bool lifted = f.route == HOP_TLS_OFF || (f.optional && !f.required);

		assert_non_null(c.policy);
		if (c.refusal != NULL)
			continue;
		if (f.required)
			assert_true(c.need >= TLS_PKIX);
		if (f.route == HOP_TLS_VERIFY)
			assert_true(c.need >= TLS_PKIX);
		if (f.route == HOP_TLS_REQUIRED)
			assert_true(c.need >= TLS_ENCRYPT);
		if (!lifted && f.dane != DANE_NONE)
			assert_true(c.need >= TLS_ENCRYPT && f.dane != DANE_FAILED);
		if (!lifted && f.dane == DANE_USABLE)
			assert_int_equal(c.need, TLS_DANE);
		if (!lifted && f.sts == STS_ENFORCE)
			assert_true(c.need >= TLS_PKIX && (f.sts_match || c.need == TLS_DANE));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
