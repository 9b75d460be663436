/*
 * SASL mechanisms that we know (RFC 4422), and what their messages hold as far as we read them ourselves: PLAIN (RFC
 * 4616) whole, of SCRAM (RFC 5802) the name.  Pure.
 */
#ifndef VAULT_MECHANISM_H
#define VAULT_MECHANISM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"

struct buf;

/* In the order in which they are offered: what tells least first. */
enum mechanism {
	MECHANISM_EXTERNAL,
	MECHANISM_SCRAM_SHA_256_PLUS,
	MECHANISM_SCRAM_SHA_1_PLUS,
	MECHANISM_SCRAM_SHA_256,
	MECHANISM_SCRAM_SHA_1,
	MECHANISM_PLAIN,
	MECHANISM_LOGIN,
	MECHANISM_COUNT
};
#define MECHANISM_BIT(m) (UINT32_C(1) << (m))
#define MECHANISM_SCRAMS                                                                            \
	(MECHANISM_BIT(MECHANISM_SCRAM_SHA_256_PLUS) | MECHANISM_BIT(MECHANISM_SCRAM_SHA_1_PLUS) |  \
	    MECHANISM_BIT(MECHANISM_SCRAM_SHA_256) | MECHANISM_BIT(MECHANISM_SCRAM_SHA_1))
#define MECHANISM_PASSWORDS (MECHANISM_BIT(MECHANISM_PLAIN) | MECHANISM_BIT(MECHANISM_LOGIN))

/* As whom, and how, a client stands before us. */
struct mechanism_caller {
	struct ip ip;
	bool tls;                /* nobody else can read what is said */
	const char *certificate; /* the account that a verified client certificate names, or NULL */
	const char *binding;     /* channel binding: its type (RFC 5929), or NULL */
	const void *binding_data;
	size_t binding_len;
};

const char *mechanism_name(enum mechanism);
/* By name, in any case; -1: not known here. */
int mechanism_by_name(const char *, size_t len);
/* Those of OFFERED that this caller may use: passwords in the clear only under TLS. */
uint32_t mechanism_usable(uint32_t offered, const struct mechanism_caller *);
/* "PLAIN LOGIN": the names of those in SET. */
void mechanism_list(struct buf *, uint32_t set);

/* A name or a password is no longer. */
#define SASL_TEXT_MAX 255

/* True for 1 to SASL_TEXT_MAX octets of UTF-8 without controls. */
bool sasl_name_ok(const char *, size_t len);

struct sasl_plain {
	const char *authzid, *authcid, *password; /* into the message */
	size_t authzid_len, authcid_len, password_len;
};
/* RFC 4616 2: [authzid] NUL authcid NUL passwd.  False: it is none. */
bool sasl_plain_parse(const char *, size_t len, struct sasl_plain *);
/* The name in the first message of a SCRAM client (RFC 5802 7), unescaped; the caller frees.  NULL: it has none, or an
 * authorization identity besides, which is another's. */
char *sasl_scram_name(const char *, size_t len);

#endif
