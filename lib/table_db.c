/*
 * Tables in Berkeley DB files: for those that are too long to be read into the memory of every
 * process, and change often.
 *
 * `smtpctl table build` makes the file beside the old one and renames it, so that who has the old
 * one open goes on with it.  Keys are in their one form, as in memory.  A row with a key that no
 * line can have says what the file is and which lengths of networks it holds; a file without it was
 * made by another program and is not taken, since its keys would not be found.  The file is opened
 * alone, without an environment: nothing of it is shared, nobody else's DB_CONFIG is read.
 */
#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/berkeley.h"
#include "lib/cursor.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/table_inside.h"

/* Keys that are looked for begin with no control character (table_normal_key of a line's word). */
static const char shape_key[] = "\001genkan table";
#define VERSION 1
#define SHAPE_SIZE (1 + 1 + LENGTHS_V4 + LENGTHS_V6)

struct file {
	struct table_content content;
	DB *db;
	struct buf value; /* of the last answer */
};

static DBT
dbt(const void *data, size_t len)
{
	DBT t = { .data = (void *)(uintptr_t)data, .size = (uint32_t)len };

	return t;
}

/* 0, DB_NOTFOUND, or an error of Berkeley DB; the value is in OUT. */
static int
get(DB *db, const char *key, size_t len, struct buf *out)
{
	DBT k = dbt(key, len), value = { .flags = DB_DBT_MALLOC };
	int error = db->get(db, NULL, &k, &value, 0);

	buf_clear(out);
	if (error == 0)
		buf_add(out, value.data, value.size);
	if (error == 0)
		free(value.data);
	return error;
}

static bool
db_find(struct table_content *content, const char *key, struct table_row *row)
{
	struct file *file = (struct file *)content;
	int error = get(file->db, key, strlen(key), &file->value);

	if (error != 0 && error != DB_NOTFOUND)
		log_error("table.db", F_STR("key", key), F_STR("error", db_strerror(error)));
	if (error != 0)
		return false;
	*row = (struct table_row){ buf_str(&file->value), 0, NULL };
	return true;
}

static bool
is_shape(const DBT *key)
{
	return key->size == sizeof(shape_key) - 1 && memcmp(key->data, shape_key, key->size) == 0;
}

static void
db_each(const struct table_content *content,
    void (*visit)(const char *, const char *, unsigned, void *), void *arg)
{
	const struct file *file = (const struct file *)content;
	DBT key = { .flags = 0 }, value = { .flags = 0 };
	char *k, *v;
	DBC *at;

	if (file->db->cursor(file->db, NULL, &at, 0) != 0)
		return;
	while (at->get(at, &key, &value, DB_NEXT) == 0) {
		if (is_shape(&key))
			continue;
		k = xstrndup(key.data, key.size);
		v = xstrndup(value.data, value.size);
		visit(k, v, 0, arg);
		free(k);
		free(v);
	}
	at->close(at);
}

static void
add_one(const char *key, const char *value, unsigned line, void *arg)
{
	(void)key;
	(void)value;
	(void)line;
	(*(size_t *)arg)++;
}

static size_t
db_count(const struct table_content *content)
{
	size_t n = 0;

	db_each(content, add_one, &n);
	return n;
}

static void
db_free(struct table_content *content)
{
	struct file *file = (struct file *)content;

	file->db->close(file->db, 0);
	buf_free(&file->value);
	free(file);
}

/* --- the shape --- */

static void
add_shape(struct buf *out, const struct table_shape *shape)
{
	unsigned i;

	buf_add_u8(out, VERSION);
	buf_add_u8(out, shape->names);
	for (i = 0; i < LENGTHS_V4; i++)
		buf_add_u8(out, shape->v4[i]);
	for (i = 0; i < LENGTHS_V6; i++)
		buf_add_u8(out, shape->v6[i]);
}

static bool
read_shape(const struct buf *bytes, struct table_shape *shape)
{
	struct cursor c = cursor_init(bytes->data, bytes->len);
	unsigned i;

	if (bytes->len != SHAPE_SIZE || cursor_u8(&c) != VERSION)
		return false;
	shape->names = cursor_u8(&c) != 0;
	for (i = 0; i < LENGTHS_V4; i++)
		shape->v4[i] = cursor_u8(&c) != 0;
	for (i = 0; i < LENGTHS_V6; i++)
		shape->v6[i] = cursor_u8(&c) != 0;
	return true;
}

/* --- opening --- */

static void
quiet(const DB_ENV *env, const char *prefix, const char *text)
{
	(void)env;
	(void)prefix;
	(void)text;
}

/* 0 and a handle, or an error. */
static int
open_db(const char *path, uint32_t flags, DB **db)
{
	int error;

	berkeley_begin();
	error = db_create(db, NULL, 0);
	if (error != 0)
		return error;
	(*db)->set_errcall(*db, quiet);
	error = (*db)->open(
	    *db, NULL, path, NULL, flags & DB_CREATE ? DB_BTREE : DB_UNKNOWN, flags, 0644);
	if (error != 0)
		(*db)->close(*db, 0);
	return error;
}

struct table_content *
table_db_open(const char *path, char **why)
{
	static const struct table_ops ops = {
		.find = db_find,
		.each = db_each,
		.count = db_count,
		.free = db_free,
	};
	struct file *file = xcalloc(1, sizeof(*file));
	int error = open_db(path, DB_RDONLY, &file->db);

	if (error != 0) {
		*why = xasprintf("%s: %s", path, db_strerror(error));
		free(file);
		return NULL;
	}
	file->content.ops = &ops;
	error = get(file->db, shape_key, sizeof(shape_key) - 1, &file->value);
	if (error == 0 && read_shape(&file->value, &file->content.shape))
		return &file->content;
	*why = xasprintf("%s: no table that `smtpctl table build` made", path);
	db_free(&file->content);
	return NULL;
}

/* --- building --- */

struct building {
	DB *db;
	int error;
};

static void
put(const char *key, const char *value, unsigned line, void *arg)
{
	struct building *b = arg;
	DBT k = dbt(key, strlen(key)), v = dbt(value, strlen(value));

	(void)line;
	if (b->error == 0)
		b->error = b->db->put(b->db, NULL, &k, &v, 0);
}

static int
put_shape(DB *db, const struct table_shape *shape)
{
	DBT k = dbt(shape_key, sizeof(shape_key) - 1), v;
	struct buf bytes = { 0 };
	int error;

	add_shape(&bytes, shape);
	v = dbt(bytes.data, bytes.len);
	error = db->put(db, NULL, &k, &v, 0);
	buf_free(&bytes);
	return error;
}

static int
write_db(const struct table_content *content, const char *path)
{
	struct building b = { .db = NULL };
	int error = open_db(path, DB_CREATE | DB_EXCL, &b.db);

	if (error != 0)
		return error;
	content->ops->each(content, put, &b);
	if (b.error == 0)
		b.error = put_shape(b.db, &content->shape);
	if (b.error == 0)
		b.error = b.db->sync(b.db, 0);
	error = b.db->close(b.db, 0);
	return b.error != 0 ? b.error : error;
}

/* The name is on disk, too. */
static int
sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? xstrdup(".") : xstrndup(path, (size_t)(slash + 1 - path));
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), error = 0;

	if (fd < 0 || fsync(fd) < 0)
		error = errno;
	if (fd >= 0)
		close(fd);
	free(folder);
	return error;
}

char *
table_build(const struct table *table, const char *path)
{
	char *new = xasprintf("%s.new", path), *why = NULL;
	int error = unlink(new) < 0 && errno != ENOENT ? errno : 0;

	if (error == 0)
		error = write_db(table->content, new);
	if (error == 0 && rename(new, path) < 0)
		error = errno;
	if (error == 0)
		error = sync_folder(path);
	if (error != 0) {
		why = xasprintf("%s: %s", path, db_strerror(error));
		unlink(new);
	}
	free(new);
	return why;
}
