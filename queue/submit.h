/*
 * Handing a message to the queue: used by the SMTP sessions and by the control role (sendmail). The
 * content is gathered here while it comes in: in memory up to STORE_INLINE_MAX, in a file of the
 * queue's beyond that.
 */
#ifndef QUEUE_SUBMIT_H
#define QUEUE_SUBMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "queue/envelope.h"

struct channel;
struct evbuffer;
struct submission;

/* In a role's start. */
void submit_client_init(void);

/* 0, or why a message of SIZE octets (0: unknown) cannot be taken now: text for a 452 or 451 reply.
 */
const char *submit_refusal(uint64_t size);

struct submission *submit_begin(uint64_t id);
/* Moves all of CONTENT into the submission. */
void submit_write(struct submission *, struct evbuffer *content);
/* True while the file is not there yet or the disk is behind: read no more from the client until
 * READY (called once). */
bool submit_busy(const struct submission *);
void submit_on_ready(struct submission *, void (*ready)(void *arg), void *arg);
uint64_t submit_size(const struct submission *);

enum submit_status {
	SUBMIT_OK,    /* durable: "250" may go out */
	SUBMIT_TEMP   /* not taken; TEXT says why, as "452 4.3.1 ..." */
};
/* ENV (its id is the submission's) is encoded and stays the caller's.  The callback comes once,
 * from the loop, not after submit_abort; the submission is gone after it.  When the queue dies
 * meanwhile the status is SUBMIT_TEMP. */
void submit_commit(struct submission *, const struct envelope *env,
    void (*done)(enum submit_status, const char *text, void *arg), void *arg);
/* Forgets it; after submit_commit the message may be queued all the same. */
void submit_abort(struct submission *);

/* What waits for DOMAIN is tried now, and DESTINATION (lookup.h), where that goes, if it was given up for now.  False: there is
 * no queue to be told. */
bool submit_flush(const char *domain, const char *destination);

/* --- the role itself (smtpd/roles.c) --- */
struct queue_conf {
	const char *dir;        /* as seen after chroot */
	const char *host;       /* our name, in notices */
	uint32_t retry_first;	/* seconds to the second attempt; each later wait is twice as long,
				   with jitter */
	uint32_t retry_most;    /* longest wait */
	uint32_t lifetime;      /* then it goes back */
	uint32_t notice_lifetime; /* the same for mail with a null sender */
	uint32_t delay_notice;  /* tell the sender once after so long; 0: never */
	uint32_t destination_most; /* messages under way to one destination at once */
	uint32_t local_most;    /* local delivery processes at once */
};
/* CONF is copied. */
void queue_role_start(const struct queue_conf *);
/* The configuration is another one: all of it but DIR.  What is under way goes on; limits of
 * destinations follow when the new relay roles are asked where they lead. */
void queue_role_renew(const struct queue_conf *);
/* The same, told by the master. */
void queue_send_conf(struct channel *queue, const struct queue_conf *);
void queue_role_stop(void);

#endif
