/*
 * Writing Maildirs.
 *
 * Called by the local delivery process with all the jobs that wait.  Each message is created in
 * tmp/, written with one call, its data put on the disk, renamed to new/, and the name put on the
 * disk; for several messages each of these steps is done for all before the next one begins, so
 * that they share the file system's commits.  What it costs is the flushes, of which there is one
 * for a message alone, and one for all of several:
 *
 *	ext4, XFS   data written, not flushed; rename; fsync of the file, or one syncfs for several
 *	others      fsync of the file, or one syncfs for several; rename; fsync of each new/
 *
 * On the former the flush of a file that was renamed covers its new name, and no crash can show a
 * name before data that was written earlier (maildir_folder.c).
 *
 * The name is unique because of time, process and counter; O_EXCL says so if it is not.  Everything
 * about the file system can fail, at any step, and is then a reason to try again later, in words
 * that name the path.  Only a message that went round (Delivered-To names the same address) fails
 * for good.  What must never happen: a result that says delivered for what a power cut can take
 * away; a file in new/ that is not whole.
 */
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deliver/final.h"
#include "deliver/maildir.h"
#include "deliver/maildir_folder.h"
#include "lib/clock.h"
#include "lib/mem.h"

#define SYNCFS_SLOW_MS 500
#define SYNCFS_AVOID_MS 60000
#define COPY_PIECE (256 * 1024)
#define HOST_MAX 64 /* of the host's name in a file's name, which may have 255 octets */

struct maildirs {
	char *host;
	pid_t pid;
	uint64_t count;		     /* of names made */
	uint64_t avoid_syncfs_until; /* clock_ms() */
	struct maildir_folders folders;
};

/* --- content --- */

void
maildir_content_init(struct maildir_content *content, uint8_t body, const void *data, size_t len)
{
	*content = (struct maildir_content){ .fd = -1, .text.binary = body == BODY_BINARYMIME };
	buf_reserve(&content->data, len);
	mailtext_feed(&content->text, data, len, &content->data);
	mailtext_end(&content->text, &content->data);
}

void
maildir_content_init_fd(struct maildir_content *content, uint8_t body, int fd)
{
	*content = (struct maildir_content){ .fd = fd, .text.binary = body == BODY_BINARYMIME };
}

void
maildir_content_free(struct maildir_content *content)
{
	mailtext_free(&content->text);
	buf_free(&content->data);
	if (content->fd >= 0)
		close(content->fd);
	content->fd = -1;
}

/* --- results --- */

static void
settle(struct maildir_item *item, enum delivery_status status, char *text)
{
	item->status = status;
	free(item->text);
	item->text = text;
}

static void
settle_error(struct maildir_item *item, const char *what, int error)
{
	struct final_result result = { .text = NULL };

	final_settle_error(&result, what, item->path, error);
	settle(item, result.status, result.text);
}

static bool
is_settled(const struct maildir_item *item)
{
	return item->text != NULL;
}

void
maildir_item_free(struct maildir_item *item)
{
	free(item->text);
	free(item->file);
	free(item->name);
}

/* --- writing --- */

static char *
make_name(struct maildirs *dirs)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return xasprintf("%lld.M%06ldP%dQ%llu.%s", (long long)now.tv_sec, now.tv_nsec / 1000,
	    (int)dirs->pid, (unsigned long long)++dirs->count, dirs->host);
}

/* 0 or an errno. */
static int
write_all(int fd, struct iovec *iov, int n)
{
	ssize_t done;

	while (n > 0) {
		done = writev(fd, iov, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return errno;
		while (n > 0 && (size_t)done >= iov->iov_len) {
			done -= (ssize_t)iov->iov_len;
			iov++;
			n--;
		}
		if (n > 0) {
			iov->iov_base = (char *)iov->iov_base + done;
			iov->iov_len -= (size_t)done;
		}
	}
	return 0;
}

static int
write_buf(struct maildir_item *item, struct buf *b)
{
	struct iovec iov = { b->data, b->len };
	int error = b->len > 0 ? write_all(item->fd, &iov, 1) : 0;

	item->size += b->len;
	buf_clear(b);
	return error;
}

/* Content from a file: read, converted and written in pieces.  The header is looked at anew each
 * time. */
static int
copy_file(struct maildir_item *item, struct buf *out)
{
	struct mailtext text = { .binary = item->content->text.binary };
	char *piece = xmalloc(COPY_PIECE);
	off_t at = 0;
	ssize_t n;
	int error = 0;

	while (error == 0 && (n = pread(item->content->fd, piece, COPY_PIECE, at)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			error = errno;
			break;
		}
		at += n;
		mailtext_feed(&text, piece, (size_t)n, out);
		error = write_buf(item, out);
	}
	mailtext_end(&text, out);
	if (error == 0)
		error = write_buf(item, out);
	mailtext_free(&item->content->text);
	item->content->text = text;
	free(piece);
	return error;
}

static int
write_content(struct maildir_item *item)
{
	struct buf head = { 0 };
	struct iovec iov[2];
	int error;

	final_head(&head, item->sender, item->address);
	if (item->content->fd >= 0) {
		error = copy_file(item, &head);
	} else {
		iov[0] = (struct iovec){ head.data, head.len };
		iov[1] = (struct iovec){ item->content->data.data, item->content->data.len };
		item->size = head.len + item->content->data.len;
		error = write_all(item->fd, iov, 2);
	}
	buf_free(&head);
	return error;
}

static void
close_item(struct maildir_item *item)
{
	if (item->fd >= 0)
		close(item->fd);
	item->fd = -1;
}

/* The file goes, from tmp/ or new/. */
static void
take_back(struct maildir_item *item)
{
	close_item(item);
	if (item->name != NULL)
		unlinkat(
		    item->renamed ? item->folder->new_fd : item->folder->tmp_fd, item->name, 0);
}

static bool
check_loop(struct maildir_item *item)
{
	if (!mailtext_delivered_to(&item->content->text, item->address))
		return true;
	settle(item, DELIVERY_PERM,
	    xasprintf(
		"554 5.4.6 mail loop: this message was delivered to %s before", item->address));
	return false;
}

/* Into tmp/, open and not flushed yet. */
static void
write_item(struct maildirs *dirs, struct maildir_item *item)
{
	int error = maildir_folder_get(&dirs->folders, item->path, &item->folder);

	if (error != 0) {
		settle_error(item, "make or open", error);
		return;
	}
	item->name = make_name(dirs);
	item->fd = openat(item->folder->tmp_fd, item->name,
	    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (item->fd < 0) {
		error = errno;
		item->folder->stale = true;
		free(item->name);
		item->name = NULL;
		settle_error(item, "create a file in", error);
		return;
	}
	error = write_content(item);
	if (error != 0)
		settle_error(item, "write to", error);
	if (error != 0 || !check_loop(item))
		take_back(item);
}

/* --- the steps for all --- */

static void
write_items(struct maildirs *dirs, struct maildir_item *items, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		items[i].fd = -1;
		if (check_loop(&items[i]))
			write_item(dirs, &items[i]);
	}
}

/* Items that are still on their way, of ordered file systems or of the others. */
static unsigned
count_open(const struct maildir_item *items, unsigned n, bool ordered)
{
	unsigned i, open = 0;

	for (i = 0; i < n; i++)
		open += !is_settled(&items[i]) && items[i].folder->ordered == ordered;
	return open;
}

static void
flush_item(struct maildir_item *item, int r)
{
	int error = errno;

	if (r == 0)
		return;
	settle_error(item, "flush a file of", error);
	take_back(item);
}

/* One syncfs for the items of each file system; when it fails none of them counts as written. */
static void
flush_file_systems(struct maildir_item *items, unsigned n, bool ordered)
{
	bool *done = xcalloc(n, sizeof(*done));
	unsigned i, k;

	for (i = 0; i < n; i++) {
		if (is_settled(&items[i]) || done[i] || items[i].folder->ordered != ordered)
			continue;
		flush_item(&items[i], syncfs(items[i].folder->new_fd));
		for (k = i + 1; k < n; k++) {
			if (is_settled(&items[k]) || items[k].folder->dev != items[i].folder->dev)
				continue;
			done[k] = true;
			if (is_settled(&items[i])) {
				settle(&items[k], items[i].status, xstrdup(items[i].text));
				take_back(&items[k]);
			}
		}
	}
	free(done);
}

/*
 * One syncfs is cheaper than a second fsync, but it also waits for what others have written.  Where
 * that is much, files are flushed by themselves for a while.
 */
static void
flush_files(struct maildirs *dirs, struct maildir_item *items, unsigned n, bool ordered)
{
	uint64_t begun = clock_ms();
	unsigned i;

	if (count_open(items, n, ordered) > 1 && begun >= dirs->avoid_syncfs_until) {
		flush_file_systems(items, n, ordered);
		if (clock_ms() - begun > SYNCFS_SLOW_MS)
			dirs->avoid_syncfs_until = clock_ms() + SYNCFS_AVOID_MS;
		return;
	}
	for (i = 0; i < n; i++) {
		if (!is_settled(&items[i]) && items[i].folder->ordered == ordered)
			flush_item(&items[i], fsync(items[i].fd));
	}
}

/* Where the order is kept: the data goes to the disk, all at once, and is waited for; its cache is
 * flushed later. */
static void
write_out(struct maildir_item *items, unsigned n)
{
	const unsigned whole =
	    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	unsigned i;

	for (i = 0; i < n; i++) {
		if (!is_settled(&items[i]) && items[i].folder->ordered)
			(void)sync_file_range(items[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	}
	for (i = 0; i < n; i++) {
		if (!is_settled(&items[i]) && items[i].folder->ordered)
			flush_item(&items[i], sync_file_range(items[i].fd, 0, 0, whole));
	}
}

static void
rename_item(struct maildirs *dirs, struct maildir_item *item)
{
	char *name = xasprintf("%s,S=%llu", item->name, (unsigned long long)item->size);
	int error;

	if (renameat(item->folder->tmp_fd, item->name, item->folder->new_fd, name) < 0) {
		error = errno;
		free(name);
		settle_error(item, "rename a file of", error);
		take_back(item);
		return;
	}
	item->renamed = true;
	free(item->name);
	item->name = name;
	item->folder->used = dirs->folders.call;
	item->folder->error = 0;
}

/* The names, where the flush of the files does not cover them. */
static void
flush_folders(struct maildirs *dirs)
{
	struct maildir_folder *folder;

	TAILQ_FOREACH(folder, &dirs->folders.list, entry) {
		if (folder->used == dirs->folders.call && !folder->ordered)
			folder->error = fsync(folder->new_fd) == 0 ? 0 : errno;
	}
}

/* What remains is to say so, or to take it away again when it is not for sure. */
static void
finish_item(struct maildir_item *item)
{
	close_item(item);
	if (item->folder->error != 0) {
		settle_error(item, "flush", item->folder->error);
		take_back(item);
		return;
	}
	item->file = xasprintf("%s/new/%s", item->path, item->name);
	settle(item, DELIVERY_OK, xasprintf("250 2.0.0 delivered to %s", item->path));
}

void
maildirs_deliver(struct maildirs *dirs, struct maildir_item *items, unsigned n)
{
	unsigned i;

	dirs->folders.call++;
	write_items(dirs, items, n);
	flush_files(dirs, items, n, false);
	write_out(items, n);
	for (i = 0; i < n; i++) {
		if (!is_settled(&items[i]))
			rename_item(dirs, &items[i]);
	}
	flush_folders(dirs);
	flush_files(dirs, items, n, true);
	for (i = 0; i < n; i++) {
		if (!is_settled(&items[i]))
			finish_item(&items[i]);
	}
	maildir_folders_trim(&dirs->folders);
}

/* --- all of them --- */

struct maildirs *
maildirs_new(const char *host)
{
	struct maildirs *dirs = xcalloc(1, sizeof(*dirs));
	char *s;

	dirs->host = xstrndup(host, strnlen(host, HOST_MAX));
	/* the two characters that the specification gives another meaning, and one that mail
	 * readers do */
	for (s = dirs->host; *s != '\0'; s++)
		*s = *s == '/' || *s == ':' || *s == ',' || (unsigned char)*s <= ' ' ? '_' : *s;
	dirs->pid = getpid();
	maildir_folders_init(&dirs->folders);
	return dirs;
}

void
maildirs_free(struct maildirs *dirs)
{
	maildir_folders_free(&dirs->folders);
	free(dirs->host);
	free(dirs);
}
