/*
 * Wall-clock time for everything that is remembered: greylist, queue, counters.  It is the system's, plus an offset
 * that tests set: when the environment variable GENKAN_CLOCK names a file and the program was not started as root,
 * the file's first 8 bytes (a little-endian int64 of seconds, mapped shared) are added to every reading, in all roles
 * at once, as time that passed; the next 8, if there are any, as what the wall clock was set by.
 *
 * A wall clock may be wrong by days or years until somebody sets it: after a boot, or when a virtual machine goes on.
 * Who remembers times asks clock_was_set, and believes none that lies ahead.
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
/* Seconds since some moment, which pass however the wall clock is set. */
int64_t clock_steady(void);
/* Milliseconds that only go forward and know no test offset, for timeouts inside a session. */
uint64_t clock_ms(void);

/* Clocks that are set by less than this are not talked about. */
#define CLOCK_SLACK 300
/* Begins as { 0 }. */
struct clock_watch {
	bool begun;
	int64_t ahead; /* of the steady clock, when last looked */
};
/* Seconds by which the wall clock was set since the last call, when they are more than CLOCK_SLACK; else 0. */
int64_t clock_was_set(struct clock_watch *);

#endif
