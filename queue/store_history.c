/*
 * What the journal still has about one message: the records in which its states were written, one
 * after the other.
 *
 * For people only (smtpctl queue log), so nothing is kept for it: the keeper goes through the
 * segments, one at a time with its other work in between, by their indexes where there are any.
 * What was compacted away, or went with a segment that was done with, is not found any more.  A
 * record that cannot be read ends its segment, as in recovery.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cursor.h"
#include "lib/mem.h"
#include "queue/disk.h"
#include "queue/index.h"
#include "queue/segment_index.h"

struct place { /* a segment at the time of the question; it may be gone when its turn comes */
	uint64_t number, limit;
	bool closed;
};

struct search {
	struct chore chore;
	struct store *store;
	uint64_t id;
	struct place *places;
	size_t places_n, at;
	struct buf records; /* of this segment: u8 type, blob META */
	struct envelope *env; /* as the records so far have it */
	void (*event)(const struct history *, void *arg);
	void (*done)(void *arg);
	void *arg;
};

/* --- in the keeper --- */

static void
keep(struct search *s, const struct record_view *v)
{
	if (v->id != s->id)
		return;
	buf_add_u8(&s->records, (uint8_t)v->type);
	buf_add_blob(&s->records, v->meta, v->meta_len);
}

static bool
look_in_index(struct journal *j, struct search *s, const struct place *p)
{
	struct buf bytes = { 0 };
	struct index_reader r;
	struct record_view v;

	if (!p->closed || !journal_read_index(s->store->journal_dir, p->number, p->limit, &bytes, &r))
		return false;
	(void)j;
	while (index_next(&r, &v))
		keep(s, &v);
	buf_free(&bytes);
	return true;
}

static ssize_t
read_segment(void *arg, void *data, size_t len, uint64_t offset)
{
	return disk_read(*(int *)arg, data, len, (off_t)offset);
}

static void
look_in_segment(struct journal *j, struct search *s, const struct place *p)
{
	struct segment key = { .number = p->number };
	int fd = journal_open_segment(j, &key);
	struct segment_reader r = { .read = read_segment, .arg = &fd,
		.seed = segment_seed(p->number), .offset = SEGMENT_BLOCK, .limit = p->limit };
	struct record_view v;

	if (fd == -1)
		return;
	while (segment_next(&r, &v) == SEGMENT_RECORD)
		keep(s, &v);
	buf_free(&r.window);
	close(fd);
}

static bool
run_search(struct journal *j, struct chore *t)
{
	struct search *s = (struct search *)t;
	const struct place *p = &s->places[s->at];

	if (!look_in_index(j, s, p))
		look_in_segment(j, s, p);
	return true;
}

/* --- in the loop --- */

static void
tell(struct search *s, enum record_type type, uint32_t index, int64_t time)
{
	struct history h = { .env = s->env, .index = index, .time = time };

	switch (type) {
	case RECORD_MESSAGE:
		h.kind = HISTORY_ACCEPTED;
		h.time = s->env->time;
		break;
	case RECORD_MOVE:
		h.kind = HISTORY_BEFORE;
		break;
	case RECORD_ENVELOPE:
		h.kind = HISTORY_CHANGED;
		break;
	case RECORD_OUTCOME:
		h.kind = HISTORY_OUTCOME;
		break;
	case RECORD_FINISH:
		h.kind = HISTORY_FINISHED;
		break;
	default:
		return;
	}
	s->event(&h, s->arg);
}

/* Older versions wrote no times. */
static int64_t
read_time(struct cursor *c)
{
	return !c->bad && c->pos != c->end ? (int64_t)cursor_u64(c) : 0;
}

static void
take_envelope(struct search *s, enum record_type type, struct cursor *c)
{
	struct envelope *env = envelope_decode(c);

	if (env == NULL)
		return;
	envelope_free(s->env);
	s->env = env;
	tell(s, type, 0, type == RECORD_ENVELOPE ? read_time(c) : 0);
}

static void
take_record(struct search *s, enum record_type type, struct cursor c)
{
	uint32_t index;

	if (type == RECORD_MESSAGE || type == RECORD_MOVE || type == RECORD_ENVELOPE) {
		take_envelope(s, type, &c);
	} else if (s->env != NULL && type == RECORD_OUTCOME) {
		index = cursor_u32(&c);
		if (!c.bad && index < s->env->recipients_n &&
		    envelope_decode_state(&c, &s->env->recipients[index], index))
			tell(s, type, index, read_time(&c));
	} else if (s->env != NULL) {
		tell(s, type, 0, read_time(&c));
	}
}

static void
take_records(struct search *s)
{
	struct cursor c = cursor_init(s->records.data, s->records.len);
	const void *meta;
	uint8_t type;
	size_t len;

	while (!c.bad && c.pos != c.end) {
		type = cursor_u8(&c);
		meta = cursor_blob(&c, &len);
		if (!c.bad)
			take_record(s, type, cursor_init(meta, len));
	}
	buf_clear(&s->records);
}

static void
searched(struct chore *t)
{
	struct search *s = (struct search *)t;

	if (t->error == 0)
		take_records(s);
	if (t->error == 0 && ++s->at < s->places_n) {
		journal_run(s->store->journal, &s->chore);
		return;
	}
	s->done(s->arg);
	envelope_free(s->env);
	buf_free(&s->records);
	free(s->places);
	free(s);
}

void
store_history(struct store *st, uint64_t id, void (*event)(const struct history *, void *),
    void (*done)(void *), void *arg)
{
	struct search *s = xcalloc(1, sizeof(*s));
	const struct segment *segment;
	size_t n = 0;

	TAILQ_FOREACH(segment, journal_segments(st->journal), entry)
		n++;
	s->places = xcalloc(n + 1, sizeof(*s->places));
	TAILQ_FOREACH(segment, journal_segments(st->journal), entry)
		s->places[s->places_n++] = (struct place){ .number = segment->number,
			.limit = segment->closed ? segment->end : segment->size,
			.closed = segment->closed };
	s->store = st;
	s->id = id;
	s->event = event;
	s->done = done;
	s->arg = arg;
	s->chore.run = run_search;
	s->chore.done = searched;
	if (s->places_n > 0)
		journal_run(st->journal, &s->chore);
	else
		journal_fail(st->journal, &s->chore, ENOENT);
}
