/*
 * Berkeley DB 5.3 in our processes: what is set once for all of it, whoever opens an environment (kv.c) or a file alone
 * (table_db.c, smtpctl's grey export).
 *
 * Its memory begins as zeros.  Of a page it writes to a file or into its log all octets, also those between its last entry
 * and what is free; these would be whatever the process had in that memory before: pieces of messages, of keys.
 */
#include <db.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>

#include "lib/berkeley.h"

/* It sleeps by select(2), which a confined role may not call. */
static int
by_nanosleep(u_long seconds, u_long microseconds)
{
	struct timespec t = { (time_t)seconds + (time_t)(microseconds / 1000000), (long)(microseconds % 1000000) * 1000 };

	return seconds == 0 && microseconds == 0 ? sched_yield() : nanosleep(&t, NULL);
}

static void *
zeros(size_t size)
{
	return calloc(1, size);
}

void
berkeley_begin(void)
{
	/* they only note the function, and cannot fail */
	(void)db_env_set_func_yield(by_nanosleep);
	(void)db_env_set_func_malloc(zeros);
}
