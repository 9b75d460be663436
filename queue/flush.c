/*
 * One pass over the index for the messages, and one for each of them (flush.h).  Who may ask for a domain, and how often, the
 * session has seen to.  What is held, and what its sender wants later, stays where it is.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/dispatch.h"
#include "queue/flush.h"
#include "queue/lanes.h"
#include "queue/queue.h"
#include "queue/store.h"
#include "queue/submit_wire.h"
#include "queue/work.h"

struct flush {
	const char *domain; /* of the recipient; NULL: any */
	const char *reason; /* that it waits for begins so; NULL: any */
	int64_t now;
	uint64_t *ids;
	size_t n, room;
};

static bool
waits_for(const struct envelope *env, uint32_t i, const struct flush *f)
{
	const struct recipient *r = &env->recipients[i];
	const char *at = strrchr(r->address, '@');

	if (r->state != RECIPIENT_WAITING || r->due <= f->now)
		return false;
	if (f->domain != NULL && (at == NULL || strcasecmp(at + 1, f->domain) != 0))
		return false;
	return f->reason == NULL || (r->reason != NULL && strncmp(r->reason, f->reason, strlen(f->reason)) == 0);
}

static bool
note(struct envelope *env, void *arg)
{
	struct flush *f = arg;
	uint32_t i = 0;

	if (env->held || env->release > f->now)
		return true;
	while (i < env->recipients_n && !waits_for(env, i, f))
		i++;
	if (i == env->recipients_n)
		return true;
	if (f->n == f->room) {
		f->room = f->room == 0 ? 16 : f->room * 2;
		f->ids = xreallocarray(f->ids, f->room, sizeof(*f->ids));
	}
	f->ids[f->n++] = env->id;
	return true;
}

static void
try_now(struct queue *q, struct envelope *env, const struct flush *f)
{
	const struct work *work = work_find(q, env);
	uint32_t i;

	for (i = 0; i < env->recipients_n; i++)
		if (waits_for(env, i, f) && (work == NULL || !work_is_busy(work, i)))
			env->recipients[i].due = f->now;
	dispatch_message(q, env);
}

static void
try_all(struct queue *q, const struct flush *f)
{
	struct envelope *env;
	size_t i;

	for (i = 0; i < f->n; i++)
		if ((env = store_find(q->store, f->ids[i])) != NULL)
			try_now(q, env, f);
	free(f->ids);
}

void
flush_healed(struct queue *q, const char *reason)
{
	struct flush f = { .now = clock_now(), .reason = reason };

	lanes_wake_healed(q->lanes, reason);
	store_each(q->store, note, &f);
	if (f.n > 0)
		log_info("queue.flush", F_STR("reason", reason), F_U64("messages", f.n));
	try_all(q, &f);
}

bool
flush_message(struct queue *q, struct message *m)
{
	struct flush f = { .now = clock_now() };
	struct submit_flush asked;

	if (!submit_read_flush(&m->body, &asked))
		return false;
	f.domain = asked.domain;
	store_each(q->store, note, &f);
	lanes_wake_one(q->lanes, asked.destination);
	log_info("queue.flush", F_STR("domain", asked.domain), F_U64("messages", f.n));
	try_all(q, &f);
	return true;
}
