/*
 * Joining lines (logbook.h).
 *
 * Each message, or session, of a log is an entry under the key that the log gives it: who called comes
 * with one line, the sender with another, recipients with more.  An attempt is told as soon as all of it
 * is known: an accepted recipient with its line, a refused one when the sender is known or will never be.
 *
 * Entries live in two generations.  A full one becomes the old one, and the old one before is forgotten
 * with all its strings; entries that are still used move over.  So the largest log needs no more memory
 * than its last few hundred thousand messages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/buf.h"
#include "lib/dict.h"
#include "lib/mem.h"
#include "smtpctl/logbook.h"

#define GENERATION 100000
#define CHUNK (256 * 1024)
#define EARLY_SECONDS 300
#define EARLY_MAX 1000000
/* A child of the process that serves a connection has a number not far above it. */
#define CHILD_DISTANCE 20000
#define PASSING 4

struct chunk {
	struct chunk *next;
	size_t used;
	char data[];
};

/* A refused recipient whose sender is not known yet. */
struct pending {
	struct pending *next;
	int64_t time;
	const char *recipient; /* or NULL */
	int code;
};

struct entry {
	int64_t time;
	struct ip client;
	uint8_t name_is; /* enum log_name */
	bool authenticated;
	const char *name, *helo, *sender;
	struct pending *pending, **pending_last;
	uint64_t *told; /* hashes of recipients that were accepted */
	unsigned told_n, told_max;
};

struct generation {
	struct dict *entries;
	struct chunk *chunks;
};

struct logbook {
	void (*attempt)(const struct attempt *, void *);
	void *arg;
	struct generation young, old;
	struct dict *early; /* by address: when */
	struct buf passing[PASSING];
	unsigned passing_next;
	int *pids; /* connections that are open */
	unsigned pids_n, pids_max;
};

/* --- memory --- */

static void *
allocate(struct generation *g, size_t n)
{
	struct chunk *c = g->chunks;
	size_t size;

	n = (n + 7) & ~(size_t)7;
	if (c == NULL || c->used + n > CHUNK) {
		size = n > CHUNK ? n : CHUNK;
		c = xmalloc(sizeof(*c) + size);
		c->next = g->chunks;
		c->used = n > CHUNK ? CHUNK : 0;
		g->chunks = c;
		if (n > CHUNK)
			return c->data;
	}
	c->used += n;
	return c->data + c->used - n;
}

static const char *
keep(struct generation *g, const char *s, size_t len)
{
	char *copy = allocate(g, len + 1);

	memcpy(copy, s, len);
	copy[len] = '\0';
	return copy;
}

static const char *
keep_slice(struct generation *g, struct slice s)
{
	return s.s != NULL ? keep(g, s.s, s.len) : NULL;
}

static const char *
keep_again(struct generation *g, const char *s)
{
	return s != NULL ? keep(g, s, strlen(s)) : NULL;
}

static void
generation_free(struct generation *g)
{
	struct chunk *c;

	dict_free(g->entries);
	while ((c = g->chunks) != NULL) {
		g->chunks = c->next;
		free(c);
	}
	g->entries = NULL;
}

struct logbook *
logbook_new(void (*attempt)(const struct attempt *, void *), void *arg)
{
	struct logbook *b = xcalloc(1, sizeof(*b));

	b->attempt = attempt;
	b->arg = arg;
	b->young.entries = dict_new(sizeof(struct entry));
	b->old.entries = dict_new(sizeof(struct entry));
	b->early = dict_new(sizeof(int64_t));
	return b;
}

void
logbook_free(struct logbook *b)
{
	unsigned i;

	if (b == NULL)
		return;
	for (i = 0; i < PASSING; i++)
		buf_free(&b->passing[i]);
	generation_free(&b->young);
	generation_free(&b->old);
	dict_free(b->early);
	free(b->pids);
	free(b);
}

/* A string for one attempt; as many as an attempt has do not overwrite each other. */
static const char *
passing(struct logbook *b, struct slice s)
{
	struct buf *buf = &b->passing[b->passing_next++ % PASSING];

	if (s.s == NULL)
		return NULL;
	buf_clear(buf);
	buf_add(buf, s.s, s.len);
	return buf_str(buf);
}

/* --- telling --- */

static const int64_t *
early_of(const struct logbook *b, const struct ip *client)
{
	return dict_get(b->early, client->bytes, client->family == AF_INET6 ? 16 : 4);
}

static void
tell(struct logbook *b, const struct entry *e, const char *recipient, int64_t time, int code)
{
	struct attempt a = { .time = time, .client = e->client, .name_is = (enum log_name)e->name_is,
		.name = e->name, .helo = e->helo, .sender = e->sender, .recipient = recipient,
		.accepted = code == 0, .code = code, .authenticated = e->authenticated };
	const int64_t *early;

	if (e->client.family == 0)
		return; /* handed in by a program, or its beginning is not in this log */
	early = early_of(b, &e->client);
	a.early = early != NULL && time - *early <= EARLY_SECONDS && *early <= time + 1;
	b->attempt(&a, b->arg);
}

static void
tell_pending(struct logbook *b, struct entry *e)
{
	struct pending *p;

	for (p = e->pending; p != NULL; p = p->next)
		tell(b, e, p->recipient, p->time, p->code);
	e->pending = NULL;
	e->pending_last = &e->pending;
}

static void
tell_entry(const void *key, size_t len, void *value, void *arg)
{
	(void)key;
	(void)len;
	tell_pending(arg, value);
}

/* --- entries --- */

static void
rotate(struct logbook *b)
{
	dict_each(b->old.entries, tell_entry, b);
	generation_free(&b->old);
	b->old = b->young;
	b->young = (struct generation){ .entries = dict_new(sizeof(struct entry)) };
}

static void
move_pending(struct generation *g, struct entry *e)
{
	struct pending *p = e->pending, *copy;

	e->pending = NULL;
	e->pending_last = &e->pending;
	for (; p != NULL; p = p->next) {
		copy = allocate(g, sizeof(*copy));
		*copy = *p;
		copy->next = NULL;
		copy->recipient = keep_again(g, p->recipient);
		*e->pending_last = copy;
		e->pending_last = &copy->next;
	}
}

/* From the old generation to the young one. */
static void
move(struct generation *g, struct entry *from, struct entry *to)
{
	*to = *from;
	to->name = keep_again(g, from->name);
	to->helo = keep_again(g, from->helo);
	to->sender = keep_again(g, from->sender);
	move_pending(g, to);
	to->told = NULL;
	to->told_max = to->told_n;
	if (from->told_n > 0) {
		to->told = allocate(g, from->told_n * sizeof(*to->told));
		memcpy(to->told, from->told, from->told_n * sizeof(*to->told));
	}
	memset(from, 0, sizeof(*from));
}

/* Keys of different kinds do not meet: KIND stands before them. */
static size_t
make_key(char out[64], char kind, struct slice key)
{
	size_t n = key.len < 62 ? key.len : 62;

	out[0] = kind;
	memcpy(out + 1, key.s, n);
	return n + 1;
}

static bool
is_used(const struct entry *e)
{
	return e != NULL && (e->time != 0 || e->client.family != 0 || e->sender != NULL || e->pending != NULL);
}

static struct entry *
find(struct logbook *b, char kind, struct slice key)
{
	char text[64];
	size_t n = make_key(text, kind, key);
	struct entry *e = dict_get(b->young.entries, text, n);

	return is_used(e) ? e : dict_get(b->old.entries, text, n);
}

static struct entry *
get(struct logbook *b, char kind, struct slice key)
{
	char text[64];
	size_t n = make_key(text, kind, key);
	struct entry *e, *old;

	if (dict_count(b->young.entries) >= GENERATION)
		rotate(b);
	e = dict_put(b->young.entries, text, n);
	if (is_used(e))
		return e;
	old = dict_get(b->old.entries, text, n);
	if (is_used(old))
		move(&b->young, old, e);
	if (e->pending_last == NULL)
		e->pending_last = &e->pending;
	return e;
}

/* What the line says of the caller, where it says anything. */
static void
take_client(struct logbook *b, struct entry *e, const struct log_line *l)
{
	e->authenticated = e->authenticated || l->authenticated;
	if (l->client.family == 0)
		return;
	e->client = l->client;
	e->name_is = (uint8_t)l->name_is;
	e->name = l->name_is == LOG_NAME_NONE || l->name.len == 0 ? NULL : keep_slice(&b->young, l->name);
	if (l->helo.s != NULL)
		e->helo = keep_slice(&b->young, l->helo);
}

static void
take_sender(struct logbook *b, struct entry *e, struct slice sender)
{
	if (sender.s != NULL)
		e->sender = keep_slice(&b->young, sender);
}

static uint64_t
hash(struct slice s)
{
	uint64_t h = 14695981039346656037u;
	size_t i;

	for (i = 0; i < s.len; i++)
		h = (h ^ (uint8_t)(s.s[i] | 0x20)) * 1099511628211u;
	return h;
}

/* False when it was told before: a delivery that is tried again is the same attempt. */
static bool
first_time(struct logbook *b, struct entry *e, struct slice recipient)
{
	uint64_t h = hash(recipient), *more;
	unsigned i;

	for (i = 0; i < e->told_n; i++)
		if (e->told[i] == h)
			return false;
	if (e->told_n == e->told_max) {
		e->told_max = e->told_max > 0 ? 2 * e->told_max : 4;
		more = allocate(&b->young, e->told_max * sizeof(*more));
		if (e->told_n > 0)
			memcpy(more, e->told, e->told_n * sizeof(*more));
		e->told = more;
	}
	e->told[e->told_n++] = h;
	return true;
}

/* --- qmail's connections --- */

static void
connection_opened(struct logbook *b, int pid)
{
	if (b->pids_n == b->pids_max) {
		b->pids_max = b->pids_max > 0 ? 2 * b->pids_max : 64;
		b->pids = xreallocarray(b->pids, b->pids_max, sizeof(*b->pids));
	}
	b->pids[b->pids_n++] = pid;
	/* a log that never tells of an end must not fill the list */
	if (b->pids_n > 4096) {
		memmove(b->pids, b->pids + 2048, (b->pids_n - 2048) * sizeof(*b->pids));
		b->pids_n -= 2048;
	}
}

static void
connection_closed(struct logbook *b, int pid)
{
	unsigned i;

	for (i = 0; i < b->pids_n; i++)
		if (b->pids[i] == pid) {
			b->pids[i] = b->pids[--b->pids_n];
			return;
		}
}

/* The open connection whose process is the parent of PROCESS, or can be. */
static struct entry *
connection_of(struct logbook *b, struct slice process)
{
	int child = slice_number(process), best = 0, pid;
	struct entry *e = find(b, 'q', process);
	char text[16];
	unsigned i;

	if (is_used(e))
		return e;
	for (i = 0; i < b->pids_n; i++) {
		pid = b->pids[i];
		if (pid < child && child - pid < CHILD_DISTANCE && pid > best)
			best = pid;
	}
	if (best == 0)
		return NULL;
	snprintf(text, sizeof(text), "%d", best);
	return find(b, 'p', (struct slice){ text, strlen(text) });
}

static void
join_connection(struct logbook *b, struct entry *message, const struct entry *connection)
{
	if (connection == NULL || connection->client.family == 0)
		return;
	message->client = connection->client;
	message->name_is = connection->name_is;
	message->name = keep_again(&b->young, connection->name);
	message->helo = keep_again(&b->young, connection->helo);
}

/* --- lines --- */

/* All that is known of it stands in one line. */
static void
tell_line(struct logbook *b, const struct log_line *l, int code)
{
	struct entry e = { .client = l->client, .name_is = (uint8_t)l->name_is,
		.authenticated = l->authenticated };

	if (l->name_is != LOG_NAME_NONE && l->name.len > 0)
		e.name = passing(b, l->name);
	e.helo = passing(b, l->helo);
	e.sender = passing(b, l->sender);
	tell(b, &e, passing(b, l->recipient), l->time, code);
}

static void
on_early(struct logbook *b, const struct log_line *l)
{
	int64_t *when;

	if (dict_count(b->early) >= EARLY_MAX) {
		dict_free(b->early);
		b->early = dict_new(sizeof(int64_t));
	}
	when = dict_put(b->early, l->client.bytes, l->client.family == AF_INET6 ? 16 : 4);
	*when = l->time;
	if (l->code != 0)
		tell_line(b, l, l->code);
}

static char
kind_of(const struct log_line *l)
{
	return l->connection ? 'p' : 'm';
}

static void
on_client(struct logbook *b, const struct log_line *l)
{
	struct entry *e = get(b, kind_of(l), l->key);

	if (l->client.family != 0) {
		/* a key that is used again is another message */
		tell_pending(b, e);
		memset(e, 0, sizeof(*e));
		e->pending_last = &e->pending;
		e->time = l->time;
		if (l->connection)
			connection_opened(b, slice_number(l->key));
	}
	take_client(b, e, l);
}

static void
on_queued(struct logbook *b, const struct log_line *l)
{
	struct entry *e = get(b, 'q', l->process), *connection = find(b, 'p', l->key);

	memset(e, 0, sizeof(*e));
	e->pending_last = &e->pending;
	e->time = l->time;
	join_connection(b, e, connection);
}

static void
on_sender(struct logbook *b, const struct log_line *l)
{
	struct entry *e = get(b, 'm', l->key);

	if (l->process.s != NULL) { /* qmail: a message's number is used again at once */
		memset(e, 0, sizeof(*e));
		e->pending_last = &e->pending;
		join_connection(b, e, connection_of(b, l->process));
	}
	if (e->time == 0)
		e->time = l->time;
	take_client(b, e, l);
	take_sender(b, e, l->sender);
	tell_pending(b, e);
}

static void
tell_recipient(struct logbook *b, struct entry *e, const struct log_line *l, struct slice recipient)
{
	/* where the line tells the sender it is the acceptance itself, else a delivery */
	if (l->sender.s == NULL && !first_time(b, e, recipient))
		return;
	tell_pending(b, e);
	tell(b, e, passing(b, recipient), e->time != 0 ? e->time : l->time, 0);
}

static void
on_recipient(struct logbook *b, const struct log_line *l)
{
	struct entry *e = find(b, 'm', l->key);
	struct slice rest = l->further, one;

	if (!is_used(e) && l->sender.s == NULL)
		return; /* its beginning is not in this log */
	e = get(b, 'm', l->key);
	take_sender(b, e, l->sender);
	if (e->client.family == 0 || l->recipient.s == NULL)
		return;
	tell_recipient(b, e, l, l->recipient);
	while (rest.len > 0) {
		one = slice_before(&rest, ',');
		tell_recipient(b, e, l, slice_bare(one));
	}
}

static void
add_pending(struct logbook *b, struct entry *e, const struct log_line *l)
{
	struct pending *p = allocate(&b->young, sizeof(*p));

	*p = (struct pending){ NULL, l->time, keep_slice(&b->young, l->recipient), l->code };
	*e->pending_last = p;
	e->pending_last = &p->next;
}

static void
on_refused(struct logbook *b, const struct log_line *l)
{
	struct entry *e;

	if (l->key.s == NULL || (l->sender.s != NULL && l->client.family != 0) || l->connection) {
		tell_line(b, l, l->code);
		return;
	}
	e = get(b, 'm', l->key);
	if (e->client.family == 0)
		take_client(b, e, l);
	take_sender(b, e, l->sender);
	if (e->sender != NULL && e->client.family != 0)
		tell(b, e, passing(b, l->recipient), l->time, l->code);
	else
		add_pending(b, e, l);
}

static void
on_end(struct logbook *b, const struct log_line *l)
{
	struct entry *e = find(b, kind_of(l), l->key);

	if (l->connection)
		connection_closed(b, slice_number(l->key));
	if (!is_used(e))
		return;
	tell_pending(b, e);
	/* the message may still be told of: qmail-send works when the connection is long gone */
	if (!l->connection)
		memset(e, 0, sizeof(*e));
}

void
logbook_line(struct logbook *b, const struct log_line *l)
{
	switch (l->what) {
	case LOG_NOTHING:
		break;
	case LOG_EARLY:
		on_early(b, l);
		break;
	case LOG_CLIENT:
		on_client(b, l);
		break;
	case LOG_QUEUED:
		on_queued(b, l);
		break;
	case LOG_SENDER:
		on_sender(b, l);
		break;
	case LOG_RECIPIENT:
		on_recipient(b, l);
		break;
	case LOG_END:
		on_end(b, l);
		break;
	case LOG_REFUSED:
		on_refused(b, l);
		break;
	case LOG_ACCEPTED:
		tell_line(b, l, 0);
		break;
	}
}

void
logbook_end(struct logbook *b)
{
	dict_each(b->old.entries, tell_entry, b);
	dict_each(b->young.entries, tell_entry, b);
}
