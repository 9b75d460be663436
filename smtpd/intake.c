/*
 * From the last octet of a text to the reply to it (intake.h): the checks, the gate, and the promise.
 *
 * "250" for a message leaves from one place only, on_committed(), which the queue calls when the flush that covers the message
 * is done.  Until then the message is the client's; if the queue or this process dies the client gets 451 or a broken
 * connection, and sends again.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "conf/conf.h"
#include "lib/clock.h"
#include "lib/content.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/table.h"
#include "smtpd/fixup.h"
#include "smtpd/intake.h"
#include "smtpd/session.h"
#include "smtpd/submission.h"
#include "smtpd/transaction.h"

void
intake_over(struct session *s)
{
	transaction_free(s->tx);
	s->tx = NULL;
	session_state(s, STATE_READY);
}

uint8_t
intake_tolerated(const struct session *s)
{
	return s->tx->normalize ? CONTENT_BARE_CR | CONTENT_BARE_LF : 0;
}

/* Of who is listed, and at submission, where a text is made fit to be sent (RFC 6409 8): programs there read files with a bare
 * LF behind each line, and say so to the network (curl -T). */
static bool
is_mended(const struct session *s)
{
	const struct table *from = s->listener->normalize_from;

	return s->tx->env->body != BODY_BINARYMIME &&
	    (s->listener->submission || (from != NULL && table_match_client(from, &s->ip, NULL)));
}

/* The header fields go on top first: all recipients and verdicts are known. */
void
intake_open(struct session *s)
{
	struct transaction *tx = s->tx;

	tx->normalize = is_mended(s);
	tx->submission = submit_begin(tx->env->id);
	tx->text = evbuffer_new();
	transaction_trace(s, tx->text);
	submit_write(tx->submission, tx->text);
	submission_read(s);
}

/* What was read is made lines; before anybody looks at them. */
static void
normalize(struct transaction *tx, bool end)
{
	struct evbuffer *raw = tx->text;
	size_t len = evbuffer_get_length(raw);

	if (!tx->normalize)
		return;
	tx->text = evbuffer_new();
	if (len > 0)
		crlf_feed(&tx->crlf, (const char *)evbuffer_pullup(raw, -1), len, tx->text);
	if (end)
		crlf_end(&tx->crlf, tx->text);
	evbuffer_free(raw);
}

static void
on_ready(void *arg)
{
	session_resume(arg);
}

void
intake_write(struct session *s, uint64_t size, uint8_t defects)
{
	struct transaction *tx = s->tx;

	if (size > session_conf()->limits[LIMIT_SIZE] || defects != 0) /* read on to the end, keep nothing */
		evbuffer_drain(tx->text, evbuffer_get_length(tx->text));
	normalize(tx, false);
	if (tx->fixup != NULL)
		fixup_text(tx->fixup, tx->text);
	submit_write(tx->submission, tx->text);
	if (submit_busy(tx->submission)) {
		session_wait(s);
		submit_on_ready(tx->submission, on_ready, s);
	}
}

static void
on_committed(enum submit_status status, const char *text, void *arg)
{
	struct session *s = arg;
	struct transaction *tx = s->tx;

	tx->submission = NULL;
	if (status == SUBMIT_OK) {
		s->accepted++;
		s->junk = 0;
		log_debug("message.accepted", F_STR("session", id_text(s->id).s), F_STR("message", id_text(tx->env->id).s),
		    F_STR("client", tx->env->origin), F_STR("helo", s->helo), F_STR("from", tx->env->sender),
		    F_STR("to", tx->env->recipients[0].address), F_U64("recipients", tx->env->recipients_n),
		    F_U64("size", tx->env->size));
		door_let_in(s);
		session_reply(s, 250, "2.0.0", "queued as %s", id_text(tx->env->id).s);
	} else {
		session_raw(s, text);
	}
	intake_over(s);
	session_resume(s);
}

/* The last octets may have begun a file that is still being asked for: the message is handed over when all is written. */
static void
commit(void *arg)
{
	struct session *s = arg;
	struct transaction *tx = s->tx;

	if (submit_busy(tx->submission)) {
		submit_on_ready(tx->submission, commit, s);
		return;
	}
	tx->env->time = clock_now();
	tx->env->size = submit_size(tx->submission);
	if (tx->found.eight_bit && tx->env->body == BODY_7BIT)
		tx->env->body = BODY_8BITMIME; /* it is what it is, whatever was declared */
	submit_commit(tx->submission, tx->env, on_committed, s);
}

static void
on_message_judged(struct session *s, const struct door_answer *a)
{
	if (a->code == 0) {
		commit(s);
		return;
	}
	session_reply(s, a->code, a->status, "%s", a->text);
	intake_over(s);
	if (a->close)
		session_finish(s, "gate");
	session_resume(s);
}

/* What is wrong with a text that was read to its end, or NULL. */
static const char *
fault(const struct intake_found *found, int *code, const char **status)
{
	*code = 550;
	*status = "5.6.0";
	if (found->defects & CONTENT_NUL)
		return "the text has a NUL octet; we take none";
	if (found->defects != 0)
		return "the text has a bare CR or LF; lines end with CR LF (RFC 5321 2.3.8)";
	if (found->size > session_conf()->limits[LIMIT_SIZE]) {
		*code = 552;
		*status = "5.3.4";
		return "the text is larger than this server takes";
	}
	if (found->received > session_conf()->limits[LIMIT_HOPS]) {
		*code = 554;
		*status = "5.4.6";
		return "too many hops: the message loops";
	}
	return NULL;
}

static void
on_authors(struct session *s, enum recipient_verdict verdict)
{
	if (verdict == RECIPIENT_OURS) {
		door_pass(s, PHASE_MESSAGE, on_message_judged);
		return;
	}
	intake_over(s);
	if (verdict == RECIPIENT_FOREIGN)
		session_error(s);
	session_resume(s);
}

bool
intake_end(struct session *s, const struct intake_found *found)
{
	struct transaction *tx = s->tx;
	const char *status, *what;
	int code;

	s->messages++;
	tx->found = *found;
	what = fault(found, &code, &status);
	if (what == NULL)
		normalize(tx, true);
	if (what == NULL && tx->fixup != NULL && (what = fixup_end(tx->fixup, tx->text)) != NULL)
		code = 554; /* RFC 6409 6.3 */
	if (what == NULL) {
		submit_write(tx->submission, tx->text);
		session_wait(s);
		submission_check_authors(s, on_authors);
		return false;
	}
	log_info("message.refused", F_STR("session", id_text(s->id).s), F_STR("client", tx->env->origin),
	    F_STR("helo", s->helo), F_STR("from", tx->env->sender), F_U64("size", found->size), F_STR("why", what));
	session_reply(s, code, status, "%s", what);
	intake_over(s);
	session_error(s);
	return found->defects != 0;
}
