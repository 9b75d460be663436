/*
 * The decision about TLS (tls_policy.h), one function for all who deliver by SMTP.
 *
 * The relay calls it for each server of a message.  The strongest wish wins; only two things weaken
 * one: the operator's `tls off`, and a sender who says that TLS is not required, which lifts what
 * the recipient's domain publishes and nothing that the operator wrote (RFC 8689 4.2.2).  DANE goes
 * before MTA-STS, whose success must never hide a failure of DANE (RFC 8461 2).  What must never
 * happen: a server that a policy forbids gets the message in the clear, or at all.
 */
#include <stddef.h>

#include "deliver/tls_policy.h"

/* What the recipient's domain publishes. */
static struct tls_choice
published(const struct tls_facts *f)
{
	bool testing = f->sts == STS_TESTING;

	if (f->dane == DANE_FAILED)
		return (struct tls_choice){ .need = TLS_ENCRYPT,
			.policy = "dane",
			.refusal = "its TLSA records cannot be had from DNS, or are forged" };
	if (f->dane == DANE_USABLE)
		return (struct tls_choice){ .need = TLS_DANE, .policy = "dane" };
	if (f->sts == STS_ENFORCE && !f->sts_match)
		return (struct tls_choice){ .need = TLS_PKIX,
			.policy = "mta-sts",
			.refusal = "the domain's MTA-STS policy does not name this server" };
	if (f->sts == STS_ENFORCE)
		return (struct tls_choice){ .need = TLS_PKIX, .policy = "mta-sts" };
	if (f->dane == DANE_UNUSABLE)
		return (struct tls_choice){
			.need = TLS_ENCRYPT, .policy = "dane", .testing = testing
		};
	return (struct tls_choice){
		.need = TLS_MAY, .policy = "opportunistic", .testing = testing
	};
}

/* At least NEED, because of POLICY. */
static void
raise_to(struct tls_choice *choice, enum tls_need need, const char *policy)
{
	if (choice->need >= need)
		return;
	choice->need = need;
	if (choice->refusal == NULL)
		choice->policy = policy;
}

/* RFC 8689 4.2.1: the server is the domain's own by DNSSEC or MTA-STS, and proves who it is. */
static void
require(struct tls_choice *choice, const struct tls_facts *f)
{
	raise_to(choice, TLS_PKIX, "requiretls");
	if (choice->refusal != NULL || !f->by_mx || f->mx_secure ||
	    (f->sts == STS_ENFORCE && f->sts_match))
		return;
	choice->refusal = "neither DNSSEC nor MTA-STS vouches for it";
	choice->policy = "requiretls";
	choice->for_good = true;
}

struct tls_choice
tls_decide(const struct tls_facts *f)
{
	struct tls_choice choice = { .need = TLS_MAY, .policy = "opportunistic" };

	if (f->route == HOP_TLS_OFF) {
		choice = (struct tls_choice){ .need = TLS_NONE, .policy = "off" };
		if (f->required) {
			choice.refusal = "the configuration says \"tls off\"";
			choice.policy = "requiretls";
			choice.for_good = true;
		}
		return choice;
	}
	if (!f->optional || f->required)
		choice = published(f);
	if (f->route == HOP_TLS_REQUIRED)
		raise_to(&choice, TLS_ENCRYPT, "route");
	if (f->route == HOP_TLS_VERIFY)
		raise_to(&choice, TLS_PKIX, "route");
	if (f->required)
		require(&choice, f);
	return choice;
}
