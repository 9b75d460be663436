/*
 * Asking DNS from any role.  Questions go to the resolver role by message, or to an engine in this process when one was
 * set (smtpctl, tests).  When the resolver role is down, or dies over a question, the answer is DNS_TEMP.
 */
#ifndef LIB_RESOLVER_H
#define LIB_RESOLVER_H

#include "lib/dns.h"

struct dns_table;

struct resolver_query;

/* In a role's start: answers come by peers. */
void resolver_client_init(void);
/* Instead: this engine in this process. */
void resolver_use_engine(struct dns_engine *);
/* Instead: these records and nothing else; they must outlive the questions.  NULL: no more. */
void resolver_use_table(struct dns_table *);

/* As dns_engine_query: the callback comes once, from the loop, never from inside the call, not after a cancel. */
struct resolver_query *resolver_ask(const char *name, uint16_t type, dns_callback, void *arg);
void resolver_cancel(struct resolver_query *);
/* False while the resolver role is down: every answer is DNS_TEMP, and it is our own fault. */
bool resolver_is_there(void);

/* The resolver role itself (smtpd/roles.c); CONF is a struct dns_conf. */
/* Before the sandbox: reads resolv.conf when CONF names no server. */
void resolver_role_prepare(const struct dns_conf *);
/* Needs no file any more. */
void resolver_role_start(const struct dns_conf *);

#endif
