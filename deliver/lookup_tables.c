/*
 * The files behind the address book's tables, read again when they changed.
 *
 * The lookup role calls it between two questions, at most once a second, so that an edited alias
 * counts for the next recipient without a reload; a delivery process before it believes an alias.
 * A file that cannot be read any more is reported once, and what was known before stays; lines that make
 * no sense are reported when the file is read (table.h), and cost only themselves.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/lookup.h"
#include "lib/log.h"
#include "lib/table.h"

/* The configuration is nobody else's in this process, and its tables' files are its to read. */
static unsigned
refresh(const struct table *table)
{
	static char *last_error;
	char *why = table == NULL ? NULL : table_refresh((struct table *)(uintptr_t)table);

	if (why == NULL)
		return 0;
	if (last_error == NULL || strcmp(last_error, why) != 0) {
		log_warning("lookup.table", F_STR("table", table_name(table)), F_STR("why", why),
		    F_STR("what", "what was read before stays in use"));
		free(last_error);
		last_error = why;
	} else {
		free(why);
	}
	return 1;
}

unsigned
lookup_refresh(const struct lookup_conf *conf)
{
	unsigned i, wrong = 0;

	for (i = 0; i < conf->domains_n; i++) {
		wrong += refresh(conf->domains[i].aliases);
		wrong += refresh(conf->domains[i].users);
	}
	return wrong + refresh(conf->senders);
}
