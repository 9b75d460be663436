/*
 * MTA-STS records and policies (RFC 8461 3): parsing, and which servers a policy names.  Pure.
 */
#ifndef DELIVER_STS_POLICY_H
#define DELIVER_STS_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "deliver/tls_policy.h"

#define STS_ID_MAX 32
#define STS_AGE_MAX 31557600 /* seconds */
#define STS_TEXT_MAX (64 * 1024)

/* One TXT record of _mta-sts.DOMAIN. */
enum sts_record {
	STS_RECORD_OTHER,  /* does not begin with "v=STSv1;": not counted */
	STS_RECORD_BROKEN, /* counted, and no use */
	STS_RECORD_OK
};
enum sts_record sts_record_parse(const void *, size_t, char id[STS_ID_MAX + 1]);

struct sts_policy {
	enum sts_mode mode; /* STS_NONE for "none" */
	uint32_t max_age;   /* seconds, at most STS_AGE_MAX */
	unsigned mx_n;
	char **mx; /* "mail.example.net", "*.example.net", in lower case */
};

/* The text of a policy; NULL, and *WHY says what is wrong with it (nobody frees it). */
struct sts_policy *sts_policy_parse(const char *, size_t, const char **why);
/* RFC 8461 4.1: "*" stands for one label. */
bool sts_policy_names(const struct sts_policy *, const char *host);

/* Those who parse one have it; each who keeps it drops it once. */
const struct sts_policy *sts_policy_keep(const struct sts_policy *);
void sts_policy_drop(const struct sts_policy *);

#endif
