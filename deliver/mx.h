/*
 * From a destination to the addresses of its servers, in the order in which they are to be tried
 * (RFC 5321 5.1, RFC 7505), with what DNS says of their TLS (RFC 7672).
 */
#ifndef DELIVER_MX_H
#define DELIVER_MX_H

#include <stdbool.h>
#include <stdint.h>

#include "deliver/tls_policy.h"
#include "deliver/tlsa.h"
#include "lib/ip.h"

/* Hosts of an MX list that are looked at, best first, and addresses that are tried in all. */
#define MX_HOSTS_MAX 10
#define MX_ADDRESSES_MAX 40

/* TLSA records of one server that are kept. */
#define MX_TLSA_MAX 32

struct mx_server {
	const char *name; /* or the address itself in brackets */
	uint16_t port;
	unsigned rank; /* the same for servers that are equally good */
	bool by_mx;    /* found by DNS for a recipient's domain, not named in the configuration */
	/* the configuration's words for it */
	enum hop_tls tls;
	bool implicit_tls;
	const char *login;
	struct ip source4, source6; /* of family 0: not said */
	const char *helo;	    /* or NULL */
	/* DNS's */
	enum dane_state dane;
	const char *dane_name; /* TLSA base domain */
	unsigned tlsa_n;
	const struct tlsa *tlsa; /* the usable ones */
};

struct mx_address {
	const char *host; /* the server's name */
	struct ip ip;
	uint16_t port;
	unsigned rank;
	const struct mx_server *server; /* all addresses of a server follow each other */
};

enum mx_status {
	MX_OK,
	MX_TEMP, /* ask again later */
	MX_PERM	 /* mail for that domain goes nowhere */
};

struct mx_answer {
	enum mx_status status;
	const char *why; /* "451 4.4.3 ...", "550 5.1.2 ..."; NULL when OK */
	const char *domain; /* whose MX was looked for, or NULL */
	bool by_mx;
	bool secure;  /* DNSSEC vouches for the MX, or for there being none */
	uint32_t ttl; /* seconds that all of it holds */
	unsigned addresses_n;
	const struct mx_address *addresses;
};

/* By what we recognise ourselves in an MX list. */
struct mx_self {
	const char *host;
	const struct ip *addresses; /* at which port 25 is ours */
	unsigned addresses_n;
};

struct mx_query;

/* DESTINATION as lookup.h has it.  The callback comes once, from the loop, never from inside this
 * call, not after a cancel; ANSWER is valid during the call, and as long as it is kept.  SELF stays
 * the caller's. */
struct mx_query *mx_find(const char *destination, const struct mx_self *self,
    void (*)(const struct mx_answer *, void *arg), void *arg);
void mx_cancel(struct mx_query *);
const struct mx_answer *mx_answer_keep(const struct mx_answer *);
void mx_answer_drop(const struct mx_answer *);

#endif
