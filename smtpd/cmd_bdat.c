/*
 * BDAT (RFC 3030 2): the text in chunks of a length that is said before.
 *
 * Nothing here looks for an end: octets are counted, and dots mean nothing.  A chunk that cannot be taken is read to its end
 * all the same and refused then, as the RFC wants it, because what was announced comes, and must not be read as commands.  A
 * chunk whose length cannot be read ends the session for that reason; whoever announced none, and waits, may go on.  The text
 * is of lines, as in DATA, unless the transaction is BODY=BINARYMIME: then everything behind the header is anybody's octets,
 * kept as they are.
 *
 * A chunk is answered when it is here; that the message is safe, only the answer to the last one says (intake.c).
 */
#include <inttypes.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "conf/conf.h"
#include "lib/mem.h"
#include "smtpd/bdat.h"
#include "smtpd/command.h"
#include "smtpd/intake.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

struct chunk {
	uint64_t size, left;
	bool last;
	bool close;         /* when it has been refused */
	struct buf refusal; /* the reply to come; empty: it is taken */
};

void
cmd_bdat_forget(struct session *s)
{
	if (s->chunk == NULL)
		return;
	buf_free(&s->chunk->refusal);
	free(s->chunk);
	s->chunk = NULL;
}

static void
refuse(struct session *s, int code, const char *status, const char *text)
{
	reply_format(&s->chunk->refusal, code, status, "%s", text);
	if (s->state == STATE_RCPT || s->state == STATE_BDAT)
		intake_over(s);
}

/* --- the end of a chunk --- */

static uint8_t
defects(const struct session *s)
{
	const struct transaction *tx = s->tx;

	if (tx->env->body == BODY_BINARYMIME)
		return content_binary_defects(&tx->content);
	return tx->content.defects & (uint8_t)~intake_tolerated(s);
}

static void
end_of_text(struct session *s)
{
	struct transaction *tx = s->tx;

	content_end(&tx->content);
	intake_end(s, &(struct intake_found){
	    tx->content.size, tx->content.received, defects(s), tx->content.eight_bit });
}

static void
end_of_chunk(struct session *s)
{
	struct chunk c = *s->chunk;

	free(s->chunk);
	s->chunk = NULL;
	if (c.refusal.len > 0) {
		buf_add(&s->out, c.refusal.data, c.refusal.len);
		buf_free(&c.refusal);
		if (session_error(s) && c.close)
			session_finish(s, "gate");
	} else if (c.last) {
		end_of_text(s);
	} else {
		session_reply(s, 250, "2.0.0", "%" PRIu64 " octets are here", c.size);
	}
}

size_t
cmd_bdat_octets(struct session *s, const char *in, size_t len)
{
	struct chunk *c = s->chunk;
	size_t used = c->left < len ? (size_t)c->left : len;
	struct transaction *tx = s->tx;

	c->left -= used;
	s->rest = len - used;
	if (c->refusal.len == 0) {
		content_look(&tx->content, in, used);
		evbuffer_add(tx->text, in, used);
		if (c->left > 0 || !c->last)
			intake_write(s, tx->content.size, defects(s));
	}
	if (c->left == 0)
		end_of_chunk(s);
	return used;
}

/* --- its beginning --- */

/* More than the limit: known before an octet of it is read. */
static bool
too_big(const struct session *s)
{
	uint64_t limit = session_conf()->limits[LIMIT_SIZE], so_far = s->tx->content.size;

	return s->chunk->size > limit || so_far > limit - s->chunk->size;
}

static void
begin(struct session *s)
{
	if (too_big(s))
		refuse(s, 552, "5.3.4", "the text is larger than this server takes");
	if (s->chunk->left == 0)
		end_of_chunk(s);
}

/* An empty last chunk ends the text at once: then the session goes on when that has its answer, and not from here. */
static void
on_judged(struct session *s, const struct door_answer *a)
{
	bool last = s->chunk->last;

	if (a->code == 0) {
		intake_open(s);
		session_state(s, STATE_BDAT);
	} else {
		s->chunk->close = a->close;
		refuse(s, a->code, a->status, a->text);
	}
	if (s->chunk->refusal.len == 0)
		begin(s);
	else if (s->chunk->left == 0)
		end_of_chunk(s);
	if (!(last && s->state == STATE_BDAT && s->chunk == NULL))
		session_resume(s);
}

/* What nobody may do: chunks that bring nothing, over and over. */
static bool
is_idle_play(struct session *s, const struct chunk *c)
{
	if (c->size > 0 || c->last || ++s->junk <= session_conf()->limits[LIMIT_COMMANDS])
		return false;
	session_reply(s, 421, "4.7.0", "%s too many chunks without an octet; good-bye", session_conf()->host);
	session_finish(s, "junk");
	return true;
}

/* True: there is no chunk. */
static bool
without_size(struct session *s, enum bdat_argument argument)
{
	if (argument == BDAT_MISSING && s->rest == 0) {
		session_reply(s, 501, "5.5.4", "BDAT SIZE [LAST]");
		session_error(s);
	} else if (argument == BDAT_MISSING || argument == BDAT_UNREADABLE) {
		session_reply(s, 501, "5.5.4", "BDAT SIZE [LAST]; without a size what follows cannot be read; good-bye");
		session_finish(s, "chunk without size");
	} else {
		return false;
	}
	return true;
}

void
cmd_bdat(struct session *s, const char *arg, size_t len)
{
	struct chunk c = { 0 };
	enum bdat_argument argument = bdat_parse(arg, len, &c.size, &c.last);

	if (without_size(s, argument) || is_idle_play(s, &c))
		return;
	c.left = c.size;
	s->chunk = xmalloc(sizeof(c));
	*s->chunk = c;
	if (argument == BDAT_TAIL) {
		refuse(s, 501, "5.5.4", "BDAT SIZE [LAST]");
		if (s->chunk->left == 0)
			end_of_chunk(s);
	} else if (s->state == STATE_BDAT) {
		begin(s);
	} else if (s->state == STATE_RCPT && s->esmtp) {
		session_wait(s);
		door_pass(s, PHASE_DATA, on_judged);
	} else {
		if (s->state == STATE_MAIL)
			refuse(s, 554, "5.5.1", "no valid recipients");
		else
			refuse(s, 503, "5.5.1", "EHLO, MAIL and RCPT first");
		if (s->chunk->left == 0)
			end_of_chunk(s);
	}
}
