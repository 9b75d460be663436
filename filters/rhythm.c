/*
 * The rhythm of tries (rhythm.h).
 *
 * The ledger's record of tries (tries.h) and smtpctl's trials count with it; the tests give it measured schedules.
 * Nothing can fail.  What must never happen: that a program that hammers is taken for a server, that a clock that goes
 * back makes time pass, or that one that was far ahead for a while locks a server out.
 */
#include "filters/rhythm.h"

bool
rhythm_add(struct rhythm *r, int64_t time)
{
	bool counts;

	if (time < r->last)
		time = r->last;
	counts = r->total == 0 || time - r->last >= RHYTHM_STEP;
	if (r->total == 0)
		r->first = time;
	r->last = time;
	if (r->total == UINT32_MAX)
		return false;
	r->total++;
	if (!counts)
		return false;
	r->counted++;
	r->stepped = time;
	return true;
}

bool
rhythm_is_of_a_server(const struct rhythm *r)
{
	return r->counted >= RHYTHM_TRIES && r->stepped - r->first >= RHYTHM_SPREAD &&
	       r->total - r->counted <= r->counted;
}

bool
rhythm_is_over(const struct rhythm *r, int64_t now)
{
	return r->total == 0 || now - r->last > RHYTHM_GAP || r->last - now > RHYTHM_SPREAD;
}
