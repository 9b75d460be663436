/*
 * The configuration: one file, read whole, checked whole, never changed afterwards.  Every role
 * gets the same struct (the master parses before it forks); each uses the part that is its own
 * module's.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "deliver/delivery.h"
#include "deliver/domain.h"
#include "deliver/lookup.h"
#include "deliver/srs.h"
#include "filters/gate.h"
#include "lib/dns.h"
#include "lib/ip.h"
#include "lib/log.h"
#include "queue/submit.h"
#include "vault/vault.h"

struct buf;
struct table;

/* Files of PEM; OCSP: of DER, what the issuer answers for it, or NULL. */
struct key_pair {
	char *chain, *key, *ocsp;
};
struct certificate {
	char *name;             /* as in `tls "NAME"` */
	unsigned line;          /* of the file, for messages */
	struct key_pair *pairs; /* one for each kind of key */
	unsigned pairs_n;
};

struct listener {
	struct ip ip;
	uint16_t port;
	const struct certificate *certificate; /* `tls "NAME"`, or NULL */
	bool implicit_tls;
	char *client_ca;                       /* file: who signs clients' certificates, which then are asked for; or NULL */
	bool submission;
	const struct table *xclient_from;      /* peers whose XCLIENT is believed, or NULL */
	const struct table *proxy_from;        /* peers that speak the PROXY protocol, or NULL */
	const struct table *normalize_from;    /* clients whose bare CR and LF are made line ends, or NULL */
	bool gate;                             /* also for authenticated and relay clients */
};

/* `limit NAME VALUE`; UINT64_MAX: off.  Sizes in octets, times in seconds. */
enum limit {
	LIMIT_CONNECTIONS,             /* of all clients at once */
	LIMIT_CONNECTIONS_PER_ADDRESS,
	LIMIT_CONNECTIONS_PER_NETWORK, /* /24, /64 */
	LIMIT_RECIPIENTS,              /* a transaction */
	LIMIT_SIZE,                    /* of a message */
	LIMIT_ERRORS,                  /* a session: then 421 */
	LIMIT_COMMANDS,                /* a session, those that bring no mail forward (RSET ...) */
	LIMIT_MESSAGES,                /* a session */
	LIMIT_ACCOUNT_RECIPIENTS,      /* an hour, of one account */
	LIMIT_HOPS,                    /* Received headers */
	LIMIT_IDLE,                    /* seconds for a command */
	LIMIT_DATA_RATE,               /* octets a second that a text must bring, over LIMIT_IDLE */
	LIMIT_LIFETIME,                /* seconds in the queue */
	LIMIT_NOTICE_LIFETIME,
	LIMIT_DELAY_NOTICE,
	LIMIT_RETRY_FIRST,
	LIMIT_RETRY_MOST,
	LIMIT_DESTINATION,             /* messages under way to one destination */
	LIMIT_LOCAL,                   /* local delivery processes */
	LIMIT_COUNT
};
struct limit_spec {
	const char *name;
	enum { UNIT_COUNT, UNIT_SIZE, UNIT_TIME } unit;
	uint64_t value;       /* default */
	const char *meaning;  /* for `config show` and the manual */
};
extern const struct limit_spec limit_specs[LIMIT_COUNT];

struct conf {
	char *path;
	char *host;
	char *spool;
	char *postmaster;      /* or NULL */
	const struct table *rewrite; /* senders of ours as the world shall see them, or NULL */
	struct log_conf log;
	struct dns_conf dns;
	char *anchor_path;     /* the file of dns.anchors, or NULL */
	struct certificate *certificates;
	unsigned certificates_n;
	struct table **tables; /* the named ones */
	unsigned tables_n;
	struct listener *listeners;
	unsigned listeners_n;
	uint64_t limits[LIMIT_COUNT];
	struct gate gate;
	char *trust_path;      /* of relay.trust, or NULL */
	const struct table *providers;  /* what large ones want of us (provider.h), or NULL */
	const struct table *relay_from; /* who may relay besides authenticated clients, or NULL */
	/* what the roles are started with */
	struct lookup_conf lookup;      /* domains and routes */
	struct srs srs;                 /* lookup's: the role reads its secret */
	struct vault_conf vault;        /* accounts */
	struct relay_conf relay;
	struct local_conf local;
	struct queue_conf queue; /* without dir, which depends on where the role is locked up */
};

/* Reads and checks.  NULL: ERRORS holds one line for each mistake, `FILE:LINE:COLUMN: what is
 * wrong; what was expected`; at most 20 are collected.  Warnings are lines in WARNINGS, also on
 * success. */
struct conf *conf_load(const char *path, struct buf *errors, struct buf *warnings);
/* The same from memory; PATH names it in messages. */
struct conf *conf_parse(const char *path, const char *text, size_t len, struct buf *errors,
    struct buf *warnings);
void conf_free(struct conf *);
/* In a process that has no business with passwords: forgets those that the configuration holds. */
void conf_forget_secrets(struct conf *);
/* The effective configuration with all defaults; parses again to the same. */
void conf_print(struct buf *, const struct conf *);
/* Our host's name, or a domain that is delivered here; case does not matter. */
bool conf_is_ours(const struct conf *, const char *name);
/* Postmaster or abuse there (RFC 5321 4.5.1, RFC 2142): whoever is refused elsewhere can ask him why. */
bool conf_is_postmaster(const struct conf *, const char *address);
/* Where the file is looked for without -f. */
#define CONF_PATH "/etc/genkan/smtpd.conf"

/* The words of the language, for the manual's check; NULL-terminated.  The names of limits are
 * in limit_specs. */
extern const char *const conf_keywords[];

#endif
