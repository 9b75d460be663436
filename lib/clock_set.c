/*
 * Notices that the wall clock was set (clock.h).
 *
 * The queue, the ledger and the session workers each look once in a while; a clock that drifts, or is
 * moved little by little, is not worth a word.  Nothing can fail.
 */
#include "lib/clock.h"

int64_t
clock_was_set(struct clock_watch *watch)
{
	int64_t ahead = clock_now() - clock_steady(), by = ahead - watch->ahead;
	bool first = !watch->begun;

	watch->begun = true;
	watch->ahead = ahead;
	return first || (by <= CLOCK_SLACK && by >= -CLOCK_SLACK) ? 0 : by;
}
