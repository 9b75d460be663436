/*
 * Fuzz target: what a domain publishes for MTA-STS.  A record that is good has an id of the allowed letters; a policy that
 * parses is within its limits, names servers unless its mode is none, and every name in it matches itself.
 */
#include <string.h>

#include "deliver/sts_policy.h"
#include "regress/fuzz/target.h"

static void
check_policy(const struct sts_policy *p)
{
	unsigned i;

	require(p->max_age <= STS_AGE_MAX && (p->mx_n > 0 || p->mode == STS_NONE));
	for (i = 0; i < p->mx_n; i++) {
		char host[1024];

		require(strlen(p->mx[i]) < sizeof(host));
		strlcpy(host, p->mx[i], sizeof(host));
		if (host[0] == '*')
			host[0] = 'x';
		require(sts_policy_names(p, host));
	}
	require(!sts_policy_names(p, ""));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char id[STS_ID_MAX + 1];
	const char *why = NULL;
	struct sts_policy *p;

	if (sts_record_parse(data, size, id) == STS_RECORD_OK)
		require(id[0] != '\0' && strlen(id) <= STS_ID_MAX);
	p = sts_policy_parse((const char *)data, size, &why);
	require((p == NULL) == (why != NULL));
	if (p != NULL)
		check_policy(p);
	sts_policy_drop(p);
	return 0;
}
