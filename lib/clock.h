/*
 * Wall-clock time for everything that is remembered: greylist, queue, counters.  It is the system's, plus an offset
 * that tests set: when the environment variable GENKAN_CLOCK names a file and the program was not started as root,
 * the file's first 8 bytes (a little-endian int64 of seconds, mapped shared) are added to every reading, in all roles
 * at once.
 */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Maps the test clock, if there is one.  Before the sandbox. */
void clock_init(void);
/* Seconds since 1970. */
int64_t clock_now(void);
/* True when a test clock is mapped: timers that wait for wall-clock times then look every 50 ms. */
bool clock_is_test(void);
/* Milliseconds that only go forward and know no test offset, for timeouts inside a session. */
uint64_t clock_ms(void);

#endif
