/*
 * The cache of MTA-STS policies (sts.h).
 *
 * A relay that needs a domain's policy looks in its memory, then asks the ledger, which outlives
 * restarts, then DNS whether there is a new one, and only then the web.  What DNS said holds for its
 * time, so that mail to one domain asks once.  A policy that was ever fetched holds until its own
 * end, whatever DNS and the web say or fail to say meanwhile (RFC 8461 3.1, 5.1): whoever can suppress
 * an answer must not be able to suppress a policy.  It is fetched again after a day, beside the
 * mail (3.3).  A fetch that fails is not repeated for five minutes, unless the record changes.
 *
 * Nothing here refuses mail: without any policy the answer is that there is none.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "deliver/sts.h"
#include "deliver/sts_fetch.h"
#include "filters/ledger.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"

#define TTL_MAX 3600     /* seconds: DNS may say longer */
#define TTL_FAILED 30    /* DNS gave no answer */
#define FETCH_AGAIN 300
#define REFRESH_AFTER 86400
#define DOMAINS_MAX 10000 /* those without a policy go when there are so many */

struct sts_domain {
	RB_ENTRY(sts_domain) node;
	char *name;
	/* what is known */
	const struct sts_policy *policy; /* or NULL */
	char id[STS_ID_MAX + 1];	 /* of POLICY, or "" */
	int64_t fetched, until;		 /* of POLICY, clock_now() */
	bool recalled;			 /* the ledger has said what it knew */
	int64_t asked_until;		 /* DNS need not be asked before, clock_now() */
	char failed_id[STS_ID_MAX + 1];
	int64_t failed; /* when fetching it failed */
	/* what is under way */
	struct ledger_request *recalling;
	struct resolver_query *asking;
	struct sts_fetch *fetching;
	char fetched_id[STS_ID_MAX + 1];
	TAILQ_HEAD(, sts_query) waiting;
	struct event turn;
	bool telling;
};

struct sts_query {
	TAILQ_ENTRY(sts_query) link;
	uint64_t id;
	struct sts_domain *domain;
	void (*callback)(const struct sts_policy *, uint32_t, void *);
	void *arg;
};

RB_HEAD(domain_tree, sts_domain);

static int
compare(const struct sts_domain *a, const struct sts_domain *b)
{
	return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(domain_tree, sts_domain, node, compare, __attribute__((unused)) static)

static struct domain_tree domains = RB_INITIALIZER(&domains);
static unsigned domains_n;
static uint64_t last_id;

/* --- what is known --- */

/* Takes POLICY over. */
static void
set_policy(struct sts_domain *d, const struct sts_policy *policy, const char *id, int64_t fetched,
    int64_t until)
{
	sts_policy_drop(d->policy);
	d->policy = policy;
	strlcpy(d->id, id, sizeof(d->id));
	d->fetched = fetched;
	d->until = until;
}

static void
forget_what_is_over(struct sts_domain *d)
{
	if (d->policy != NULL && clock_now() > d->until)
		set_policy(d, NULL, "", 0, 0);
}

static bool
is_busy(const struct sts_domain *d)
{
	return d->telling || d->recalling != NULL || d->asking != NULL || d->fetching != NULL ||
	       !TAILQ_EMPTY(&d->waiting);
}

static void
sweep(void)
{
	struct sts_domain *d, *next;

	RB_FOREACH_SAFE(d, domain_tree, &domains, next) {
		forget_what_is_over(d);
		if (is_busy(d) || d->policy != NULL)
			continue;
		RB_REMOVE(domain_tree, &domains, d);
		domains_n--;
		event_del(&d->turn);
		free(d->name);
		free(d);
	}
}

/* Everybody who waits; whoever asks from a callback has the next turn. */
static void
tell(struct sts_domain *d)
{
	const struct sts_policy *policy;
	int64_t left = d->asked_until - clock_now();
	uint64_t until = last_id;
	struct sts_query *q;

	forget_what_is_over(d);
	policy = sts_policy_keep(d->policy);
	d->telling = true;
	while ((q = TAILQ_FIRST(&d->waiting)) != NULL && q->id <= until) {
		struct sts_query copy = *q;

		TAILQ_REMOVE(&d->waiting, q, link);
		free(q);
		copy.callback(policy, left > 0 ? (uint32_t)left : 0, copy.arg);
	}
	d->telling = false;
	sts_policy_drop(policy);
}

/* --- the web --- */

static void
note_fetch_failure(struct sts_domain *d, const char *why)
{
	strlcpy(d->failed_id, d->fetched_id, sizeof(d->failed_id));
	d->failed = clock_now();
	log_warning("relay.mta-sts", F_STR("domain", d->name), F_STR("why", why),
	    F_STR("what", d->policy != NULL ? "the policy cannot be fetched again; the one that is "
					      "known goes on holding"
					    : "the policy cannot be fetched; mail goes on without"));
}

static void
take_text(struct sts_domain *d, const char *text, size_t len)
{
	static const char *const modes[] = { "none", "testing", "enforce" };
	const char *wrong;
	const struct sts_policy *policy = sts_policy_parse(text, len, &wrong);
	int64_t now = clock_now();
	struct ledger_policy kept = { .id = d->fetched_id, .text = text, .fetched = now };

	if (policy == NULL) {
		note_fetch_failure(d, wrong);
		return;
	}
	log_info("relay.mta-sts", F_STR("domain", d->name), F_STR("id", d->fetched_id),
	    F_STR("mode", modes[policy->mode]), F_U64("max_age", policy->max_age),
	    F_STR("what", "the policy was fetched"));
	kept.until = now + policy->max_age;
	ledger_policy(d->name, &kept);
	set_policy(d, policy, d->fetched_id, now, kept.until);
}

static void
on_fetched(const char *text, size_t len, const char *why, void *arg)
{
	struct sts_domain *d = arg;

	d->fetching = NULL;
	if (text != NULL)
		take_text(d, text, len);
	else
		note_fetch_failure(d, why);
	tell(d);
}

/* True when those who wait have to wait for it. */
static bool
fetch(struct sts_domain *d, const char *id)
{
	bool is_new = d->policy == NULL || strcmp(d->id, id) != 0;
	int64_t now = clock_now();

	if (!is_new && now - d->fetched < REFRESH_AFTER && now >= d->fetched &&
	    now - d->fetched <= (d->until - d->fetched) / 2)
		return false;
	if (strcmp(d->failed_id, id) == 0 && now - d->failed < FETCH_AGAIN && now >= d->failed)
		return false;
	if (d->fetching == NULL) {
		strlcpy(d->fetched_id, id, sizeof(d->fetched_id));
		d->fetching = sts_fetch(d->name, on_fetched, d);
	}
	return is_new;
}

/* --- DNS --- */

/* RFC 8461 3.1: exactly one record counts. */
static bool
choose_record(const struct dns_answer *answer, char id[STS_ID_MAX + 1])
{
	char other[STS_ID_MAX + 1] = "";
	enum sts_record result;
	unsigned i, n = 0;
	bool ok = false;

	for (i = 0; i < answer->records_n; i++) {
		result = sts_record_parse(
		    answer->records[i].data, answer->records[i].data_len, n == 0 ? id : other);
		if (result == STS_RECORD_OTHER)
			continue;
		n++;
		ok = result == STS_RECORD_OK;
	}
	return ok && n == 1;
}

static void
on_record(const struct dns_answer *answer, void *arg)
{
	struct sts_domain *d = arg;
	uint32_t ttl = answer->ttl < TTL_MAX ? answer->ttl : TTL_MAX;
	char id[STS_ID_MAX + 1];

	d->asking = NULL;
	d->asked_until = clock_now() + (answer->status == DNS_TEMP ? TTL_FAILED : ttl);
	if (answer->status == DNS_OK && choose_record(answer, id) && fetch(d, id))
		return;
	tell(d);
}

static void
ask(struct sts_domain *d)
{
	char *name = xasprintf("_mta-sts.%s", d->name);

	d->asking = resolver_ask(name, DNS_TXT, on_record, d);
	free(name);
}

/* --- the ledger --- */

static void
on_recalled(const struct ledger_policy *kept, void *arg)
{
	const struct sts_policy *policy = NULL;
	struct sts_domain *d = arg;
	const char *wrong;

	d->recalling = NULL;
	d->recalled = ledger_is_there();
	if (kept != NULL)
		policy = sts_policy_parse(kept->text, strlen(kept->text), &wrong);
	if (policy != NULL)
		set_policy(d, policy, kept->id, kept->fetched, kept->until);
	ask(d);
}

/* --- asking --- */

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	tell(arg);
}

static char *
lower(const char *s)
{
	char *copy = xstrdup(s), *at;

	for (at = copy; *at != '\0'; at++)
		*at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
	return copy;
}

static struct sts_domain *
domain_of(const char *name)
{
	struct sts_domain key = { .name = lower(name) };
	struct sts_domain *d = RB_FIND(domain_tree, &domains, &key);

	if (d != NULL) {
		free(key.name);
		return d;
	}
	if (domains_n >= DOMAINS_MAX)
		sweep();
	d = xcalloc(1, sizeof(*d));
	d->name = key.name;
	TAILQ_INIT(&d->waiting);
	event_assign(&d->turn, peer_base(), -1, 0, on_turn, d);
	RB_INSERT(domain_tree, &domains, d);
	domains_n++;
	return d;
}

struct sts_query *
sts_find(const char *domain, void (*callback)(const struct sts_policy *, uint32_t, void *),
    void *arg)
{
	struct sts_query *q = xcalloc(1, sizeof(*q));
	struct sts_domain *d = domain_of(domain);
	bool idle = d->recalling == NULL && d->asking == NULL &&
		    (d->fetching == NULL || d->policy != NULL);

	q->id = ++last_id;
	q->domain = d;
	q->callback = callback;
	q->arg = arg;
	TAILQ_INSERT_TAIL(&d->waiting, q, link);
	if (!idle)
		return q;
	if (!d->recalled) {
		d->recalling = ledger_ask_policy(d->name, on_recalled, d);
	} else if (clock_now() >= d->asked_until || d->asked_until > clock_now() + TTL_MAX) {
		/* over, or written while the clock was ahead */
		ask(d);
	} else {
		event_active(&d->turn, 0, 0);
	}
	return q;
}

void
sts_cancel(struct sts_query *q)
{
	if (q == NULL)
		return;
	TAILQ_REMOVE(&q->domain->waiting, q, link);
	free(q);
}
