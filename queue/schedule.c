/*
 * The schedule: a binary heap of due recipients, retry waits, and the windows of destinations.
 *
 * The queue role (dispatch.c, site.c) owns one heap and one window for each destination and says
 * what time it is. Nothing fails.  The heap may hold entries that are out of date; it must never
 * lose the entry of the time that a recipient was last given, for nothing else would remember to
 * try it again before the next start.
 */
#include <stdlib.h>

#include "lib/mem.h"
#include "queue/schedule.h"

#define HEAP_MIN 64
#define WINDOW_START 2

/* --- who is due --- */

static uint32_t
clamp_time(int64_t t)
{
	return t < 0 ? 0 : t > UINT32_MAX ? UINT32_MAX : (uint32_t)t;
}

static bool
is_before(const struct schedule_entry *a, const struct schedule_entry *b)
{
	if (a->due != b->due)
		return a->due < b->due;
	if (a->message != b->message)
		return a->message < b->message;
	return a->recipient < b->recipient;
}

void
schedule_add(struct schedule *s, int64_t due, uint64_t message, uint32_t recipient)
{
	struct schedule_entry new = {
		.message = message, .due = clamp_time(due), .recipient = recipient
	};
	size_t i, parent;

	if (s->n == s->room) {
		s->room = s->room == 0 ? HEAP_MIN : s->room * 2;
		s->heap = xreallocarray(s->heap, s->room, sizeof(*s->heap));
	}
	for (i = s->n++; i > 0; i = parent) {
		parent = (i - 1) / 2;
		if (!is_before(&new, &s->heap[parent]))
			break;
		s->heap[i] = s->heap[parent];
	}
	s->heap[i] = new;
}

bool
schedule_next(const struct schedule *s, int64_t *due)
{
	if (s->n == 0)
		return false;
	*due = s->heap[0].due;
	return true;
}

/* Lets LAST sink from the empty root to its place. */
static void
sink(struct schedule *s, const struct schedule_entry *last)
{
	size_t i = 0, child;

	while ((child = 2 * i + 1) < s->n) {
		if (child + 1 < s->n && is_before(&s->heap[child + 1], &s->heap[child]))
			child++;
		if (!is_before(&s->heap[child], last))
			break;
		s->heap[i] = s->heap[child];
		i = child;
	}
	s->heap[i] = *last;
}

bool
schedule_take(struct schedule *s, int64_t now, struct schedule_entry *out)
{
	struct schedule_entry last;

	if (s->n == 0 || s->heap[0].due > clamp_time(now))
		return false;
	*out = s->heap[0];
	last = s->heap[--s->n];
	if (s->n > 0)
		sink(s, &last);
	/* a million that were delivered leave their memory, too */
	if (s->room > HEAP_MIN && s->n < s->room / 4) {
		s->room /= 2;
		s->heap = xreallocarray(s->heap, s->room, sizeof(*s->heap));
	}
	return true;
}

bool
schedule_entry_for(const struct schedule_entry *e, int64_t due)
{
	return e->due == clamp_time(due);
}

void
schedule_clear(struct schedule *s)
{
	free(s->heap);
	*s = (struct schedule){ 0 };
}

/* --- how long to wait --- */

/* Spreads the bits of X (the finaliser of splitmix64, S. Vigna, public domain). */
static uint64_t
mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

uint32_t
retry_wait(const struct retry_policy *policy, unsigned attempts, uint64_t seed)
{
	uint64_t wait = policy->first;
	unsigned i;

	for (i = 1; i < attempts && wait < policy->most; i++)
		wait *= 2;
	if (wait > policy->most)
		wait = policy->most;
	wait = wait - wait / 10 + mix(seed + attempts) % (wait / 5 + 1);
	return wait == 0 ? 1 : wait > UINT32_MAX ? UINT32_MAX : (uint32_t)wait;
}

/* --- how much at once --- */

void
window_init(struct window *w, uint32_t most)
{
	*w = (struct window){ .most = most > 0 ? most : 1 };
	w->size = w->most < WINDOW_START ? w->most : WINDOW_START;
}

void
window_limit(struct window *w, uint32_t most)
{
	w->most = most > 0 ? most : 1;
	if (w->size > w->most)
		w->size = w->most;
}

bool
window_open(const struct window *w, int64_t now)
{
	if (w->dead)
		return now >= w->retry_at && w->running == 0;
	return w->running < w->size;
}

bool
window_shut(const struct window *w, int64_t now)
{
	return w->dead && now < w->retry_at;
}

uint64_t
window_begin(struct window *w)
{
	w->running++;
	return w->begun++;
}

void
window_abandoned(struct window *w)
{
	if (w->running > 0)
		w->running--;
}

void
window_succeeded(struct window *w, uint64_t ticket)
{
	window_abandoned(w);
	if (w->rests && ticket < w->cut)
		return;
	w->failures = 0;
	w->deaths = 0;
	if (w->dead)
		w->size = w->most < WINDOW_START ? w->most : WINDOW_START;
	else if (w->size < w->most)
		w->size++;
	w->dead = w->rests = false;
}

static void
die(struct window *w, int64_t now, const struct retry_policy *policy, uint64_t seed)
{
	w->dead = true;
	w->rests = false;
	w->deaths++;
	w->failures = 0;
	w->size = 1;
	w->retry_at = now + retry_wait(policy, w->deaths, seed);
}

bool
window_failed(struct window *w, uint64_t ticket, int64_t now, const struct retry_policy *policy,
    uint64_t seed)
{
	window_abandoned(w);
	if (w->dead) {
		/* begun before it died: says nothing new */
		if (now < w->retry_at)
			return false;
		die(w, now, policy, seed);
		return true;
	}
	if (w->failures++ == 0)
		w->cohort = w->size;
	if (ticket >= w->cut) {
		w->size = w->size > 1 ? w->size / 2 : 1;
		w->cut = w->begun;
	}
	if (w->failures < w->cohort)
		return false;
	die(w, now, policy, seed);
	return true;
}

bool
window_rest(struct window *w, uint64_t ticket, int64_t now, uint32_t seconds)
{
	window_abandoned(w);
	if (w->rests && ticket < w->cut)
		return false;
	w->dead = w->rests = true;
	w->failures = 0;
	w->size = 1;
	w->cut = w->begun;
	/* a death that began before may last longer */
	if (w->retry_at < now + seconds)
		w->retry_at = now + seconds;
	return true;
}
