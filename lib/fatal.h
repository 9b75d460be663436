/*
 * The end of a process whose own invariants are broken.
 */
#ifndef LIB_FATAL_H
#define LIB_FATAL_H

/* Says so and aborts the process.  Never for data from disk, database, DNS, network or another role. */
void fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* SAY tells of it from now on, instead of a plain line on standard error; it may be called again from inside itself, when
 * there is no memory to say it with. */
void fatal_tell(void (*say)(const char *reason));

#endif
