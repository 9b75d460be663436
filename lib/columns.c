/*
 * Tables for people (columns.h).
 *
 * smtpctl hands every record of an answer to columns_add.  The first rows are kept until there are
 * enough to choose widths; then they are printed and later rows go out as they come, so a list of a
 * million recipients needs no memory.  A key that turns up only later than that makes a new table.
 * Nothing fails; values are strangers' text and are made harmless.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/mem.h"

#define ROWS_KEPT 500
#define COLUMNS_MAX 40

/* --- human units --- */

void
human_add_seconds(struct buf *b, uint64_t seconds)
{
	if (seconds < 120)
		buf_addf(b, "%" PRIu64 "s", seconds);
	else if (seconds < 120 * 60)
		buf_addf(b, "%" PRIu64 "m", seconds / 60);
	else if (seconds < 48 * 3600)
		buf_addf(b, "%" PRIu64 "h", seconds / 3600);
	else
		buf_addf(b, "%" PRIu64 "d", seconds / 86400);
}

void
human_add_size(struct buf *b, uint64_t octets)
{
	static const char units[] = "KMGTPE";
	uint64_t tenths;
	size_t unit = 0;

	if (octets < 1024) {
		buf_addf(b, "%" PRIu64, octets);
		return;
	}
	while (octets >= 1024 * 1024) {
		octets /= 1024;
		unit++;
	}
	tenths = octets * 10 / 1024;
	if (tenths < 100)
		buf_addf(b, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10, units[unit]);
	else
		buf_addf(b, "%" PRIu64 "%c", tenths / 10, units[unit]);
}

void
human_add_when(struct buf *b, int64_t time, int64_t now)
{
	if (time == now) {
		buf_adds(b, "now");
	} else if (time < now) {
		human_add_seconds(b, (uint64_t)now - (uint64_t)time);
		buf_adds(b, " ago");
	} else {
		buf_adds(b, "in ");
		human_add_seconds(b, (uint64_t)time - (uint64_t)now);
	}
}

/* C0 and DEL are one octet; C1 are 0xc2 and one of 0x80 to 0x9f in UTF-8. */
void
human_add_text(struct buf *b, const char *s)
{
	const unsigned char *p = (const unsigned char *)s;

	for (; *p != '\0'; p++) {
		if (*p < 0x20 || *p == 0x7f) {
			buf_addc(b, '?');
		} else if (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f) {
			buf_addc(b, '?');
			p++;
		} else {
			buf_addc(b, (char)*p);
		}
	}
}

/* --- cells --- */

enum kind { KIND_PLAIN, KIND_SIZE, KIND_SECONDS, KIND_TIME };

static const struct {
	const char *key;
	enum kind kind;
} known[] = {
	{ "size", KIND_SIZE }, { "bytes", KIND_SIZE }, { "live_bytes", KIND_SIZE },
	{ "largest", KIND_SIZE },
	{ "age", KIND_SECONDS }, { "left", KIND_SECONDS }, { "waited", KIND_SECONDS },
	{ "delay", KIND_SECONDS },
	{ "next", KIND_SECONDS }, { "oldest", KIND_SECONDS },
	{ "seconds", KIND_SECONDS }, { "median", KIND_SECONDS }, { "p90", KIND_SECONDS },
	{ "max", KIND_SECONDS },
	{ "time", KIND_TIME }, { "first", KIND_TIME }, { "last", KIND_TIME },
	{ "passed", KIND_TIME }, { "expires", KIND_TIME }, { "created", KIND_TIME },
	{ "due", KIND_TIME }, { "since", KIND_TIME },
	{ "until", KIND_TIME },
};

static enum kind
kind_of(const struct field *f)
{
	size_t i;

	if (f->type != FIELD_U64 && f->type != FIELD_I64)
		return KIND_PLAIN;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].key, f->key) == 0)
			return known[i].kind;
	return KIND_PLAIN;
}

/* The text of a time for programs, which stands beside the time itself: people get the one made
 * here. */
static bool
is_duplicate(const struct field *f)
{
	size_t len = strlen(f->key);

	return len > 5 && strcmp(f->key + len - 5, "_text") == 0;
}

static bool
is_shown(const struct field *f)
{
	return !is_duplicate(f) && (f->type != FIELD_STR || f->str != NULL);
}

static void
add_number(struct buf *b, const struct field *f, int64_t now)
{
	switch (kind_of(f)) {
	case KIND_SIZE:
		human_add_size(b, f->u64);
		break;
	case KIND_SECONDS:
		human_add_seconds(b, f->type == FIELD_I64 && f->i64 < 0 ? 0 : f->u64);
		break;
	case KIND_TIME:
		human_add_when(b, f->i64, now);
		break;
	case KIND_PLAIN:
		if (f->type == FIELD_U64)
			buf_addf(b, "%" PRIu64, f->u64);
		else
			buf_addf(b, "%" PRId64, f->i64);
		break;
	}
}

static void
add_value(struct buf *b, const struct field *f, int64_t now)
{
	if (f->type == FIELD_STR && *f->str == '\0' &&
	    (strcmp(f->key, "from") == 0 || strcmp(f->key, "sender") == 0))
		buf_adds(b, "<>"); /* the null sender */
	else if (f->type == FIELD_STR)
		human_add_text(b, f->str);
	else if (f->type == FIELD_BOOL)
		buf_adds(b, f->b ? "yes" : "no");
	else
		add_number(b, f, now);
}

/* --- tables --- */

struct column {
	char *key;
	size_t width; /* characters */
	bool right;   /* numbers */
};

struct columns {
	int64_t now;
	struct column columns[COLUMNS_MAX];
	size_t n;
	char **cells;      /* ROWS of N_AT_THAT_TIME each; NULL where a record has none */
	size_t rows;
	bool printed;      /* the title line is out: columns stay as they are */
	bool any;          /* a table was printed before: an empty line goes between */
};

struct columns *
columns_new(int64_t now)
{
	struct columns *t = xcalloc(1, sizeof(*t));

	t->now = now;
	return t;
}

static void
forget_rows(struct columns *t)
{
	size_t i;

	for (i = 0; i < t->rows * COLUMNS_MAX; i++)
		free(t->cells[i]);
	free(t->cells);
	t->cells = NULL;
	t->rows = 0;
}

static void
forget_table(struct columns *t)
{
	size_t i;

	forget_rows(t);
	for (i = 0; i < t->n; i++)
		free(t->columns[i].key);
	memset(t->columns, 0, sizeof(t->columns));
	t->n = 0;
	t->printed = false;
}

void
columns_free(struct columns *t)
{
	if (t == NULL)
		return;
	forget_table(t);
	free(t);
}

/* Characters, not octets: continuation octets of UTF-8 do not count. */
static size_t
width_of(const char *s)
{
	size_t n = 0;

	for (; *s != '\0'; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static struct column *
find_column(struct columns *t, const char *key)
{
	size_t i;

	for (i = 0; i < t->n; i++)
		if (strcmp(t->columns[i].key, key) == 0)
			return &t->columns[i];
	return NULL;
}

/* NULL: there are too many. */
static struct column *
add_column(struct columns *t, const struct field *f)
{
	struct column *c;

	if (t->n == COLUMNS_MAX)
		return NULL;
	c = &t->columns[t->n++];
	c->key = xstrdup(f->key);
	c->width = width_of(f->key);
	c->right = f->type == FIELD_U64 || f->type == FIELD_I64;
	return c;
}

/* A cell, padded unless it is the last that is not empty. */
static void
print_cell(struct buf *out, const struct column *c, const char *text, bool last)
{
	size_t width = width_of(text), pad = width < c->width ? c->width - width : 0;

	if (c->right)
		buf_addf(out, "%*s", (int)pad, "");
	buf_adds(out, text);
	if (!c->right && !last)
		buf_addf(out, "%*s", (int)pad, "");
	buf_adds(out, last ? "\n" : "  ");
}

static void
print_titles(struct columns *t, struct buf *out)
{
	struct buf title = { 0 };
	const char *s;
	size_t i;

	for (i = 0; i < t->n; i++) {
		buf_clear(&title);
		for (s = t->columns[i].key; *s != '\0'; s++)
			buf_addc(&title, *s >= 'a' && *s <= 'z' ? (char)(*s - 'a' + 'A') : *s);
		print_cell(out, &t->columns[i], buf_str(&title), i + 1 == t->n);
	}
	buf_free(&title);
}

static void
print_row(const struct columns *t, char **cells, struct buf *out)
{
	size_t i, last = 0;

	for (i = 0; i < t->n; i++)
		if (cells[i] != NULL)
			last = i;
	for (i = 0; i <= last; i++)
		print_cell(out, &t->columns[i], cells[i] == NULL ? "" : cells[i], i == last);
}

static void
print_rows(struct columns *t, struct buf *out)
{
	size_t i;

	if (t->rows == 0)
		return;
	if (!t->printed) {
		if (t->any)
			buf_addc(out, '\n');
		print_titles(t, out);
	}
	t->printed = t->any = true;
	for (i = 0; i < t->rows; i++)
		print_row(t, t->cells + i * COLUMNS_MAX, out);
	forget_rows(t);
}

/* True when the record cannot be a row of the table that is being made. */
static bool
is_another_table(struct columns *t, const struct field *f)
{
	if (t->n > 0 && strcmp(t->columns[0].key, f->key) != 0)
		return true;
	for (; t->printed && f->type != FIELD_END; f++)
		if (is_shown(f) && find_column(t, f->key) == NULL)
			return true;
	return false;
}

static void
add_cells(struct columns *t, char **cells, const struct field *f)
{
	struct buf value = { 0 };
	struct column *c;
	size_t width;

	for (; f->type != FIELD_END; f++) {
		if (!is_shown(f))
			continue;
		c = find_column(t, f->key);
		if (c == NULL && (c = add_column(t, f)) == NULL)
			continue;
		add_value(&value, f, t->now);
		width = width_of(buf_str(&value));
		if (width > c->width)
			c->width = width;
		free(cells[c - t->columns]); /* a key that comes twice */
		cells[c - t->columns] = buf_take(&value);
	}
	buf_free(&value);
}

void
columns_add(struct columns *t, const struct field *f, struct buf *out)
{
	if (f->type == FIELD_END)
		return;
	if (is_another_table(t, f)) {
		print_rows(t, out);
		forget_table(t);
	}
	t->cells = xreallocarray(t->cells, (t->rows + 1) * COLUMNS_MAX, sizeof(char *));
	memset(t->cells + t->rows * COLUMNS_MAX, 0, COLUMNS_MAX * sizeof(char *));
	add_cells(t, t->cells + t->rows++ * COLUMNS_MAX, f);
	if (t->printed || t->rows == ROWS_KEPT)
		print_rows(t, out);
}

void
columns_end(struct columns *t, struct buf *out)
{
	print_rows(t, out);
}

/* --- blocks --- */

/* "2026-11-22 04:16:00 +0900", local time. */
static void
add_time(struct buf *out, int64_t seconds)
{
	time_t t = (time_t)seconds;
	char text[64];
	struct tm tm;

	if (localtime_r(&t, &tm) != NULL &&
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %z", &tm) > 0)
		buf_adds(out, text);
}

void
columns_block(struct buf *out, const struct field *fields, int64_t now)
{
	const struct field *f;
	size_t width = 0;

	for (f = fields; f->type != FIELD_END; f++)
		if (is_shown(f) && width_of(f->key) > width)
			width = width_of(f->key);
	for (f = fields; f->type != FIELD_END; f++) {
		if (!is_shown(f))
			continue;
		buf_addf(out, "%s:%*s ", f->key, (int)(width - width_of(f->key)), "");
		if (kind_of(f) == KIND_TIME) {
			add_time(out, f->i64);
			buf_adds(out, " (");
			add_value(out, f, now);
			buf_adds(out, ")\n");
			continue;
		}
		add_value(out, f, now);
		buf_addc(out, '\n');
	}
}
