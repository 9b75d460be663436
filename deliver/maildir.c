/*
 * Writing Maildirs.
 *
 * Called by the local delivery process with all the jobs that wait.  Each message is created in tmp/, written with one
 * call, flushed, renamed to new/, and the directory flushed; for several messages each of these steps is done for all
 * before the next one begins, so that the flushes can share the file system's commits:
 *
 *	up to FSYNC_EACH_MAX files    fdatasync of each
 *	more                          one syncfs for each file system
 *
 * The name is unique because of time, process and counter; O_EXCL says so if it is not.  Directories stay open between
 * calls; once in each call it is looked whether they still are where the path leads, because a user may move his mail
 * away and begin a new Maildir under the old name.
 *
 * Everything about the file system can fail, at any step, and is then a reason to try again later, in words that name
 * the path.  Only a message that went round (Delivered-To names the same address) fails for good.  What must never
 * happen: a result that says delivered for what a power cut can take away; a file in new/ that is not whole.
 */
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "deliver/maildir.h"
#include "lib/mem.h"

#define FSYNC_EACH_MAX 3
#define FOLDERS_MAX 64
#define COPY_PIECE (256 * 1024)
#define HOST_MAX 64 /* of the host's name in a file's name, which may have 255 octets */

struct maildir_folder {
	TAILQ_ENTRY(maildir_folder) entry;
	char *path;
	int tmp_fd, new_fd;
	dev_t dev; /* of new/ */
	ino_t ino;
	uint64_t checked; /* the call in which it was looked at last */
	uint64_t used;    /* the call in which something was renamed into it */
	int error;        /* of the flush of new/ in that call */
	bool stale;       /* tmp/ is gone: not to be used in another call */
};

struct maildirs {
	char *host;
	pid_t pid;
	uint64_t count; /* of names made */
	uint64_t call;
	TAILQ_HEAD(folder_list, maildir_folder) folders; /* the one used last in front */
	unsigned folders_n;
};

/* --- content --- */

void
maildir_content_init(struct maildir_content *content, const void *data, size_t len)
{
	*content = (struct maildir_content){ .fd = -1 };
	buf_reserve(&content->data, len);
	mailtext_feed(&content->text, data, len, &content->data);
	mailtext_end(&content->text, &content->data);
}

void
maildir_content_init_fd(struct maildir_content *content, int fd)
{
	*content = (struct maildir_content){ .fd = fd };
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
	if (error == ENOSPC)
		settle(item, DELIVERY_TEMP, xasprintf("452 4.3.1 no space left on the disk of %s", item->path));
	else if (error == EDQUOT)
		settle(item, DELIVERY_TEMP, xasprintf("452 4.2.2 the quota of %s is used up", item->path));
	else
		settle(item, DELIVERY_TEMP, xasprintf("451 4.2.0 cannot %s %s: %s", what, item->path, strerror(error)));
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

/* --- folders --- */

static void
folder_free(struct maildirs *dirs, struct maildir_folder *folder)
{
	TAILQ_REMOVE(&dirs->folders, folder, entry);
	dirs->folders_n--;
	close(folder->tmp_fd);
	close(folder->new_fd);
	free(folder->path);
	free(folder);
}

/* PATH and what is missing above it.  0 or an errno. */
static int
make_directories(const char *path)
{
	char *copy = xstrdup(path), *slash = strrchr(copy, '/');
	int error = mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : errno;

	if (error == ENOENT && slash != NULL && slash > copy) {
		*slash = '\0';
		error = make_directories(copy);
		if (error == 0 && mkdir(path, 0700) < 0 && errno != EEXIST)
			error = errno;
	}
	free(copy);
	return error;
}

/* The entries that lead to PATH, made just now, survive like what will be in it. */
static int
flush_above(const char *path)
{
	char *copy = xstrdup(path), *slash = strrchr(copy, '/');
	int fd, error = 0;

	if (slash != NULL && slash > copy)
		*slash = '\0';
	fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && fsync(fd) < 0)
		error = errno;
	if (fd >= 0)
		close(fd);
	free(copy);
	return error;
}

static int
make_maildir(const char *path)
{
	static const char *const names[] = { "tmp", "new", "cur" };
	int fd, error = make_directories(path);
	size_t i;

	if (error != 0)
		return error;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	for (i = 0; i < 3 && error == 0; i++) {
		if (mkdirat(fd, names[i], 0700) < 0 && errno != EEXIST)
			error = errno;
	}
	if (error == 0 && fsync(fd) < 0)
		error = errno;
	close(fd);
	return error == 0 ? flush_above(path) : error;
}

/* 0 or an errno. */
static int
open_folders(const char *path, int *tmp_fd, int *new_fd)
{
	char *name = xasprintf("%s/tmp", path);
	int error = 0;

	*new_fd = -1;
	*tmp_fd = open(name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*tmp_fd < 0)
		error = errno;
	memcpy(name + strlen(name) - 3, "new", 3);
	if (error == 0 && (*new_fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		error = errno;
	free(name);
	if (error != 0 && *tmp_fd >= 0)
		close(*tmp_fd);
	return error;
}

static int
folder_open(struct maildirs *dirs, const char *path, struct maildir_folder **out)
{
	struct maildir_folder *folder;
	struct stat st;
	int tmp_fd, new_fd, error = open_folders(path, &tmp_fd, &new_fd);

	if (error == ENOENT && (error = make_maildir(path)) == 0)
		error = open_folders(path, &tmp_fd, &new_fd);
	if (error != 0)
		return error;
	if (fstat(new_fd, &st) < 0) {
		error = errno;
		close(tmp_fd);
		close(new_fd);
		return error;
	}
	folder = xcalloc(1, sizeof(*folder));
	*folder = (struct maildir_folder){ .path = xstrdup(path), .tmp_fd = tmp_fd, .new_fd = new_fd,
		.dev = st.st_dev, .ino = st.st_ino, .checked = dirs->call };
	TAILQ_INSERT_HEAD(&dirs->folders, folder, entry);
	dirs->folders_n++;
	*out = folder;
	return 0;
}

/* Still what its path leads to?  Looked at once in a call. */
static bool
folder_is_current(struct maildirs *dirs, struct maildir_folder *folder)
{
	struct stat st;
	char *name;
	int r;

	if (folder->checked == dirs->call)
		return true;
	folder->checked = dirs->call;
	name = xasprintf("%s/new", folder->path);
	r = stat(name, &st);
	free(name);
	return r == 0 && !folder->stale && st.st_dev == folder->dev && st.st_ino == folder->ino;
}

/* Closes folders that this call has not touched, until there are few again. */
static void
forget_old_folders(struct maildirs *dirs)
{
	struct maildir_folder *folder;

	while (dirs->folders_n > FOLDERS_MAX) {
		folder = TAILQ_LAST(&dirs->folders, folder_list);
		if (folder->checked == dirs->call)
			return;
		folder_free(dirs, folder);
	}
}

/* 0 or an errno. */
static int
folder_get(struct maildirs *dirs, const char *path, struct maildir_folder **out)
{
	struct maildir_folder *folder;

	TAILQ_FOREACH(folder, &dirs->folders, entry) {
		if (strcmp(folder->path, path) != 0)
			continue;
		if (!folder_is_current(dirs, folder)) {
			folder_free(dirs, folder);
			break;
		}
		TAILQ_REMOVE(&dirs->folders, folder, entry);
		TAILQ_INSERT_HEAD(&dirs->folders, folder, entry);
		*out = folder;
		return 0;
	}
	return folder_open(dirs, path, out);
}

/* --- writing --- */

static char *
make_name(struct maildirs *dirs)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return xasprintf("%lld.M%06ldP%dQ%llu.%s", (long long)now.tv_sec, now.tv_nsec / 1000, (int)dirs->pid,
	    (unsigned long long)++dirs->count, dirs->host);
}

/* A line end in there would make a header of its own. */
static void
add_clean(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++)
		buf_addc(out, (unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s);
}

static struct buf
make_head(const struct maildir_item *item)
{
	struct buf head = { 0 };

	buf_adds(&head, "Return-Path: <");
	add_clean(&head, item->sender);
	buf_adds(&head, ">\nDelivered-To: ");
	add_clean(&head, item->address);
	buf_addc(&head, '\n');
	return head;
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

/* Content from a file: read, converted and written in pieces.  The header is looked at anew each time. */
static int
copy_file(struct maildir_item *item, struct buf *out)
{
	struct mailtext text = { .in_body = false };
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
	struct buf head = make_head(item);
	struct iovec iov[2];
	int error;

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

/* The file in tmp/ goes. */
static void
take_back(struct maildir_item *item)
{
	if (item->fd >= 0)
		close(item->fd);
	item->fd = -1;
	if (item->name != NULL)
		unlinkat(item->folder->tmp_fd, item->name, 0);
}

static bool
check_loop(struct maildir_item *item)
{
	if (!mailtext_delivered_to(&item->content->text, item->address))
		return true;
	settle(item, DELIVERY_PERM, xasprintf("554 5.4.6 mail loop: this message was delivered to %s before",
	    item->address));
	return false;
}

/* Into tmp/, open and not flushed yet. */
static void
write_item(struct maildirs *dirs, struct maildir_item *item)
{
	int error = folder_get(dirs, item->path, &item->folder);

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

static void
flush_item(struct maildir_item *item, bool whole_file_system)
{
	int r = whole_file_system ? syncfs(item->folder->new_fd) : fdatasync(item->fd);
	int error = errno;

	if (r == 0)
		return;
	settle_error(item, "flush a file of", error);
	take_back(item);
}

static bool
same_file_system(const struct maildir_item *a, const struct maildir_item *b)
{
	return a->folder->dev == b->folder->dev;
}

/* One syncfs for the items of each file system; when it fails none of them counts as written. */
static void
flush_file_systems(struct maildir_item *items, unsigned n)
{
	bool *done = xcalloc(n, sizeof(*done));
	unsigned i, k;

	for (i = 0; i < n; i++) {
		if (is_settled(&items[i]) || done[i])
			continue;
		flush_item(&items[i], true);
		for (k = i + 1; k < n; k++) {
			if (is_settled(&items[k]) || !same_file_system(&items[i], &items[k]))
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

static void
flush_items(struct maildir_item *items, unsigned n)
{
	unsigned i, written = 0;

	for (i = 0; i < n; i++)
		written += !is_settled(&items[i]);
	if (written > FSYNC_EACH_MAX) {
		flush_file_systems(items, n);
		return;
	}
	for (i = 0; i < n; i++) {
		if (!is_settled(&items[i]))
			flush_item(&items[i], false);
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
	close(item->fd);
	item->fd = -1;
	free(item->name);
	item->name = name;
	item->folder->used = dirs->call;
}

static void
flush_folders(struct maildirs *dirs)
{
	struct maildir_folder *folder;

	TAILQ_FOREACH(folder, &dirs->folders, entry) {
		if (folder->used == dirs->call)
			folder->error = fsync(folder->new_fd) == 0 ? 0 : errno;
	}
}

/* The name is in new/ now: what remains is to say so, or to take it away again when that is not for sure. */
static void
finish_item(struct maildir_item *item)
{
	if (item->folder->error != 0) {
		settle_error(item, "flush", item->folder->error);
		unlinkat(item->folder->new_fd, item->name, 0);
		return;
	}
	item->file = xasprintf("%s/new/%s", item->path, item->name);
	settle(item, DELIVERY_OK, xasprintf("250 2.0.0 delivered to %s", item->path));
}

void
maildirs_deliver(struct maildirs *dirs, struct maildir_item *items, unsigned n)
{
	unsigned i;

	dirs->call++;
	write_items(dirs, items, n);
	flush_items(items, n);
	for (i = 0; i < n; i++) {
		if (!is_settled(&items[i]))
			rename_item(dirs, &items[i]);
	}
	flush_folders(dirs);
	for (i = 0; i < n; i++) {
		if (!is_settled(&items[i]))
			finish_item(&items[i]);
	}
	forget_old_folders(dirs);
}

/* --- all of them --- */

struct maildirs *
maildirs_new(const char *host)
{
	struct maildirs *dirs = xcalloc(1, sizeof(*dirs));
	char *s;

	dirs->host = xstrndup(host, strnlen(host, HOST_MAX));
	/* the two characters that the specification gives another meaning, and one that mail readers do */
	for (s = dirs->host; *s != '\0'; s++)
		*s = *s == '/' || *s == ':' || *s == ',' || (unsigned char)*s <= ' ' ? '_' : *s;
	dirs->pid = getpid();
	TAILQ_INIT(&dirs->folders);
	return dirs;
}

void
maildirs_free(struct maildirs *dirs)
{
	while (!TAILQ_EMPTY(&dirs->folders))
		folder_free(dirs, TAILQ_FIRST(&dirs->folders));
	free(dirs->host);
	free(dirs);
}
