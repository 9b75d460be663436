/*
 * The flush thread: group commit.
 *
 * It takes all records that have gathered, writes them to the open segment with one pwritev, and
 * when somebody waits for one of them makes one fdatasync; meanwhile the next gather.  Nothing is
 * timed: the first record after a pause is written and flushed at once, and under load a round is
 * as large as what came during the flush before.  Records that nobody waits for (outcomes,
 * finishes) are written at once too, and are covered by the next flush, or by one of their own
 * when a second has passed without any.
 *
 * What is flushed is never written again: a round that is flushed is padded to the end of its
 * block, so that a disk that tears the block it is writing when the power goes cannot take with
 * it what was promised.  All writes end at the end of a block, so that the kernel never has to
 * read the rest of a block first.
 *
 * Errors: a segment in which a write or flush has failed is poisoned.  Nothing is appended to it
 * any more (the kernel may have marked pages clean that it could not write), and only what
 * earlier flushes covered counts.  Records that must be kept go to another segment; the waiting
 * ones fail, and are told so only after the next segment's OPENED, flushed, says that the
 * poisoned one ends before them.  When no segment can be written at all, all that wait are told
 * at once, and it is tried again once a second, whether anything comes or not: as long as it fails
 * store_check_room says so, and nobody sends anything.
 *
 * What must never happen: a record reported durable before the fdatasync after its pwritev
 * returned 0, or when somebody has removed the file meanwhile.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/disk.h"
#include "queue/journal_threads.h"

#define RETRY_MS 1000

static struct record *
record_of(struct chore *t)
{
	return (struct record *)t;
}

/* Tells the loop of a list of records. */
static void
report(struct journal *j, struct chore_list *records, int error)
{
	struct chore *t;

	if (STAILQ_EMPTY(records))
		return;
	STAILQ_FOREACH(t, records, next)
		t->error = error;
	journal_done(j, records);
}

/* --- segments --- */

static void
free_opened(struct chore *t)
{
	record_free(record_of(t));
}

/* The first record of a segment: where the others end. */
static struct record *
opened_record(struct journal *j)
{
	struct record *r = record_new(free_opened);
	size_t i;

	pthread_mutex_lock(&j->lock);
	buf_add_u32(&r->bytes, (uint32_t)j->extents_n);
	for (i = 0; i < j->extents_n; i++) {
		buf_add_u64(&r->bytes, j->extents[i].number);
		buf_add_u64(&r->bytes, j->extents[i].end);
	}
	pthread_mutex_unlock(&j->lock);
	record_content(&r->bytes, RECORD_OPENED, 0, 0, 0);
	record_end(&r->bytes);
	return r;
}

/* Waits for the segment that the keeper prepares, and asks for another; what fails may be an
 * attempt that began before we came, so there is a second one.  0, or why there is none. */
static int
take_next(struct journal *j)
{
	int tries, error = 0;

	pthread_mutex_lock(&j->lock);
	for (tries = 0; tries < 2 && j->next == NULL; tries++) {
		j->next_error = 0;
		while (j->next == NULL && j->next_error == 0) {
			journal_want_next(j);
			pthread_cond_wait(&j->supply, &j->lock);
		}
		error = j->next_error;
	}
	j->active = j->next;
	j->next = NULL;
	if (j->active != NULL)
		journal_want_next(j);
	pthread_mutex_unlock(&j->lock);
	return j->active != NULL ? 0 : error;
}

static int
open_segment(struct journal *j)
{
	struct chore_list notice = STAILQ_HEAD_INITIALIZER(notice);
	struct record *opened;
	int error = take_next(j);

	if (error != 0)
		return error;
	opened = opened_record(j);
	j->active->first = j->active->position + opened->bytes.len;
	STAILQ_INSERT_HEAD(&j->queue, &opened->chore, next);
	STAILQ_INSERT_TAIL(&notice, &j->active->opened, next);
	journal_done(j, &notice);
	return 0;
}

/* Its valid records end at END, and nothing is appended any more: ERROR says why not, or 0. */
static void
end_segment(struct journal *j, uint64_t end, int error)
{
	struct chore_list notice = STAILQ_HEAD_INITIALIZER(notice);
	struct segment *s = j->active;

	j->active = NULL;
	s->end = end;
	close(s->fd);
	s->fd = -1;
	pthread_mutex_lock(&j->lock);
	j->extents = xreallocarray(j->extents, j->extents_n + 1, sizeof(*j->extents));
	j->extents[j->extents_n++] = (struct extent){ s->number, end };
	pthread_mutex_unlock(&j->lock);
	s->ended.error = error;
	STAILQ_INSERT_TAIL(&notice, &s->ended, next);
	journal_done(j, &notice);
}

/* A write or flush has failed: what is not covered by an earlier flush goes elsewhere or fails. */
static void
poison(struct journal *j, int error)
{
	struct chore_list again = STAILQ_HEAD_INITIALIZER(again);
	struct chore *t;

	j->errors++;
	while ((t = STAILQ_FIRST(&j->unflushed)) != NULL) {
		STAILQ_REMOVE_HEAD(&j->unflushed, next);
		t->error = error;
		STAILQ_INSERT_TAIL(record_of(t)->keep ? &again : &j->failed, t, next);
	}
	STAILQ_CONCAT(&again, &j->queue);
	STAILQ_CONCAT(&j->queue, &again);
	j->linger_until = 0;
	end_segment(j, j->active->durable, error);
}

/* --- writing --- */

/* Octets of padding from POSITION to the end of a block; there must be room for a header. */
static size_t
padding(uint64_t position)
{
	size_t rest = SEGMENT_BLOCK - position % SEGMENT_BLOCK;

	if (rest == SEGMENT_BLOCK)
		return 0;
	return rest < RECORD_HEADER ? rest + SEGMENT_BLOCK : rest;
}

/* The last piece of a write: padding that counts, when a flush follows, or zeros that the next
 * write replaces. */
static struct iovec
tail(struct journal *j, bool flush)
{
	struct segment *s = j->active;
	size_t len = padding(s->position);

	memset(j->pad, 0, RECORD_HEADER);
	if (flush && len > 0) {
		record_pad(j->pad, len, s->seed);
		s->position += len;
	} else
		len %= SEGMENT_BLOCK;
	return (struct iovec){ j->pad, len };
}

static bool
fits(const struct segment *s, const struct record *r)
{
	return s->position + r->bytes.len + 2 * SEGMENT_BLOCK <= s->size || s->position <= s->first;
}

/* Places records into the open segment until it or the round is full; returns how many. */
static int
place_records(struct journal *j, bool *urgent)
{
	struct segment *s = j->active;
	struct record *r;
	int n;

	for (n = 0; n < ROUND_PIECES && !STAILQ_EMPTY(&j->queue); n++) {
		r = record_of(STAILQ_FIRST(&j->queue));
		if (!fits(s, r))
			break;
		STAILQ_REMOVE_HEAD(&j->queue, next);
		STAILQ_INSERT_TAIL(&j->unflushed, &r->chore, next);
		r->segment = s;
		r->offset = s->position;
		record_seal(&r->bytes, s->seed);
		j->pieces[n] = (struct iovec){ r->bytes.data, r->bytes.len };
		s->position += r->bytes.len;
		*urgent |= r->urgent;
	}
	j->records += (uint64_t)n;
	return n;
}

/* Somebody has removed the file: what is written into it is durable nowhere. */
static bool
is_removed(int fd)
{
	struct stat file;

	return fstat(fd, &file) == 0 && file.st_nlink == 0;
}

/* 0: all that was written is durable, and told. */
static int
flush(struct journal *j)
{
	struct segment *s = j->active;
	uint64_t at = s->position;
	struct iovec piece;
	int error;

	piece = tail(j, true);
	if (piece.iov_len > 0 && (error = disk_write(s->fd, &piece, 1, (off_t)at)) != 0)
		return error;
	j->flushes++;
	if (disk->fdatasync(s->fd) == -1)
		return errno;
	if (is_removed(s->fd))
		return ENOENT;
	s->durable = s->position;
	j->linger_until = 0;
	j->error = 0; /* before anybody can ask */
	report(j, &j->unflushed, 0);
	return 0;
}

/* One pwritev, and a flush when MUST or when somebody waits. */
static int
write_round(struct journal *j, bool must)
{
	struct segment *s = j->active;
	uint64_t at = s->position;
	bool urgent = must;
	int n, error;

	n = place_records(j, &urgent);
	j->pieces[n] = tail(j, urgent);
	if (j->pieces[n].iov_len > 0)
		n++;
	if ((error = disk_write(s->fd, j->pieces, n, (off_t)at)) != 0)
		return error;
	if (urgent)
		return flush(j);
	if (j->linger_until == 0)
		j->linger_until = clock_ms() + journal_sizes.linger_ms;
	return 0;
}

/* An open segment with room for what comes next.  The full one is flushed before the next is
 * begun: so that a broken record in any but the last is damage, never a torn write. */
static int
make_room(struct journal *j)
{
	int error;

	if (j->active != NULL && !STAILQ_EMPTY(&j->queue) &&
	    !fits(j->active, record_of(STAILQ_FIRST(&j->queue)))) {
		if (!STAILQ_EMPTY(&j->unflushed) && (error = flush(j)) != 0)
			return error;
		end_segment(j, j->active->position, 0);
	}
	return j->active != NULL ? 0 : open_segment(j);
}

/* No segment can be written: whoever waits is told, the others stay in the queue. */
static void
give_up(struct journal *j, int error)
{
	struct chore_list keep = STAILQ_HEAD_INITIALIZER(keep);
	struct chore *t;

	while ((t = STAILQ_FIRST(&j->queue)) != NULL) {
		STAILQ_REMOVE_HEAD(&j->queue, next);
		t->error = error;
		STAILQ_INSERT_TAIL(record_of(t)->keep ? &keep : &j->failed, t, next);
	}
	STAILQ_CONCAT(&j->queue, &keep);
}

/* Writes what is in the queue, in the open segment or, when that fails, in one other.  SPOILT:
 * that has happened already, and there must be a flush. */
static void
commit(struct journal *j, bool spoilt)
{
	int error;

	while (!STAILQ_EMPTY(&j->queue) || (spoilt && j->active == NULL)) {
		if ((error = make_room(j)) == 0 && (error = write_round(j, spoilt)) == 0)
			continue;
		if (j->active != NULL) {
			poison(j, error);
			if (!spoilt) {
				spoilt = true;
				continue;
			}
		}
		j->error = error;
		j->retry_at = clock_ms() + RETRY_MS;
		give_up(j, error);
		break;
	}
	if (!STAILQ_EMPTY(&j->failed))
		journal_done(j, &j->failed);
}

/* --- the thread --- */

/* When there is something to do without a new record; 0: never. */
static uint64_t
next_time(const struct journal *j)
{
	return j->error != 0 ? j->retry_at : j->linger_until;
}

static void
wait_until(struct journal *j, uint64_t ms)
{
	struct timespec ts = { .tv_sec = (time_t)(ms / 1000),
		.tv_nsec = (long)(ms % 1000) * 1000000 };

	if (ms == 0)
		pthread_cond_wait(&j->work, &j->lock);
	else
		pthread_cond_timedwait(&j->work, &j->lock, &ts);
}

/* Waits for something to do and takes it; false when it is the last time. */
static bool
take_work(struct journal *j)
{
	uint64_t when;
	bool more;

	pthread_mutex_lock(&j->lock);
	while (STAILQ_EMPTY(&j->pending) && !j->stop_flusher) {
		when = next_time(j);
		if (when != 0 && clock_ms() >= when)
			break;
		wait_until(j, when);
	}
	STAILQ_CONCAT(&j->queue, &j->pending);
	j->pending_bytes = 0;
	more = !j->stop_flusher;
	pthread_mutex_unlock(&j->lock);
	return more;
}

static void
flush_lingering(struct journal *j)
{
	int error;

	if (j->active != NULL && !STAILQ_EMPTY(&j->unflushed) && (error = flush(j)) != 0) {
		poison(j, error);
		commit(j, true);
	}
}

void *
journal_flush_main(void *arg)
{
	struct journal *j = arg;
	bool more;

	do {
		more = take_work(j);
		if (j->error != 0 && clock_ms() < j->retry_at && more) {
			give_up(j, j->error);
			if (!STAILQ_EMPTY(&j->failed))
				journal_done(j, &j->failed);
		} else
			commit(j, j->error != 0);
		if (!more || (j->linger_until != 0 && clock_ms() >= j->linger_until))
			flush_lingering(j);
	} while (more);
	if (j->active != NULL)
		end_segment(j, j->active->durable, 0);
	report(j, &j->queue, ESHUTDOWN);
	return NULL;
}
