/*
 * A store in a directory of its own, for tests: opened through the seam, with small segments, and
 * calls that wait for what the store tells.
 */
#ifndef REGRESS_UNIT_STORE_WORLD_H
#define REGRESS_UNIT_STORE_WORLD_H

#include <sys/stat.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "lib/mem.h"
#include "queue/journal.h"
#include "queue/store.h"
#include "regress/unit/disk_seam.h"

struct world {
	struct event_base *base;
	struct store *store;
	char dir[64];
	unsigned found;
	uint64_t last_found; /* ids come in order */
};

/* --- files --- */

static inline void
remove_tree(const char *dir)
{
	char *path;
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		path = xasprintf("%s/%s", dir, e->d_name);
		if (unlink(path) == -1 && rmdir(path) == -1)
			remove_tree(path);
		free(path);
	}
	if (d != NULL)
		closedir(d);
	rmdir(dir);
}

static inline void
write_file(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd == -1 || write(fd, data, len) != (ssize_t)len)
		abort();
	close(fd);
}

/* The caller frees. */
static inline char *
read_file(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	char *data;

	if (fd == -1 || fstat(fd, &st) == -1)
		abort();
	*len = (size_t)st.st_size;
	data = xmalloc(*len + 1);
	if (read(fd, data, *len) != (ssize_t)*len)
		abort();
	close(fd);
	return data;
}

/* Two levels: folders of files. */
static inline void
copy_tree(const char *from, const char *to)
{
	char *a, *b;
	struct dirent *e;
	struct stat st;
	DIR *d = opendir(from);
	size_t len;
	char *data;

	mkdir(to, 0700);
	while (d != NULL && (e = readdir(d)) != NULL) {
		a = xasprintf("%s/%s", from, e->d_name);
		b = xasprintf("%s/%s", to, e->d_name);
		if (e->d_name[0] == '.' || lstat(a, &st) == -1)
			st.st_mode = 0;
		if (S_ISDIR(st.st_mode))
			copy_tree(a, b);
		else if (S_ISREG(st.st_mode)) {
			data = read_file(a, &len);
			write_file(b, data, len);
			free(data);
		}
		free(a);
		free(b);
	}
	if (d != NULL)
		closedir(d);
}

/* How many files in the folder of that name have PART in their names. */
static inline unsigned
count_files(const struct world *w, const char *folder, const char *part)
{
	char *path = xasprintf("%s/%s", w->dir, folder);
	struct dirent *e;
	unsigned n = 0;
	DIR *d = opendir(path);

	free(path);
	while (d != NULL && (e = readdir(d)) != NULL)
		n += e->d_name[0] != '.' && strstr(e->d_name, part) != NULL;
	if (d != NULL)
		closedir(d);
	return n;
}

/* --- the store --- */

static inline void
world_found(struct envelope *env, void *arg)
{
	struct world *w = arg;

	if (env->id <= w->last_found)
		abort();
	w->last_found = env->id;
	w->found++;
}

/* NULL in STORE when it cannot be opened. */
static inline void
world_open(struct world *w, char **why)
{
	w->found = 0;
	w->last_found = 0;
	w->base = event_base_new();
	w->store = store_open(w->base, w->dir, world_found, w, why);
	if (w->store == NULL)
		event_base_free(w->base);
}

static inline void
world_start(struct world *w)
{
	char *why;

	world_open(w, &why);
	if (w->store == NULL) {
		fprintf(stderr, "%s\n", why);
		abort();
	}
}

static inline void
world_stop(struct world *w)
{
	if (w->store == NULL)
		return;
	store_close(w->store);
	event_base_free(w->base);
	w->store = NULL;
}

static inline void
world_restart(struct world *w)
{
	world_stop(w);
	world_start(w);
}

/* The directory as it is at this moment becomes the world; the store that was open lives on in
 * OLD until world_end. */
static inline void
world_crash(struct world *w, struct world *old)
{
	*old = *w;
	strcat(w->dir, "x");
	copy_tree(old->dir, w->dir);
	world_start(w);
}

static inline void
world_end(struct world *w)
{
	world_stop(w);
	remove_tree(w->dir);
}

static inline void
world_new(struct world *w)
{
	static const struct journal_sizes small = { .segment = 64 << 10,
		.first = 32 << 10,
		.spares = 2,
		.fresh = 0,
		.slack = 128 << 10,
		.move = 16 << 10,
		.linger_ms = 3600 * 1000 };

	journal_sizes = small;
	seam_reset();
	memset(w, 0, sizeof(*w));
	strcpy(w->dir,
	    access("/dev/shm", W_OK) == 0 ? "/dev/shm/genkan.XXXXXX" : "/tmp/genkan.XXXXXX");
	if (mkdtemp(w->dir) == NULL)
		abort();
	world_start(w);
}

/* --- messages --- */

/* The content of a message: LEN octets that only it has. */
static inline void
fill_content(struct evbuffer *out, uint64_t id, size_t len)
{
	char *data = xmalloc(len + 8);
	size_t i;

	for (i = 0; i < len; i++)
		data[i] = (char)((id * 0x9e3779b97f4a7c15u + i * 31) >> 11);
	evbuffer_add(out, data, len);
	free(data);
}

static inline struct envelope *
new_envelope(uint64_t id, size_t size)
{
	struct envelope *env = envelope_new();
	char address[64];

	env->id = id;
	env->sender = xstrdup("sender@example.org");
	env->origin = xstrdup("mail.example.org[192.0.2.1]");
	env->size = size;
	snprintf(address, sizeof(address), "user%llu@example.net", (unsigned long long)id);
	envelope_add_recipient(env, address, NULL, 0);
	return env;
}

struct wait {
	bool done;
	int error;
	struct envelope *env;
};

static inline void
wait_done(struct envelope *env, int error, void *arg)
{
	struct wait *wait = arg;

	if (wait->done)
		abort(); /* once */
	wait->done = true;
	wait->error = error;
	wait->env = env;
}

static inline void
begin_add(struct world *w, uint64_t id, size_t size, struct wait *wait)
{
	struct evbuffer *content = evbuffer_new();

	*wait = (struct wait){ 0 };
	fill_content(content, id, size);
	if (store_add(w->store, new_envelope(id, size), content, wait_done, wait) == -1)
		abort();
	evbuffer_free(content);
}

/* The envelope, or NULL and the error in errno. */
static inline struct envelope *
await(struct world *w, struct wait *wait)
{
	while (!wait->done)
		event_base_loop(w->base, EVLOOP_ONCE);
	errno = -wait->error;
	return wait->error == 0 ? wait->env : NULL;
}

static inline struct envelope *
add(struct world *w, uint64_t id, size_t size)
{
	struct wait wait;

	begin_add(w, id, size, &wait);
	return await(w, &wait);
}

static inline void
finish_message(struct world *w, uint64_t id)
{
	struct envelope *env = store_find(w->store, id);

	env->recipients[0].state = RECIPIENT_DELIVERED;
	store_update(w->store, env, 0);
	store_finish(w->store, env);
}

/* Until FLUSHES more flushes were told, or all in flight is done: adds and finishes one more
 * message. */
static inline void
settle(struct world *w)
{
	static uint64_t id = UINT64_C(1) << 60;
	unsigned i;

	/* what the keeper is asked for after the first is done before the second's next turn */
	for (i = 0; i < 4; i++) {
		add(w, ++id, 10);
		finish_message(w, id);
	}
	add(w, ++id, 10);
	finish_message(w, id);
}

/* 0, or what is wrong with the content of a message. */
static inline int
check_content(struct world *w, const struct envelope *env)
{
	struct evbuffer *got = evbuffer_new(), *want = evbuffer_new();
	size_t len = (size_t)env->size;
	int fd, r = store_content(w->store, env, got, &fd);

	fill_content(want, env->id, len);
	while (fd != -1 && evbuffer_read(got, fd, -1) > 0)
		;
	if (fd != -1)
		close(fd);
	if (r == 0 && (evbuffer_get_length(got) != len || (len > 0 &&
	    memcmp(evbuffer_pullup(got, -1), evbuffer_pullup(want, -1), len) != 0)))
		r = -EILSEQ;
	evbuffer_free(got);
	evbuffer_free(want);
	return r;
}

#endif
