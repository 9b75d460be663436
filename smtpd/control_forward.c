/*
 * Requests that other roles answer.
 *
 * A table says which roles an object belongs to.  A request to one role is passed through as it is;
 * one to several is asked of every instance that lives, the records of `stats` are labelled with
 * who sent them, and the caller gets one end when all have ended: done only if all are.  Each
 * question to one instance is a leg with its own id on that instance's channel.  A role that is
 * down, or goes down over a question, is an answer too.  What must never happen: an answer reaching
 * another client, or a request outliving its client.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/ctl.h"
#include "lib/ctl_wire.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/role.h"
#include "smtpd/control_client.h"

#define STATUS_USAGE 2
#define DOWN "is down; it is being restarted, ask again"

struct target {
	const char *object;
	const char *verb; /* the second word; NULL: any, or none; "": none */
	uint32_t roles;   /* ROLE_BIT()s */
	bool label;       /* records say which role and instance they come from */
};

#define EVERYBODY                                                                              \
	(ROLE_BIT(ROLE_MASTER) | ROLE_BIT(ROLE_SESSION) | ROLE_BIT(ROLE_RESOLVER) |             \
	    ROLE_BIT(ROLE_LEDGER) | ROLE_BIT(ROLE_LOOKUP) | ROLE_BIT(ROLE_QUEUE) |            \
	    ROLE_BIT(ROLE_RELAY) | ROLE_BIT(ROLE_VAULT))

static const struct target targets[] = {
	{ "queue", NULL, ROLE_BIT(ROLE_QUEUE), false },
	{ "grey", NULL, ROLE_BIT(ROLE_LEDGER), false },
	{ "gate", NULL, ROLE_BIT(ROLE_LEDGER), false },
	{ "auth", NULL, ROLE_BIT(ROLE_LEDGER), false },
	{ "pause", "", ROLE_BIT(ROLE_SESSION) | ROLE_BIT(ROLE_QUEUE), false },
	{ "pause", "in", ROLE_BIT(ROLE_SESSION), false },
	{ "pause", "out", ROLE_BIT(ROLE_QUEUE), false },
	{ "pause", "local", ROLE_BIT(ROLE_QUEUE), false },
	{ "resume", "", ROLE_BIT(ROLE_SESSION) | ROLE_BIT(ROLE_QUEUE), false },
	{ "resume", "in", ROLE_BIT(ROLE_SESSION), false },
	{ "resume", "out", ROLE_BIT(ROLE_QUEUE), false },
	{ "resume", "local", ROLE_BIT(ROLE_QUEUE), false },
	{ "reload", "", ROLE_BIT(ROLE_MASTER), false },
	{ "upgrade", "", ROLE_BIT(ROLE_MASTER), false },
	{ "stats", NULL, EVERYBODY, true },
};
#define TARGETS (sizeof(targets) / sizeof(targets[0]))

struct leg {
	RB_ENTRY(leg) node;
	LIST_ENTRY(leg) sibling;
	uint64_t id;
	struct forward *forward;
	struct peer *peer;
};
RB_HEAD(leg_tree, leg);

struct forward {
	struct client *client;
	const struct target *target;
	LIST_HEAD(, leg) legs;
	int status;
	struct buf why;
};

static struct leg_tree legs = RB_INITIALIZER(&legs);
static uint64_t last_id;

static int
compare(const struct leg *a, const struct leg *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(leg_tree, leg, node, compare, __attribute__((unused)) static)

static void
leg_free(struct leg *leg)
{
	RB_REMOVE(leg_tree, &legs, leg);
	LIST_REMOVE(leg, sibling);
	free(leg);
}

static void
forward_free(struct forward *f)
{
	struct leg *leg;

	while ((leg = LIST_FIRST(&f->legs)) != NULL)
		leg_free(leg);
	buf_free(&f->why);
	free(f);
}

static bool
is_fan_out(const struct forward *f)
{
	return (f->target->roles & (f->target->roles - 1)) != 0 ||
	    (f->target->roles & ROLE_BIT(ROLE_SESSION)) != 0;
}

/* Something did not go well; the worst status stands. */
static void
note(struct forward *f, int status, enum role role, const char *why)
{
	if (status > f->status)
		f->status = status;
	if (f->why.len > 0)
		buf_adds(&f->why, "; ");
	if (is_fan_out(f))
		buf_addf(&f->why, "%s: ", role_name(role));
	buf_adds(&f->why, why);
}

static void
end_if_complete(struct forward *f)
{
	struct client *client = f->client;
	char *why;
	int status;

	if (!LIST_EMPTY(&f->legs))
		return;
	status = f->status;
	why = buf_take(&f->why);
	forward_free(f);
	client_end(client, status, why);
	free(why);
}

/* --- answers --- */

static bool
pass_labelled(struct leg *leg, struct message *m)
{
	struct field *fields = field_decode(&m->body), *out;
	size_t n = 0;

	if (fields == NULL)
		return false;
	while (fields[n].type != FIELD_END)
		n++;
	out = xcalloc(n + 3, sizeof(*out));
	out[0] = F_STR("role", role_name(leg->peer->role));
	out[1] = F_U64("instance", leg->peer->instance);
	memcpy(out + 2, fields, (n + 1) * sizeof(*out));
	client_record(leg->forward->client, out);
	free(out);
	field_free(fields);
	return true;
}

static bool
on_answer(struct leg *leg, struct message *m)
{
	struct forward *f = leg->forward;
	const char *why;
	int status;

	if (m->type == CTL_RECORD && f->target->label)
		return pass_labelled(leg, m);
	if (m->type == CTL_RECORD || m->type == CTL_TEXT) {
		client_pass(f->client, m->type, m->body.pos, (size_t)(m->body.end - m->body.pos));
		message_skip(m);
		return true;
	}
	if (!ctl_end_read(&m->body, &status, &why))
		return false;
	/* a role that counts nothing knows no `stats`: that is no failure of those who do */
	if (status != 0 && !(status == STATUS_USAGE && f->target->label))
		note(f, status, leg->peer->role, why);
	leg_free(leg);
	end_if_complete(f);
	return true;
}

static bool
on_message(struct peer *peer, struct message *m)
{
	struct leg key = { .id = m->id }, *leg;

	if (m->type != CTL_RECORD && m->type != CTL_TEXT && m->type != CTL_END)
		return false;
	leg = RB_FIND(leg_tree, &legs, &key);
	if (leg != NULL && leg->peer == peer)
		return on_answer(leg, m);
	message_skip(m); /* for a client that went away */
	return true;
}

static void
on_down(struct peer *peer)
{
	struct leg *leg, *next;
	struct forward *f;

	for (leg = RB_MIN(leg_tree, &legs); leg != NULL; leg = next) {
		next = RB_NEXT(leg_tree, &legs, leg);
		if (leg->peer != peer)
			continue;
		f = leg->forward;
		note(f, 1, peer->role,
		    "went down over this request; it is being restarted, ask again");
		leg_free(leg);
		/* only the legs of F go with it, and of those this was the last */
		end_if_complete(f);
	}
}

static const struct subject_ops forward_ops = { .message = on_message, .down = on_down };

void
forward_init(void)
{
	peer_register(SUBJECT_CONTROL, &forward_ops);
}

/* --- questions --- */

struct question {
	struct forward *forward;
	unsigned n;
	const char *const *words;
};

static void
ask(struct peer *peer, void *arg)
{
	const struct question *q = arg;
	struct leg *leg = xcalloc(1, sizeof(*leg));
	struct buf *b;

	leg->id = ++last_id;
	leg->forward = q->forward;
	leg->peer = peer;
	RB_INSERT(leg_tree, &legs, leg);
	LIST_INSERT_HEAD(&q->forward->legs, leg, sibling);
	b = channel_begin(peer->channel, CTL_REQUEST, leg->id);
	buf_add_u32(b, q->forward->client->uid);
	ctl_words_write(b, q->n, q->words);
	channel_end(peer->channel, -1);
}

/* NULL: there is none; *KNOWN says whether the object at least is one. */
static const struct target *
find_target(unsigned n, const char *const *words, bool *known)
{
	const char *verb = n > 1 ? words[1] : "";
	size_t i;

	*known = false;
	for (i = 0; i < TARGETS; i++) {
		if (strcmp(targets[i].object, words[0]) != 0)
			continue;
		*known = true;
		if (targets[i].verb == NULL || strcmp(targets[i].verb, verb) == 0)
			return &targets[i];
	}
	return NULL;
}

static void
ask_all(struct forward *f, const struct question *q)
{
	enum role role;

	for (role = 0; role < ROLE_COUNT; role++) {
		if ((f->target->roles & ROLE_BIT(role)) == 0)
			continue;
		if (peer_count(role) == 0)
			note(f, 1, role,
			    is_fan_out(f) ? DOWN : "the part of the server that knows " DOWN);
		peer_each(role, ask, (void *)(uintptr_t)q);
	}
}

static bool
fits(unsigned n, const char *const *words)
{
	size_t size = 0;
	unsigned i;

	for (i = 0; i < n; i++)
		size += strlen(words[i]) + 1;
	return n <= CTL_WORDS_MAX && size <= CTL_WORDS_SIZE;
}

struct forward *
forward_begin(struct client *client, unsigned n, const char *const *words)
{
	struct forward *f;
	const struct target *target;
	bool known;

	target = find_target(n, words, &known);
	if (target == NULL || !fits(n, words)) {
		client_end(client, STATUS_USAGE,
		    target != NULL ? "a request of so many words is not taken" :
		    known ? "this object has no such verb" : "the server knows no such request");
		return NULL;
	}
	f = xcalloc(1, sizeof(*f));
	f->client = client;
	f->target = target;
	ask_all(f, &(struct question){ f, n, words });
	if (!LIST_EMPTY(&f->legs))
		return f;
	end_if_complete(f);
	return NULL;
}

static void
tell(const struct forward *f, enum ctl_type type)
{
	const struct leg *leg;

	LIST_FOREACH(leg, &f->legs, sibling)
		channel_send(leg->peer->channel, type, leg->id);
}

void
forward_pause(struct forward *f, bool paused)
{
	tell(f, paused ? CTL_PAUSE : CTL_RESUME);
}

void
forward_cancel(struct forward *f)
{
	tell(f, CTL_CANCEL);
	forward_free(f);
}
