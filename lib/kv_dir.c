/*
 * The directory of a key-value store (kv_dir.h).
 *
 * Called by kv.c alone.  What can fail is the file system; the caller tells want of room or of
 * permission from damage, because only damage is moved aside.
 */
#include <sys/file.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/kv_dir.h"
#include "lib/log.h"
#include "lib/mem.h"

/* Openings in a row that never came to their end before the directory counts as damaged. */
#define OPENINGS_MAX 5

#define LOCK_FILE "lock"
#define OPENING_FILE "opening"
#define PROBE_FILE "probe"
#define CONFIG_FILE "DB_CONFIG"

char *
kv_dir_path(const struct kv_dir *dir, const char *file)
{
	return xasprintf("%s/%s", dir->path, file);
}

static void
remove_in(const struct kv_dir *dir, const char *file)
{
	char *path;

	path = kv_dir_path(dir, file);
	(void)unlink(path);
	free(path);
}

/* By descriptor: the sandbox changes no file by its name. */
static bool
shut_others_out(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool ok = fd != -1 && fchmod(fd, 0700) == 0;

	if (fd != -1)
		close(fd);
	return ok;
}

/* Ours alone: what another user may write to is not read as a database. */
static int
check(const char *dir, char **why)
{
	struct stat st;

	if (mkdir(dir, 0700) == -1 && errno != EEXIST) {
		*why = xasprintf("%s: cannot be made: %s", dir, strerror(errno));
		return -1;
	}
	if (lstat(dir, &st) == -1) {
		*why = xasprintf("%s: %s", dir, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid()) {
		*why = xasprintf("%s: is not a directory of user %u", dir, (unsigned)geteuid());
		return -1;
	}
	if ((st.st_mode & 077) != 0 && !shut_others_out(dir)) {
		*why =
		    xasprintf("%s: others may enter it (mode %03o) and that cannot be changed: %s",
			dir, (unsigned)st.st_mode & 0777, strerror(errno));
		return -1;
	}
	return 0;
}

/* Berkeley DB obeys a file DB_CONFIG in its directory: it could send the logs anywhere or the cache
 * to gigabytes. */
static int
remove_config(const struct kv_dir *dir, char **why)
{
	char *path;
	int rc = 0;

	path = kv_dir_path(dir, CONFIG_FILE);
	if (unlink(path) == 0) {
		log_warning("kv.config-removed", F_STR("file", path));
	} else if (errno != ENOENT) {
		*why = xasprintf(
		    "%s: must not be there and cannot be removed: %s", path, strerror(errno));
		rc = -1;
	}
	free(path);
	return rc;
}

static int
lock(struct kv_dir *dir, char **why)
{
	char *path;

	path = kv_dir_path(dir, LOCK_FILE);
	dir->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (dir->lock == -1) {
		*why = xasprintf("%s: %s", path, strerror(errno));
	} else if (flock(dir->lock, LOCK_EX | LOCK_NB) == -1) {
		*why = xasprintf("%s: in use by another process: %s", dir->path, strerror(errno));
		close(dir->lock);
		dir->lock = -1;
	}
	free(path);
	return dir->lock == -1 ? -1 : 0;
}

int
kv_dir_take(struct kv_dir *dir, char **why)
{
	if (check(dir->path, why) == -1 || lock(dir, why) == -1)
		return -1;
	return remove_config(dir, why);
}

void
kv_dir_release(struct kv_dir *dir)
{
	if (dir->lock != -1)
		close(dir->lock);
	dir->lock = -1;
}

bool
kv_dir_has_room(const struct kv_dir *dir, size_t octets)
{
	char *path, block[4096];
	bool ok = true;
	size_t done;
	int fd;

	path = kv_dir_path(dir, PROBE_FILE);
	memset(block, 0, sizeof(block));
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1) {
		free(path);
		return false;
	}
	for (done = 0; done < octets && ok; done += sizeof(block))
		ok = write(fd, block, sizeof(block)) == (ssize_t)sizeof(block);
	ok = ok && fsync(fd) == 0;
	close(fd);
	(void)unlink(path);
	free(path);
	return ok;
}

/* Where the directory itself cannot be renamed, because what it lies in is not ours, its files get
 * other names. */
static int
move_files_aside(const struct kv_dir *dir, int64_t when)
{
	char *from, *to;
	struct dirent *entry;
	DIR *d;
	int rc = 0;

	d = opendir(dir->path);
	if (d == NULL)
		return -1;
	while ((entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.' || strncmp(entry->d_name, "damaged-", 8) == 0 ||
		    strcmp(entry->d_name, LOCK_FILE) == 0)
			continue;
		from = kv_dir_path(dir, entry->d_name);
		to = xasprintf("%s/damaged-%lld.%s", dir->path, (long long)when, entry->d_name);
		if (rename(from, to) == -1)
			rc = -1;
		free(from);
		free(to);
	}
	closedir(d);
	return rc;
}

int
kv_dir_move_aside(struct kv_dir *dir, char **where)
{
	struct stat st;
	char *target, *why = NULL;
	int64_t when;

	for (when = clock_now();; when++) {
		target = xasprintf("%s.damaged-%lld", dir->path, (long long)when);
		if (lstat(target, &st) == -1)
			break;
		free(target);
	}
	remove_in(dir, OPENING_FILE);
	if (rename(dir->path, target) == -1) {
		free(target);
		*where = xasprintf("%s/damaged-%lld.*", dir->path, (long long)when);
		return move_files_aside(dir, when);
	}
	*where = target;
	kv_dir_release(dir);
	if (kv_dir_take(dir, &why) == -1) {
		log_error("kv.lost", F_STR("text", why));
		free(why);
		return -1;
	}
	return 0;
}

int
kv_dir_opening_begin(const struct kv_dir *dir)
{
	struct stat st;
	char *path;
	int fd, rc = 0;

	path = kv_dir_path(dir, OPENING_FILE);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	free(path);
	if (fd == -1)
		return errno;
	if (fstat(fd, &st) == -1)
		rc = errno;
	else if (st.st_size >= OPENINGS_MAX)
		rc = KV_DIR_DAMAGED;
	else if (write(fd, ".", 1) != 1)
		rc = ENOSPC;
	close(fd);
	return rc;
}

void
kv_dir_opening_end(const struct kv_dir *dir)
{
	remove_in(dir, OPENING_FILE);
}
