/*
 * The events of one message, for people: from the journal, as far back as it goes.
 *
 * A message that was moved to another segment by compaction begins there: what came before is said
 * to be gone.  One that is finished can be found as long as its segment is there.  The request lives
 * until the search has ended, also when its caller went away.
 */
#include <stdlib.h>

#include "lib/ctl.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "queue/queue.h"
#include "queue/queue_history.h"

struct history_request {
	struct ctl *ctl;
	uint64_t id, events;
};

static const char *
or_empty(const char *s)
{
	return s != NULL ? s : "";
}

static const char *
event_of(const struct recipient *r)
{
	static const char *const events[] = {
		[RECIPIENT_WAITING] = "deferred",
		[RECIPIENT_DELIVERED] = "delivered",
		[RECIPIENT_FAILED] = "failed",
		[RECIPIENT_EXPANDED] = "expanded",
		[RECIPIENT_REMOVED] = "removed",
	};

	if (r->state == RECIPIENT_WAITING && r->reason == NULL)
		return r->route != NULL ? "rerouted" : "waiting";
	return events[r->state];
}

static void
show_recipient(struct history_request *hr, int64_t time, const struct recipient *r)
{
	ctl_record(hr->ctl,
	    FIELDS(F_I64("time", time), F_STR("event", event_of(r)), F_STR("recipient", r->address),
		F_U64("attempts", r->attempts), F_STR("host", or_empty(r->host)),
		F_STR("reason", or_empty(r->reason)), F_STR("route", or_empty(r->route)),
		F_I64("due", r->due), F_STR("message", id_text(hr->id).s)));
}

static void
show_message(struct history_request *hr, int64_t time, const char *event, const struct envelope *env)
{
	struct id_text session = id_text(env->session);

	ctl_record(hr->ctl,
	    FIELDS(F_I64("time", time), F_STR("event", event),
		F_STR("session", env->session != 0 ? session.s : ""), F_STR("sender", env->sender),
		F_STR("origin", env->origin), F_U64("size", env->size),
		F_U64("recipients", env->recipients_n), F_BOOL("held", env->held),
		F_STR("message", id_text(hr->id).s)));
}

static void
on_event(const struct history *h, void *arg)
{
	struct history_request *hr = arg;
	uint32_t i;

	hr->events++;
	switch (h->kind) {
	case HISTORY_ACCEPTED:
		show_message(hr, h->time, "accepted", h->env);
		break;
	case HISTORY_BEFORE:
		/* its states are those that the events before have led to */
		show_message(hr, h->env->time, "accepted, and moved since", h->env);
		for (i = 0; i < h->env->recipients_n; i++)
			show_recipient(hr, 0, &h->env->recipients[i]);
		break;
	case HISTORY_CHANGED:
		show_message(hr, h->time, h->env->held ? "held" : "changed", h->env);
		break;
	case HISTORY_OUTCOME:
		show_recipient(hr, h->time, &h->env->recipients[h->index]);
		break;
	case HISTORY_FINISHED:
		show_message(hr, h->time, "finished", h->env);
		break;
	}
}

static void
on_done(void *arg)
{
	struct history_request *hr = arg;

	ctl_end(hr->ctl, hr->events == 0,
	    hr->events == 0 ? "the journal has nothing about this message any more; the log has"
			    : "");
	free(hr);
}

void
history_ask(struct queue *q, struct ctl *ctl, unsigned n, const char *const *words)
{
	struct history_request *hr;
	uint64_t id;

	if (n != 1 || !id_parse(words[0], &id)) {
		ctl_end(ctl, 2, "queue log: name one message by its id");
		return;
	}
	hr = xcalloc(1, sizeof(*hr));
	hr->ctl = ctl;
	hr->id = id;
	store_history(q->store, id, on_event, on_done, hr);
}
