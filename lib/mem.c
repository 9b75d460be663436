/*
 * Allocation that cannot fail from where the caller stands.
 *
 * Everybody calls these.  What can fail is the kernel or an arithmetic overflow of N times SIZE,
 * and both end the process through fatal(), which in turn can say so without memory.  No function
 * returns NULL, also not for a size of zero, so that "nothing allocated yet" and "allocated, empty"
 * stay two things.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fatal.h"
#include "lib/mem.h"

static void *
checked(void *p, size_t n, size_t size)
{
	if (p == NULL)
		fatal("out of memory: %zu times %zu octets", n, size);
	return p;
}

void *
xmalloc(size_t size)
{
	return checked(malloc(size == 0 ? 1 : size), 1, size);
}

void *
xcalloc(size_t n, size_t size)
{
	if (n == 0 || size == 0)
		n = size = 1;
	return checked(calloc(n, size), n, size);
}

void *
xreallocarray(void *p, size_t n, size_t size)
{
	/* glibc's realloc to zero frees, and then NULL would mean success. */
	if (n == 0 || size == 0)
		n = size = 1;
	return checked(reallocarray(p, n, size), n, size);
}

char *
xstrdup(const char *s)
{
	return xstrndup(s, strlen(s));
}

char *
xstrndup(const char *s, size_t len)
{
	char *copy;

	if (len == SIZE_MAX)
		fatal("string of %zu octets", len);
	copy = xmalloc(len + 1);
	if (len > 0)
		memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

void
free_secret(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
	free(s);
}

char *
xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *s;

	va_start(ap, fmt);
	s = xvasprintf(fmt, ap);
	va_end(ap);
	return s;
}

char *
xvasprintf(const char *fmt, va_list ap)
{
	char *s;

	if (vasprintf(&s, fmt, ap) < 0)
		fatal("cannot format \"%s\"", fmt);
	return s;
}
