/*
 * fatal(): below everything else, so that memory, buffers and clocks can end a process which the log then speaks for.
 *
 * Allocates nothing.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/fatal.h"

static void
say_plainly(const char *reason)
{
	dprintf(STDERR_FILENO, "critical process.fatal reason=\"%s\"\n", reason);
}

static void (*say)(const char *) = say_plainly;

void
fatal_tell(void (*how)(const char *))
{
	say = how;
}

void
fatal(const char *fmt, ...)
{
	char reason[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	say(reason);
	abort();
}
