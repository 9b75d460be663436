/*
 * The values of everything that the configuration need not say.  limit_specs, in conf/conf.h, is
 * here as well.
 */
#ifndef CONF_DEFAULTS_H
#define CONF_DEFAULTS_H

#include "conf/conf.h"

/* All LIMIT_COUNT of them. */
void defaults_limits(uint64_t *limits);
/* The caller frees all that follows. */
/* The machine's own name; NULL when it has none with a domain. */
char *defaults_host(void);
char *defaults_spool(void);
char *defaults_maildir(void);
/* Every address, port 25: sets *LISTENERS and returns how many. */
unsigned defaults_listeners(struct listener **);
struct table *defaults_relay_from(void);
/* The last one: everything to its MX. */
struct route defaults_route(void);
void defaults_relay(struct relay_conf *);

#endif
