/*
 * The relay role: jobs from the queue, out to other servers.
 *
 * A job is looked up (mx.c), then its servers are tried in their order until one takes it over: a
 * connection that waits for work, if one leads to a server of the best rank, else a new one.  How
 * many jobs run at once for a destination is the queue's decision; there is one connection for
 * each, and it stays open for a while for the next.  A server that cannot be reached, or turns the
 * session away, sends the job on to the next; addresses that just failed come last.
 *
 * Every recipient is reported once, as soon as his server has decided; what is left when all
 * servers were tried has the last reason, and a reason to try again goes before one to give up.  A
 * connection that was waiting and is found closed says nothing about the server: the job gets a new
 * one to the same address.
 *
 * When the queue goes away, what is not yet handed over is dropped, since the queue will send it
 * again; only a message whose last dot is out is waited for, so that the other side does not see
 * the connection break.
 */
#include <sys/queue.h>
#include <sys/types.h>

#include <ifaddrs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "deliver/bad_address.h"
#include "deliver/delivery.h"
#include "deliver/destination.h"
#include "deliver/mx.h"
#include "deliver/smtp_client.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/role.h"

#define IDLE_MAX 100 /* connections that wait for work */

struct relay_link;

struct relay_job {
	TAILQ_ENTRY(relay_job) entry;
	struct peer *queue; /* NULL: gone */
	uint64_t id, since_ms;
	uint64_t message;
	char *sender, *envid;
	void *content; /* or FD */
	int fd;
	struct smtp_client_message outgoing;
	unsigned recipients_n;
	struct job_recipient *recipients; /* strings are its own */
	bool *reported;			  /* of each */
	/* the part that the present connection sends */
	struct job_recipient *sent;
	unsigned *sent_index; /* in RECIPIENTS */
	/* the way */
	struct mx_query *finding;
	bool by_mx;
	struct mx_address *addresses; /* hosts are its own */
	unsigned addresses_n, next;
	struct relay_link *link;
	/* why it does not go on */
	enum delivery_status status;
	char *host, *text;
};

struct relay_link {
	TAILQ_ENTRY(relay_link) entry;
	struct smtp_client *client;
	struct ip ip;
	uint16_t port;
	char *name;	       /* "mx.example.net[192.0.2.1]" */
	struct relay_job *job; /* NULL: waits for work */
	unsigned messages;     /* begun on it */
	bool waited;	       /* it was idle before this job */
};

static struct {
	const struct relay_conf *conf;
	struct smtp_client_conf client, client_by_mx;
	struct mx_self self;
	struct ip *own; /* of SELF */
	TAILQ_HEAD(, relay_job) jobs;
	TAILQ_HEAD(link_list, relay_link) links; /* the one used last in front */
	unsigned idle;
} here;

static void try_next(struct relay_job *);

/* --- jobs --- */

static char *
copy_or_null(const char *s)
{
	return s != NULL ? xstrdup(s) : NULL;
}

static void
copy_recipients(struct relay_job *job, const struct job *from)
{
	unsigned i;

	job->recipients_n = from->recipients_n;
	job->recipients = xcalloc(from->recipients_n, sizeof(*job->recipients));
	job->reported = xcalloc(from->recipients_n, sizeof(*job->reported));
	job->sent = xcalloc(from->recipients_n, sizeof(*job->sent));
	job->sent_index = xcalloc(from->recipients_n, sizeof(*job->sent_index));
	for (i = 0; i < from->recipients_n; i++) {
		job->recipients[i] = from->recipients[i];
		job->recipients[i].address = xstrdup(from->recipients[i].address);
		job->recipients[i].original = copy_or_null(from->recipients[i].original);
		job->recipients[i].path = NULL;
	}
}

static struct relay_job *
job_new(struct peer *queue, struct message *m, const struct job *from)
{
	struct relay_job *job = xcalloc(1, sizeof(*job));

	job->queue = queue;
	job->id = from->id;
	job->message = from->message;
	job->since_ms = clock_ms();
	job->sender = xstrdup(from->sender);
	job->envid = copy_or_null(from->envid);
	job->fd = -1;
	copy_recipients(job, from);
	if (from->content != NULL) {
		job->content = xmalloc(from->content_len);
		memcpy(job->content, from->content, from->content_len);
	} else {
		job->fd = message_take_fd(m);
	}
	job->outgoing = (struct smtp_client_message){ .sender = job->sender,
		.envid = job->envid,
		.body = from->body,
		.ret = from->ret,
		.utf8 = from->utf8,
		.size = from->size,
		.recipients = job->sent,
		.content = job->content,
		.content_len = from->content_len,
		.fd = job->fd };
	TAILQ_INSERT_TAIL(&here.jobs, job, entry);
	return job;
}

static void
job_free(struct relay_job *job)
{
	unsigned i;

	TAILQ_REMOVE(&here.jobs, job, entry);
	mx_cancel(job->finding);
	for (i = 0; i < job->recipients_n; i++) {
		free((char *)job->recipients[i].address);
		free((char *)job->recipients[i].original);
	}
	for (i = 0; i < job->addresses_n; i++)
		free((char *)job->addresses[i].host);
	free(job->addresses);
	free(job->recipients);
	free(job->reported);
	free(job->sent);
	free(job->sent_index);
	free(job->sender);
	free(job->envid);
	free(job->content);
	free(job->host);
	free(job->text);
	if (job->fd >= 0)
		close(job->fd);
	free(job);
}

/* --- results --- */

static const char *
event_name(enum delivery_status status)
{
	switch (status) {
	case DELIVERY_OK:
		return "relay.delivered";
	case DELIVERY_PERM:
		return "relay.failed";
	default:
		return "relay.deferred";
	}
}

static void
report(struct relay_job *job, unsigned i, enum delivery_status status, const char *host,
    const char *text)
{
	struct delivery_result result = { .job = job->id,
		.index = job->recipients[i].index,
		.status = (uint8_t)status,
		.host = host,
		.text = text,
		.detail = "",
		.dsn = status == DELIVERY_OK && job->link != NULL &&
		    smtp_client_does_dsn(job->link->client) };

	if (job->reported[i])
		return;
	job->reported[i] = true;
	log_debug(event_name(status), F_STR("message", id_text(job->message).s),
	    F_STR("to", job->recipients[i].address), F_STR("host", host[0] != '\0' ? host : NULL),
	    F_STR("reply", text), F_U64("ms", clock_ms() - job->since_ms));
	if (job->queue != NULL)
		delivery_send_result(job->queue->channel, &result);
}

static void
finish(struct relay_job *job)
{
	if (job->queue != NULL)
		channel_send(job->queue->channel, DELIVERY_DONE, job->id);
	job_free(job);
}

/* All servers were tried: who has no result yet gets the reason that is kept. */
static void
give_up(struct relay_job *job)
{
	unsigned i;

	for (i = 0; i < job->recipients_n; i++)
		report(job, i, job->status, job->host != NULL ? job->host : "",
		    job->text != NULL ? job->text : "451 4.4.0 no server could be tried");
	finish(job);
}

/* Keeps a reason: the last one, but none to give up after one to try again. */
static void
keep_reason(struct relay_job *job, enum delivery_status status, const char *host, const char *text)
{
	if (job->text != NULL && status == DELIVERY_PERM && job->status != DELIVERY_PERM)
		return;
	free(job->host);
	free(job->text);
	job->status = status;
	job->host = xstrdup(host);
	job->text = xstrdup(text);
}

/* --- connections --- */

static char *
link_name(const struct mx_address *address)
{
	struct buf name = { 0 };

	if (address->host[0] != '[')
		buf_adds(&name, address->host);
	buf_addf(&name, "[%s]", ip_text(&address->ip).s);
	if (address->port != SMTP_PORT)
		buf_addf(&name, ":%u", (unsigned)address->port);
	return buf_take(&name);
}

static void
link_free(struct relay_link *link)
{
	TAILQ_REMOVE(&here.links, link, entry);
	if (link->job == NULL)
		here.idle--;
	else
		link->job->link = NULL;
	free(link->name);
	free(link);
}

/* The recipients that have no result yet. */
static void
send_job(struct relay_link *link, struct relay_job *job)
{
	unsigned i, n = 0;

	for (i = 0; i < job->recipients_n; i++) {
		if (job->reported[i])
			continue;
		job->sent[n] = job->recipients[i];
		job->sent_index[n++] = i;
	}
	job->outgoing.recipients_n = n;
	link->messages++;
	smtp_client_send(link->client, &job->outgoing);
}

static struct relay_link *
oldest_idle(void)
{
	struct relay_link *link;

	TAILQ_FOREACH_REVERSE(link, &here.links, link_list, entry) {
		if (link->job == NULL)
			return link;
	}
	return NULL;
}

/* Keeps the connection for the next job, if it is worth it. */
static void
link_rest(struct relay_link *link)
{
	struct relay_link *old;

	link->job = NULL;
	here.idle++;
	if (here.conf->per_connection > 0 && link->messages >= here.conf->per_connection) {
		smtp_client_quit(link->client);
		link_free(link);
	} else if (here.idle > IDLE_MAX && (old = oldest_idle()) != NULL) {
		smtp_client_quit(old->client);
		link_free(old);
	}
}

/* Greeted, or done with a message. */
static void
on_ready(struct smtp_client *client, void *arg)
{
	struct relay_link *link = arg;
	struct relay_job *job = link->job;

	(void)client;
	if (job != NULL && link->messages == 0) {
		bad_address_remove(&link->ip, link->port);
		send_job(link, job);
		return;
	}
	if (job != NULL) {
		job->link = NULL;
		link_rest(link);
		give_up(job); /* nobody is left without a result */
	}
}

static void
on_result(struct smtp_client *client, unsigned i, enum delivery_status status, const char *text,
    void *arg)
{
	struct relay_link *link = arg;

	(void)client;
	if (link->job != NULL)
		report(link->job, link->job->sent_index[i], status, link->name, text);
}

static unsigned
count_open(const struct relay_job *job)
{
	unsigned i, n = 0;

	for (i = 0; i < job->recipients_n; i++)
		n += !job->reported[i];
	return n;
}

static void
on_ended(struct smtp_client *client, const struct smtp_client_end *end, void *arg)
{
	struct relay_link *link = arg;
	struct relay_job *job = link->job;
	bool stale = link->waited && !end->answered && end->status == DELIVERY_TEMP_HOST;

	(void)client;
	if (job == NULL) {
		link_free(link);
		return;
	}
	if (stale) {
		/* the address again, by a new connection */
		job->next--;
	} else {
		if (!end->answered)
			bad_address_add(&link->ip, link->port, clock_ms());
		keep_reason(job, end->status, link->name, end->text);
	}
	link_free(link);
	if (count_open(job) > 0 && (stale || end->try_elsewhere))
		try_next(job);
	else
		give_up(job);
}

static const struct smtp_client_ops client_ops = { on_ready, on_result, on_ended };

static void
open_link(struct relay_job *job, const struct mx_address *address)
{
	struct relay_link *link = xcalloc(1, sizeof(*link));

	link->ip = address->ip;
	link->port = address->port;
	link->name = link_name(address);
	link->job = job;
	job->link = link;
	TAILQ_INSERT_HEAD(&here.links, link, entry);
	link->client = smtp_client_new(
	    peer_base(), job->by_mx ? &here.client_by_mx : &here.client, &client_ops, link);
	smtp_client_connect(link->client, &link->ip, link->port);
}

static struct relay_link *
find_idle(const struct mx_address *address)
{
	struct relay_link *link;

	TAILQ_FOREACH(link, &here.links, entry) {
		if (link->job == NULL && link->port == address->port &&
		    ip_equal(&link->ip, &address->ip))
			return link;
	}
	return NULL;
}

/* A connection that waits, to one of the servers that are as good as the next to be tried; it then
 * is the next. */
static struct relay_link *
find_idle_for(struct relay_job *job)
{
	struct mx_address chosen;
	struct relay_link *link;
	unsigned i;

	if (here.idle == 0)
		return NULL;
	for (i = job->next;
	     i < job->addresses_n && job->addresses[i].rank == job->addresses[job->next].rank;
	     i++) {
		link = find_idle(&job->addresses[i]);
		if (link == NULL)
			continue;
		chosen = job->addresses[i];
		job->addresses[i] = job->addresses[job->next];
		job->addresses[job->next] = chosen;
		return link;
	}
	return NULL;
}

static void
use_idle(struct relay_link *link, struct relay_job *job)
{
	link->job = job;
	link->waited = true;
	job->link = link;
	here.idle--;
	TAILQ_REMOVE(&here.links, link, entry);
	TAILQ_INSERT_HEAD(&here.links, link, entry);
	send_job(link, job);
}

static void
try_next(struct relay_job *job)
{
	struct relay_link *link;

	if (job->next == job->addresses_n) {
		give_up(job);
		return;
	}
	link = find_idle_for(job);
	job->next++;
	if (link != NULL)
		use_idle(link, job);
	else
		open_link(job, &job->addresses[job->next - 1]);
}

/* --- the way --- */

/* Addresses that just failed come after all the others, in the same order. */
static void
take_addresses(struct relay_job *job, const struct mx_answer *answer)
{
	uint64_t now = clock_ms();
	unsigned i, pass;

	job->addresses = xcalloc(answer->addresses_n, sizeof(*job->addresses));
	for (pass = 0; pass < 2; pass++) {
		for (i = 0; i < answer->addresses_n; i++) {
			const struct mx_address *a = &answer->addresses[i];

			if (bad_address_is(&a->ip, a->port, now) != (pass == 1))
				continue;
			job->addresses[job->addresses_n] = *a;
			job->addresses[job->addresses_n++].host = xstrdup(a->host);
		}
	}
}

static void
on_found(const struct mx_answer *answer, void *arg)
{
	struct relay_job *job = arg;

	job->finding = NULL;
	job->by_mx = answer->by_mx;
	if (answer->status == MX_OK) {
		take_addresses(job, answer);
		try_next(job);
		return;
	}
	keep_reason(
	    job, answer->status == MX_PERM ? DELIVERY_PERM : DELIVERY_TEMP_HOST, "", answer->why);
	give_up(job);
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
	job = job_new(peer, m, &order);
	job->finding = mx_find(order.destination, &here.self, on_found, job);
	delivery_free_job(&order);
	return true;
}

/* Drops what was not begun; the results of what was are on their way. */
static void
cancel_job(const struct peer *peer, uint64_t id)
{
	struct relay_job *job;

	TAILQ_FOREACH(job, &here.jobs, entry) {
		if (job->id != id || job->queue != peer)
			continue;
		if (job->link == NULL)
			finish(job);
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

	for (job = TAILQ_FIRST(&here.jobs); job != NULL; job = next) {
		next = TAILQ_NEXT(job, entry);
		link = job->link;
		if (job->queue != queue)
			continue;
		job->queue = NULL;
		if (link != NULL && smtp_client_is_committed(link->client))
			continue;
		if (link != NULL) {
			smtp_client_free(link->client);
			link_free(link);
		}
		job_free(job);
	}
}

static void
on_down(struct peer *peer)
{
	if (peer->role == ROLE_QUEUE)
		drop_jobs(peer);
}

/* --- the role --- */

static void
add_own(const struct ip *ip)
{
	here.own = xreallocarray(here.own, here.self.addresses_n + 1, sizeof(*here.own));
	here.own[here.self.addresses_n++] = *ip;
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
	TAILQ_FOREACH(job, &here.jobs, entry)
		jobs++;
	TAILQ_FOREACH(link, &here.links, entry)
		connections++;
	ctl_record(ctl, FIELDS(F_U64("jobs", jobs), F_U64("connections", connections),
			    F_U64("idle", here.idle)));
	ctl_end(ctl, 0, "");
}

void
relay_role_prepare(const struct ip *listening, unsigned n)
{
	static const uint8_t any[16];
	bool all = false;
	unsigned i;

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

	here.conf = conf;
	here.client = (struct smtp_client_conf){ .host = conf->host,
		.connect_timeout = conf->connect_timeout,
		.idle_timeout = conf->idle_timeout };
	here.client_by_mx = here.client;
	here.client_by_mx.refuse_self = true;
	here.self.host = conf->host;
	here.self.addresses = here.own;
	TAILQ_INIT(&here.jobs);
	TAILQ_INIT(&here.links);
	peer_register(SUBJECT_DELIVERY, &ops);
	ctl_register("stats", answer_stats);
}

static void
leave_when_done(evutil_socket_t fd, short what, void *arg)
{
	struct relay_link *link, *next;

	(void)fd;
	(void)what;
	(void)arg;
	if (TAILQ_EMPTY(&here.jobs) && TAILQ_EMPTY(&here.links))
		role_exit(0);
	for (link = TAILQ_FIRST(&here.links); link != NULL; link = next) {
		next = TAILQ_NEXT(link, entry);
		if (link->job != NULL)
			continue;
		smtp_client_quit(link->client);
		link_free(link);
	}
}

void
relay_role_retire(void)
{
	struct event *look = event_new(peer_base(), -1, EV_PERSIST, leave_when_done, NULL);

	event_add(look, &(struct timeval){ 0, 100000 });
	event_active(look, 0, 0);
}
