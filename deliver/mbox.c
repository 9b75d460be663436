/*
 * Writing mbox files.
 *
 * Called by the local delivery process, one message at a time.  A mailbox is locked as Debian's
 * policy (11.6) and most readers want it: fcntl first, the dotlock second, and whoever does not get the
 * second gives the first back before it tries again, so that no two wait for each other.  The
 * dotlock is made with O_EXCL.  One that nobody has touched for MBOX_STALE seconds is removed; who
 * holds one longer than that has to touch it.  Where the directory does not let us make a dotlock
 * nothing is delivered: a reader that knows only this lock would lose mail.
 *
 * The file must be a plain one of our own with one name.  Other things in its place (a link to
 * another's file in /var/mail) are a reason to wait for the operator.  A message is written at the
 * end, flushed, and only then reported; on any error the file is cut back to its old length.  A
 * power cut can leave a torn message at the end; then the message is delivered again after it, and
 * a blank line keeps it apart.
 *
 * What must never happen: that a line of a message begins another one; that what others wrote is
 * touched; that a lock stays.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver/mbox.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define POLL_MS 50

static const char from[] = "From ";
#define FROM_LEN (sizeof(from) - 1)

/* --- text --- */

static void
release(struct mbox_quote *q, struct buf *out)
{
	for (; q->quotes > 0; q->quotes--)
		buf_addc(out, '>');
	buf_add(out, from, q->matched);
	q->matched = 0;
}

/* The start of a line: an octet is held back while the line can still turn out to be quoted. */
static bool
hold(struct mbox_quote *q, char c, struct buf *out)
{
	if (c == '>' && q->matched == 0) {
		q->quotes++;
		return true;
	}
	if (c == from[q->matched]) {
		if (++q->matched < FROM_LEN)
			return true;
		q->quotes++;
		release(q, out);
		q->in_line = true;
		return true;
	}
	release(q, out);
	q->in_line = true;
	return false;
}

void
mbox_quote_feed(struct mbox_quote *q, const char *s, size_t len, struct buf *out)
{
	const char *end = s + len, *lf;

	while (s < end) {
		if (!q->in_line && hold(q, *s, out)) {
			s++;
			continue;
		}
		lf = memchr(s, '\n', (size_t)(end - s));
		buf_add(out, s, (size_t)((lf != NULL ? lf + 1 : end) - s));
		q->in_line = lf == NULL;
		s = lf != NULL ? lf + 1 : end;
	}
}

void
mbox_quote_end(struct mbox_quote *q, struct buf *out)
{
	bool open = q->in_line || q->quotes > 0 || q->matched > 0;

	release(q, out);
	if (open)
		buf_addc(out, '\n');
	q->in_line = false;
}

void
mbox_separator(struct buf *out, const char *sender, time_t when)
{
	struct tm tm;

	buf_adds(out, from);
	for (; *sender != '\0'; sender++) /* the date begins after the last blank */
		buf_addc(out, (unsigned char)*sender <= ' ' || *sender == 0x7f ? '_' : *sender);
	if (out->data[out->len - 1] == ' ')
		buf_adds(out, "MAILER-DAEMON");
	gmtime_r(&when, &tm);
	/* RFC 4155: English, whatever the locale */
	buf_addf(out, " %.3s %.3s %2d %02d:%02d:%02d %d\n",
	    &"SunMonTueWedThuFriSat"[3 * tm.tm_wday],
	    &"JanFebMarAprMayJunJulAugSepOctNovDec"[3 * tm.tm_mon], tm.tm_mday, tm.tm_hour,
	    tm.tm_min, tm.tm_sec, tm.tm_year + 1900);
}

/* --- locks --- */

struct box {
	struct mbox_item *item;
	char *dotlock;
	int fd;
	off_t before; /* its length */
	struct mbox_quote quote;
	struct buf out;
};

/* 0 or an errno.  An open file description lock conflicts with everybody's, and is not lost when
 * something else closes the same file. */
static int
lock_range(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
}

static void
unlock_range(int fd)
{
	struct flock lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET };

	(void)fcntl(fd, F_OFD_SETLK, &lock);
}

/* A lock that was forgotten goes; whoever makes the next one has it. */
static void
remove_stale(const char *dotlock)
{
	struct stat st;

	if (lstat(dotlock, &st) == 0 && time(NULL) - st.st_mtime > MBOX_STALE)
		(void)unlink(dotlock);
}

static int
make_dotlock(const char *dotlock)
{
	char text[16];
	int fd = open(dotlock, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644), n;

	if (fd < 0 && errno == EEXIST) {
		remove_stale(dotlock);
		return EEXIST;
	}
	if (fd < 0)
		return errno;
	n = snprintf(text, sizeof(text), "%d", (int)getpid()); /* for people, and readers that look */
	(void)!write(fd, text, (size_t)n);
	close(fd);
	return 0;
}

/* Both locks or none.  EAGAIN: somebody has one. */
static int
try_locks(struct box *box)
{
	int error = lock_range(box->fd);

	if (error != 0)
		return error == EACCES ? EAGAIN : error;
	error = make_dotlock(box->dotlock);
	if (error != 0)
		unlock_range(box->fd);
	return error == EEXIST ? EAGAIN : error;
}

static bool
lock_box(struct box *box)
{
	const struct timespec pause = { 0, POLL_MS * 1000000L };
	uint64_t end = clock_ms() + box->item->wait_ms;
	int error;

	while ((error = try_locks(box)) == EAGAIN && clock_ms() < end)
		nanosleep(&pause, NULL);
	if (error == 0)
		return true;
	if (error == EAGAIN)
		final_settle(&box->item->result, DELIVERY_TEMP,
		    xasprintf("451 4.2.0 %s is locked by another program", box->item->path));
	else
		final_settle_error(&box->item->result, "lock", box->item->path, error);
	return false;
}

/* --- the file --- */

static bool
refuse(struct box *box, const char *what)
{
	final_settle(&box->item->result, DELIVERY_TEMP,
	    xasprintf("451 4.3.5 %s %s", box->item->path, what));
	return false;
}

/* What we have open is the mailbox, and ours.  Looked at under the locks: readers may put a new
 * file in its place. */
static bool
check_file(struct box *box)
{
	struct stat st, there;

	if (fstat(box->fd, &st) < 0 || lstat(box->item->path, &there) < 0) {
		final_settle_error(&box->item->result, "look at", box->item->path, errno);
		return false;
	}
	if (!S_ISREG(st.st_mode))
		return refuse(box, "is not a file");
	if (st.st_dev != there.st_dev || st.st_ino != there.st_ino) {
		final_settle(&box->item->result, DELIVERY_TEMP,
		    xasprintf("451 4.2.0 %s was replaced meanwhile", box->item->path));
		return false;
	}
	if (st.st_uid != geteuid())
		return refuse(box, "belongs to somebody else than its user");
	if (st.st_nlink != 1)
		return refuse(box, "has more than one name");
	box->before = st.st_size;
	return true;
}

/* The name of a new file is put on disk with it. */
static int
flush_folder(const char *path)
{
	char *copy = xstrdup(path);
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC), error;

	free(copy);
	if (fd < 0) /* a spool that may be written to but not listed */
		return errno == EACCES ? 0 : errno;
	error = fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
	close(fd);
	return error;
}

static int
write_out(struct box *box)
{
	const char *s = box->out.data;
	size_t left = box->out.len;
	ssize_t n;

	while (left > 0) {
		n = write(box->fd, s, left);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		s += n;
		left -= (size_t)n;
	}
	buf_clear(&box->out);
	return 0;
}

static int
write_piece(const char *s, size_t len, void *arg)
{
	struct box *box = arg;

	mbox_quote_feed(&box->quote, s, len, &box->out);
	return write_out(box);
}

/* The end of what is there is no line end: a torn message, or another program's. */
static bool
is_torn(const struct box *box)
{
	char last;

	return box->before > 0 && pread(box->fd, &last, 1, box->before - 1) == 1 && last != '\n';
}

static int
append(struct box *box)
{
	int error;

	if (is_torn(box))
		buf_adds(&box->out, "\n\n");
	mbox_separator(&box->out, box->item->sender, time(NULL));
	final_head(&box->out, box->item->sender, box->item->address);
	error = final_copy(box->item->content, write_piece, box);
	mbox_quote_end(&box->quote, &box->out);
	buf_addc(&box->out, '\n');
	if (error == 0)
		error = write_out(box);
	if (error == 0 && fsync(box->fd) < 0)
		error = errno;
	if (error == 0 && box->before == 0)
		error = flush_folder(box->item->path);
	return error;
}

static void
deliver_locked(struct box *box)
{
	int error;

	if (!check_file(box))
		return;
	error = append(box);
	if (error == 0) {
		final_settle(&box->item->result, DELIVERY_OK,
		    xasprintf("250 2.0.0 delivered to %s", box->item->path));
		return;
	}
	if (ftruncate(box->fd, box->before) == 0)
		(void)fsync(box->fd);
	final_settle_error(&box->item->result, "write to", box->item->path, error);
}

void
mbox_deliver(struct mbox_item *item)
{
	struct box box = { .item = item };

	if (!final_check_loop(item->content, item->address, &item->result))
		return;
	box.fd = open(item->path,
	    O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
	if (box.fd < 0) {
		final_settle_error(&item->result, "open", item->path, errno);
		return;
	}
	box.dotlock = xasprintf("%s.lock", item->path);
	if (lock_box(&box)) {
		deliver_locked(&box);
		(void)unlink(box.dotlock);
	}
	close(box.fd); /* the other lock goes with it */
	free(box.dotlock);
	buf_free(&box.out);
}
