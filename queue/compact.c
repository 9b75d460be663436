/*
 * Which segments may go, and moving messages so that they can.
 *
 * A segment holds messages, and statements (OUTCOME, ENVELOPE, FINISH) about messages whose
 * record may be in an older one. It may go when
 *
 *   (1) no unfinished message's record is in it, and
 *   (2) it holds no statement about a message of which a record is still in another segment.
 *
 * Why (2): recovery reads what is there.  Were the FINISH of a message gone and its MESSAGE
 * record not, the message would come back to life after a restart and be delivered again; were
 * only an OUTCOME gone, its recipients would.
 *
 * How (2) is kept.  For each statement that becomes durable in segment U about a message whose
 * present record is in R, U is marked as needing R: U must outlive R.  A MOVE that becomes
 * durable in T, of a message whose record was in R, makes T need R in the same way, for it is a
 * statement too: "what R says of it is old".  A segment goes only when all that it needs are
 * gone.  Suppose now that some record of a finished message exists in a segment R.  The records
 * of the message, in the order of writing, are R0, R1, ... Rn (MESSAGE, then MOVEs) and its
 * FINISH in U.  U needs Rn, Rn needs Rn-1 and so on; so as long as R, which is one of them,
 * exists, those after it and U exist, and recovery reads the FINISH after R.  The same goes for
 * an OUTCOME: it is needed while the record that it speaks of is the latest one, and it outlives
 * that.  Needs point from younger to older segments only, so there are no circles, and the oldest
 * segment needs none.  "Gone" means that the removal is durable (journal_keeper.c), or after a
 * power cut U might be gone and R not.
 *
 * Why that is not enough: one message that waits for five days keeps its segment R, R keeps all
 * segments that say anything about R's messages, those keep others.  So when the dead octets are
 * more than the live ones, and more than 64 MiB, messages are moved: read by the keeper, appended
 * with their present state as MOVE records, a megabyte at a time. First from segments less than a
 * quarter of which lives (cheap), else from the oldest that others need (that unties them).  Each
 * octet moved is paid for by a dead one, so the disk never holds much more than twice what lives
 * plus 64 MiB, and never writes for this more than it has written for messages.  When the disk is
 * so full that no mail is taken, a megabyte of dead octets is reason enough.  Segments that are
 * poisoned or damaged are emptied at once.
 *
 * A message that cannot be read stays where it is, with its segment; store_content will say so to
 * whoever asks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/disk.h"
#include "queue/index.h"

#define MOVES_MAX 256
#define PAUSE_MS 1000 /* after a failure */

/* --- what needs what --- */

static void
forget_need(struct segment *s, uint64_t number)
{
	size_t i;

	for (i = 0; i < s->needs_n; i++)
		if (s->needs[i] == number) {
			s->needs[i] = s->needs[--s->needs_n];
			return;
		}
}

static void
segment_gone(struct segment *gone, void *arg)
{
	struct store *st = arg;
	struct segment *s;

	TAILQ_FOREACH(s, journal_segments(st->journal), entry)
		forget_need(s, gone->number);
}

static void
retire_what_may_go(struct store *st)
{
	struct segment *s;

	TAILQ_FOREACH(s, journal_segments(st->journal), entry)
		if (s->closed && !s->retiring && LIST_EMPTY(&s->live) && s->needs_n == 0)
			journal_retire(st->journal, s, segment_gone, st);
}

/* --- moving --- */

struct move {
	struct queued *message;
	uint64_t id;
	uint32_t offset, length;
	struct buf bytes; /* the record as it was read */
	const uint8_t *content;
	uint32_t content_len;
	bool readable;
};

struct compaction {
	struct chore chore;
	struct store *store;
	struct segment *from;
	unsigned moves_n, waiting; /* waiting: MOVE records on their way */
	struct move moves[MOVES_MAX];
};

/* In the keeper thread. */
static void
read_one(int fd, const struct segment *s, struct move *move)
{
	ssize_t n =
	    disk_read(fd, buf_reserve(&move->bytes, move->length), move->length, move->offset);

	if (n > 0)
		move->bytes.len = (size_t)n;
	move->readable = n > 0 &&
	    record_check((uint8_t *)move->bytes.data, move->bytes.len, s->seed, move->id,
	        &move->content, &move->content_len);
}

static bool
read_moves(struct journal *j, struct chore *t)
{
	struct compaction *c = (struct compaction *)t;
	unsigned i;
	int fd = journal_open_segment(j, c->from);

	if (fd == -1) {
		t->error = errno;
		return true;
	}
	for (i = 0; i < c->moves_n; i++)
		read_one(fd, c->from, &c->moves[i]);
	close(fd);
	return true;
}

static void
end_compaction(struct compaction *c)
{
	c->store->compaction = NULL;
	free(c);
}

static void
pause_compaction(struct store *st)
{
	st->compact_after = clock_ms() + PAUSE_MS;
}

static void
moved(struct chore *t)
{
	struct record *r = (struct record *)t;
	struct compaction *c = r->store->compaction;

	if (t->error == 0)
		message_place(r->message, r->segment, r->offset, r->bytes.len);
	else
		pause_compaction(r->store);
	message_release(r->message);
	record_free(r);
	if (--c->waiting == 0)
		end_compaction(c);
}

static void
append_move(struct compaction *c, struct move *move)
{
	struct queued *m = move->message;
	struct record *r;

	if (m->env != NULL && move->readable) {
		r = message_record(
		    c->store, m, RECORD_MOVE, moved, move->content, move->content_len);
		r->urgent = true; /* the disk is ours now; the old segment goes sooner */
		c->waiting++;
		journal_append(c->store->journal, r);
	} else if (m->env != NULL) {
		m->unreadable = true;
		log_error("queue.unreadable", F_STR("message", id_text(move->id).s),
		    F_U64("segment", c->from->number),
		    F_STR("what", "its record is damaged; its segment is kept"));
	}
	message_release(m);
	buf_free(&move->bytes);
}

static void
moves_read(struct chore *t)
{
	struct compaction *c = (struct compaction *)t;
	unsigned i;

	for (i = 0; i < c->moves_n; i++)
		if (t->error == 0)
			append_move(c, &c->moves[i]);
		else
			message_release(c->moves[i].message);
	if (t->error != 0)
		pause_compaction(c->store);
	if (c->waiting == 0)
		end_compaction(c);
}

static void
move_out_of(struct store *st, struct segment *s)
{
	struct compaction *c = xcalloc(1, sizeof(*c));
	struct queued *m;
	uint64_t bytes = 0;

	LIST_FOREACH(m, &s->live, in_segment) {
		if (c->moves_n == MOVES_MAX ||
		    (bytes > 0 && bytes + m->length > journal_sizes.move))
			break;
		if (m->unreadable || m->env == NULL)
			continue; /* one that is finished leaves by itself */
		bytes += m->length;
		m->in_flight++;
		c->moves[c->moves_n++] = (struct move){
			.message = m, .id = m->env->id, .offset = m->offset, .length = m->length
		};
	}
	if (c->moves_n == 0) {
		free(c);
		return;
	}
	c->store = st;
	c->from = s;
	c->chore.run = read_moves;
	c->chore.done = moves_read;
	st->compaction = c;
	journal_run(st->journal, &c->chore);
}

/* --- policy --- */

static bool
movable(const struct segment *s)
{
	const struct queued *m;

	if (!s->closed || s->retiring)
		return false;
	LIST_FOREACH(m, &s->live, in_segment)
		if (!m->unreadable && m->env != NULL)
			return true;
	return false;
}

/* True when dead octets are more than they may be. */
static bool
too_much_is_dead(const struct store *st)
{
	const struct segment *s;
	uint64_t used = 0, live = 0;

	TAILQ_FOREACH(s, journal_segments(st->journal), entry)
		if (s->closed && !s->retiring) {
			used += s->end;
			live += s->live_bytes;
		}
	/* a full disk takes no mail until it is given back what is dead */
	if (st->room_checked != 0 && st->room == 0)
		return used - live > journal_sizes.first;
	return used - live > (live > journal_sizes.slack ? live : journal_sizes.slack);
}

static struct segment *
choose(const struct store *st)
{
	struct segment *s, *oldest = NULL;

	TAILQ_FOREACH(s, journal_segments(st->journal), entry)
		if ((s->poisoned || s->damaged) && movable(s))
			return s;
	if (!too_much_is_dead(st))
		return NULL;
	TAILQ_FOREACH(s, journal_segments(st->journal), entry) {
		if (s->needs_n > 0 || !movable(s))
			continue;
		if (s->live_bytes < s->end / 4)
			return s;
		if (oldest == NULL && (s->needed || s->live_bytes < s->end / 4 * 3))
			oldest = s;
	}
	return oldest;
}

void
store_tidy(struct store *st)
{
	struct segment *s;

	if (st->closing)
		return;
	retire_what_may_go(st);
	if (st->compaction == NULL && clock_ms() >= st->compact_after && (s = choose(st)) != NULL)
		move_out_of(st, s);
}
