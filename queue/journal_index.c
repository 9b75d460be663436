/*
 * Indexes of closed segments as files: "journal/NNNNNNNNNN.index" (segment_index.h has the format).
 *
 * The keeper writes one when a segment is closed, or was found without one at a start, so that a
 * start reads the records and not the contents.  One is made at a time and the keeper's other work
 * comes between.  Nothing depends on them: none is flushed, none that cannot be written is missed,
 * and a crash at any moment leaves a file that is whole, or fails its checksum and is written anew.
 *
 * The legal states, and what a crash in each means:
 *
 *   no file, or a part of one   the segment is read; after the start an index is made
 *   whole                       read instead of the segment, when OPENED of a younger segment says
 *                               that the segment ends where the index does
 *   whole, and no segment       removed at the next start
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/mem.h"
#include "queue/disk.h"
#include "queue/journal_threads.h"
#include "queue/segment_index.h"

/* --- reading --- */

static bool
read_whole(int fd, struct buf *out)
{
	struct stat st;
	ssize_t n;

	if (fstat(fd, &st) == -1 || st.st_size <= 0 || st.st_size > UINT32_MAX)
		return false;
	n = disk_read(fd, buf_reserve(out, (size_t)st.st_size), (size_t)st.st_size, 0);
	if (n > 0)
		out->len = (size_t)n;
	return n == st.st_size;
}

bool
journal_read_index(
    int dir, uint64_t number, uint64_t end, struct buf *bytes, struct index_reader *r)
{
	char name[JOURNAL_NAME_MAX];
	bool ok;
	int fd;

	journal_index_name(name, number);
	if ((fd = disk->openat(dir, name, O_RDONLY | O_CLOEXEC, 0)) == -1)
		return false;
	ok = read_whole(fd, bytes) && index_open(r, bytes->data, bytes->len, number, end);
	close(fd);
	if (!ok)
		buf_free(bytes);
	return ok;
}

/* --- writing --- */

struct indexing {
	struct chore chore;
	struct journal *journal;
	struct segment *segment; /* closed; it is removed by a later chore of the keeper, if at all */
};

static ssize_t
read_segment(void *arg, void *data, size_t len, uint64_t offset)
{
	return disk_read(*(int *)arg, data, len, (off_t)offset);
}

/* False: the segment cannot be read to its end, and stays without an index. */
static bool
index_of(struct journal *j, const struct segment *s, struct buf *out)
{
	int fd = journal_open_segment(j, s);
	struct segment_reader r = { .read = read_segment, .arg = &fd, .seed = s->seed,
		.offset = SEGMENT_BLOCK, .limit = s->end };
	struct record_view v;
	enum segment_step step;

	if (fd == -1)
		return false;
	index_begin(out);
	while ((step = segment_next(&r, &v)) == SEGMENT_RECORD)
		index_add(out, &v);
	index_seal(out, s->number, s->end);
	buf_free(&r.window);
	close(fd);
	return step == SEGMENT_END;
}

static void
write_index(struct journal *j, uint64_t number, struct buf *index)
{
	struct iovec piece = { index->data, index->len };
	char name[JOURNAL_NAME_MAX];
	int fd, error;

	journal_index_name(name, number);
	fd = disk->openat(j->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd == -1)
		return;
	error = disk_write(fd, &piece, 1, 0);
	close(fd);
	if (error != 0)
		disk->unlinkat(j->dir, name, 0);
}

static bool
run_indexing(struct journal *j, struct chore *t)
{
	const struct segment *s = ((struct indexing *)t)->segment;
	struct buf index = { 0 };

	if (index_of(j, s, &index))
		write_index(j, s->number, &index);
	buf_free(&index);
	return true;
}

static void
indexed(struct chore *t)
{
	struct indexing *in = (struct indexing *)t;
	struct journal *j = in->journal;

	free(in);
	j->indexing = false;
	journal_make_indexes(j);
}

void
journal_make_indexes(struct journal *j)
{
	struct indexing *in;
	struct segment *s;

	if (j->indexing || j->closed)
		return;
	TAILQ_FOREACH(s, &j->segments, entry)
		if (s->closed && !s->indexed && !s->damaged && !s->retiring)
			break;
	if (s == NULL)
		return;
	/* or it was tried, which is all that is done for it in this life */
	s->indexed = true;
	j->indexing = true;
	in = xcalloc(1, sizeof(*in));
	in->chore.run = run_indexing;
	in->chore.done = indexed;
	in->journal = j;
	in->segment = s;
	journal_run(j, &in->chore);
}
