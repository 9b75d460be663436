/*
 * The store: what the queue role sees of messages on disk (store.h).
 *
 * It owns the index (a tree of messages by id) and turns each call into one record of the
 * journal.  What can fail is the disk, and that is told through callbacks, from the loop; the
 * index never says something that the disk will not say after a restart, except for outcomes of
 * the last second, which cost a second delivery and never a lost one.
 *
 * Large contents.  The legal states of a content's file, and what a crash in each means:
 *
 *   content/tmp.ID          being written by a session.  Removed at the next start
 *   content/tmp.ID, flushed the keeper has flushed it, before it renames it.  The same
 *   content/ID, no MESSAGE  renamed, and the folder flushed, before the record is written.
 *                           Nobody was told 0; removed at the next start: no message has it
 *   content/ID and MESSAGE  the message.  A record is never there without the whole content, for
 *                           it is written when the content is durable under its name
 *   content/ID and FINISH   unlinked when the FINISH is durable; if we end between, at the next
 *                           start
 *   none                    gone
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/disk.h"
#include "queue/index.h"

/* octets that stay free for outcomes and notices: two segments, or what a small disk can spare */
#define ROOM_RESERVE (32u << 20)
#define RESERVED_PART 8
#define INODES_RESERVE 64
#define ROOM_AGE_MS 1000
#define BACKLOG_MAX (64u << 20) /* octets that may wait for a slow disk */
#define META_GUESS 1024

#define CONTENT_NAME_MAX (4 + ID_LEN + 1)

/* --- records --- */

/* A statement about M that nobody waits for; META is added by the caller, then it is sent. */
static struct record *
statement(struct store *st, struct queued *m, void (*done)(struct chore *))
{
	struct record *r = record_new(done);

	r->store = st;
	r->message = m;
	r->id = m->env->id;
	r->keep = true;
	m->in_flight++;
	return r;
}

static void
append_as(struct record *r, enum record_type type)
{
	record_content(&r->bytes, type, 0, r->id, 0);
	record_end(&r->bytes);
	journal_append(r->store->journal, r);
}

/* An OUTCOME is durable. */
static void
stated(struct chore *t)
{
	struct record *r = (struct record *)t;

	if (t->error == 0)
		segment_speaks_of(r->segment, r->message);
	message_release(r->message);
	record_free(r);
}

/* --- contents in files --- */

static void
content_name(char name[CONTENT_NAME_MAX], const char *prefix, uint64_t id)
{
	snprintf(name, CONTENT_NAME_MAX, "%s%s", prefix, id_text(id).s);
}

struct unlinking {
	struct chore chore;
	int dir;
	char name[CONTENT_NAME_MAX];
};

static bool
run_unlinking(struct journal *j, struct chore *t)
{
	struct unlinking *u = (struct unlinking *)t;

	(void)j;
	/* what cannot be removed now is removed at the next start */
	disk->unlinkat(u->dir, u->name, 0);
	return true;
}

static void
free_chore(struct chore *t)
{
	free(t);
}

static void
unlink_content(struct store *st, const char *prefix, uint64_t id)
{
	struct unlinking *u = xcalloc(1, sizeof(*u));

	u->chore.run = run_unlinking;
	u->chore.done = free_chore;
	u->dir = st->content_dir;
	content_name(u->name, prefix, id);
	journal_run(st->journal, &u->chore);
}

/* In the keeper: the content becomes durable under its name; 0, or an errno. */
static int
commit_content(int dir, uint64_t id)
{
	char tmp[CONTENT_NAME_MAX], name[CONTENT_NAME_MAX];
	int fd, r;

	content_name(tmp, "tmp.", id);
	content_name(name, "", id);
	if ((fd = disk->openat(dir, tmp, O_RDONLY | O_CLOEXEC, 0)) == -1)
		return errno;
	r = disk->fdatasync(fd) == -1 ? errno : 0;
	close(fd);
	if (r == 0)
		r = disk->renameat(dir, tmp, dir, name) == -1 ? errno : disk_sync_names(dir);
	return r;
}

static bool
run_content(struct journal *j, struct chore *t)
{
	struct record *r = (struct record *)t;

	t->error = commit_content(r->store->content_dir, r->id);
	if (t->error != 0)
		return true;
	journal_forward(j, r); /* and is the flush thread's now, or gone already */
	return false;
}

int
store_content_create(struct store *st, uint64_t id)
{
	char name[CONTENT_NAME_MAX];

	content_name(name, "tmp.", id);
	return disk->openat(st->content_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}

void
store_content_discard(struct store *st, uint64_t id)
{
	unlink_content(st, "tmp.", id);
}

/* --- adding --- */

static uint64_t
less(uint64_t have, uint64_t reserve)
{
	return have > reserve ? have - reserve : 0;
}

/* The message is refused: nothing of it stays. */
static void
add_failed(struct record *r)
{
	struct store *st = r->store;
	struct queued *m = r->message;

	if (m->external) {
		/* one of the two is there */
		unlink_content(st, "tmp.", r->id);
		unlink_content(st, "", r->id);
	}
	m->fresh = NULL;
	if (m->env == NULL)
		return;
	if (r->told != NULL)
		r->told(m->env, -r->chore.error, r->arg);
	message_forget(st, m);
}

/* DONE comes last: it may finish the message, and RECORD with it. */
static void
add_durable(struct record *r)
{
	struct store *st = r->store;
	struct queued *m = r->message;
	void (*told)(struct envelope *, int, void *) = r->told;
	void *arg = r->arg;

	message_place(m, r->segment, r->offset, r->bytes.len);
	if (m->env != NULL) {
		m->added = 1;
		st->messages_n++;
		message_count(st, m->env);
	}
	if (m->fresh == r)
		message_keep_fresh(st, r);
	else
		record_free(r);
	if (told != NULL)
		told(m->env, 0, arg);
}

static void
added(struct chore *t)
{
	struct record *r = (struct record *)t;
	struct queued *m = r->message;

	if (t->error == 0)
		add_durable(r);
	else {
		add_failed(r);
		record_free(r);
	}
	message_release(m);
}

static struct record *
message_with_content(struct store *st, struct queued *m, struct evbuffer *content, size_t len)
{
	struct record *r = record_new(added);

	r->store = st;
	r->message = m;
	r->id = m->env->id;
	r->urgent = true;
	m->in_flight++;
	buf_reserve(&r->bytes, META_GUESS + len);
	envelope_encode(&r->bytes, m->env);
	record_content(
	    &r->bytes, RECORD_MESSAGE, m->external ? RECORD_EXTERNAL : 0, r->id, (uint32_t)len);
	r->content_at = (uint32_t)r->bytes.len;
	r->content_len = (uint32_t)len;
	if (len > 0) {
		evbuffer_remove(content, buf_reserve(&r->bytes, len), len);
		r->bytes.len += len;
	}
	record_end(&r->bytes);
	return r;
}

int
store_add(struct store *st, struct envelope *env, struct evbuffer *content,
    void (*done)(struct envelope *, int, void *), void *arg)
{
	size_t len = content != NULL ? evbuffer_get_length(content) : 0;
	struct queued *m;
	struct record *r;

	if (!envelope_ok(env) || len > STORE_INLINE_MAX || message_find(st, env->id) != NULL)
		return -1;
	m = message_new(st, env);
	m->external = content == NULL;
	r = message_with_content(st, m, content, len);
	r->told = done;
	r->arg = arg;
	/* much can come until the disk is asked again */
	st->room = less(st->room, r->bytes.len);
	if (m->external) {
		r->chore.run = run_content;
		journal_run(st->journal, &r->chore);
	} else {
		m->fresh = r;
		journal_append(st->journal, r);
	}
	return 0;
}

/* --- changing --- */

static struct queued *
message_of(struct store *st, const struct envelope *env)
{
	struct queued *m = message_find(st, env->id);

	if (m == NULL || m->env != env)
		fatal("store: %s is not in the queue", id_text(env->id).s);
	return m;
}

void
store_update(struct store *st, struct envelope *env, uint32_t index)
{
	struct queued *m = message_of(st, env);
	struct record *r = statement(st, m, stated);

	envelope_share_state(&env->recipients[index]);
	if (m->added)
		message_count_recipient(st, &env->recipients[index]);
	buf_add_u32(&r->bytes, index);
	envelope_encode_state(&r->bytes, &env->recipients[index]);
	buf_add_u64(&r->bytes, (uint64_t)clock_now());
	append_as(r, RECORD_OUTCOME);
}

/* An ENVELOPE is durable, or is not and DONE is told so; then it is written without hurry, for
 * later outcomes build on it. */
static void
updated(struct chore *t)
{
	struct record *r = (struct record *)t;
	struct queued *m = r->message;

	if (t->error == 0)
		segment_speaks_of(r->segment, m);
	else if (m->env != NULL && t->error != ESHUTDOWN && t->error != EINVAL)
		store_update_all(r->store, m->env, NULL, NULL);
	if (r->told != NULL)
		r->told(m->env, -t->error, r->arg);
	message_release(m);
	record_free(r);
}

void
store_update_all(
    struct store *st, struct envelope *env, void (*done)(struct envelope *, int, void *), void *arg)
{
	struct queued *m = message_of(st, env);
	struct record *r;

	envelope_share(env);
	if (m->added)
		message_count(st, env);
	r = statement(st, m, updated);
	r->urgent = done != NULL;
	r->keep = done == NULL;
	r->told = done;
	r->arg = arg;
	if (envelope_ok(env)) {
		envelope_encode(&r->bytes, env);
		buf_add_u64(&r->bytes, (uint64_t)clock_now());
		append_as(r, RECORD_ENVELOPE);
	} else {
		log_error("queue.bad_envelope", F_STR("message", id_text(env->id).s));
		journal_fail(st->journal, &r->chore, EINVAL);
	}
}

static void
finished(struct chore *t)
{
	struct record *r = (struct record *)t;
	struct queued *m = r->message;

	if (t->error == 0) {
		segment_speaks_of(r->segment, m);
		message_unplace(m);
		if (m->external)
			unlink_content(r->store, "", r->id);
	}
	message_release(m);
	record_free(r);
}

void
store_finish(struct store *st, struct envelope *env)
{
	struct queued *m = message_of(st, env);
	struct record *r = statement(st, m, finished);

	buf_add_u64(&r->bytes, (uint64_t)clock_now());
	append_as(r, RECORD_FINISH);
	message_forget(st, m);
}

/* --- reading --- */

static int
read_content(struct store *st, const struct queued *m, struct evbuffer *out)
{
	uint8_t *record = xmalloc(m->length);
	const uint8_t *content;
	uint32_t len;
	ssize_t n = -1;
	int fd = journal_open_segment(st->journal, m->segment), error = 0;

	if (fd != -1)
		n = disk_read(fd, record, m->length, m->offset);
	if (n == -1)
		error = errno;
	else if (!record_check(record, (size_t)n, m->segment->seed, m->env->id, &content, &len))
		error = EBADMSG;
	else
		evbuffer_add(out, content, len);
	if (fd != -1)
		close(fd);
	free(record);
	return -error;
}

static int
add_fresh(struct evbuffer *out, const struct record *r)
{
	int added_ok = evbuffer_add(out, r->bytes.data + r->content_at, r->content_len);

	return added_ok == 0 ? 0 : -ENOMEM;
}

/* A file that lost its end, or has another's, is not what was promised. */
static int
open_content(const struct store *st, const struct envelope *env, int *fd)
{
	char name[CONTENT_NAME_MAX];
	struct stat file;
	int error;

	content_name(name, "", env->id);
	*fd = disk->openat(st->content_dir, name, O_RDONLY | O_CLOEXEC, 0);
	if (*fd == -1)
		return -errno;
	error = fstat(*fd, &file) == -1 ? errno : (uint64_t)file.st_size != env->size ? EBADMSG : 0;
	if (error != 0) {
		close(*fd);
		*fd = -1;
	}
	return -error;
}

int
store_content(struct store *st, const struct envelope *env, struct evbuffer *out, int *fd)
{
	const struct queued *m = message_of(st, env);

	*fd = -1;
	if (m->external)
		return open_content(st, env, fd);
	if (m->fresh != NULL)
		return add_fresh(out, m->fresh);
	return m->segment != NULL ? read_content(st, m, out) : -EAGAIN;
}

void
store_each(struct store *st, bool (*visit)(struct envelope *, void *), void *arg)
{
	struct queued *m;

	RB_FOREACH(m, message_tree, &st->messages)
		if (m->added && !visit(m->env, arg))
			return;
}

struct envelope *
store_after(struct store *st, uint64_t id)
{
	struct envelope env = { .id = id + 1 };
	struct queued key = { .env = &env }, *m;

	if (id == UINT64_MAX)
		return NULL;
	for (m = RB_NFIND(message_tree, &st->messages, &key); m != NULL && !m->added;
	     m = RB_NEXT(message_tree, &st->messages, m))
		;
	return m != NULL ? m->env : NULL;
}

uint64_t
store_last(struct store *st)
{
	const struct queued *m = RB_MAX(message_tree, &st->messages);

	return m != NULL ? m->env->id : 0;
}

struct envelope *
store_find(struct store *st, uint64_t id)
{
	struct queued *m = message_find(st, id);

	return m != NULL && m->added ? m->env : NULL;
}

void
store_stats(const struct store *st, struct store_stats *out)
{
	struct journal_counts counts = journal_counts(st->journal);
	const struct segment *s;

	*out = (struct store_stats){ .messages = st->messages_n, .recipients = st->recipients_n,
		.records = counts.records, .flushes = counts.flushes,
		.flush_errors = counts.errors };
	TAILQ_FOREACH(s, journal_segments(st->journal), entry) {
		out->segments++;
		out->bytes += s->size;
		out->live_bytes += s->live_bytes;
	}
}

/* How much is free, at most a second ago. */
static int
look_at_room(struct store *st)
{
	uint64_t now = clock_ms(), reserve;
	struct statvfs vfs;

	if (st->room_checked != 0 && now - st->room_checked < ROOM_AGE_MS)
		return 0;
	if (disk->fstatvfs(st->dir, &vfs) == -1)
		return errno;
	st->room_checked = now;
	reserve = (uint64_t)vfs.f_blocks * vfs.f_frsize / RESERVED_PART;
	st->room = less((uint64_t)vfs.f_bavail * vfs.f_frsize,
	    reserve < ROOM_RESERVE ? reserve : ROOM_RESERVE);
	/* file systems that make inodes as they go say that they have none */
	st->inodes = vfs.f_files == 0 ? UINT64_MAX : less(vfs.f_favail, INODES_RESERVE);
	return 0;
}

int
store_check_room(struct store *st, uint64_t size)
{
	int error = journal_error(st->journal);

	if (error == 0)
		error = look_at_room(st);
	if (error == 0 && (st->room == 0 || st->room < size || st->inodes == 0))
		error = ENOSPC;
	if (error == 0 && journal_backlog(st->journal) > BACKLOG_MAX)
		error = EBUSY;
	return error;
}

/* --- opening and closing --- */

static void
changed(void *arg)
{
	store_tidy(arg);
}

static int
open_folder(int dir, const char *name)
{
	if (mkdirat(dir, name, 0700) == -1 && errno != EEXIST)
		return -1;
	return openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* One store a folder: two would use the same numbers. */
static int
lock_folder(struct store *st)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	st->lock = openat(st->journal_dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	return st->lock == -1 ? -1 : fcntl(st->lock, F_OFD_SETLK, &whole);
}

static int
open_folders(struct store *st, const char *dir, char **why)
{
	st->dir = open_folder(AT_FDCWD, dir);
	if (st->dir != -1)
		st->journal_dir = open_folder(st->dir, "journal");
	if (st->journal_dir != -1)
		st->content_dir = open_folder(st->dir, "content");
	if (st->content_dir == -1)
		*why = xasprintf("%s cannot be used for the queue: %s", dir, strerror(errno));
	else if (lock_folder(st) == -1)
		*why = errno == EAGAIN || errno == EACCES ?
		    xasprintf("%s is in use by another process", dir) :
		    xasprintf("%s cannot be written to: %s", dir, strerror(errno));
	else if (disk_sync_names(st->dir) != 0)
		*why = xasprintf("%s cannot be flushed: %s", dir, strerror(errno));
	else
		return 0;
	return -1;
}

static void
close_if_open(int fd)
{
	if (fd != -1)
		close(fd);
}

static void
free_store(struct store *st)
{
	struct queued *m;

	st->closing = true;
	if (st->journal != NULL)
		journal_close(st->journal); /* what is in flight comes back now */
	while ((m = RB_MIN(message_tree, &st->messages)) != NULL) {
		m->in_flight++;
		message_forget(st, m);
		message_release(m);
	}
	close_if_open(st->lock);
	close_if_open(st->content_dir);
	close_if_open(st->journal_dir);
	close_if_open(st->dir);
	free(st);
}

struct store *
store_open(struct event_base *base, const char *dir, void (*found)(struct envelope *, void *),
    void *arg, char **why)
{
	struct store *st = xcalloc(1, sizeof(*st));
	struct queued *m;

	RB_INIT(&st->messages);
	TAILQ_INIT(&st->fresh);
	st->dir = st->journal_dir = st->content_dir = st->lock = -1;
	*why = NULL;
	if (open_folders(st, dir, why) == 0) {
		st->journal = journal_new(base, st->journal_dir, changed, st);
		if (store_recover(st, why) == 0) {
			RB_FOREACH(m, message_tree, &st->messages)
				found(m->env, arg);
			store_tidy(st);
			return st;
		}
	}
	free_store(st);
	return NULL;
}

void
store_close(struct store *st)
{
	if (st != NULL)
		free_store(st);
}
