/*
 * Names for a replay, asked of DNS now (replay.h): for logs that do not tell them, or nobody verified.
 *
 * Every client is asked about once.  The attempts wait in a line, in the log's order, until their
 * client's name is there; the line is bounded, and while it is full no more of the log is read.  DNS that
 * does not answer gives "temperror", as in a session.  What was true of a name when the log was written
 * is not known: a home line may have been given to somebody else since.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "filters/rdns.h"
#include "lib/dict.h"
#include "lib/mem.h"
#include "smtpctl/lookups.h"
#include "smtpctl/replay.h"

#define WAITING_MAX 20000
#define ASKED_MAX 300

struct name {
	struct replay_names *names;
	bool asked, known;
	enum rdns_status status;
	char *name;
	struct name *next_with_name; /* to free them */
};

struct waiting {
	TAILQ_ENTRY(waiting) entry;
	struct attempt attempt;
	struct name *name;
	char *strings[4];
};

struct replay_names {
	struct replay *replay;
	struct event_base *base;
	struct dict *names; /* by address */
	struct name *with_name;
	TAILQ_HEAD(, waiting) line;
	unsigned waiting, asked;
};

struct replay_names *
replay_names_new(struct replay *replay, char **why)
{
	struct event_base *base = lookups_begin(replay->conf, why);
	struct replay_names *n;

	if (base == NULL)
		return NULL;
	n = xcalloc(1, sizeof(*n));
	n->replay = replay;
	n->base = base;
	n->names = dict_new(sizeof(struct name));
	TAILQ_INIT(&n->line);
	return n;
}

static void
on_rdns(const struct rdns *r, void *arg)
{
	struct name *name = arg;

	name->known = true;
	name->status = r->status;
	name->names->asked--;
	if (r->name == NULL)
		return;
	name->name = xstrdup(r->name);
	name->next_with_name = name->names->with_name;
	name->names->with_name = name;
}

/* Those at the head of the line whose names are there. */
static void
go_on(struct replay_names *n)
{
	struct waiting *w;
	unsigned i;

	while ((w = TAILQ_FIRST(&n->line)) != NULL && w->name->known) {
		struct replay_name name = { w->name->status, w->name->name };

		replay_attempt(n->replay, &w->attempt, &name);
		TAILQ_REMOVE(&n->line, w, entry);
		n->waiting--;
		for (i = 0; i < 4; i++)
			free(w->strings[i]);
		free(w);
	}
}

static struct name *
name_of(struct replay_names *n, const struct ip *client)
{
	struct name *name = dict_put(n->names, client->bytes, client->family == AF_INET6 ? 16 : 4);

	if (name->asked)
		return name;
	name->asked = true;
	name->names = n;
	n->asked++;
	(void)rdns_ask(client, on_rdns, name);
	return name;
}

static const char *
copy(struct waiting *w, unsigned i, const char *s)
{
	return w->strings[i] = s != NULL ? xstrdup(s) : NULL;
}

void
replay_names_attempt(struct replay_names *n, const struct attempt *a)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	w->attempt = *a;
	w->attempt.name = copy(w, 0, a->name);
	w->attempt.helo = copy(w, 1, a->helo);
	w->attempt.sender = copy(w, 2, a->sender);
	w->attempt.recipient = copy(w, 3, a->recipient);
	w->name = name_of(n, &a->client);
	TAILQ_INSERT_TAIL(&n->line, w, entry);
	n->waiting++;
	go_on(n);
	while (n->asked >= ASKED_MAX || n->waiting >= WAITING_MAX) {
		event_base_loop(n->base, EVLOOP_ONCE);
		go_on(n);
	}
}

void
replay_names_end(struct replay_names *n)
{
	struct name *name;

	while (!TAILQ_EMPTY(&n->line)) {
		event_base_loop(n->base, EVLOOP_ONCE);
		go_on(n);
	}
	while ((name = n->with_name) != NULL) {
		n->with_name = name->next_with_name;
		free(name->name);
	}
	dict_free(n->names);
	lookups_end();
	free(n);
}
