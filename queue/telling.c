/*
 * What a sender is told together (telling.h).
 *
 * outcome.c picks when nothing else of a message is under way any more.  Senders differ by recipient
 * where an alias has an owner, or a list its own return paths; a notice is for one of them and of one
 * kind.  Nothing fails: a message whose content cannot be read is told of without it.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/queue.h"
#include "queue/telling.h"

/* As much of a large message is read for its header. */
#define HEADER_MAX (64 * 1024)
/* A message is returned whole, to whoever asked for that, up to so many octets. */
#define RETURN_MAX (128 * 1024)

static enum notice_kind
kind_of(const struct work *work, const struct verdict *verdict)
{
	switch (verdict->kind) {
	case VERDICT_DELAYED:
		return NOTICE_DELAY;
	case VERDICT_SUCCEEDED:
		return NOTICE_SUCCESS;
	default:
		return envelope_sender(work->env, verdict->index)[0] != '\0' ? NOTICE_FAILURE :
										 NOTICE_DOUBLE;
	}
}

/* A failure goes to the return path of its recipient, so that a list learns who it was.  All else
 * goes to whoever sends to them: lists that take every notice for a failure are many. */
static bool
is_told_alone(const struct work *work, const struct verdict *verdict)
{
	return kind_of(work, verdict) == NOTICE_FAILURE &&
	    envelope_has_own_path(work->env, verdict->index);
}

static bool
belongs(const struct telling *telling, const struct verdict *verdict)
{
	return kind_of(telling->work, verdict) == telling->kind &&
	    !is_told_alone(telling->work, verdict) &&
	    strcmp(envelope_sender(telling->work->env, verdict->index), telling->to) == 0;
}

static struct telling *
telling_new(struct work *work, const struct verdict *verdict, uint32_t room)
{
	struct telling *telling = xmalloc(sizeof(*telling) + room * sizeof(*verdict));

	*telling = (struct telling){ .work = work, .kind = kind_of(work, verdict) };
	telling->to = is_told_alone(work, verdict) ?
	    envelope_return_path(work->env, verdict->index) :
	    xstrdup(envelope_sender(work->env, verdict->index));
	return telling;
}

struct telling *
telling_pick(struct work *work)
{
	const struct verdict *v = work->verdicts, last = v[work->verdicts_n - 1];
	bool alone = is_told_alone(work, &last);
	struct telling *telling = telling_new(work, &last, alone ? 1 : work->verdicts_n);
	uint32_t i, left = 0;

	for (i = 0; i < work->verdicts_n && !alone; i++) {
		if (belongs(telling, &v[i]))
			telling->verdicts[telling->n++] = v[i];
		else
			work->verdicts[left++] = v[i];
	}
	if (alone) {
		telling->verdicts[telling->n++] = last;
		left = work->verdicts_n - 1;
	}
	work->telling += telling->n;
	work->verdicts_n = left;
	return telling;
}

void
telling_free(struct telling *telling)
{
	free(telling->to);
	free(telling);
}

/* --- the notice --- */

/* Appends to OUT what the notice may quote; true when that is the whole message. */
static bool
read_original(const struct work *work, struct evbuffer *out)
{
	const struct envelope *env = work->env;
	int fd = -1, error;
	ssize_t n;
	char *bytes;

	error = store_content(work->queue->store, env, out, &fd);
	if (error < 0) {
		log_warning("queue.content", F_STR("message", id_text(env->id).s),
		    F_STR("error", strerror(-error)));
		return false;
	}
	if (fd < 0)
		return true;
	bytes = xmalloc(HEADER_MAX);
	n = pread(fd, bytes, HEADER_MAX, 0);
	if (n > 0)
		evbuffer_add(out, bytes, (size_t)n);
	free(bytes);
	close(fd);
	return false;
}

struct envelope *
telling_compose(struct telling *telling, struct evbuffer *out)
{
	const struct work *work = telling->work;
	bool by_owner = envelope_sender(work->env, telling->verdicts[0].index) != work->env->sender;
	struct notice_recipient *recipients = xcalloc(telling->n, sizeof(*recipients));
	struct notice notice = { .kind = telling->kind, .time = clock_now(),
		.host = work->queue->conf->host, .about = work->env, .to = telling->to,
		.envid = by_owner ? NULL : work->env->envid,
		.recipients = recipients,
		.recipients_n = telling->n };
	struct evbuffer *original = evbuffer_new();
	struct envelope *env;
	uint32_t i;

	do
		telling->notice = id_new();
	while (store_find(work->queue->store, telling->notice) != NULL);
	notice.id = telling->notice;
	for (i = 0; i < telling->n; i++)
		recipients[i] = (struct notice_recipient){
			.recipient = &work->env->recipients[telling->verdicts[i].index],
			.expired = telling->verdicts[i].kind == VERDICT_EXPIRED };
	notice.whole = read_original(work, original) && evbuffer_get_length(original) <= RETURN_MAX;
	notice.content_len = evbuffer_get_length(original);
	notice.content = (const char *)evbuffer_pullup(original, -1);
	env = notice_compose(&notice, out);
	evbuffer_free(original);
	free(recipients);
	env->expires = env->time + work->queue->conf->notice_lifetime;
	return env;
}
