/*
 * What tests of the store look at: messages that are there, figures, segments.
 */
#ifndef REGRESS_UNIT_STORE_CHECKS_H
#define REGRESS_UNIT_STORE_CHECKS_H

#include "queue/index.h"
#include "regress/unit/store_world.h"

/* What the keeper and compaction do takes some turns; how many is nobody's business. */
#define assert_becomes(w, condition)                             \
	do {                                                     \
		int turns_;                                      \
                                                                 \
		for (turns_ = 0; turns_ < 500 && !(condition); turns_++) \
			settle(w);                               \
		assert_true(condition);                          \
	} while (0)

/* After the first add: folder and two segments are flushed, the keeper does nothing more by
 * itself, the next call that is to fail or to wait is the flush thread's. */
static inline void
await_keeper(void)
{
	seam_await(SEAM_SYNC_NAMES, 3);
}

static inline struct store_stats
stats(struct world *w)
{
	struct store_stats s;

	store_stats(w->store, &s);
	return s;
}

static inline void
assert_there(struct world *w, uint64_t id)
{
	struct envelope *env = store_find(w->store, id);

	assert_non_null(env);
	assert_int_equal(check_content(w, env), 0);
}

static inline void
segment_path(const struct world *w, uint64_t number, char path[256])
{
	snprintf(path, 256, "%s/journal/%010llu", w->dir, (unsigned long long)number);
}

/* The number of the segment where a message's record is. */
static inline uint64_t
segment_of_message(struct world *w, uint64_t id)
{
	return message_find(w->store, id)->segment->number;
}

static inline bool
segment_exists(struct world *w, uint64_t number)
{
	char path[256];

	segment_path(w, number, path);
	return access(path, F_OK) == 0;
}

/* Adds and finishes messages until records go to a segment that is later than NUMBER. */
static inline void
fill_past(struct world *w, uint64_t number, uint64_t *id)
{
	uint64_t at;

	do {
		assert_non_null(add(w, ++*id, 3000));
		at = segment_of_message(w, *id);
		finish_message(w, *id);
	} while (at <= number);
}

/* --- large contents --- */

static inline struct envelope *
add_large(struct world *w, uint64_t id, size_t size)
{
	struct evbuffer *content = evbuffer_new();
	struct wait wait = { 0 };
	int fd = store_content_create(w->store, id);

	assert_int_not_equal(fd, -1);
	fill_content(content, id, size);
	while (evbuffer_get_length(content) > 0)
		assert_true(evbuffer_write(content, fd) > 0);
	close(fd);
	evbuffer_free(content);
	assert_int_equal(store_add(w->store, new_envelope(id, size), NULL, wait_done, &wait), 0);
	return await(w, &wait);
}

#endif
