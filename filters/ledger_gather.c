/*
 * Requests of smtpctl that wait until the sessions have told all (ledger_gather.h).
 *
 * Each session is asked to hurry; its answer comes behind what it told before, on the same channel.  A session that dies or
 * says nothing holds nobody up for longer than a second.  A request whose caller went away ends as every other.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "filters/ledger_gather.h"
#include "filters/ledger_wire.h"
#include "lib/fatal.h"
#include "lib/mem.h"
#include "lib/peer.h"

#define PATIENCE_SECONDS 1
#define OBJECTS_MAX 4

struct waiting {
	TAILQ_ENTRY(waiting) entry;
	uint64_t id;
	unsigned due; /* sessions that have not answered */
	struct event timer;
	struct ctl *ctl;
	unsigned n;
	char **words;
};

static TAILQ_HEAD(, waiting) all = TAILQ_HEAD_INITIALIZER(all);
static uint64_t last_id;
static struct {
	const char *name;
	ctl_handler handler;
} objects[OBJECTS_MAX];
static unsigned objects_n;

static ctl_handler
handler_of(const char *object)
{
	unsigned i;

	for (i = 0; i < objects_n; i++)
		if (strcmp(objects[i].name, object) == 0)
			return objects[i].handler;
	fatal("ledger: nobody answers for \"%s\"", object);
}

static void
go_on(struct waiting *w)
{
	unsigned i;

	TAILQ_REMOVE(&all, w, entry);
	evtimer_del(&w->timer);
	handler_of(w->words[0])(w->ctl, w->n, (const char *const *)w->words);
	for (i = 0; i < w->n; i++)
		free(w->words[i]);
	free(w->words);
	free(w);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	go_on(arg);
}

static void
hurry(struct peer *session, void *arg)
{
	struct waiting *w = arg;

	channel_send(session->channel, LEDGER_HURRY, w->id);
	w->due++;
}

static void
on_request(struct ctl *ctl, unsigned n, const char *const *words)
{
	static const struct timeval patience = { PATIENCE_SECONDS, 0 };
	struct waiting *w = xcalloc(1, sizeof(*w));
	unsigned i;

	w->id = ++last_id;
	w->ctl = ctl;
	w->n = n;
	w->words = xcalloc(n, sizeof(*w->words));
	for (i = 0; i < n; i++)
		w->words[i] = xstrdup(words[i]);
	TAILQ_INSERT_TAIL(&all, w, entry);
	evtimer_assign(&w->timer, peer_base(), on_timer, w);
	evtimer_add(&w->timer, &patience);
	peer_each(ROLE_SESSION, hurry, w);
	if (w->due == 0)
		go_on(w);
}

void
ledger_gather_register(const char *object, ctl_handler handler)
{
	if (objects_n == OBJECTS_MAX)
		fatal("ledger: object \"%s\" cannot be registered", object);
	objects[objects_n].name = object;
	objects[objects_n++].handler = handler;
	ctl_register(object, on_request);
}

bool
ledger_gathered(struct peer *session, struct message *m)
{
	struct waiting *w;

	if (session->role != ROLE_SESSION || !cursor_done(&m->body))
		return false;
	TAILQ_FOREACH(w, &all, entry)
		if (w->id == m->id)
			break;
	if (w != NULL && --w->due == 0)
		go_on(w);
	return true;
}
