/*
 * ETRN (RFC 1985): a customer, one of `domain ... { relay to }`, is there again and wants what we kept for him.
 *
 * Anybody may ask, for it is only he who gets anything by it: we call the host that the configuration names.  But not for
 * other domains, and not again at once: each time the whole queue is looked through.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/conf.h"
#include "deliver/destination.h"
#include "lib/clock.h"
#include "lib/mailaddr.h"
#include "smtpd/command.h"
#include "smtpd/session.h"

#define AGAIN_MS 10000 /* between two of them in this process */

/* NAME, or with BELOW also what ends in it (RFC 1985 5.3). */
static bool
is_of(const char *domain, const char *name, size_t len, bool below)
{
	size_t n = strlen(domain);

	if (n == len)
		return strncasecmp(domain, name, len) == 0;
	return below && n > len && domain[n - len - 1] == '.' && strncasecmp(domain + n - len, name, len) == 0;
}

bool
etrn_served(const struct session *s)
{
	const struct lookup_conf *book = &session_conf()->lookup;
	unsigned i = 0;

	if (s->listener->submission) /* RFC 6409 7: MUST NOT */
		return false;
	while (i < book->domains_n && book->domains[i].kind != DOMAIN_RELAY)
		i++;
	return i < book->domains_n;
}

/* How many customers are meant; -1: the queue is away. */
static int
flush_all(const char *name, size_t len, bool below)
{
	const struct lookup_conf *book = &session_conf()->lookup;
	bool there = true;
	char *destination;
	int found = 0;
	unsigned i;

	for (i = 0; i < book->domains_n && there; i++) {
		const struct domain *d = &book->domains[i];

		if (d->kind != DOMAIN_RELAY || !is_of(d->name, name, len, below))
			continue;
		destination = destination_text(d->hops, d->hops_n, d->name);
		there = submit_flush(d->name, destination);
		free(destination);
		found++;
	}
	return there ? found : -1;
}

static bool
too_soon(void)
{
	static uint64_t last_ms;
	uint64_t now = clock_ms();

	if (last_ms != 0 && now - last_ms < AGAIN_MS)
		return true;
	last_ms = now;
	return false;
}

static bool
is_customer(const char *name, size_t len, bool below)
{
	const struct lookup_conf *book = &session_conf()->lookup;
	unsigned i;

	for (i = 0; i < book->domains_n; i++)
		if (book->domains[i].kind == DOMAIN_RELAY && is_of(book->domains[i].name, name, len, below))
			return true;
	return false;
}

void
cmd_etrn(struct session *s, const char *arg, size_t len)
{
	bool below = *arg == '@';
	const char *name = arg + below;
	size_t name_len = len - below;

	if (*arg == '#') {
		session_reply(s, 459, "4.7.1", "there are no queues with names here");
	} else if (!mailaddr_domain_ok(name, name_len, 0) || *name == '[') {
		session_reply(s, 501, "5.5.4", "ETRN DOMAIN, or @DOMAIN for those below it, too");
		session_error(s);
	} else if (!is_customer(name, name_len, below)) {
		session_reply(s, 459, "4.7.1", "we keep nothing for %.*s", (int)name_len, name);
		session_error(s);
	} else if (too_soon()) {
		session_reply(s, 458, "4.7.1", "that was asked a moment ago; please wait");
	} else if (flush_all(name, name_len, below) < 0) {
		session_reply(s, 458, "4.3.0", "the mail queue is being restarted; try again");
	} else {
		session_reply(s, 250, "2.0.0", "queuing for %.*s started", (int)name_len, name);
	}
}
