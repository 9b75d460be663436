/*
 * The keeper: the thread for slow work on files that nobody's "250" should wait for.
 *
 * It prepares the next segment while the present one fills, so that no message waits for 16 MiB
 * of zeros; removes segments; and runs the store's other chores (large contents, reading for
 * compaction) one after the other.
 *
 * The legal states of a segment file, the one step to each, and what a crash in that state means:
 *
 *   name       state     step to it                      after a crash
 *   new        zeroing   open                            removed
 *   spare.N    spare     rename of a segment that is     kept, to be used again; its records are
 *                        done with, folder flushed       never read, now or later: it will have
 *                                                        another number
 *   N          ready     header written and flushed,     no record in it is valid: a spare again.
 *                        renamed from new or spare.*,    Records of a torn first write do not
 *                        folder flushed                  count, as it will have another number
 *   N          open      the first flush, with OPENED    the last one: read up to the first broken
 *                                                        record behind the last flush, and never
 *                                                        appended to again.  A broken one before
 *                                                        is damage, and is passed
 *   N          closed    flushed to its end; then the    read to the end that OPENED gives, and
 *                        first flush of the next one,    must be whole to there: nothing was
 *                        whose OPENED says where this    appended to the next before this was
 *                        one ends                        flushed
 *   N          poisoned  a write or flush failed; then   read to the end that OPENED gives: the
 *                        the same                        last good flush.  Before OPENED: as an
 *                                                        open one (see segment.c, "failed")
 *   N.index    derived   beside N: journal_index.c       see there
 *   N.damaged  aside     rename, when all that lives     ignored; kept for a person
 *                        in it was moved; folder
 *                        flushed
 *   (none)     gone      unlink, folder flushed          -
 *
 * Only when a segment is gone (or spare, or aside) for good do those that must outlive it know
 * (compact.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "queue/disk.h"
#include "queue/journal_threads.h"

#define ROOMY 4 /* segments that must fit, before one is made */
#define ZEROS (256 * 1024) /* written at a time */
/* ... and until a flush: the disk never has more of them to write when a "250" comes along */
#define ZEROS_FLUSHED (1 << 20)

static int
write_header(int fd, uint64_t number)
{
	uint8_t block[SEGMENT_BLOCK];
	struct iovec piece = { block, sizeof(block) };

	segment_header_encode(block, number);
	return disk_write(fd, &piece, 1, 0);
}

static int
write_zeros(int fd, uint64_t size)
{
	static const uint8_t zeros[ZEROS];
	struct iovec piece;
	uint64_t at;
	int error;

	for (at = 0; at < size; at += ZEROS) {
		piece.iov_base = (void *)(uintptr_t)zeros;
		piece.iov_len = size - at < ZEROS ? (size_t)(size - at) : ZEROS;
		if ((error = disk_write(fd, &piece, 1, (off_t)at)) != 0)
			return error;
		if ((at + ZEROS) % ZEROS_FLUSHED == 0 && disk->fdatasync(fd) == -1)
			return errno;
	}
	return 0;
}

/* Header, flush, name: from here on it is a segment. */
static int
make_ready(struct journal *j, int fd, const char *from, uint64_t number)
{
	char name[JOURNAL_NAME_MAX];
	int error;

	journal_name(name, number);
	if ((error = write_header(fd, number)) != 0)
		return error;
	if (disk->fdatasync(fd) == -1 || disk->renameat(j->dir, from, j->dir, name) == -1)
		return errno;
	return disk_sync_names(j->dir);
}

/* A disk that is small, or nearly full, gets small segments: outcomes must find room yet, and what is
 * finished is given back sooner. */
static uint64_t
choose_size(struct journal *j)
{
	struct statvfs vfs;

	if (!j->made_one || (disk->fstatvfs(j->dir, &vfs) == 0 &&
				(uint64_t)vfs.f_bavail * vfs.f_frsize < ROOMY * journal_sizes.segment))
		return journal_sizes.first;
	return journal_sizes.segment;
}

/* Opens a file of SIZE octets to be made ready: a spare one, or a new one full of zeros.  NAME is
 * what it is called. */
static int
open_blank(struct journal *j, char name[JOURNAL_NAME_MAX], uint64_t *size, int *fd)
{
	int error;

	while (j->spares_n > 0) {
		journal_spare_name(name, j->spares[--j->spares_n]);
		*size = journal_sizes.segment;
		if ((*fd = disk->openat(j->dir, name, O_RDWR | O_CLOEXEC, 0)) != -1)
			return 0;
	}
	*size = choose_size(j);
	strlcpy(name, JOURNAL_NEW, JOURNAL_NAME_MAX);
	*fd = disk->openat(j->dir, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (*fd == -1)
		return errno;
	if ((error = write_zeros(*fd, *size)) != 0)
		disk->unlinkat(j->dir, name, 0);
	return error;
}

static struct segment *
prepare(struct journal *j, int *error)
{
	char name[JOURNAL_NAME_MAX];
	struct segment *s;
	uint64_t size;
	int fd = -1;

	*error = open_blank(j, name, &size, &fd);
	/* a number is used up even when this fails: the file may have got its name */
	if (*error == 0 && (*error = make_ready(j, fd, name, j->next_number++)) != 0)
		disk->unlinkat(j->dir, name, 0);
	if (*error != 0) {
		if (fd != -1)
			close(fd);
		return NULL;
	}
	j->made_one = true;
	s = journal_new_segment(j, j->next_number - 1);
	s->fd = fd;
	s->size = size;
	s->position = s->durable = SEGMENT_BLOCK;
	return s;
}

/* Its name says what becomes of it: kept as evidence, kept for its zeros, or nothing. */
int
journal_remove(struct journal *j, const struct segment *s)
{
	char name[JOURNAL_NAME_MAX], to[JOURNAL_NAME_MAX + sizeof(JOURNAL_DAMAGED)];
	int r;

	journal_index_name(name, s->number);
	disk->unlinkat(j->dir, name, 0);
	journal_name(name, s->number);
	if (s->damaged) {
		snprintf(to, sizeof(to), "%s%s", name, JOURNAL_DAMAGED);
		r = disk->renameat(j->dir, name, j->dir, to);
	} else if (!s->poisoned && s->size == journal_sizes.segment && s->end <= s->size &&
	    j->spares_n < journal_sizes.spares && j->spares_n < SPARES_MAX) {
		journal_spare_name(to, s->number);
		r = disk->renameat(j->dir, name, j->dir, to);
		if (r == 0 && (r = disk_sync_names(j->dir)) == 0)
			j->spares[j->spares_n++] = s->number;
		return r == -1 ? errno : r;
	} else
		r = disk->unlinkat(j->dir, name, 0);
	return r == -1 ? errno : disk_sync_names(j->dir);
}

/* LOCK is held. */
static void
see_to_next(struct journal *j)
{
	struct segment *s;
	int error;

	pthread_mutex_unlock(&j->lock);
	s = prepare(j, &error);
	pthread_mutex_lock(&j->lock);
	j->want_next = false;
	j->next = s;
	j->next_error = error;
	pthread_cond_broadcast(&j->supply);
}

static void
run_chore(struct journal *j)
{
	struct chore_list done = STAILQ_HEAD_INITIALIZER(done);
	struct chore *t = STAILQ_FIRST(&j->chores);

	STAILQ_REMOVE_HEAD(&j->chores, next);
	pthread_mutex_unlock(&j->lock);
	if (t->run(j, t)) {
		STAILQ_INSERT_TAIL(&done, t, next);
		journal_done(j, &done);
	}
	pthread_mutex_lock(&j->lock);
}

void *
journal_keeper_main(void *arg)
{
	struct journal *j = arg;

	pthread_mutex_lock(&j->lock);
	for (;;) {
		j->keeper_busy = true;
		if (j->want_next)
			see_to_next(j);
		else if (!STAILQ_EMPTY(&j->chores))
			run_chore(j);
		else if (j->stop_keeper)
			break;
		else {
			j->keeper_busy = false;
			pthread_cond_broadcast(&j->supply);
			pthread_cond_wait(&j->chore, &j->lock);
		}
	}
	pthread_mutex_unlock(&j->lock);
	return NULL;
}
