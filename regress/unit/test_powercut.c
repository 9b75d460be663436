/*
 * Power cuts: what the store writes and flushes is recorded, then the power is cut after each
 * single event of the record, and a store is opened on what the disk may hold at that moment.
 *
 * What no flush covered is dropped, kept, or kept by halves: each sector of 512 octets is the old
 * one, the new one or, where it was written since the last flush, garbage; the names are as far
 * as the folder's changes got.  Then every acknowledged message must be there with its content
 * and its flushed outcomes, what was finished and flushed must not come back, and nothing may be
 * there that was never added or was refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue/index.h"
#include "regress/unit/store_world.h"

#define SECTOR 512
#define MESSAGES_MAX 600
#define FILES_MAX 512
#define NAMES_MAX 4096

enum mark { MARK_ADD, MARK_ADD_LARGE, MARK_ACKED, MARK_REFUSED, MARK_UPDATED, MARK_FINISHED };

/* Each start of a store writes a line that nobody will read. */
static void
quiet(bool on)
{
	static int saved = -1;
	int null;

	if (saved == -1)
		saved = dup(STDERR_FILENO);
	if (on) {
		null = open("/dev/null", O_WRONLY);
		dup2(null, STDERR_FILENO);
		close(null);
	} else
		dup2(saved, STDERR_FILENO);
}

/* --- the disk, as far as the record tells --- */

struct file {
	uint64_t number;
	char *now, *durable;
	size_t now_len, durable_len;
	uint8_t *dirty; /* for each sector of NOW: written since the last flush */
};

struct name_change {
	char *name, *to; /* TO NULL: removed; NAME NULL: created */
	uint64_t file;
};

static struct {
	struct file files[FILES_MAX];
	size_t files_n;
	struct name_change changes[NAMES_MAX];
	size_t changes_n;
	size_t journal_synced, content_synced; /* changes of these folders before are durable */
} image;

static uint64_t chance_state = 88172645463325252u;

static uint64_t
chance(uint64_t n)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 7;
	chance_state ^= chance_state << 17;
	return chance_state % n;
}

static struct file *
file_of(uint64_t number)
{
	size_t i;

	for (i = 0; i < image.files_n; i++)
		if (image.files[i].number == number)
			return &image.files[i];
	assert_true(image.files_n < FILES_MAX);
	image.files[image.files_n] = (struct file){ .number = number };
	return &image.files[image.files_n++];
}

static void
image_write(const struct seam_event *e)
{
	struct file *f = file_of(e->file);
	size_t end = (size_t)e->offset + e->len;

	if (end > f->now_len) {
		f->now = xreallocarray(f->now, end, 1);
		memset(f->now + f->now_len, 0, end - f->now_len);
		f->dirty = xreallocarray(f->dirty, end / SECTOR + 1, 1);
		memset(f->dirty + f->now_len / SECTOR, 1, end / SECTOR + 1 - f->now_len / SECTOR);
		f->now_len = end;
	}
	if (e->len == 0)
		return;
	memcpy(f->now + e->offset, e->data, e->len);
	memset(
	    f->dirty + e->offset / SECTOR, 1, (end - 1) / SECTOR + 1 - (size_t)e->offset / SECTOR);
}

static void
image_flush(const struct seam_event *e)
{
	struct file *f = file_of(e->file);

	f->durable = xreallocarray(f->durable, f->now_len + 1, 1);
	if (f->now_len > 0) {
		memcpy(f->durable, f->now, f->now_len);
		memset(f->dirty, 0, f->now_len / SECTOR + 1);
	}
	f->durable_len = f->now_len;
}

static void
image_name(const char *name, const char *to, uint64_t file)
{
	assert_true(image.changes_n < NAMES_MAX);
	image.changes[image.changes_n++] =
	    (struct name_change){ .name = name != NULL ? xstrdup(name) : NULL,
		    .to = to != NULL ? xstrdup(to) : NULL,
		    .file = file };
}

static void
image_apply(const struct seam_event *e)
{
	switch (e->op) {
	case SEAM_OPEN:
		/* inode numbers are used again: this is another file */
		file_of(e->file)->number = UINT64_MAX - image.files_n;
		image_name(NULL, e->name, file_of(e->file)->number);
		break;
	case SEAM_WRITE:
		image_write(e);
		break;
	case SEAM_SYNC:
		image_flush(e);
		break;
	case SEAM_RENAME:
		image_name(e->name, e->to, 0);
		break;
	case SEAM_UNLINK:
		image_name(e->name, NULL, 0);
		break;
	case SEAM_SYNC_NAMES:
		if (strcmp(e->name, "journal/") == 0)
			image.journal_synced = image.changes_n;
		else if (strcmp(e->name, "content/") == 0)
			image.content_synced = image.changes_n;
		break;
	default:
		break;
	}
}

static void
image_free(void)
{
	size_t i;

	for (i = 0; i < image.files_n; i++) {
		free(image.files[i].now);
		free(image.files[i].durable);
		free(image.files[i].dirty);
	}
	for (i = 0; i < image.changes_n; i++) {
		free(image.changes[i].name);
		free(image.changes[i].to);
	}
	memset(&image, 0, sizeof(image));
}

/* --- what a cut leaves --- */

enum leave { LEAVE_NOTHING, LEAVE_ALL, LEAVE_SOME };

struct entry {
	const char *name;
	uint64_t file;
};

/* Did change I get to the disk?  All that were flushed, the others in order or, on another file
 * system, in any. */
static bool
change_left(size_t i, size_t synced, size_t reached, bool ordered)
{
	if (i < synced)
		return true;
	return ordered ? i < reached : chance(2) == 0;
}

static size_t
drop_name(struct entry *entries, size_t n, const char *name, uint64_t *file)
{
	size_t k;

	for (k = 0; k < n; k++)
		if (strcmp(entries[k].name, name) == 0) {
			*file = entries[k].file;
			entries[k] = entries[n - 1];
			return n - 1;
		}
	return n;
}

/* The names in FOLDER after the changes that got to the disk. */
static size_t
names_left(const char *folder, size_t synced, size_t reached, bool ordered, struct entry *out)
{
	size_t i, have = 0, before, len = strlen(folder);

	for (i = 0; i < image.changes_n; i++) {
		const struct name_change *c = &image.changes[i];
		uint64_t file = c->file, replaced;

		if (strncmp(c->name != NULL ? c->name : c->to, folder, len) != 0 ||
		    !change_left(i, synced, reached, ordered))
			continue;
		before = have;
		if (c->name != NULL)
			have = drop_name(out, have, c->name, &file);
		if (c->to == NULL || (c->name != NULL && have == before))
			continue; /* removed, or never came so far */
		have = drop_name(out, have, c->to, &replaced);
		out[have++] = (struct entry){ c->to, file };
	}
	return have;
}

static void
write_remains(const char *path, const struct file *f, enum leave leave)
{
	size_t len = f->durable_len, at, n;
	char *data;

	if (leave == LEAVE_ALL)
		len = f->now_len;
	else if (leave == LEAVE_SOME && f->now_len > len)
		len += (size_t)chance(f->now_len - len + 1);
	data = xcalloc(len + 1, 1);
	for (at = 0; at < len; at += SECTOR) {
		n = len - at < SECTOR ? len - at : SECTOR;
		if (leave == LEAVE_ALL || (leave == LEAVE_SOME && chance(2) == 0))
			memcpy(data + at, f->now + at, n);
		else if (at < f->durable_len)
			memcpy(data + at, f->durable + at,
			    n < f->durable_len - at ? n : f->durable_len - at);
		if (leave == LEAVE_SOME && at < f->now_len && f->dirty[at / SECTOR] &&
		    chance(8) == 0)
			memset(data + at, (int)chance(256), n);
	}
	write_file(path, data, len);
	free(data);
}

static void
write_folder(const char *dir, const char *folder, size_t synced, enum leave leave)
{
	static struct entry entries[NAMES_MAX];
	char *path = xasprintf("%s/%s", dir, folder);
	size_t reached = synced, n, i;

	mkdir(path, 0700);
	free(path);
	if (leave == LEAVE_ALL)
		reached = image.changes_n;
	else if (leave == LEAVE_SOME)
		reached += (size_t)chance(image.changes_n - synced + 1);
	n = names_left(folder, synced, reached, leave != LEAVE_SOME || chance(2) == 0, entries);
	for (i = 0; i < n; i++) {
		path = xasprintf("%s/%s", dir, entries[i].name);
		write_remains(path, file_of(entries[i].file), leave);
		free(path);
	}
}

/* --- what must be there --- */

struct fate {
	bool known, acked, refused, finished, surely_finished;
	uint16_t attempts, sure_attempts; /* recorded; flushed for sure */
	size_t add_at, finish_at, update_at;
	bool large;
};

static struct fate fates[MESSAGES_MAX];
static size_t flushed_at; /* statements made before this event are flushed */

static void
learn(const struct seam_event *e, size_t at)
{
	struct fate *f = e->id < MESSAGES_MAX ? &fates[e->id] : NULL;

	if (f == NULL)
		return;
	switch ((enum mark)e->tag) {
	case MARK_ADD:
	case MARK_ADD_LARGE:
		f->known = true;
		f->add_at = at;
		f->large = e->tag == MARK_ADD_LARGE;
		break;
	case MARK_ACKED:
		f->acked = true;
		/* a record that came before this one in the journal is flushed with it; a large
		 * content waits elsewhere */
		if (!f->large && f->add_at > flushed_at)
			flushed_at = f->add_at;
		break;
	case MARK_REFUSED:
		f->refused = true;
		break;
	case MARK_UPDATED:
		if (f->update_at < flushed_at)
			f->sure_attempts = f->attempts;
		f->attempts++;
		f->update_at = at;
		break;
	case MARK_FINISHED:
		f->finished = true;
		f->finish_at = at;
		break;
	}
}

struct judge {
	struct world *world;
	bool seen[MESSAGES_MAX];
};

static bool
judge_one(struct envelope *env, void *arg)
{
	struct judge *j = arg;
	const struct fate *f = &fates[env->id];
	uint16_t sure;

	assert_true(env->id < MESSAGES_MAX && f->known);
	assert_false(f->refused);
	assert_false(f->finished && f->finish_at < flushed_at);
	sure = f->update_at < flushed_at ? f->attempts : f->sure_attempts;
	assert_in_range(env->recipients[0].attempts, sure, f->attempts);
	assert_int_equal(check_content(j->world, env), 0);
	j->seen[env->id] = true;
	return true;
}

/* A power cut is no damage: nothing to alarm an operator, nothing set aside. */
static void
assert_undamaged(struct world *w)
{
	const struct segment *s;

	TAILQ_FOREACH(s, journal_segments(w->store->journal), entry)
		assert_false(s->damaged);
	assert_int_equal(count_files(w, "journal", JOURNAL_DAMAGED), 0);
}

/* The world after the cut. */
static void
check_cut(const char *dir, enum leave leave)
{
	struct world w = { .store = NULL };
	struct judge j = { .world = &w };
	uint64_t id;

	remove_tree(dir);
	mkdir(dir, 0700);
	snprintf(w.dir, sizeof(w.dir), "%s", dir);
	write_folder(dir, "journal", image.journal_synced, leave);
	write_folder(dir, "content", image.content_synced, leave);
	quiet(true);
	world_start(&w);
	quiet(false);
	assert_undamaged(&w);
	store_each(w.store, judge_one, &j);
	for (id = 0; id < MESSAGES_MAX; id++)
		if (fates[id].acked && !fates[id].finished && !j.seen[id])
			fail_msg("message %u is lost", (unsigned)id);
	world_stop(&w);
}

/* --- the load --- */

struct load {
	struct world world;
	uint64_t next, waiting;
	uint64_t alive[MESSAGES_MAX];
	unsigned alive_n;
	bool faults;
};

static void
load_done(struct envelope *env, int error, void *arg)
{
	struct load *l = arg;

	seam_mark(error == 0 ? MARK_ACKED : MARK_REFUSED, env->id);
	if (error == 0)
		l->alive[l->alive_n++] = env->id;
	l->waiting--;
}

static void
load_add(struct load *l, bool large)
{
	uint64_t id = ++l->next;
	size_t size = (size_t)chance(large ? 20000 : chance(4) == 0 ? 9000 : 2000);
	struct evbuffer *content = evbuffer_new();
	struct seam_event *e;
	struct stat st;
	int fd;

	fill_content(content, id, size);
	if (large) {
		fd = store_content_create(l->world.store, id);
		assert_int_not_equal(fd, -1);
		while (evbuffer_get_length(content) > 0)
			evbuffer_write(content, fd);
		/* a session writes it, not the store */
		fstat(fd, &st);
		fill_content(content, id, size);
		pthread_mutex_lock(&seam.lock);
		e = seam_record(SEAM_WRITE);
		e->file = st.st_ino;
		e->len = size;
		e->data = xmalloc(size + 1);
		evbuffer_remove(content, e->data, size);
		pthread_mutex_unlock(&seam.lock);
		close(fd);
	}
	seam_mark(large ? MARK_ADD_LARGE : MARK_ADD, id);
	l->waiting++;
	assert_int_equal(
	    store_add(l->world.store, new_envelope(id, size), large ? NULL : content, load_done, l),
	    0);
	evbuffer_free(content);
}

static void
load_change(struct load *l, bool end)
{
	unsigned i = (unsigned)chance(l->alive_n);
	struct envelope *env = store_find(l->world.store, l->alive[i]);

	if (end) {
		l->alive[i] = l->alive[--l->alive_n];
		seam_mark(MARK_FINISHED, env->id);
		store_finish(l->world.store, env);
	} else {
		env->recipients[0].attempts++;
		seam_mark(MARK_UPDATED, env->id);
		if (chance(4) == 0)
			store_update_all(l->world.store, env, NULL, NULL);
		else
			store_update(l->world.store, env, 0);
	}
}

/* Statements alone, written and not flushed: the next add may find no room behind them. */
static void
load_statements(struct load *l)
{
	unsigned long writes = seam_count(SEAM_WRITE);

	load_change(l, chance(2) == 0);
	event_base_loop(l->world.base, EVLOOP_NONBLOCK);
	seam_await(SEAM_WRITE, writes + 1);
}

static void
load_step(struct load *l)
{
	unsigned n = (unsigned)chance(4);

	/* one at a time: when no other segment can be written, a refused message may come back,
	 * and segment.c says so */
	if (l->faults && l->waiting == 0 &&
	    seam.fault[SEAM_SYNC].times + seam.fault[SEAM_WRITE].times == 0 && chance(6) == 0)
		seam_fail(chance(2) == 0 ? SEAM_SYNC : SEAM_WRITE, EIO, chance(6), 1);
	while (n-- > 0)
		load_add(l, chance(15) == 0);
	if (l->alive_n > 0 && chance(2) == 0)
		load_change(l, false);
	/* now and then some stay, most go: so segments empty, are used again, and compaction has
	 * work */
	while (l->alive_n > 12 || (l->alive_n > 0 && chance(2) == 0))
		load_change(l, true);
	if (chance(3) == 0)
		while (l->waiting > 0)
			event_base_loop(l->world.base, EVLOOP_ONCE);
	else
		event_base_loop(l->world.base, EVLOOP_NONBLOCK);
	if (l->waiting == 0 && l->alive_n > 0 && !l->faults)
		load_statements(l);
}

static void
run_load(struct load *l, unsigned messages)
{
	world_new(&l->world);
	world_stop(&l->world);
	remove_tree(l->world.dir);
	journal_sizes.segment = 32 << 10;
	journal_sizes.first = 16 << 10;
	journal_sizes.slack = 32 << 10;
	journal_sizes.linger_ms = 2;
	seam.recording = true;
	world_start(&l->world);
	while (l->next < messages)
		load_step(l);
	while (l->waiting > 0)
		event_base_loop(l->world.base, EVLOOP_ONCE);
	world_stop(&l->world);
	pthread_mutex_lock(&seam.lock);
	seam.recording = false;
	memset(seam.fault, 0, sizeof(seam.fault));
	pthread_mutex_unlock(&seam.lock);
}

/* Which events there were: a load that never moved a message or used a file again would prove
 * little. */
static void
assert_load_was_worth_it(void)
{
	size_t i, reused = 0, unlinked = 0, flushes = 0;

	for (i = 0; i < seam.events_n; i++) {
		const struct seam_event *e = &seam.events[i];

		flushes += e->op == SEAM_SYNC;
		unlinked += e->op == SEAM_UNLINK;
		reused += e->op == SEAM_RENAME && strncmp(e->name, "journal/spare.", 14) == 0;
	}
	assert_true(flushes > 50 && unlinked > 0 && reused > 2);
}

static void
cut_everywhere(bool faults, unsigned messages)
{
	struct load *l = xcalloc(1, sizeof(*l));
	char dir[80];
	size_t i, cuts = 0;

	assert_true(messages < MESSAGES_MAX);
	memset(fates, 0, sizeof(fates));
	flushed_at = 0;
	l->faults = faults;
	quiet(true);
	run_load(l, messages);
	quiet(false);
	assert_load_was_worth_it();
	snprintf(dir, sizeof(dir), "%sx", l->world.dir);
	for (i = 0; i < seam.events_n; i++) {
		if (seam.events[i].op == SEAM_OPS)
			learn(&seam.events[i], i);
		else
			image_apply(&seam.events[i]);
		check_cut(dir, LEAVE_SOME);
		cuts++;
		if (i % 4 == 0) {
			check_cut(dir, LEAVE_NOTHING);
			check_cut(dir, LEAVE_ALL);
			cuts += 2;
		}
	}
	print_message("%zu events, %zu cuts\n", seam.events_n, cuts);
	remove_tree(dir);
	remove_tree(l->world.dir);
	image_free();
	seam_forget_events();
	free(l);
}

static void
test_cuts(void **state)
{
	(void)state;
	cut_everywhere(false, 250);
}

static void
test_cuts_with_faults(void **state)
{
	(void)state;
	cut_everywhere(true, 250);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_cuts_with_faults),
	};
	const char *seed = getenv("SEED");

	if (seed != NULL)
		chance_state ^= strtoull(seed, NULL, 10) * 0x9e3779b97f4a7c15u;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
