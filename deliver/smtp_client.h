/*
 * One SMTP connection to another server (RFC 5321, 2920, 1870, 3207, 4954, 6152, 3030, 6531, 3461, 8689, 9422):
 * greeting, TLS, login, any number of messages one after the other, QUIT.  It knows nothing of queues, MX or pools; the relay
 * role does.
 */
#ifndef DELIVER_SMTP_CLIENT_H
#define DELIVER_SMTP_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "deliver/delivery.h"
#include "deliver/tls_client.h"
#include "lib/ip.h"

struct event_base;
struct login;
struct smtp_client;

struct smtp_client_conf {
	const char *host;	  /* our name in EHLO */
	unsigned connect_timeout; /* seconds; the others are RFC 5321 4.5.3.2's */
	unsigned idle_timeout;	  /* seconds without a message until we say QUIT */
	bool refuse_self;	  /* a server that gives our own name is ourselves: a loop */
};

/* What the connection must be before a message goes over it. */
struct smtp_client_security {
	struct tls_target tls;	   /* strings and records stay the caller's */
	bool implicit;		   /* TLS from the first octet */
	const char *policy;	   /* who wants it, for texts: as in struct tls_choice */
	bool for_good;		   /* what it cannot be is a failure for good (RFC 8689 4.2.1) */
	const struct login *login; /* our account there (login.h), or NULL */
};

/* What is sent; all of it stays where it is until READY or ENDED. */
struct smtp_client_message {
	const char *sender; /* of recipients that have none of their own */
	const char *envid; /* or NULL */
	uint8_t body;	   /* enum body_type */
	uint8_t ret;	   /* RFC 3461: 0, 1 FULL, 2 HDRS */
	bool utf8;
	bool requiretls; /* says so to a server that offers it; whether others get it is the caller's
			    matter */
	uint8_t by;	    /* RFC 2852: enum deliver_by, or'ed, */
	int64_t deliver_by; /* and when that is */
	uint64_t size;
	unsigned recipients_n; /* at least 1 */
	const struct job_recipient *recipients;
	const void *content; /* CRLF text in memory, */
	size_t content_len;
	int fd; /* or in this file, when CONTENT is NULL */
};

struct smtp_client_end {
	enum delivery_status status; /* for recipients of the message that have no result yet */
	bool try_elsewhere; /* another server of the destination may be asked at once: nothing was
			       accepted here */
	bool answered; /* the server replied to something of the message before; if not, it may just
			* have closed a connection that it thought idle */
	bool no_tls; /* it ended because TLS did not come about, and need not: the same server may be
		      * asked in the clear, over a new connection */
	bool anew;   /* the server has had all the messages that it takes on one connection (RFC 9422): the
		      * same may be asked at once, over a new one */
	const char *text; /* "451 4.4.2 ..." or the server's words */
};

struct smtp_client_ops {
	/* Greeted, or done with the message: smtp_client_send may be called, also from here.  With
	 * idle_timeout the connection then waits for it. */
	void (*ready)(struct smtp_client *, void *arg);
	/* One recipient, by its place in RECIPIENTS, once.  TEXT is in one line. */
	void (*result)(
	    struct smtp_client *, unsigned i, enum delivery_status, const char *text, void *arg);
	/* The connection is over, the client gone after this call. */
	void (*ended)(struct smtp_client *, const struct smtp_client_end *, void *arg);
};

/* Needs files, none later: before the sandbox, for those who have logins.  0, or -1 with *WHY (caller
 * frees). */
int smtp_login_prepare(char **why);

/* CONF and OPS stay the caller's. Callbacks come from the loop, never from inside these calls. */
struct smtp_client *smtp_client_new(struct event_base *, const struct smtp_client_conf *,
    const struct smtp_client_ops *, void *arg);
/* Before that; without it everything goes in the clear. */
void smtp_client_secure(struct smtp_client *, const struct smtp_client_security *);
/* Before that, too: what we call from (family 0 or NULL: the system chooses), and our name in EHLO
 * (NULL: CONF's); both stay the caller's. */
void smtp_client_call_from(struct smtp_client *, const struct ip *source, const char *helo);
/* Before that, too: what the server is not to be given more of, whatever it says of itself (0: as it
 * says): transactions on this connection, recipients of each. */
void smtp_client_limit(struct smtp_client *, unsigned mails, unsigned recipients);
/* One of the two, once: connects; or takes over a connected socket. */
void smtp_client_connect(struct smtp_client *, const struct ip *, uint16_t port);
void smtp_client_use(struct smtp_client *, int fd);
/* Only when ready. */
void smtp_client_send(struct smtp_client *, const struct smtp_client_message *);
/* When ready: "TLSv1.3 TLS_AES_256_GCM_SHA384", or "" in the clear; whether the certificate was
 * the server's (tls_client_verified); whether it takes messages that require TLS (RFC 8689). */
const char *smtp_client_tls(const struct smtp_client *);
bool smtp_client_is_verified(const struct smtp_client *);
bool smtp_client_takes_requiretls(const struct smtp_client *);
/* True while the last of the data is sent and its reply is awaited: the message may be there
 * already. */
bool smtp_client_is_committed(const struct smtp_client *);
/* It takes no further message on this connection (RFC 9422 MAILMAX, smtp_client_limit). */
bool smtp_client_is_used_up(const struct smtp_client *);
/* The server tells the sender of the message what he asked for (RFC 3461, 2852), and we need not. */
bool smtp_client_tells_sender(const struct smtp_client *, const struct smtp_client_message *);
/* Says QUIT if that is in order, and goes; no callback comes any more. */
void smtp_client_quit(struct smtp_client *);
/* Closes at once; no callback comes any more. */
void smtp_client_free(struct smtp_client *);

#endif
