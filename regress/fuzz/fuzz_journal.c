/*
 * Fuzz target: segments as a disk or a stranger could leave them.
 *
 * The first octet chooses.  Even: what follows is the segment as it is, read record by record;
 * whatever the reader gives must lie inside it.  Odd: what follows are orders for records whose
 * checksums are right, so that recovery's meaning of them is reached too: a store is opened on
 * the result, looked through, closed and opened again, and must find the same.
 */
#include <sys/stat.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "lib/log.h"
#include "lib/mem.h"
#include "queue/journal.h"
#include "queue/segment.h"
#include "queue/store.h"
#include "regress/fuzz/target.h"

#define NUMBER 1
#define IDS 4

/* --- as it is --- */

struct image {
	const uint8_t *bytes;
	size_t len;
};

static ssize_t
read_image(void *arg, void *data, size_t len, uint64_t offset)
{
	const struct image *image = arg;

	if (offset >= image->len)
		return 0;
	if (len > image->len - offset)
		len = image->len - (size_t)offset;
	memcpy(data, image->bytes + offset, len);
	return (ssize_t)len;
}

static void
read_raw(const uint8_t *data, size_t len, bool check)
{
	struct image image = { data, len };
	struct segment_reader r = { .read = read_image,
		.arg = &image,
		.seed = segment_seed(NUMBER),
		.limit = len,
		.check_contents = check };
	struct record_view v;
	enum segment_step step;
	uint64_t at = 0, number;
	const uint8_t *content;
	uint32_t content_len;

	segment_header_decode(data, len, &number);
	while ((step = segment_next(&r, &v)) == SEGMENT_RECORD) {
		require(v.offset == at && v.length >= RECORD_HEADER && v.offset + v.length <= len);
		require(v.content_offset + v.content_len <= at + v.length);
		require(
		    v.meta_len == 0 || memcmp(v.meta, data + at + RECORD_HEADER, v.meta_len) == 0);
		if (record_check(data + at, (size_t)v.length, r.seed, v.id, &content, &content_len))
			require(content_len == v.content_len);
		at += v.length;
	}
	require(step != SEGMENT_UNREADABLE && (step == SEGMENT_END) == (at == len));
	/* to the end over all that is broken: always on, and never past it */
	while (r.offset < len && segment_skip(&r)) {
		require(r.offset > at && r.offset <= len);
		at = r.offset;
		(void)segment_was_flushed(&r);
		require(r.offset == at);
		while (segment_next(&r, &v) == SEGMENT_RECORD)
			at = r.offset;
	}
	buf_free(&r.window);
}

/* --- with the right checksums --- */

struct orders {
	const uint8_t *pos, *end;
};

static uint8_t
next(struct orders *o)
{
	return o->pos < o->end ? *o->pos++ : 0;
}

static void
some_bytes(struct orders *o, struct buf *b)
{
	size_t n = next(o), have = (size_t)(o->end - o->pos);

	if (n > have)
		n = have;
	buf_add(b, o->pos, n);
	o->pos += n;
}

static void
some_envelope(struct orders *o, struct buf *b, uint64_t id)
{
	struct envelope *env = envelope_new();
	uint8_t n = next(o) % 5;

	env->id = id;
	env->sender = xstrdup("a@example.org");
	env->origin = xstrdup("fuzz");
	env->size = 4;
	env->held = n & 1;
	do
		envelope_add_recipient(env, "b@example.net", NULL, 0);
	while (n-- > 0);
	env->recipients[0].state = next(o) % 7; /* 5 and 6 are none */
	envelope_encode(b, env);
	envelope_free(env);
}

static void
some_record(struct orders *o, struct buf *out)
{
	static const enum record_type types[] = { RECORD_MESSAGE, RECORD_MOVE, RECORD_ENVELOPE,
		RECORD_OUTCOME, RECORD_FINISH, RECORD_OPENED };
	uint8_t order = next(o), type = order % 8 < 6 ? (uint8_t)types[order % 8] : order;
	uint64_t id = order / 8 % IDS;
	struct recipient r = { .parent = UINT32_MAX };
	struct buf b = { 0 };
	const char *content = type == RECORD_MESSAGE || type == RECORD_MOVE ? "mail" : "";

	record_begin(&b);
	if (order & 0x80)
		some_bytes(o, &b);
	else if (type == RECORD_OUTCOME) {
		buf_add_u32(&b, next(o) % 6);
		r.state = next(o) % 7;
		envelope_encode_state(&b, &r);
	} else if (type <= RECORD_MOVE && type != RECORD_FINISH && type != RECORD_OPENED)
		some_envelope(o, &b, id);
	record_content(&b, type, order & 0x40 ? RECORD_EXTERNAL : 0, id, (uint32_t)strlen(content));
	buf_adds(&b, content);
	record_end(&b);
	record_seal(&b, segment_seed(NUMBER));
	buf_add(out, b.data, b.len);
	buf_free(&b);
}

static void
make_segment(struct orders *o, const char *path)
{
	struct buf segment = { 0 }, opened = { 0 };
	int fd;

	segment_header_encode((uint8_t *)buf_reserve(&segment, SEGMENT_BLOCK), NUMBER);
	segment.len += SEGMENT_BLOCK;
	record_begin(&opened);
	buf_add_u32(&opened, 0);
	record_content(&opened, RECORD_OPENED, 0, 0, 0);
	record_end(&opened);
	record_seal(&opened, segment_seed(NUMBER));
	buf_add(&segment, opened.data, opened.len);
	while (o->pos < o->end)
		some_record(o, &segment);
	memset(buf_reserve(&segment, SEGMENT_BLOCK), 0, SEGMENT_BLOCK);
	segment.len += SEGMENT_BLOCK;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	require(fd != -1 && write(fd, segment.data, segment.len) == (ssize_t)segment.len);
	close(fd);
	buf_free(&segment);
	buf_free(&opened);
}

struct sum {
	struct store *store;
	uint64_t messages, recipients, ids;
};

static void
found(struct envelope *env, void *arg)
{
	(void)env;
	((struct sum *)arg)->messages++;
}

static bool
visit(struct envelope *env, void *arg)
{
	struct sum *sum = arg;
	struct evbuffer *content = evbuffer_new();
	int fd;

	require(envelope_ok(env));
	sum->recipients += env->recipients_n;
	sum->ids = sum->ids * 31 + env->id;
	if (store_content(sum->store, env, content, &fd) == 0 && fd != -1)
		close(fd);
	evbuffer_free(content);
	return true;
}

static struct sum
open_and_look(const char *dir)
{
	struct event_base *base = event_base_new();
	struct sum sum = { NULL, 0, 0, 0 };
	char *why = NULL;

	sum.store = store_open(base, dir, found, &sum, &why);
	require(sum.store != NULL);
	store_each(sum.store, visit, &sum);
	store_close(sum.store);
	event_base_free(base);
	return sum;
}

/* A log that finds neither syslog nor standard error says nothing. */
static void
silence(void)
{
	const struct log_conf conf = { .to_stderr = false };
	int saved = dup(STDERR_FILENO);

	close(STDERR_FILENO);
	log_init(&conf, "fuzz");
	dup2(saved, STDERR_FILENO);
	close(saved);
}

static void
recover(struct orders *o)
{
	static char dir[64];
	char command[128], path[128];
	struct sum first, second;

	if (dir[0] == '\0') {
		silence();
		strcpy(dir, "/dev/shm/genkan.XXXXXX");
		require(mkdtemp(dir) != NULL);
		journal_sizes.first = journal_sizes.segment = 64 << 10;
	}
	snprintf(path, sizeof(path), "%s/journal", dir);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/journal/0000000001", dir);
	make_segment(o, path);
	first = open_and_look(dir);
	second = open_and_look(dir);
	require(first.messages == second.messages && first.recipients == second.recipients &&
		first.ids == second.ids);
	snprintf(command, sizeof(command), "rm -rf %s/journal", dir);
	require(system(command) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct orders o = { data + 1, data + size };

	if (size == 0)
		return 0;
	if (data[0] & 1)
		recover(&o);
	else
		read_raw(data + 1, size - 1, (data[0] & 2) != 0);
	return 0;
}
