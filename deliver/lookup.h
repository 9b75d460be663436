/*
 * The address book: which recipients exist, and where an address leads.  One role holds it, because users and tables need
 * the file system (passwd, alias files) and neither the sessions nor the queue may see that.
 */
#ifndef DELIVER_LOOKUP_H
#define DELIVER_LOOKUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "deliver/domain.h"

struct lookup_request;
struct srs;

/* In a role's start. */
void lookup_client_init(void);
void lookup_cancel(struct lookup_request *);

/* --- at RCPT --- */
enum recipient_verdict {
	RECIPIENT_OURS,    /* there is a mailbox, an alias, or a domain that we are the door of */
	RECIPIENT_FOREIGN, /* no domain of ours: a matter of who may relay */
	RECIPIENT_UNKNOWN, /* our domain, no such user: 550 5.1.1 */
	RECIPIENT_TEMP     /* cannot be told now: 451 */
};
/* ADDRESS is normalised (mailaddr.h).  The callback comes once, from the loop, not after a cancel. */
struct lookup_request *lookup_recipient(const char *address,
    void (*)(enum recipient_verdict, const char *why, void *arg), void *arg);

/* --- who writes, on submission --- */

/* May ACCOUNT send as ADDRESS?  RECIPIENT_OURS: it may; RECIPIENT_FOREIGN: it may not; RECIPIENT_TEMP.  As lookup_recipient. */
struct lookup_request *lookup_sender(const char *account, const char *address,
    void (*)(enum recipient_verdict, const char *why, void *arg), void *arg);

/* --- when a recipient is due --- */
struct route_question {
	const char *address;
	const char *sender; /* "" for the null one */
	const char *via;    /* the recipient that ADDRESS is an expansion of; NULL: it is none */
};
enum route_kind {
	ROUTE_LOCAL,  /* into a mailbox here */
	ROUTE_RELAY,  /* to another server */
	ROUTE_EXPAND, /* stands for other addresses */
	ROUTE_DISCARD, /* nobody: an alias that says /dev/null */
	ROUTE_FAIL,   /* for good: WHY */
	ROUTE_DEFER   /* ask again later: WHY */
};
struct route_answer {
	enum route_kind kind;
	const char *why;     /* "550 5.1.1 ..." or "451 4.3.0 ..." for FAIL and DEFER */
	/* LOCAL */
	uid_t uid;           /* who writes; the mailbox owner, or who owns the directory that holds virtual mailboxes */
	gid_t gid;
	const char *account; /* name of that account, for initgroups and the log */
	const char *root;    /* all that the delivery may write lies below it: home, or that directory */
	enum mailbox_method method;
	const char *path;    /* expanded; for ALIAS and FORWARD what is asked for (target.h) */
	bool forward;        /* the account's .forward counts before the mailbox */
	/* RELAY: a stable text of the hops, the destination that concurrency and back-off are counted by: "mx example.net" or
	 * "[127.0.0.1]:2526 [127.0.0.1]:2527"; destination.c has all of it */
	const char *destination;
	const char *sender;  /* who sends it on (SRS), or NULL: the sender asked about */
	/* EXPAND; one that begins with '\\' is the mailbox of that name past all aliases: to be looked up as it stands,
	 * and shown without it; target.h has the rest */
	unsigned targets_n;
	const char *const *targets;
	const char *owner;   /* who sends to them: owner-NAME, or NULL: the message's sender */
	/* for people: what led to this answer, "alias \"staff\", /etc/aliases:12"; in this process only */
	const char *because;
};
struct lookup_request *lookup_route(
    const struct route_question *, void (*)(const struct route_answer *, void *arg), void *arg);

/* "mx example.net" or "HOST:PORT ..." back into hops; DOMAIN gets the domain of an mx.  -1: no such text. */
int destination_parse(const char *text, struct hop **hops, unsigned *n, char **domain);

/* --- the role itself, and smtpctl address --- */
#define SRS_FILE "srs-secret" /* in the spool */
struct lookup_conf {
	const char *host;          /* our own name: where <postmaster> without a domain goes */
	const char *postmaster;    /* who gets what is for postmaster and has no other way; or NULL */
	struct srs *srs;           /* the secret of return addresses, once the role has read it; or NULL */
	const char *spool;         /* where it lies */
	struct domain *domains;
	unsigned domains_n;
	struct route *routes;
	unsigned routes_n;
	const struct table *senders; /* account -> what else it may send as; or NULL */
};
/* Before privileges and the file system go: name services, the owners of mailbox directories, what may be read. */
void lookup_role_prepare(const struct lookup_conf *);
void lookup_role_start(const struct lookup_conf *);
/* The same answers without a role, in this process, at once (may read files and passwd): for the role and for smtpctl. */
enum recipient_verdict lookup_sender_now(const struct lookup_conf *, const char *account, const char *address);
enum recipient_verdict lookup_recipient_now(const struct lookup_conf *, const char *address, char **why);
/* Looks at the files of its tables and reads those that changed; logs, once, that one cannot be read, whose old content
 * stays.  How many could not. */
unsigned lookup_refresh(const struct lookup_conf *);
/* Whether the alias ADDRESS, and not a .forward, names the program or file ITEM (target.h); or *WHY it cannot be told
 * (caller frees), or else NULL. */
bool lookup_alias_names(const struct lookup_conf *, const char *address, const char *item, char **why);
void lookup_route_now(const struct lookup_conf *, const struct route_question *,
    void (*)(const struct route_answer *, void *), void *);

#endif
