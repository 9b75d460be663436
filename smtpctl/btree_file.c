/*
 * Reads Berkeley DB btree files and db_dump's text (btree_file.h).
 *
 * `smtpctl grey import` calls it with a mapped file.  Pages are read one after the other and those
 * that are leaves give pairs, so neither the tree above them nor its order matters.  Every offset and
 * length comes from the file and is checked against the page it stands in; what does not fit is said
 * with the number of the page.  Nothing is written and nothing is remembered.
 */
#include <stdint.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpctl/btree_file.h"

/* Octets of the first page: magic, version, page size, encryption, flags. */
#define AT_MAGIC 12
#define AT_VERSION 16
#define AT_PAGE_SIZE 20
#define AT_ENCRYPTED 24
#define AT_TYPE 25
#define AT_META_FLAGS 26
#define META_LEN 72
#define MAGIC 0x00053162u
#define TYPE_BTREE_META 9
#define CHECKSUMMED 1
/* Octets of every page. */
#define AT_NEXT_PAGE 16
#define AT_ENTRIES 20
#define AT_FREE 22 /* of an overflow page: how many octets it holds */
#define PAGE_HEAD 26
#define TYPE_LEAF 5
#define TYPE_OVERFLOW 7
/* An item of a leaf: u16 length, u8 type, octets; or of a chain: type, u32 page, u32 length. */
#define ITEM_HEAD 3
#define ITEM_PLAIN 1
#define ITEM_OVERFLOW 3
#define ITEM_OVERFLOW_LEN 12
#define ITEM_DELETED 0x80
/* What overflows a page and is longer is no key of a greylist. */
#define LONG_ITEM_MAX (1024 * 1024)

struct reader {
	const uint8_t *file;
	size_t len;
	bool swapped; /* the writer's byte order is not ours */
	uint32_t page_size;
	const struct btree_visitor *visitor;
	struct buf longs[2]; /* key and value that overflow */
};

struct item {
	const void *data;
	size_t len;
	bool deleted;
};

static uint16_t
get16(const struct reader *r, const uint8_t *p)
{
	uint16_t n;

	memcpy(&n, p, sizeof(n));
	return r->swapped ? __builtin_bswap16(n) : n;
}

static uint32_t
get32(const struct reader *r, const uint8_t *p)
{
	uint32_t n;

	memcpy(&n, p, sizeof(n));
	return r->swapped ? __builtin_bswap32(n) : n;
}

static bool
find_magic(struct reader *r)
{
	if (r->len < META_LEN)
		return false;
	r->swapped = false;
	if (get32(r, r->file + AT_MAGIC) == MAGIC)
		return true;
	r->swapped = true;
	return get32(r, r->file + AT_MAGIC) == MAGIC;
}

static char *
check_meta(struct reader *r)
{
	uint32_t version = get32(r, r->file + AT_VERSION);

	r->page_size = get32(r, r->file + AT_PAGE_SIZE);
	if (r->file[AT_TYPE] != TYPE_BTREE_META)
		return xstrdup("a Berkeley DB file, but no btree");
	if (version < 8 || version > 10)
		return xasprintf("a btree of version %u, which is not known here; "
				 "db_dump -p makes a text of it that is",
		    version);
	if (r->file[AT_ENCRYPTED] != 0 || (r->file[AT_META_FLAGS] & CHECKSUMMED) != 0)
		return xstrdup("encrypted or with checksums; "
			       "db_dump -p makes a text of it that can be read");
	if (r->page_size < 512 || r->page_size > 65536 ||
	    (r->page_size & (r->page_size - 1)) != 0)
		return xasprintf("pages of %u octets: the file is damaged", r->page_size);
	return NULL;
}

static const uint8_t *
page(const struct reader *r, uint32_t number)
{
	uint64_t at = (uint64_t)number * r->page_size;

	return at + r->page_size <= r->len ? r->file + at : NULL;
}

/* What does not fit its page lies in a chain of others. */
static bool
read_chain(struct reader *r, const uint8_t *item, struct buf *into, struct item *out)
{
	uint32_t number = get32(r, item + 4), total = get32(r, item + 8), n;
	const uint8_t *p;

	buf_clear(into);
	if (total > LONG_ITEM_MAX)
		return false;
	/* each page brings something, so a chain that runs in a circle ends */
	while (into->len < total) {
		p = page(r, number);
		if (p == NULL || number == 0 || p[AT_TYPE] != TYPE_OVERFLOW)
			return false;
		n = get16(r, p + AT_FREE);
		if (n == 0 || n > r->page_size - PAGE_HEAD || n > total - into->len)
			return false;
		buf_add(into, p + PAGE_HEAD, n);
		number = get32(r, p + AT_NEXT_PAGE);
	}
	*out = (struct item){ into->data, into->len, out->deleted };
	return true;
}

static bool
read_item(struct reader *r, const uint8_t *leaf, unsigned i, struct item *out)
{
	uint32_t offset = get16(r, leaf + PAGE_HEAD + 2 * i);
	const uint8_t *item = leaf + offset;

	if (offset < PAGE_HEAD || offset + ITEM_HEAD > r->page_size)
		return false;
	*out = (struct item){ item + ITEM_HEAD, get16(r, item),
		(item[2] & ITEM_DELETED) != 0 };
	switch (item[2] & ~ITEM_DELETED) {
	case ITEM_PLAIN:
		return offset + ITEM_HEAD + out->len <= r->page_size;
	case ITEM_OVERFLOW:
		return offset + ITEM_OVERFLOW_LEN <= r->page_size &&
		       read_chain(r, item, &r->longs[i % 2], out);
	default:
		return false;
	}
}

/* Key and value alternate. */
static bool
read_leaf(struct reader *r, const uint8_t *leaf)
{
	unsigned n = get16(r, leaf + AT_ENTRIES), i;
	struct item key, value;

	if (n % 2 != 0 || PAGE_HEAD + 2 * n > r->page_size)
		return false;
	for (i = 0; i < n; i += 2) {
		if (!read_item(r, leaf, i, &key) || !read_item(r, leaf, i + 1, &value))
			return false;
		if (!key.deleted && !value.deleted)
			r->visitor->pair(
			    key.data, key.len, value.data, value.len, r->visitor->arg);
	}
	return true;
}

static char *
read_pages(struct reader *r)
{
	uint32_t number;
	const uint8_t *p;

	for (number = 1; (p = page(r, number)) != NULL; number++) {
		if (p[AT_TYPE] == TYPE_LEAF && !read_leaf(r, p))
			return xasprintf("page %u is damaged", number);
	}
	return NULL;
}

/* --- db_dump --- */

#define DUMP_FIRST "VERSION="
#define DUMP_HEADER_END "HEADER=END"
#define DUMP_DATA_END "DATA=END"

static bool
begins(const char *s, size_t len, const char *with)
{
	return len >= strlen(with) && memcmp(s, with, strlen(with)) == 0;
}

static int
hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\0a" and "\\" in the printable form; pairs of digits in the other. */
static bool
decode_line(const char *s, size_t len, bool printable, struct buf *out)
{
	size_t i = 0;
	bool digits;

	buf_clear(out);
	while (i < len) {
		digits = !printable;
		if (printable && s[i] == '\\' && ++i < len && s[i] != '\\')
			digits = true;
		if (i >= len)
			return false;
		if (!digits) {
			buf_addc(out, s[i++]);
			continue;
		}
		if (i + 1 >= len || hex(s[i]) < 0 || hex(s[i + 1]) < 0)
			return false;
		buf_addc(out, (char)(hex(s[i]) << 4 | hex(s[i + 1])));
		i += 2;
	}
	return true;
}

struct dump {
	const struct btree_visitor *visitor;
	bool printable, header_over, ended, value_due;
	struct buf key, value;
};

static bool
dump_line(struct dump *d, const char *s, size_t len)
{
	struct buf *into = d->value_due ? &d->value : &d->key;

	if (!d->header_over) {
		d->printable = d->printable || begins(s, len, "format=print");
		d->header_over = begins(s, len, DUMP_HEADER_END);
		return true;
	}
	if (begins(s, len, DUMP_DATA_END)) {
		d->ended = true;
		return !d->value_due;
	}
	if (len == 0 || s[0] != ' ' || !decode_line(s + 1, len - 1, d->printable, into))
		return false;
	if (d->value_due)
		d->visitor->pair(buf_str(&d->key), d->key.len, buf_str(&d->value), d->value.len,
		    d->visitor->arg);
	d->value_due = !d->value_due;
	return true;
}

static char *
read_dump(const char *s, size_t len, const struct btree_visitor *visitor)
{
	struct dump d = { .visitor = visitor };
	const char *end = s + len, *line;
	unsigned long number = 0;
	bool ok = true;

	while (s < end && ok && !d.ended) {
		line = s;
		s = memchr(line, '\n', (size_t)(end - line));
		if (s == NULL)
			s = end;
		number++;
		ok = dump_line(&d, line, (size_t)(s - line));
		s += s < end;
	}
	buf_free(&d.key);
	buf_free(&d.value);
	if (!ok)
		return xasprintf("line %lu of the dump cannot be read", number);
	return d.ended ? NULL : xstrdup("the dump has no end; it was cut off");
}

/* --- either --- */

bool
btree_file_is(const void *file, size_t len)
{
	struct reader r = { .file = file, .len = len };

	return find_magic(&r) || begins(file, len, DUMP_FIRST);
}

char *
btree_file_read(const void *file, size_t len, const struct btree_visitor *visitor)
{
	struct reader r = { .file = file, .len = len, .visitor = visitor };
	char *why;

	if (begins(file, len, DUMP_FIRST))
		return read_dump(file, len, visitor);
	if (!find_magic(&r))
		return xstrdup("no Berkeley DB file");
	why = check_meta(&r);
	if (why == NULL)
		why = read_pages(&r);
	buf_free(&r.longs[0]);
	buf_free(&r.longs[1]);
	return why;
}
