/*
 * The key-value store: Berkeley DB 5.3, one private transactional environment in one directory.
 *
 * The ledger is the only caller, and the only process that has the directory open: a second opener
 * of a Berkeley DB environment after a crash hangs, or panics the first.  A lock file keeps it out,
 * and the environment has no shared region files (DB_PRIVATE) that could outlive us.  It is always
 * opened with recovery, so a kill at any moment costs nothing that kv_put acknowledged: a commit
 * writes its log record (DB_TXN_WRITE_NOSYNC) without waiting for the disk. The disk is waited for
 * by kv_sync, in a thread of its own, so the loop of the role does not stop for it.  There is no
 * lock subsystem: transactions are made by one thread only, the other flushes the log and writes
 * checkpoints.
 *
 * What can fail is the disk and the files on it.  An environment that breaks while it runs is
 * closed and recovered, and the call is tried once more.  If it breaks again within a minute, or
 * cannot be opened at all, or five openings in a row ended with the death of the process, it is
 * moved aside and an empty one takes its place, because what is kept here is worth less than mail
 * that goes on.  A full disk or missing permission is never taken for damage.
 */
#include <sys/queue.h>

#include <ctype.h>
#include <db.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/berkeley.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/kv.h"
#include "lib/kv_dir.h"
#include "lib/log.h"
#include "lib/mem.h"

/* Berkeley DB's own cache.  It is the heap's and grows by use: an idle ledger touches a tenth of
 * it.  Below some MiB a large tree pays for each put with the eviction of a dirty page, and that
 * with a flush of the log. */
#define CACHE_BYTES (4 * 1024 * 1024)
#define LOG_FILE_BYTES (1024 * 1024)
/* A checkpoint when so much was logged since the last one: bounds the log on disk and the time of
 * recovery. */
#define CHECKPOINT_KBYTES 1024
#define CHECKPOINT_MINUTES 15
/* A second break so soon after a recovery is damage that recovery does not mend. */
#define BREAK_MS 60000
/* While it cannot be opened: tries after so long, then after twice as long, up to the second
 * figure. */
#define RETRY_MS 10000
#define RETRY_MAX_MS 600000
/* Berkeley DB can have something to say of every page; so many lines a second are enough. */
#define ERRORS_PER_SECOND 5
#define SYNC_STACK (256 * 1024)

struct kv_table {
	struct kv *kv;
	char *file;
	DB *db;
	SLIST_ENTRY(kv_table) next;
};

struct kv {
	struct kv_dir dir;
	DB_ENV *env; /* NULL while it cannot be opened */
	SLIST_HEAD(, kv_table) tables;
	DBT key, value; /* what a scan reads into; malloc(3)ed by Berkeley DB */
	uint64_t broke; /* clock_ms() of the last break, or 0 */
	uint64_t retry; /* while env is NULL: not before */
	uint64_t retry_wait;
	pthread_t thread;
	bool thread_started;
	atomic_bool thread_busy;
	atomic_int thread_error;
};

static int environment_open(struct kv *);

static const char *
reason(int rc)
{
	/* db_strerror knows errno's values as well */
	return db_strerror(rc);
}

static void
berkeley_error(const DB_ENV *env, const char *prefix, const char *text)
{
	static atomic_uint_fast64_t second;
	static atomic_uint n;
	uint64_t now;

	(void)env;
	(void)prefix;
	now = clock_ms() / 1000;
	if (atomic_exchange(&second, now) != now)
		atomic_store(&n, 0);
	if (atomic_fetch_add(&n, 1) < ERRORS_PER_SECOND)
		log_warning("kv.error", F_STR("text", text));
}

/* --- the environment --- */

/* The directory for temporary files is set although none is ever written: left alone, Berkeley DB
 * looks for /tmp and its like, and does not open where there is none, as in a chroot. */
static int
environment_configure(DB_ENV *env)
{
	int rc;

	env->set_errcall(env, berkeley_error);
	if ((rc = env->set_tmp_dir(env, ".")) != 0 ||
	    (rc = env->set_cachesize(env, 0, CACHE_BYTES, 1)) != 0 ||
	    (rc = env->set_lg_max(env, LOG_FILE_BYTES)) != 0 ||
	    (rc = env->log_set_config(env, DB_LOG_AUTO_REMOVE, 1)) != 0)
		return rc;
	return env->set_flags(env, DB_TXN_WRITE_NOSYNC, 1);
}

static void
environment_close(struct kv *kv)
{
	struct kv_table *t;

	if (kv->thread_started)
		pthread_join(kv->thread, NULL);
	kv->thread_started = false;
	SLIST_FOREACH(t, &kv->tables, next)
	{
		if (t->db != NULL)
			(void)t->db->close(t->db, DB_NOSYNC);
		t->db = NULL;
	}
	if (kv->env != NULL)
		(void)kv->env->close(kv->env, 0);
	kv->env = NULL;
}

static int
table_open(struct kv_table *t)
{
	DB *db;
	int rc;

	if ((rc = db_create(&db, t->kv->env, 0)) != 0)
		return rc;
	if ((rc = db->set_flags(db, DB_CHKSUM)) == 0)
		rc = db->open(db, NULL, t->file, NULL, DB_BTREE,
		    DB_CREATE | DB_AUTO_COMMIT | DB_THREAD, 0600);
	if (rc != 0) {
		(void)db->close(db, DB_NOSYNC);
		return rc;
	}
	t->db = db;
	return 0;
}

static int
opening_begin(struct kv *kv)
{
	int rc = kv_dir_opening_begin(&kv->dir);

	return rc == KV_DIR_DAMAGED ? DB_RUNRECOVERY : rc;
}

/* Recovers and opens the environment and every table that was open before.  0 or a Berkeley DB
 * error. */
static int
environment_open(struct kv *kv)
{
	struct kv_table *t;
	char *home;
	int rc;

	if ((rc = opening_begin(kv)) != 0)
		return rc;
	berkeley_begin();
	if ((rc = db_env_create(&kv->env, 0)) != 0) {
		kv->env = NULL;
		kv_dir_opening_end(&kv->dir);
		return rc;
	}
	/* "/", a role's root, is taken for no directory at all */
	home = kv_dir_path(&kv->dir, ".");
	if ((rc = environment_configure(kv->env)) == 0)
		rc = kv->env->open(kv->env, home,
		    DB_CREATE | DB_RECOVER | DB_PRIVATE | DB_THREAD | DB_INIT_MPOOL | DB_INIT_LOG |
			DB_INIT_TXN,
		    0600);
	free(home);
	SLIST_FOREACH(t, &kv->tables, next)
	{
		if (rc == 0)
			rc = table_open(t);
	}
	if (rc != 0)
		environment_close(kv);
	kv_dir_opening_end(&kv->dir);
	return rc;
}

/* Errors that say nothing about the files. */
static bool
is_resource_error(int rc)
{
	static const int errors[] = { ENOSPC, EDQUOT, EFBIG, EACCES, EPERM, EROFS, EMFILE, ENFILE,
		ENOMEM };
	size_t i;

	for (i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		if (rc == errors[i])
			return true;
	}
	return false;
}

/* Damaged beyond recovery, for reason RC: starts anew.  False when not even that works; *WHY says
 * what happened. */
static bool
start_empty(struct kv *kv, int rc, char **why)
{
	char *where = NULL;
	int again;

	environment_close(kv);
	if (!kv_dir_has_room(&kv->dir, LOG_FILE_BYTES)) {
		*why = xasprintf(
		    "%s: %s, and the directory cannot be written to", kv->dir.path, reason(rc));
		return false;
	}
	if (kv_dir_move_aside(&kv->dir, &where) == -1) {
		*why = xasprintf("%s: damaged (%s) and cannot be moved aside", kv->dir.path, reason(rc));
		free(where);
		return false;
	}
	again = environment_open(kv);
	*why = xasprintf("%s: damaged (%s), moved aside to %s, %s", kv->dir.path, reason(rc), where,
	    again == 0 ? "started empty" : reason(again));
	free(where);
	return again == 0;
}

/* Opens, recovering what can be recovered and giving up what cannot. */
static bool
open_or_start_empty(struct kv *kv, char **why)
{
	int rc;

	rc = environment_open(kv);
	if (rc == 0)
		return true;
	if (is_resource_error(rc)) {
		*why = xasprintf("%s: %s", kv->dir.path, reason(rc));
		return false;
	}
	return start_empty(kv, rc, why);
}

static void
retry_later(struct kv *kv)
{
	kv->retry_wait = kv->retry_wait == 0 ? RETRY_MS : kv->retry_wait * 2;
	if (kv->retry_wait > RETRY_MAX_MS)
		kv->retry_wait = RETRY_MAX_MS;
	kv->retry = clock_ms() + kv->retry_wait;
}

/* True when the store can be used; tries to open it again now and then if not, but not while the
 * disk is full: what an opening that fails has allocated, Berkeley DB does not free. */
static bool
ready(struct kv *kv)
{
	char *why = NULL;
	bool ok;

	if (kv->env != NULL)
		return true;
	if (clock_ms() < kv->retry)
		return false;
	retry_later(kv);
	ok = kv_dir_has_room(&kv->dir, LOG_FILE_BYTES) && open_or_start_empty(kv, &why);
	if (ok)
		kv->retry_wait = 0;
	log_event(ok ? LOG_NOTICE : LOG_ERR, ok ? "kv.reopened" : "kv.down",
	    FIELDS(F_STR("dir", kv->dir.path), F_STR("text", why)));
	free(why);
	return ok;
}

/* A call failed with RC.  True when the store was mended and the call is worth another try. */
static bool
mend(struct kv *kv, const char *what, int rc)
{
	char *why = NULL;
	uint64_t now;
	bool again, ok;

	log_error(
	    "kv.failed", F_STR("call", what), F_STR("dir", kv->dir.path), F_STR("text", reason(rc)));
	now = clock_ms();
	again = kv->broke != 0 && now - kv->broke < BREAK_MS;
	kv->broke = now;
	retry_later(kv);
	environment_close(kv);
	if (is_resource_error(rc))
		return false;
	ok = again ? start_empty(kv, rc, &why) : open_or_start_empty(kv, &why);
	if (ok)
		kv->retry_wait = 0;
	log_event(ok ? LOG_WARNING : LOG_ERR, ok ? "kv.mended" : "kv.down",
	    FIELDS(F_STR("dir", kv->dir.path), F_STR("text", why)));
	free(why);
	return ok;
}

struct kv *
kv_open(const char *dir, char **why)
{
	struct kv *kv;
	size_t len;

	*why = NULL;
	kv = xcalloc(1, sizeof(*kv));
	for (len = strlen(dir); len > 1 && dir[len - 1] == '/'; len--)
		;
	kv->dir = (struct kv_dir){ .path = xstrndup(dir, len), .lock = -1 };
	SLIST_INIT(&kv->tables);
	kv->key.flags = kv->value.flags = DB_DBT_REALLOC;
	if (kv_dir_take(&kv->dir, why) == -1 || !open_or_start_empty(kv, why)) {
		kv_close(kv);
		return NULL;
	}
	return kv;
}

void
kv_close(struct kv *kv)
{
	struct kv_table *t;

	if (kv == NULL)
		return;
	if (kv->thread_started)
		pthread_join(kv->thread, NULL);
	kv->thread_started = false;
	if (kv->env != NULL)
		(void)kv->env->txn_checkpoint(kv->env, 0, 0, 0);
	environment_close(kv);
	kv_dir_release(&kv->dir);
	while ((t = SLIST_FIRST(&kv->tables)) != NULL) {
		SLIST_REMOVE_HEAD(&kv->tables, next);
		free(t->file);
		free(t);
	}
	free(kv->key.data);
	free(kv->value.data);
	free(kv->dir.path);
	free(kv);
}

/* A table's name becomes a file's name. */
static bool
name_ok(const char *name)
{
	const char *p;

	for (p = name; *p != '\0'; p++) {
		if (!islower((unsigned char)*p))
			return false;
	}
	return p != name && p - name <= 32;
}

bool
kv_is_open(const struct kv *kv)
{
	return kv->env != NULL;
}

struct kv_table *
kv_table_open(struct kv *kv, const char *name, char **why)
{
	struct kv_table *t;
	int rc;

	*why = NULL;
	if (!name_ok(name))
		fatal("kv: \"%s\" is no name for a table", name);
	if (!ready(kv)) {
		*why = xasprintf("%s: down", kv->dir.path);
		return NULL;
	}
	t = xcalloc(1, sizeof(*t));
	t->kv = kv;
	t->file = xasprintf("%s.db", name);
	rc = opening_begin(kv);
	if (rc == 0)
		rc = table_open(t);
	kv_dir_opening_end(&kv->dir);
	SLIST_INSERT_HEAD(&kv->tables, t, next);
	if (rc == 0 || (!is_resource_error(rc) && start_empty(kv, rc, why)))
		return t;
	if (*why == NULL)
		*why = xasprintf("%s/%s: %s", kv->dir.path, t->file, reason(rc));
	SLIST_REMOVE_HEAD(&kv->tables, next);
	free(t->file);
	free(t);
	return NULL;
}

/* --- reading and writing --- */

static DBT
dbt(const void *data, size_t len)
{
	DBT d;

	memset(&d, 0, sizeof(d));
	d.data = (void *)(uintptr_t)data;
	d.size = (u_int32_t)len;
	return d;
}

/* The value did not fit into OUT: gives its beginning. */
static int
get_beginning(struct kv_table *t, DBT *key, void *out, size_t size)
{
	DBT value;

	value = dbt(out, 0);
	value.ulen = value.dlen = (u_int32_t)size;
	value.flags = DB_DBT_USERMEM | DB_DBT_PARTIAL;
	return t->db->get(t->db, NULL, key, &value, 0);
}

int
kv_get(struct kv_table *t, const void *key, size_t key_len, void *out, size_t size, size_t *len)
{
	DBT k, value;
	int attempt, rc;

	*len = 0;
	for (attempt = 0; attempt < 2 && ready(t->kv); attempt++) {
		k = dbt(key, key_len);
		value = dbt(out, 0);
		value.ulen = (u_int32_t)size;
		value.flags = DB_DBT_USERMEM;
		rc = t->db->get(t->db, NULL, &k, &value, 0);
		*len = value.size;
		if (rc == DB_BUFFER_SMALL)
			rc = get_beginning(t, &k, out, size);
		if (rc == 0)
			return 1;
		if (rc == DB_NOTFOUND) {
			*len = 0;
			return 0;
		}
		if (!mend(t->kv, "get", rc))
			break;
	}
	*len = 0;
	return -1;
}

int
kv_put(struct kv_table *t, const void *key, size_t key_len, const void *value, size_t len)
{
	DBT k, v;
	int attempt, rc;

	for (attempt = 0; attempt < 2 && ready(t->kv); attempt++) {
		k = dbt(key, key_len);
		v = dbt(value, len);
		rc = t->db->put(t->db, NULL, &k, &v, 0);
		if (rc == 0)
			return 0;
		if (!mend(t->kv, "put", rc))
			break;
	}
	return -1;
}

/* What a deletion does not find is gone already. */
static int
change_one(struct kv_table *t, DB_TXN *txn, const struct kv_change *c)
{
	DBT k = dbt(c->key, c->key_len), v = dbt(c->value, c->len);
	int rc;

	if (c->value != NULL)
		return t->db->put(t->db, txn, &k, &v, 0);
	rc = t->db->del(t->db, txn, &k, 0);
	return rc == DB_NOTFOUND ? 0 : rc;
}

static int
change_in_one(struct kv_table *t, const struct kv_change *changes, size_t n)
{
	DB_TXN *txn;
	size_t i;
	int rc;

	rc = t->kv->env->txn_begin(t->kv->env, NULL, &txn, 0);
	if (rc != 0)
		return rc;
	for (i = 0; i < n && rc == 0; i++)
		rc = change_one(t, txn, &changes[i]);
	if (rc == 0)
		return txn->commit(txn, 0);
	(void)txn->abort(txn);
	return rc;
}

int
kv_change_all(struct kv_table *t, const struct kv_change *changes, size_t n)
{
	int attempt, rc;

	for (attempt = 0; attempt < 2 && ready(t->kv); attempt++) {
		rc = change_in_one(t, changes, n);
		if (rc == 0)
			return 0;
		if (!mend(t->kv, "change", rc))
			break;
	}
	return -1;
}

int
kv_delete(struct kv_table *t, const void *key, size_t key_len)
{
	DBT k;
	int attempt, rc;

	for (attempt = 0; attempt < 2 && ready(t->kv); attempt++) {
		k = dbt(key, key_len);
		rc = t->db->del(t->db, NULL, &k, 0);
		if (rc == 0)
			return 1;
		if (rc == DB_NOTFOUND)
			return 0;
		if (!mend(t->kv, "delete", rc))
			break;
	}
	return -1;
}

/* Puts the scan's first key where Berkeley DB may free it. */
static void
scan_from(struct kv *kv, const void *from, size_t len)
{
	free(kv->key.data);
	kv->key.data = xmalloc(len + 1);
	memcpy(kv->key.data, from, len);
	kv->key.size = (u_int32_t)len;
}

/* The walk itself.  0 or a Berkeley DB error; *N counts the entries shown. */
static int
scan_entries(struct kv *kv, DBC *cursor, bool from_start, long limit, long *n,
    enum kv_step (*visit)(const void *, size_t, const void *, size_t, void *), void *arg)
{
	enum kv_step step;
	int rc;

	rc = cursor->get(cursor, &kv->key, &kv->value, from_start ? DB_FIRST : DB_SET_RANGE);
	while (rc == 0) {
		++*n;
		step = visit(kv->key.data, kv->key.size, kv->value.data, kv->value.size, arg);
		if (step == KV_DELETE)
			rc = cursor->del(cursor, 0);
		if (step == KV_STOP || rc != 0 || *n >= limit)
			return rc;
		rc = cursor->get(cursor, &kv->key, &kv->value, DB_NEXT);
	}
	return rc == DB_NOTFOUND ? 0 : rc;
}

long
kv_scan(struct kv_table *t, const void *from, size_t from_len, long limit,
    enum kv_step (*visit)(
	const void *key, size_t key_len, const void *value, size_t len, void *arg),
    void *arg)
{
	struct kv *kv = t->kv;
	DB_TXN *txn;
	DBC *cursor;
	long n = 0;
	int rc, closed;

	if (!ready(kv))
		return -1;
	if (limit <= 0)
		return 0;
	if (from_len > 0)
		scan_from(kv, from, from_len);
	rc = kv->env->txn_begin(kv->env, NULL, &txn, 0);
	if (rc == 0) {
		rc = t->db->cursor(t->db, txn, &cursor, 0);
		if (rc == 0) {
			rc = scan_entries(kv, cursor, from_len == 0, limit, &n, visit, arg);
			closed = cursor->close(cursor);
			rc = rc == 0 ? closed : rc;
		}
		if (rc == 0)
			rc = txn->commit(txn, 0);
		else
			(void)txn->abort(txn);
	}
	if (rc == 0)
		return n;
	/* Not tried again: VISIT has seen some of it already. */
	(void)mend(kv, "scan", rc);
	return -1;
}

/* --- the disk --- */

/* To the disk, and a checkpoint when there is enough for one; Berkeley DB then drops the logs that
 * it made needless. */
static void *
sync_run(void *arg)
{
	struct kv *kv = arg;
	int rc;

	rc = kv->env->log_flush(kv->env, NULL);
	if (rc == 0)
		rc = kv->env->txn_checkpoint(kv->env, CHECKPOINT_KBYTES, CHECKPOINT_MINUTES, 0);
	atomic_store(&kv->thread_error, rc);
	atomic_store(&kv->thread_busy, false);
	return NULL;
}

/* A process that may not make threads waits for its disk itself. */
static void
sync_start(struct kv *kv)
{
	pthread_attr_t attr;

	atomic_store(&kv->thread_busy, true);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, SYNC_STACK);
	kv->thread_started = pthread_create(&kv->thread, &attr, sync_run, kv) == 0;
	pthread_attr_destroy(&attr);
	if (!kv->thread_started)
		sync_run(kv);
}

int
kv_sync(struct kv *kv)
{
	int rc;

	if (!ready(kv))
		return -1;
	if (atomic_load(&kv->thread_busy))
		return 0;
	if (kv->thread_started)
		pthread_join(kv->thread, NULL);
	kv->thread_started = false;
	rc = atomic_exchange(&kv->thread_error, 0);
	if (rc != 0) {
		(void)mend(kv, "sync", rc);
		return -1;
	}
	sync_start(kv);
	return 0;
}
