/*
 * Small files beside the journal: what the queue role must remember besides messages (store.h).
 *
 * The keeper writes one whole and flushed beside the old one and renames it, so that a crash finds
 * the one or the other:
 *
 *   NAME.new     being written        written over by the next
 *   NAME         renamed; the folder  the new one, or, before the flush of the folder, perhaps still
 *                flushed, DONE told   the old one: nobody was told
 *
 * The content is followed by its checksum.  Can fail: the disk; then the old file stays, or what
 * cannot be believed is not read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/cursor.h"
#include "lib/mem.h"
#include "queue/checksum.h"
#include "queue/disk.h"
#include "queue/index.h"

#define FILE_MAX (1 << 20)
#define CHECKSUM_SIZE 4

struct writing {
	struct chore chore;
	int dir;
	char *name, *beside;
	struct buf bytes;
	void (*done)(int error, void *arg);
	void *arg;
};

/* In the keeper: 0, or an errno. */
static int
write_beside(const struct writing *w)
{
	struct iovec piece = { w->bytes.data, w->bytes.len };
	int fd = disk->openat(w->dir, w->beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int error;

	if (fd == -1)
		return errno;
	error = disk_write(fd, &piece, 1, 0);
	if (error == 0 && disk->fdatasync(fd) == -1)
		error = errno;
	close(fd);
	return error;
}

static bool
run_writing(struct journal *j, struct chore *t)
{
	struct writing *w = (struct writing *)t;

	(void)j;
	t->error = write_beside(w);
	if (t->error == 0 && disk->renameat(w->dir, w->beside, w->dir, w->name) == -1)
		t->error = errno;
	if (t->error == 0)
		t->error = disk_sync_names(w->dir);
	return true;
}

static void
written(struct chore *t)
{
	struct writing *w = (struct writing *)t;

	w->done(-t->error, w->arg);
	buf_free(&w->bytes);
	free(w->name);
	free(w->beside);
	free(w);
}

void
store_write_file(struct store *st, const char *name, const struct buf *content,
    void (*done)(int error, void *arg), void *arg)
{
	struct writing *w = xcalloc(1, sizeof(*w));

	w->chore.run = run_writing;
	w->chore.done = written;
	w->dir = st->dir;
	w->name = xstrdup(name);
	w->beside = xasprintf("%s.new", name);
	w->done = done;
	w->arg = arg;
	buf_add(&w->bytes, content->data, content->len);
	buf_add_u32(&w->bytes, checksum(0, content->data, content->len));
	journal_run(st->journal, &w->chore);
}

/* BYTES end in the checksum of what is before, which is cut off. */
static bool
is_whole(struct buf *bytes)
{
	struct cursor c;
	uint32_t sum;

	if (bytes->len < CHECKSUM_SIZE)
		return false;
	bytes->len -= CHECKSUM_SIZE;
	c = cursor_init(bytes->data + bytes->len, CHECKSUM_SIZE);
	sum = cursor_u32(&c);
	bytes->data[bytes->len] = '\0';
	return sum == checksum(0, bytes->data, bytes->len);
}

int
store_read_file(struct store *st, const char *name, struct buf *content)
{
	int fd = disk->openat(st->dir, name, O_RDONLY | O_CLOEXEC, 0), error = 0;
	ssize_t n;

	if (fd == -1)
		return -errno;
	buf_clear(content);
	n = disk_read(fd, buf_reserve(content, FILE_MAX), FILE_MAX, 0);
	if (n == -1)
		error = errno;
	else
		content->len = (size_t)n;
	close(fd);
	if (error == 0 && !is_whole(content))
		error = EBADMSG;
	return -error;
}
