/*
 * The engine of a command (lookups.h); there is one at a time.
 */
#include <stddef.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "lib/dns.h"
#include "lib/peer.h"
#include "lib/resolver.h"
#include "smtpctl/lookups.h"

static struct event_base *base;
static struct dns_engine *engine;
static struct dns_table *table;

void
lookups_use_table(struct dns_table *records)
{
	table = records;
}

struct event_base *
lookups_begin(const struct conf *conf, char **why)
{
	base = event_base_new();
	peer_set_base(base);
	if (table != NULL) {
		resolver_use_table(table);
		return base;
	}
	engine = dns_engine_new(base, &conf->dns, why);
	if (engine == NULL) {
		peer_set_base(NULL);
		event_base_free(base);
		return base = NULL;
	}
	resolver_use_engine(engine);
	return base;
}

void
lookups_end(void)
{
	resolver_use_engine(NULL);
	resolver_use_table(NULL);
	if (engine != NULL)
		dns_engine_free(engine);
	peer_set_base(NULL);
	event_base_free(base);
	engine = NULL;
	base = NULL;
}
