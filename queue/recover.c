/*
 * Recovery: from what is on disk to the index in memory.  Runs once, in store_open, before the
 * journal's threads.
 *
 * First each segment's header and first record are read: the OPENED records say which segments
 * were closed and where they end.  Then all are read in order and their records applied one after
 * the other; of a closed one its index is enough, when it fits (journal_index.c).  The last one
 * ends at a broken record that no flush is known to have covered: that is a write that the crash cut
 * short, and nobody was promised what was in it (all that was flushed stands before).  Where a flush
 * ended behind it, and in the others, which were flushed to their end before the next was begun, a
 * broken record is damage: it is logged, what stands before and behind it counts, and the file is
 * kept aside for a person when the messages in it were moved.  Nothing is ever appended to a segment
 * of a former life: torn records that a new one would lead up to must not come back.
 *
 * What a crash has left over goes: half-made segments, contents without a message.  Contents stay
 * when something was damaged, for their messages may be in what could not be read.
 *
 * Nothing here writes to a segment, so a crash during recovery is the crash before it once more.
 * Fails when folders or files cannot be opened or read for want of something (descriptors,
 * rights): that is no reason to set mail aside.  Never fails for what is in them, and a disk that
 * cannot read a sector (EIO) is damage like any other.
 */
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/cursor.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/disk.h"
#include "queue/index.h"
#include "queue/segment_index.h"

/* A segment file as it was found. */
struct found {
	uint64_t number;
	uint64_t size;
	uint64_t end;   /* as a later segment tells */
	bool end_known;
	bool ours;      /* its header is whole and has its number */
	bool used;      /* its first record is a valid OPENED, or was once */
};

struct recovery {
	struct store *store;
	struct found *found; /* by number */
	size_t found_n;
	uint64_t *indexes;   /* numbers of segments that have one */
	size_t indexes_n;
	uint64_t highest;    /* of all numbers in names */
	uint64_t records, indexed;
	bool damage;         /* now or at an earlier start */
	int error;           /* why recovery must not go on */
	int fd;              /* of the segment being read */
	struct segment *segment;
};

/* --- names --- */

/* "0000000042" followed by END. */
static bool
number_of(const char *name, const char *end, uint64_t *number)
{
	const char *p = name;

	for (*number = 0; *p >= '0' && *p <= '9' && p - name < 19; p++)
		*number = *number * 10 + (uint64_t)(*p - '0');
	return p - name >= 10 && strcmp(p, end) == 0;
}

static void
add_found(struct recovery *rc, const char *name, uint64_t number)
{
	struct stat st;

	if (fstatat(rc->store->journal_dir, name, &st, AT_SYMLINK_NOFOLLOW) == -1 ||
	    !S_ISREG(st.st_mode))
		return;
	rc->found = xreallocarray(rc->found, rc->found_n + 1, sizeof(*rc->found));
	rc->found[rc->found_n++] = (struct found){ .number = number, .size = (uint64_t)st.st_size };
}

static void
add_index(struct recovery *rc, uint64_t number)
{
	rc->indexes = xreallocarray(rc->indexes, rc->indexes_n + 1, sizeof(*rc->indexes));
	rc->indexes[rc->indexes_n++] = number;
}

static void
add_name(struct recovery *rc, const char *name)
{
	uint64_t number = 0;

	if (number_of(name, "", &number))
		add_found(rc, name, number);
	else if (strncmp(name, "spare.", 6) == 0 && number_of(name + 6, "", &number))
		journal_add_spare(rc->store->journal, number);
	else if (number_of(name, JOURNAL_DAMAGED, &number))
		rc->damage = true;
	else if (number_of(name, JOURNAL_INDEX, &number))
		add_index(rc, number);
	else if (strcmp(name, JOURNAL_NEW) == 0)
		disk->unlinkat(rc->store->journal_dir, name, 0);
	else
		return;
	if (number > rc->highest)
		rc->highest = number;
}

static DIR *
open_folder(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd != -1 ? fdopendir(fd) : NULL;

	if (d == NULL && fd != -1)
		close(fd);
	return d;
}

static int
by_number(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return x->number < y->number ? -1 : x->number > y->number;
}

static struct found *
find_found(struct recovery *rc, uint64_t number)
{
	struct found key = { .number = number };

	return rc->found_n > 0 ? bsearch(&key, rc->found, rc->found_n, sizeof(key), by_number)
			       : NULL;
}

/* We may have ended between the removal of a segment's index and that of the segment, or after a
 * segment was set aside. */
static void
drop_stray_indexes(struct recovery *rc)
{
	char name[JOURNAL_NAME_MAX];
	size_t i;

	for (i = 0; i < rc->indexes_n; i++) {
		if (find_found(rc, rc->indexes[i]) != NULL)
			continue;
		journal_index_name(name, rc->indexes[i]);
		disk->unlinkat(rc->store->journal_dir, name, 0);
	}
	free(rc->indexes);
	rc->indexes = NULL;
}

static int
list_segments(struct recovery *rc)
{
	DIR *d = open_folder(rc->store->journal_dir);
	struct dirent *e;

	if (d == NULL)
		return -1;
	while (errno = 0, (e = readdir(d)) != NULL)
		add_name(rc, e->d_name);
	if (errno != 0) {
		closedir(d);
		return -1;
	}
	closedir(d);
	if (rc->found_n > 0)
		qsort(rc->found, rc->found_n, sizeof(*rc->found), by_number);
	drop_stray_indexes(rc);
	return 0;
}

/* --- reading segments --- */

static ssize_t
read_segment(void *arg, void *data, size_t len, uint64_t offset)
{
	struct recovery *rc = arg;

	ssize_t n = disk_read(rc->fd, data, len, (off_t)offset);

	if (n == -1 && errno != EIO)
		rc->error = errno;
	return n;
}

static bool
open_reader(struct recovery *rc, const struct found *f, struct segment_reader *r)
{
	char name[JOURNAL_NAME_MAX];

	journal_name(name, f->number);
	rc->fd = disk->openat(rc->store->journal_dir, name, O_RDONLY | O_CLOEXEC, 0);
	if (rc->fd == -1 && errno != EIO)
		rc->error = errno;
	*r = (struct segment_reader){ .read = read_segment, .arg = rc,
		.seed = segment_seed(f->number), .offset = SEGMENT_BLOCK,
		.limit = f->size > SEGMENT_BLOCK ? f->size : SEGMENT_BLOCK };
	return rc->fd != -1;
}

static void
close_reader(struct recovery *rc, struct segment_reader *r)
{
	if (rc->fd != -1)
		close(rc->fd);
	rc->fd = -1;
	buf_free(&r->window);
}

/* An OPENED record: where others end.  Later ones know better. */
static void
learn_ends(struct recovery *rc, const struct record_view *v)
{
	struct cursor c = cursor_init(v->meta, v->meta_len);
	uint32_t n = cursor_u32(&c);
	struct found *f;
	uint64_t number, end;

	while (n-- > 0 && !c.bad) {
		number = cursor_u64(&c);
		end = cursor_u64(&c);
		if (!c.bad && (f = find_found(rc, number)) != NULL) {
			f->end = end;
			f->end_known = true;
		}
	}
}

static void
read_front(struct recovery *rc, struct found *f)
{
	uint8_t block[SEGMENT_BLOCK];
	struct segment_reader r;
	struct record_view v;
	enum segment_step step;
	uint64_t number;

	if (open_reader(rc, f, &r)) {
		r.ahead = 2 * SEGMENT_BLOCK;
		f->ours = read_segment(rc, block, sizeof(block), 0) == sizeof(block) &&
		    segment_header_decode(block, sizeof(block), &number) && number == f->number;
		step = segment_next(&r, &v);
		f->used = step == SEGMENT_RECORD && v.type == RECORD_OPENED;
		if (f->used)
			learn_ends(rc, &v);
		r.ahead = 0;
		/* what was flushed behind it says that it was valid */
		if (step == SEGMENT_BROKEN && segment_skip(&r) && segment_was_flushed(&r))
			f->used = true;
	}
	close_reader(rc, &r);
}

/* --- applying records --- */

static void
bad_record(struct recovery *rc, const struct record_view *v)
{
	rc->segment->damaged = rc->damage = true;
	log_error("queue.bad_record", F_STR("message", id_text(v->id).s),
	    F_U64("segment", rc->segment->number), F_U64("offset", v->offset),
	    F_STR("what", "its checksum is right and its meaning unknown"));
}

static struct envelope *
decode(struct recovery *rc, const struct record_view *v)
{
	struct cursor c = cursor_init(v->meta, v->meta_len);
	struct envelope *env = envelope_decode(&c);

	/* behind the envelope of an ENVELOPE record is when it was written */
	if (env != NULL && v->type == RECORD_ENVELOPE && c.pos != c.end)
		cursor_u64(&c);
	if (env != NULL && cursor_done(&c) && env->id == v->id)
		return env;
	envelope_free(env);
	bad_record(rc, v);
	return NULL;
}

/* Takes ENV for what is known of M, whose place in the tree stays. */
static void
replace_envelope(struct queued *m, struct envelope *env)
{
	struct envelope *old = m->env;

	m->env = env;
	envelope_share(env);
	envelope_free(old);
}

static void
apply_message(struct recovery *rc, const struct record_view *v)
{
	struct queued *m = message_find(rc->store, v->id);
	struct envelope *env = decode(rc, v);

	if (env == NULL)
		return;
	if (m != NULL)
		replace_envelope(m, env);
	else
		m = message_new(rc->store, env);
	m->external = (v->flags & RECORD_EXTERNAL) != 0;
	message_place(m, rc->segment, v->offset, v->length);
}

static void
apply_envelope(struct recovery *rc, const struct record_view *v)
{
	struct queued *m = message_find(rc->store, v->id);
	struct envelope *env;

	if (m == NULL || (env = decode(rc, v)) == NULL)
		return;
	replace_envelope(m, env);
	segment_speaks_of(rc->segment, m);
}

static void
apply_outcome(struct recovery *rc, const struct record_view *v)
{
	struct cursor c = cursor_init(v->meta, v->meta_len);
	struct queued *m = message_find(rc->store, v->id);
	uint32_t index = cursor_u32(&c);

	if (m == NULL)
		return;
	if (c.bad || index >= m->env->recipients_n ||
	    !envelope_decode_state(&c, &m->env->recipients[index], index)) {
		bad_record(rc, v);
		return;
	}
	envelope_share_state(&m->env->recipients[index]);
	segment_speaks_of(rc->segment, m);
}

static void
apply_finish(struct recovery *rc, const struct record_view *v)
{
	struct queued *m = message_find(rc->store, v->id);

	if (m == NULL)
		return;
	segment_speaks_of(rc->segment, m);
	message_unplace(m);
	m->in_flight++;
	message_forget(rc->store, m);
	message_release(m);
}

static void (*const apply[])(struct recovery *, const struct record_view *) = {
	[RECORD_MESSAGE] = apply_message,
	[RECORD_MOVE] = apply_message,
	[RECORD_ENVELOPE] = apply_envelope,
	[RECORD_OUTCOME] = apply_outcome,
	[RECORD_FINISH] = apply_finish,
};

static void
apply_record(struct recovery *rc, const struct record_view *v)
{
	rc->records++;
	if (v->type == RECORD_PAD || v->type == RECORD_OPENED)
		return;
	if (v->type < sizeof(apply) / sizeof(apply[0]) && apply[v->type] != NULL)
		apply[v->type](rc, v);
	else
		bad_record(rc, v);
}

/* --- segments --- */

static void
set_aside(struct recovery *rc, const struct found *f, const char *what)
{
	char name[JOURNAL_NAME_MAX], to[JOURNAL_NAME_MAX + sizeof(JOURNAL_DAMAGED)];

	rc->damage = true;
	log_error("queue.segment_damaged", F_U64("segment", f->number), F_STR("what", what));
	journal_name(name, f->number);
	snprintf(to, sizeof(to), "%s%s", name, JOURNAL_DAMAGED);
	disk->renameat(rc->store->journal_dir, name, rc->store->journal_dir, to);
}

/* Prepared and never used: its zeros can be used yet. */
static void
make_spare(struct recovery *rc, const struct found *f)
{
	char name[JOURNAL_NAME_MAX], to[JOURNAL_NAME_MAX];

	journal_name(name, f->number);
	journal_spare_name(to, f->number);
	if (f->size != journal_sizes.segment)
		disk->unlinkat(rc->store->journal_dir, name, 0);
	else if (disk->renameat(rc->store->journal_dir, name, rc->store->journal_dir, to) == 0 &&
	    disk_sync_names(rc->store->journal_dir) == 0)
		journal_add_spare(rc->store->journal, f->number);
}

/* Tells of the broken record at R: whose message it was, when its envelope can be read yet. */
static void
tell_damage(const struct found *f, struct segment_reader *r, uint64_t octets)
{
	struct record_view v = { .id = 0 };
	struct envelope *env = NULL;
	uint64_t at = r->offset;
	struct cursor c;

	r->check_contents = false;
	if (segment_next(r, &v) == SEGMENT_RECORD && (v.type == RECORD_MESSAGE || v.type == RECORD_MOVE)) {
		c = cursor_init(v.meta, v.meta_len);
		env = envelope_decode(&c);
	}
	if (env == NULL || env->recipients_n == 0)
		log_error("queue.record_damaged", F_U64("segment", f->number), F_U64("offset", at),
		    F_U64("octets", octets), F_STR("message", id_text(v.id).s),
		    F_STR("so", "what it said is lost; the file will be kept aside"));
	else
		log_error("queue.message_damaged", F_STR("message", id_text(v.id).s),
		    F_STR("from", env->sender), F_STR("to", env->recipients[0].address),
		    F_U64("nrcpt", env->recipients_n), F_U64("segment", f->number),
		    F_U64("offset", at), F_U64("octets", octets),
		    F_STR("so", "the message is lost; the file will be kept aside"));
	envelope_free(env);
}

/* A record that was flushed, and is broken: the operator is told, and what stands behind it counts.
 * What was not flushed for certain is a write that the crash cut short: the segment ends there. */
static bool
pass_damage(struct recovery *rc, const struct found *f, struct segment_reader *r)
{
	struct segment_reader probe = *r;
	uint64_t behind;
	bool flushed;

	probe.window = (struct buf){ 0 };
	flushed = segment_skip(&probe) && (f->end_known || segment_was_flushed(&probe));
	behind = probe.offset;
	if (flushed) {
		rc->segment->damaged = rc->damage = true;
		probe.offset = r->offset;
		tell_damage(f, &probe, behind - r->offset);
		r->offset = behind;
	}
	buf_free(&probe.window);
	return flushed;
}

/* What has stopped the reading of a segment before its end. */
static void
stopped(struct recovery *rc, const struct found *f, enum segment_step step, uint64_t offset)
{
	const char *what = step == SEGMENT_UNREADABLE ? strerror(errno) : "a broken record";

	if (step != SEGMENT_UNREADABLE && !f->end_known)
		return; /* what was being written when we ended */
	rc->segment->damaged = rc->damage = true;
	log_error("queue.segment_damaged", F_U64("segment", f->number), F_U64("offset", offset),
	    F_U64("end", f->end_known ? f->end : f->size), F_STR("what", what),
	    F_STR("so", "what stands behind is lost; the file will be kept aside"));
}

/* What was read may so far be in the kernel's memory only; what is decided from it must not be
 * lost again. */
static void
make_durable(struct recovery *rc, const struct found *f)
{
	if (disk->fdatasync(rc->fd) == -1)
		log_error("queue.flush_failed", F_U64("segment", f->number),
		    F_STR("error", strerror(errno)));
}

/* The same records without the contents, when there is an index that fits. */
static bool
read_from_index(struct recovery *rc, const struct found *f)
{
	struct buf bytes = { 0 };
	struct index_reader r;
	struct record_view v;

	if (!f->end_known ||
	    !journal_read_index(rc->store->journal_dir, f->number, f->end, &bytes, &r))
		return false;
	while (index_next(&r, &v))
		apply_record(rc, &v);
	buf_free(&bytes);
	rc->segment->indexed = true;
	rc->indexed++;
	journal_set_end(rc->store->journal, rc->segment, f->end);
	return true;
}

/* Its name says which segment it is, and its records agree. */
static void
damaged_header(struct recovery *rc, const struct found *f)
{
	rc->segment->damaged = rc->damage = true;
	log_error("queue.segment_damaged", F_U64("segment", f->number),
	    F_STR("what", "its first block is broken"),
	    F_STR("so", "its records are read all the same; the file will be kept aside"));
}

static void
read_all(struct recovery *rc, struct found *f)
{
	struct segment_reader r;
	struct record_view v;
	enum segment_step step = SEGMENT_UNREADABLE;

	rc->segment = journal_add_segment(rc->store->journal, f->number, f->size);
	if (!f->ours)
		damaged_header(rc, f);
	if (read_from_index(rc, f))
		return;
	if (open_reader(rc, f, &r)) {
		if (f->end_known)
			r.limit = f->end;
		/* what was flushed is whole; checking all contents would mean reading them all */
		r.check_contents = !f->end_known;
		while ((step = segment_next(&r, &v)) == SEGMENT_RECORD ||
		    (step == SEGMENT_BROKEN && pass_damage(rc, f, &r)))
			if (step == SEGMENT_RECORD)
				apply_record(rc, &v);
	}
	if (step != SEGMENT_END && rc->error == 0)
		stopped(rc, f, step, r.offset);
	if (!f->end_known && rc->fd != -1)
		make_durable(rc, f);
	journal_set_end(rc->store->journal, rc->segment, r.offset);
	close_reader(rc, &r);
}

/* Lets the disk read ahead what comes next, while the records before it are applied. */
static void
announce(struct recovery *rc, const struct found *f)
{
	char name[JOURNAL_NAME_MAX];
	int fd;

	journal_index_name(name, f->number);
	fd = openat(rc->store->journal_dir, name, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || !f->end_known) {
		if (fd != -1)
			close(fd);
		journal_name(name, f->number);
		fd = openat(rc->store->journal_dir, name, O_RDONLY | O_CLOEXEC);
	}
	if (fd == -1)
		return;
	posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
	close(fd);
}

/* 0, or -1 with errno. */
static int
read_segments(struct recovery *rc)
{
	size_t i;

	for (i = 0; i < rc->found_n && rc->error == 0; i++)
		read_front(rc, &rc->found[i]);
	for (i = 0; i < rc->found_n && rc->error == 0; i++) {
		struct found *f = &rc->found[i];

		if (i + 1 < rc->found_n)
			announce(rc, &rc->found[i + 1]);
		if (f->used)
			read_all(rc, f);
		else if (!f->ours)
			set_aside(rc, f, "it does not begin as a segment of this number");
		else if (f->end_known && f->end > SEGMENT_BLOCK)
			set_aside(rc, f, "its first record is broken");
		else
			make_spare(rc, f);
	}
	errno = rc->error;
	return rc->error == 0 ? 0 : -1;
}

/* --- contents --- */

static void
look_at_content(struct recovery *rc, const char *name)
{
	struct queued *m;
	uint64_t id;

	if (name[0] == '.')
		return;
	if (strncmp(name, "tmp.", 4) != 0) {
		if (!id_parse(name, &id))
			return;
		m = message_find(rc->store, id);
		if (m != NULL && m->external) {
			m->seen = 1;
			return;
		}
		if (rc->damage) {
			log_warning("queue.content_kept", F_STR("file", name),
			    F_STR("what", "it may belong to what a damaged segment has lost"));
			return;
		}
	}
	disk->unlinkat(rc->store->content_dir, name, 0);
}

static int
look_at_contents(struct recovery *rc)
{
	DIR *d = open_folder(rc->store->content_dir);
	struct dirent *e;
	struct queued *m;

	if (d == NULL)
		return -1;
	while ((e = readdir(d)) != NULL)
		look_at_content(rc, e->d_name);
	closedir(d);
	RB_FOREACH(m, message_tree, &rc->store->messages)
		if (m->external && !m->seen)
			log_error("queue.content_missing", F_STR("message", id_text(m->env->id).s));
	return 0;
}

int
store_recover(struct store *st, char **why)
{
	struct recovery rc = { .store = st, .fd = -1 };
	uint64_t begun = clock_ms();
	struct queued *m;
	int error;

	if (list_segments(&rc) == -1 || read_segments(&rc) == -1 || look_at_contents(&rc) == -1) {
		*why = xasprintf("cannot read the spool: %s", strerror(errno));
		free(rc.found);
		return -1;
	}
	RB_FOREACH(m, message_tree, &st->messages) {
		m->added = 1;
		st->messages_n++;
		message_count(st, m->env);
	}
	log_info("queue.recovered", F_U64("messages", st->messages_n),
	    F_U64("recipients", st->recipients_n), F_U64("segments", rc.found_n),
	    F_U64("indexes", rc.indexed), F_U64("records", rc.records), F_U64("ms", clock_ms() - begun));
	free(rc.found);
	if ((error = journal_start(st->journal, rc.highest + 1)) == 0) {
		journal_make_indexes(st->journal);
		return 0;
	}
	*why = xasprintf("cannot start the journal's threads: %s", strerror(error));
	return -1;
}
