/*
 * The queue's orders to those who deliver, and what they report back: messages of SUBJECT_DELIVERY between the queue and the
 * relay roles, and between the queue and the local delivery processes.  Encoding and decoding only.
 */
#ifndef DELIVER_DELIVERY_H
#define DELIVER_DELIVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "deliver/domain.h"
#include "lib/ip.h"
#include "lib/peer.h"

struct evbuffer;
struct table;

enum delivery_type {
	DELIVERY_JOB = MESSAGE_TYPE(SUBJECT_DELIVERY, 1), /* queue to deliverer: struct job; large content by descriptor */
	DELIVERY_RESULT,                                  /* back: one recipient; struct delivery_result */
	DELIVERY_DONE,                                    /* back: all recipients of the job were reported */
	DELIVERY_CANCEL,                                  /* queue to relay: drop it if it was not begun */
	DELIVERY_START,                                   /* queue to master: a local process, please; u32 instance, u32 uid,
	                                                   * u32 gid, u8 enum mailbox_method, str account, str root */
	DELIVERY_WAY,                                     /* queue to relay: where does it lead? str destination */
	DELIVERY_SITE,                                    /* back: struct delivery_site */
	DELIVERY_EXPANSION                                /* back, instead of a result: one recipient stands for others;
	                                                   * struct delivery_expansion */
};

/* RFC 6152, RFC 3030 */
enum body_type { BODY_7BIT, BODY_8BITMIME, BODY_BINARYMIME };

/* RFC 2852 4: what becomes of a message that was not delivered by its time */
enum deliver_by { BY_NOTIFY = 1, BY_RETURN = 2, BY_TRACE = 4 };

struct job_recipient {
	uint32_t index;      /* in the envelope */
	const char *address; /* RCPT TO, or for local delivery the address for Delivered-To */
	const char *original; /* ORCPT or NULL */
	uint8_t notify;      /* RFC 3461 bits */
	const char *path;    /* local: the mailbox */
	uint8_t method;      /* local: enum mailbox_method */
	bool forward;        /* local: the account's .forward counts before the mailbox */
	const char *sender;  /* reverse-path for this one; NULL: the job's */
};

struct job {
	uint64_t id;          /* of this job; results carry it */
	uint64_t message;
	const char *sender;
	const char *envid;    /* or NULL */
	uint8_t body;         /* enum body_type */
	uint8_t ret;
	bool utf8;
	bool requiretls;      /* RFC 8689 */
	uint8_t by;           /* enum deliver_by, or'ed, */
	int64_t deliver_by;   /* and when that is */
	uint64_t size;
	const char *destination; /* relay: lookup.h; local: NULL */
	unsigned recipients_n;
	struct job_recipient *recipients;
	const void *content;  /* inline, CONTENT_LEN octets; or NULL: it comes as a descriptor */
	uint64_t content_len;
};

enum delivery_status {
	DELIVERY_OK,
	DELIVERY_TEMP,      /* this recipient or message: try later */
	DELIVERY_PERM,      /* this recipient: never */
	DELIVERY_TEMP_HOST, /* the destination as a whole: dead, refusing, too busy */
	DELIVERY_TEMP_DOMAIN /* the same, but for what it wants of its servers: they may do for others */
};

struct delivery_result {
	uint64_t job;
	uint32_t index;      /* of the recipient; UINT32_MAX: all that were not yet reported */
	uint8_t status;      /* enum delivery_status */
	const char *host;    /* who answered, "mx.example.net[192.0.2.1]", or "" */
	const char *text;    /* its reply, "250 2.0.0 ok", or our own words in the same form */
	const char *detail;  /* local: the file written; relay: TLS, if any; or "" */
	bool dsn;            /* relay, DELIVERY_OK: the next server tells the sender what he asked for (RFC 3461) */
	uint32_t pause;      /* relay, not OK: seconds for which its reply asks us to leave the site alone, or 0 */
};

/* Destinations of one site are as one for those servers. */
struct delivery_site {
	const char *destination; /* as it was asked */
	const char *site;        /* way.h; "": there are no servers, or DNS does not tell now */
	uint32_t most;           /* messages under way there at once; 0: not said */
	uint32_t holds;          /* seconds */
};

struct delivery_expansion {
	uint64_t job;
	uint32_t index;
	unsigned targets_n;      /* at least one */
	const char **targets;    /* target.h */
};

/* Writes a DELIVERY_JOB to CH; CONTENT (may be NULL when FD >= 0) is drained into it; FD is closed. */
void delivery_send_job(struct channel *, const struct job *, struct evbuffer *content, int fd);
/* Pointers go into the message's bytes, but RECIPIENTS is allocated: free with delivery_free_job.  False: it is none. */
bool delivery_read_job(struct message *, struct job *);
void delivery_free_job(struct job *);
void delivery_send_result(struct channel *, const struct delivery_result *);
bool delivery_read_result(struct message *, struct delivery_result *);
void delivery_send_way(struct channel *, const char *destination);
/* The string is the message's.  NULL: it is none. */
const char *delivery_read_way(struct message *);
void delivery_send_site(struct channel *, const struct delivery_site *);
bool delivery_read_site(struct message *, struct delivery_site *);
void delivery_send_expansion(struct channel *, const struct delivery_expansion *);
/* Strings are the message's, TARGETS is allocated: the caller frees it. */
bool delivery_read_expansion(struct message *, struct delivery_expansion *);

/* --- the roles (smtpd/roles.c) --- */
struct relay_conf {
	const char *host;       /* our name in EHLO */
	const char *trust;      /* file of the authorities that we believe; NULL: the system's */
	const struct table *providers; /* provider.h, or NULL */
	const char **logins;    /* files with our accounts elsewhere (login.h), each once */
	unsigned logins_n;
	uint32_t connect_timeout; /* seconds; others are RFC 5321 4.5.3.2's */
	uint32_t idle_timeout;  /* a finished connection is kept so long for the next message */
	uint32_t per_connection; /* messages on one connection; 0: no limit */
};
/* In the master: can the files be used that the role will read?  0, or -1 with *WHY (caller frees). */
int relay_check(const struct relay_conf *, char **why);
/* Before the sandbox: reads them; the addresses are those that we take mail at on port 25, by which we know ourselves in
 * an MX list; unspecified ones stand for all of the host's. */
void relay_role_prepare(const struct relay_conf *, const struct ip *listening, unsigned n);
void relay_role_start(const struct relay_conf *);
/* Ends when the jobs that it has are done. */
void relay_role_retire(void);

struct lookup_conf;
struct local_conf {
	const char *host;       /* our name in Maildir file names */
	/* the master fills in for each process */
	enum mailbox_method method;
	const char *account, *home; /* of the account that it runs as; HOME may be NULL */
	const struct lookup_conf *lookup;
};
void local_role_start(const struct local_conf *);

#endif
