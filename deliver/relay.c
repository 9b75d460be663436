/*
 * The relay role: jobs from the queue, out to other servers.
 *
 * A job's way is found (way.h), then its servers are tried in their order until one takes it over
 * (relay_link.c); those of which a policy says that they must not be used are left out, and that is
 * the reason when no other is left.  How many jobs run at once for a destination is the queue's
 * decision; there is one connection for each, and it stays open for a while for the next.  A server
 * that cannot be reached, or turns the session away, sends the job on to the next; addresses that
 * just failed come last.
 *
 * When the queue goes away, what is not yet handed over is dropped, since the queue will send it
 * again; only a message whose last dot is out is waited for, so that the other side does not see
 * the connection break.
 */
#include <sys/types.h>

#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "deliver/bad_address.h"
#include "deliver/login.h"
#include "deliver/relay_inside.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/role.h"

/* --- the way --- */

static struct tls_choice
choose(const struct relay_job *job, const struct mx_server *server)
{
	const struct sts_policy *policy = job->way->policy;
	const struct mx_answer *mx = job->way->mx;
	struct tls_facts facts = { .route = server->tls,
		.by_mx = server->by_mx,
		.mx_secure = mx->secure,
		.dane = server->dane,
		.sts = policy != NULL ? policy->mode : STS_NONE,
		.sts_match = policy != NULL && sts_policy_names(policy, server->name),
		.required = relay_job_requires_tls(job),
		.optional = job->tls_optional };

	return tls_decide(&facts);
}

/* Why SERVER is left out; kept for those who have no other. */
static void
refuse(struct relay_job *job, const struct mx_server *server, const struct tls_choice *choice)
{
	char *text = xasprintf("%s %s is not used (%s): %s",
	    choice->for_good ? "550 5.7.10" : "451 4.7.5", server->name, choice->policy,
	    choice->refusal);

	relay_keep_reason(
	    job, choice->for_good ? DELIVERY_PERM : DELIVERY_TEMP_DOMAIN, server->name, text);
	free(text);
}

/* The servers that are equally good in random order, so that many messages share them; the
 * addresses of each stay together. */
static void
shuffle(const struct mx_address **servers, unsigned n)
{
	const struct mx_address *other;
	unsigned first, end, i, k;

	for (first = 0; first < n; first = end) {
		for (end = first + 1; end < n && servers[end]->rank == servers[first]->rank; end++)
			;
		for (i = end - 1; i > first; i--) {
			k = first + arc4random_uniform(i - first + 1);
			other = servers[i];
			servers[i] = servers[k];
			servers[k] = other;
		}
	}
}

/* The first address of each server. */
static unsigned
list_servers(const struct mx_answer *mx, const struct mx_address **servers)
{
	unsigned i, n = 0;

	for (i = 0; i < mx->addresses_n; i++) {
		if (i == 0 || mx->addresses[i].server != mx->addresses[i - 1].server)
			servers[n++] = &mx->addresses[i];
	}
	return n;
}

/* A server at which we should have an account, and have none. */
static bool
lacks_account(const struct mx_server *server)
{
	return server->login != NULL && relay_find_login(server) == NULL;
}

static void
add_tries(struct relay_job *job, const struct mx_address *first)
{
	const struct mx_address *end = job->way->mx->addresses + job->way->mx->addresses_n, *at;
	struct tls_choice choice = choose(job, first->server);

	if (lacks_account(first->server)) {
		choice.policy = first->server->login;
		choice.refusal = "there is no account for it in that file";
	}
	if (choice.refusal != NULL) {
		refuse(job, first->server, &choice);
		return;
	}
	for (at = first; at < end && at->server == first->server; at++)
		job->tries[job->tries_n++] = (struct relay_try){ .address = at, .choice = choice };
}

/* Addresses that just failed come after all the others, in the same order. */
static void
put_bad_last(struct relay_job *job)
{
	struct relay_try *sorted = xcalloc(job->tries_n + 1, sizeof(*sorted));
	uint64_t now = clock_ms();
	unsigned i, pass, n = 0;

	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < job->tries_n; i++) {
			const struct mx_address *a = job->tries[i].address;

			if (bad_address_is(&a->ip, a->port, now) == (pass == 1))
				sorted[n++] = job->tries[i];
		}
	}
	free(job->tries);
	job->tries = sorted;
}

static void
make_tries(struct relay_job *job)
{
	const struct mx_address *servers[MX_ADDRESSES_MAX];
	unsigned n = list_servers(job->way->mx, servers), i;

	job->tries = xcalloc(job->way->mx->addresses_n, sizeof(*job->tries));
	shuffle(servers, n);
	for (i = 0; i < n; i++)
		add_tries(job, servers[i]);
	put_bad_last(job);
}

static void
on_found(const struct way *way, void *arg)
{
	struct relay_job *job = arg;

	job->finding = NULL;
	job->way = way_keep(way);
	if (way->mx->status == MX_OK) {
		make_tries(job);
		relay_try_next(job);
		return;
	}
	relay_keep_reason(job, way->mx->status == MX_PERM ? DELIVERY_PERM : DELIVERY_TEMP_DOMAIN, "",
	    way->mx->why);
	relay_give_up(job);
}

/* --- the queue --- */

static bool
take_job(struct peer *peer, struct message *m)
{
	struct relay_job *job;
	struct job order;

	if (!delivery_read_job(m, &order))
		return false;
	if (order.destination == NULL) {
		delivery_free_job(&order);
		return false;
	}
	job = relay_job_new(peer, m, &order);
	job->finding = way_find(order.destination, &relay.self, on_found, job);
	delivery_free_job(&order);
	return true;
}

/* Drops what was not begun; the results of what was are on their way. */
static void
cancel_job(const struct peer *peer, uint64_t id)
{
	struct relay_job *job;

	TAILQ_FOREACH(job, &relay.jobs, entry) {
		if (job->id != id || job->queue != peer)
			continue;
		if (job->link == NULL)
			relay_finish(job);
		return;
	}
}

static bool
on_message(struct peer *peer, struct message *m)
{
	if (peer->role != ROLE_QUEUE)
		return false;
	switch (m->type) {
	case DELIVERY_JOB:
		return take_job(peer, m);
	case DELIVERY_CANCEL:
		cancel_job(peer, m->id);
		return true;
	case DELIVERY_WAY:
		return relay_site_asked(peer, m);
	default:
		return false;
	}
}

/* Ends all jobs of that queue but those that may be handed over already. */
static void
drop_jobs(const struct peer *queue)
{
	struct relay_job *job, *next;
	struct relay_link *link;

	for (job = TAILQ_FIRST(&relay.jobs); job != NULL; job = next) {
		next = TAILQ_NEXT(job, entry);
		link = job->link;
		if (job->queue != queue)
			continue;
		job->queue = NULL;
		if (link != NULL && smtp_client_is_committed(link->client))
			continue;
		if (link != NULL)
			relay_link_drop(link);
		relay_job_free(job);
	}
}

static void
on_down(struct peer *peer)
{
	if (peer->role != ROLE_QUEUE)
		return;
	drop_jobs(peer);
	relay_site_forget(peer);
}

/* --- the role --- */

static void
add_own(const struct ip *ip)
{
	relay.own = xreallocarray(relay.own, relay.self.addresses_n + 1, sizeof(*relay.own));
	relay.own[relay.self.addresses_n++] = *ip;
}

static void
add_interfaces(void)
{
	struct ifaddrs *all = NULL, *one;
	struct ip ip;

	if (getifaddrs(&all) < 0)
		return;
	for (one = all; one != NULL; one = one->ifa_next) {
		if (one->ifa_addr != NULL && ip_from_sockaddr(one->ifa_addr, &ip))
			add_own(&ip);
	}
	freeifaddrs(all);
}

static void
answer_stats(struct ctl *ctl, unsigned n, const char *const *words)
{
	const struct relay_job *job;
	const struct relay_link *link;
	uint64_t jobs = 0, connections = 0;

	(void)n;
	(void)words;
	TAILQ_FOREACH(job, &relay.jobs, entry)
		jobs++;
	TAILQ_FOREACH(link, &relay.links, entry)
		connections++;
	ctl_record(ctl, FIELDS(F_U64("jobs", jobs), F_U64("connections", connections),
			    F_U64("idle", relay.idle)));
	ctl_end(ctl, 0, "");
}

/* What cannot be read now was there when the master looked: who depends on it has to wait. */
static void
read_files(const struct relay_conf *conf)
{
	struct logins *logins;
	char *why = NULL;
	unsigned i;

	if (tls_client_prepare(conf->trust, &why) < 0 ||
	    (conf->logins_n > 0 && smtp_login_prepare(&why) < 0))
		log_error("relay.prepare", F_STR("why", why));
	free(why);
	for (i = 0; i < conf->logins_n; i++) {
		logins = login_load(conf->logins[i], &why);
		if (logins == NULL) {
			log_error("relay.prepare", F_STR("why", why));
			free(why);
			continue;
		}
		relay.logins = xreallocarray(relay.logins, relay.logins_n + 1, sizeof(relay.logins[0]));
		relay.logins[relay.logins_n++] = logins;
	}
}

int
relay_check(const struct relay_conf *conf, char **why)
{
	struct logins *logins;
	unsigned i;

	if (tls_client_check(conf->trust, why) < 0)
		return -1;
	for (i = 0; i < conf->logins_n; i++) {
		logins = login_load(conf->logins[i], why);
		if (logins == NULL)
			return -1;
		login_free(logins);
	}
	return 0;
}

void
relay_role_prepare(const struct relay_conf *conf, const struct ip *listening, unsigned n)
{
	static const uint8_t any[16];
	bool all = false;
	unsigned i;

	read_files(conf);
	for (i = 0; i < n; i++) {
		if (memcmp(listening[i].bytes, any, sizeof(any)) != 0)
			add_own(&listening[i]);
		else
			all = true;
	}
	if (all)
		add_interfaces();
}

void
relay_role_start(const struct relay_conf *conf)
{
	static const struct subject_ops ops = { .message = on_message, .down = on_down };

	relay.conf = conf;
	relay.client = (struct smtp_client_conf){ .host = conf->host,
		.connect_timeout = conf->connect_timeout,
		.idle_timeout = conf->idle_timeout };
	relay.client_by_mx = relay.client;
	relay.client_by_mx.refuse_self = true;
	relay.self.host = conf->host;
	relay.self.addresses = relay.own;
	TAILQ_INIT(&relay.jobs);
	TAILQ_INIT(&relay.links);
	TAILQ_INIT(&relay.questions);
	way_init(conf->providers);
	peer_register(SUBJECT_DELIVERY, &ops);
	ctl_register("stats", answer_stats);
}

static void
leave_when_done(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	if (TAILQ_EMPTY(&relay.jobs) && TAILQ_EMPTY(&relay.links) && TAILQ_EMPTY(&relay.questions))
		role_exit(0);
	relay_links_quit();
}

void
relay_role_retire(void)
{
	struct event *look = event_new(peer_base(), -1, EV_PERSIST, leave_when_done, NULL);

	event_add(look, &(struct timeval){ 0, 100000 });
	event_active(look, 0, 0);
}
