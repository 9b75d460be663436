/*
 * The inside of the relay role, shared by its files: the role and its jobs' way (relay.c), jobs and
 * their results (relay_job.c), connections (relay_link.c), the queue's questions (relay_site.c).  Nobody else includes this.
 */
#ifndef DELIVER_RELAY_INSIDE_H
#define DELIVER_RELAY_INSIDE_H

#include <sys/queue.h>

#include "deliver/delivery.h"
#include "deliver/smtp_client.h"
#include "deliver/way.h"

struct relay_link;
struct relay_question;

/* An address that a job may go to, and what TLS it gets. */
struct relay_try {
	const struct mx_address *address; /* of the job's way */
	struct tls_choice choice;
	bool clear; /* TLS did not come about, and need not: not asked for again */
};

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
	bool tls_optional; /* "TLS-Required: No" */
	struct way_query *finding;
	const struct way *way; /* once it is found */
	struct relay_try *tries;
	unsigned tries_n, next;
	bool no_ipv6; /* the destination wants a PTR that we do not have: its IPv4 addresses are asked */
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
	const struct way *way; /* by which it was made; SERVER is of it */
	const struct mx_server *server;
	struct tls_choice choice;
	char *detail;	       /* its TLS, when it is greeted */
	struct relay_job *job; /* NULL: waits for work */
	unsigned messages;     /* begun on it */
	bool waited;	       /* it was idle before this job */
	bool served;	       /* a recipient of this job was taken on it */
};

TAILQ_HEAD(relay_jobs, relay_job);
TAILQ_HEAD(relay_links, relay_link);
TAILQ_HEAD(relay_questions, relay_question);

/* Of this process. */
struct relay {
	const struct relay_conf *conf;
	struct smtp_client_conf client, client_by_mx;
	struct mx_self self;
	struct ip *own; /* of SELF */
	struct logins **logins;
	unsigned logins_n;
	struct relay_jobs jobs;
	struct relay_links links; /* the one used last in front */
	unsigned idle;
	struct relay_questions questions;
};
extern struct relay relay;

/* --- relay_job.c --- */
struct relay_job *relay_job_new(struct peer *queue, struct message *, const struct job *);
void relay_job_free(struct relay_job *);
/* REQUIRETLS counts: a notice, which has no sender, is not lost over it (RFC 8689 5). */
bool relay_job_requires_tls(const struct relay_job *);
/* One recipient's fate, once; HOST and DETAIL may be "". */
void relay_report(struct relay_job *, unsigned i, enum delivery_status, const char *host,
    const char *detail, const char *text);
unsigned relay_count_open(const struct relay_job *);
/* Keeps a reason for those who are left: the last one, but none to give up after one to try
 * again. */
void relay_keep_reason(
    struct relay_job *, enum delivery_status, const char *host, const char *text);
/* All servers were tried: whoever has no result yet gets the reason that is kept.  The job is gone. */
void relay_give_up(struct relay_job *);
/* It is over for the queue, too. */
void relay_finish(struct relay_job *);

/* --- relay_link.c --- */
/* Our account at SERVER, or NULL. */
const struct login *relay_find_login(const struct mx_server *);
/* The next of the job's tries, over a connection that waits or a new one; without any it gives
 * up. */
void relay_try_next(struct relay_job *);
/* The connection is gone at once, and its job has none. */
void relay_link_drop(struct relay_link *);
/* Takes leave of those that wait. */
void relay_links_quit(void);

/* --- relay_site.c --- */
/* A DELIVERY_WAY; false: it is none. */
bool relay_site_asked(struct peer *queue, struct message *);
/* Whoever asked is gone. */
void relay_site_forget(const struct peer *queue);

#endif
