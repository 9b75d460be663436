/*
 * Folders of Maildirs (maildir_folder.h).
 *
 * A delivery needs two of them, tmp/ and new/, and thousands of deliveries need the same two: so
 * they stay open, the last FOLDERS_MAX Maildirs of them.  Once in each call it is looked whether
 * new/ still is where the path leads, because a user may move his mail away and begin a new Maildir
 * under the old name.
 *
 * What is missing is made, the Maildir itself and what is above it too; the sandbox keeps that
 * below the directory that is this process's.  Everything can fail, with an errno.
 */
#include <sys/stat.h>
#include <sys/vfs.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver/maildir_folder.h"
#include "lib/mem.h"

#define FOLDERS_MAX 64

static void
folder_free(struct maildir_folders *folders, struct maildir_folder *folder)
{
	TAILQ_REMOVE(&folders->list, folder, entry);
	folders->n--;
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

/*
 * ext4 and XFS: a name is committed in the order of their journals, thus after the blocks of a file
 * whose data was written out before, and a commit flushes the disk's cache.  There the data need
 * not be flushed by itself.
 */
static bool
is_ordered(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC);
}

static int
folder_open(struct maildir_folders *folders, const char *path, struct maildir_folder **out)
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
	*folder = (struct maildir_folder){ .path = xstrdup(path),
		.tmp_fd = tmp_fd,
		.new_fd = new_fd,
		.dev = st.st_dev,
		.ino = st.st_ino,
		.ordered = is_ordered(new_fd),
		.checked = folders->call };
	TAILQ_INSERT_HEAD(&folders->list, folder, entry);
	folders->n++;
	*out = folder;
	return 0;
}

/* Still what its path leads to?  Looked at once in a call. */
static bool
folder_is_current(struct maildir_folders *folders, struct maildir_folder *folder)
{
	struct stat st;
	char *name;
	int r;

	if (folder->checked == folders->call)
		return true;
	folder->checked = folders->call;
	name = xasprintf("%s/new", folder->path);
	r = stat(name, &st);
	free(name);
	return r == 0 && !folder->stale && st.st_dev == folder->dev && st.st_ino == folder->ino;
}

void
maildir_folders_trim(struct maildir_folders *folders)
{
	struct maildir_folder *folder;

	while (folders->n > FOLDERS_MAX) {
		folder = TAILQ_LAST(&folders->list, maildir_folder_list);
		if (folder->checked == folders->call)
			return;
		folder_free(folders, folder);
	}
}

int
maildir_folder_get(struct maildir_folders *folders, const char *path, struct maildir_folder **out)
{
	struct maildir_folder *folder;

	TAILQ_FOREACH(folder, &folders->list, entry) {
		if (strcmp(folder->path, path) != 0)
			continue;
		if (!folder_is_current(folders, folder)) {
			folder_free(folders, folder);
			break;
		}
		TAILQ_REMOVE(&folders->list, folder, entry);
		TAILQ_INSERT_HEAD(&folders->list, folder, entry);
		*out = folder;
		return 0;
	}
	return folder_open(folders, path, out);
}

void
maildir_folders_init(struct maildir_folders *folders)
{
	*folders = (struct maildir_folders){ .call = 0 };
	TAILQ_INIT(&folders->list);
}

void
maildir_folders_free(struct maildir_folders *folders)
{
	while (!TAILQ_EMPTY(&folders->list))
		folder_free(folders, TAILQ_FIRST(&folders->list));
}
