/*
 * Memory that is there or ends the process.  A role that cannot get a few hundred bytes cannot keep its word either;
 * it dies, the master starts it again, and nothing that was acknowledged is lost.  Sizes that come from outside
 * are limited before they reach these functions.
 */
#ifndef LIB_MEM_H
#define LIB_MEM_H

#include <stdarg.h>
#include <stddef.h>

void *xmalloc(size_t);
void *xcalloc(size_t n, size_t size);
void *xreallocarray(void *, size_t n, size_t size);
char *xstrdup(const char *);
/* LEN bytes of S and a NUL. */
char *xstrndup(const char *, size_t len);
/* Frees a secret, overwritten; NULL is none. */
void free_secret(char *);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *fmt, va_list) __attribute__((format(printf, 1, 0)));

#endif
