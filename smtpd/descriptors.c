/*
 * Raising the limit of descriptors, and giving back what was given (descriptors.h).
 *
 * Called by the master when it starts, before it becomes another binary, and in a process that will run programs for an account.
 * What fails is not fatal: the server then takes fewer connections at a time.
 */
#include <sys/resource.h>

#include <stdbool.h>

#include "smtpd/descriptors.h"

#define DESCRIPTORS 65536 /* of each session worker, who has a connection for each */

static struct rlimit given;
static bool raised;

void
descriptors_raise(void)
{
	struct rlimit rl, more = { DESCRIPTORS, DESCRIPTORS };

	if (getrlimit(RLIMIT_NOFILE, &given) != 0)
		return;
	raised = true;
	rl = given;
	rl.rlim_cur = rl.rlim_max;
	if (rl.rlim_max >= DESCRIPTORS || setrlimit(RLIMIT_NOFILE, &more) != 0)
		setrlimit(RLIMIT_NOFILE, &rl);
}

void
descriptors_restore(void)
{
	if (raised)
		(void)setrlimit(RLIMIT_NOFILE, &given);
}
