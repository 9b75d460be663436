/*
 * From a destination to the addresses of its servers, in the order in which they are to be tried
 * (RFC 5321 5.1, RFC 7505).
 */
#ifndef DELIVER_MX_H
#define DELIVER_MX_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ip.h"

/* Hosts of an MX list that are looked at, best first, and addresses that are tried in all. */
#define MX_HOSTS_MAX 10
#define MX_ADDRESSES_MAX 40

struct mx_address {
	const char *host; /* name, or the address itself in brackets */
	struct ip ip;
	uint16_t port;
	unsigned rank; /* the same for servers that are equally good */
};

enum mx_status {
	MX_OK,
	MX_TEMP, /* ask again later */
	MX_PERM	 /* mail for that domain goes nowhere */
};

struct mx_answer {
	enum mx_status status;
	const char *why; /* "451 4.4.3 ...", "550 5.1.2 ..."; NULL when OK */
	bool by_mx;	 /* found by DNS for a recipient's domain, not named in the configuration */
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
 * call, not after a cancel; ANSWER is valid during the call.  SELF stays the caller's. */
struct mx_query *mx_find(const char *destination, const struct mx_self *self,
    void (*)(const struct mx_answer *, void *arg), void *arg);
void mx_cancel(struct mx_query *);

#endif
