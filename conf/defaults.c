/*
 * What holds when the file says nothing.
 *
 * The limits are one table, which the grammar's actions, `config show` and the manual's check read.
 * The rest is filled in by conf_parse() after the checks.  What can fail: the machine may have no
 * full name of its own, and then the file must give one, because a server that greets as
 * "localhost" has its mail refused elsewhere.
 */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "conf/defaults.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/table.h"

#define SPOOL "/var/spool/genkan"
#define MAILDIR "%{home}/Maildir"
#define SMTP_PORT 25

#define DAY 86400
#define HOUR 3600
#define MINUTE 60

const struct limit_spec limit_specs[LIMIT_COUNT] = {
	[LIMIT_CONNECTIONS] = { "connections", UNIT_COUNT, 10000, "of all clients at once" },
	[LIMIT_CONNECTIONS_PER_ADDRESS] = { "connections-per-address", UNIT_COUNT, 50, "at once" },
	[LIMIT_CONNECTIONS_PER_NETWORK] = { "connections-per-network", UNIT_COUNT, 250,
	    "at once, from a /24 or /64" },
	[LIMIT_RECIPIENTS] = { "recipients", UNIT_COUNT, 1000, "of a message" },
	[LIMIT_SIZE] = { "size", UNIT_SIZE, 50 << 20, "of a message" },
	[LIMIT_ERRORS] = { "errors", UNIT_COUNT, 20, "of a session, then it is closed" },
	[LIMIT_COMMANDS] = { "commands", UNIT_COUNT, 100,
	    "of a session that bring no mail forward" },
	[LIMIT_MESSAGES] = { "messages", UNIT_COUNT, 1000, "of a session" },
	[LIMIT_ACCOUNT_RECIPIENTS] = { "account-recipients", UNIT_COUNT, 1000, "an hour, of one account" },
	[LIMIT_HOPS] = { "hops", UNIT_COUNT, 100, "that a message has behind it; more are a loop" },
	[LIMIT_IDLE] = { "idle", UNIT_TIME, 5 * MINUTE, "for a command" },
	[LIMIT_DATA_RATE] = { "data-rate", UNIT_SIZE, 500,
	    "a second that a text must bring, over the last `idle`" },
	[LIMIT_LIFETIME] = { "lifetime", UNIT_TIME, 5 * DAY, "in the queue, then it goes back" },
	[LIMIT_NOTICE_LIFETIME] = { "notice-lifetime", UNIT_TIME, DAY, "the same for notices" },
	[LIMIT_DELAY_NOTICE] = { "delay-notice", UNIT_TIME, 4 * HOUR,
	    "then the sender is told, once" },
	[LIMIT_RETRY_FIRST] = { "retry-first", UNIT_TIME, 5 * MINUTE, "to the second attempt" },
	[LIMIT_RETRY_MOST] = { "retry-most", UNIT_TIME, 4 * HOUR, "between later attempts" },
	[LIMIT_DESTINATION] = { "destination", UNIT_COUNT, 20,
	    "messages under way to one at once" },
	[LIMIT_LOCAL] = { "local", UNIT_COUNT, 20, "delivery processes at once" },
};

void
defaults_limits(uint64_t *limits)
{
	int i;

	for (i = 0; i < LIMIT_COUNT; i++)
		limits[i] = limit_specs[i].value;
}

char *
defaults_host(void)
{
	char name[HOST_NAME_MAX + 1] = "";

	if (gethostname(name, sizeof(name) - 1) == -1 || strchr(name, '.') == NULL ||
	    !mailaddr_domain_ok(name, strlen(name), 0))
		return NULL;
	return xstrdup(name);
}

char *
defaults_spool(void)
{
	return xstrdup(SPOOL);
}

char *
defaults_maildir(void)
{
	return xstrdup(MAILDIR);
}

unsigned
defaults_listeners(struct listener **listeners)
{
	static const char *const addresses[] = { "0.0.0.0", "::" };
	const unsigned n = sizeof(addresses) / sizeof(addresses[0]);
	unsigned i;

	*listeners = xcalloc(n, sizeof(**listeners));
	for (i = 0; i < n; i++) {
		(*listeners)[i].port = SMTP_PORT;
		ip_parse(addresses[i], &(*listeners)[i].ip);
	}
	return n;
}

struct table *
defaults_relay_from(void)
{
	struct table *table = table_new("");

	table_add(table, "127.0.0.0/8", NULL);
	table_add(table, "::1", NULL);
	return table;
}

struct route
defaults_route(void)
{
	struct route route = { .pattern = xstrdup("*"), .hops_n = 1 };

	route.hops = xcalloc(1, sizeof(route.hops[0]));
	route.hops[0].mx = true;
	route.hops[0].port = SMTP_PORT;
	return route;
}

void
defaults_relay(struct relay_conf *relay)
{
	/* RFC 5321 4.5.3.2 says nothing of connecting; a host that does not answer within half a
	 * minute is tried again later. */
	relay->connect_timeout = 30;
	/* Long enough for the next message of a burst, short enough that nobody notices a held
	 * connection. */
	relay->idle_timeout = 5;
	relay->per_connection = 100;
}
