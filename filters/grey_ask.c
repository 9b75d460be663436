/*
 * The question that a greylist rule asks (grey_ask.h).
 *
 * The doorman calls it for each recipient that a greylist rule decides about.  Pure; nothing can
 * fail.  What must never happen: that two rules with different keys meet the same record and one
 * lets in whom the other has not seen.  So each key has an identity of a form that the others do
 * not have: a network's length is never that of an address, and a triplet of the client alone has
 * a sender and a recipient that no mail has.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "filters/grey_ask.h"
#include "filters/identity.h"
#include "lib/mem.h"

static char *
identity(const struct rule *rule, const struct facts *f)
{
	switch (rule->by) {
	case GREY_BY_NETWORK:
		return identity_of(&f->client, NULL, NULL);
	case GREY_BY_ADDRESS:
	case GREY_BY_CLIENT:
		return identity_of_address(&f->client);
	default:
		return identity_of(
		    &f->client, f->name, f->spf == AUTH_PASS ? f->spf_domain : NULL);
	}
}

static uint32_t
or_default(uint32_t given, uint32_t otherwise)
{
	return given != 0 ? given : otherwise;
}

static uint32_t
trust_after(const struct rule *rule)
{
	return rule->trust_after == GREYLIST_TRUST_NEVER
		   ? 0
		   : or_default(rule->trust_after, GREYLIST_TRUST_AFTER);
}

void
grey_ask_make(struct grey_ask *ask, const struct rule *rule, const struct facts *f)
{
	memset(ask, 0, sizeof(*ask));
	ask->identity = identity(rule, f);
	ask->sender = identity_sender(f->sender != NULL ? f->sender : "");
	ask->recipient = identity_recipient(f->recipient != NULL ? f->recipient : "");
	ask->question = (struct grey_question){ .identity = ask->identity,
		.sender = ask->sender,
		.recipient = ask->recipient,
		.delay = or_default(rule->delay, GREYLIST_DELAY),
		.window = or_default(rule->window, GREYLIST_WINDOW),
		.lifetime = or_default(rule->lifetime, GREYLIST_LIFETIME),
		.trust_after = trust_after(rule),
		.client_only = rule->by == GREY_BY_CLIENT,
		.narrow = rule->by == GREY_BY_ADDRESS || rule->by == GREY_BY_CLIENT,
		.tempfail = rule->action == ACTION_TEMPFAIL,
		.rescue = rule->rescue,
		.client = f->client,
		.name = f->name,
		.helo = f->helo,
		.rule = (uint16_t)rule->number,
		.line = (uint16_t)rule->place.line };
}

void
grey_ask_clear(struct grey_ask *ask)
{
	free(ask->identity);
	free(ask->sender);
	free(ask->recipient);
	memset(ask, 0, sizeof(*ask));
}
