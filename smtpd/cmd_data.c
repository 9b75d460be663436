/*
 * DATA (RFC 5321 4.1.1.4): the text, its end, and the promise.
 *
 * "250" leaves from one place only, on_committed(), which the queue calls when the flush that covers the message is done.
 * Until then the message is the client's; if the queue or this process dies the client gets 451 or a broken connection, and
 * sends again.  A defective text (bare CR, bare LF, NUL) is read to its true end, refused, and the connection closed: what
 * follows on it cannot be trusted to be commands (smuggling).
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "conf/conf.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "smtpd/command.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static void
transaction_over(struct session *s)
{
	transaction_free(s->tx);
	s->tx = NULL;
	session_state(s, STATE_READY);
}

static void
on_judged(struct session *s, const struct door_answer *a)
{
	struct transaction *tx = s->tx;

	if (a->code != 0) {
		session_reply(s, a->code, a->status, "%s", a->text);
		transaction_over(s);
		if (a->close)
			session_finish(s, "gate");
		session_resume(s);
		return;
	}
	tx->submission = submit_begin(tx->env->id);
	tx->text = evbuffer_new();
	session_reply(s, 354, NULL, "go ahead; end with a line that holds only a dot");
	session_state(s, STATE_DATA);
	session_resume(s);
}

void
cmd_data(struct session *s, const char *arg, size_t len)
{
	(void)arg;
	(void)len;
	if (s->tx->env->recipients_n == 0) { /* RFC 5321 3.3, RFC 2920 3.1 */
		session_reply(s, 554, "5.5.1", "no valid recipients");
		session_error(s);
		return;
	}
	session_wait(s);
	door_pass(s, PHASE_DATA, on_judged);
}

static void
on_committed(enum submit_status status, const char *text, void *arg)
{
	struct session *s = arg;
	struct transaction *tx = s->tx;

	tx->submission = NULL;
	if (status == SUBMIT_OK) {
		s->accepted++;
		log_debug("message.accepted", F_STR("session", id_text(s->id).s), F_STR("message", id_text(tx->env->id).s),
		    F_STR("client", tx->env->origin), F_STR("helo", s->helo), F_STR("from", tx->env->sender),
		    F_STR("to", tx->env->recipients[0].address), F_U64("recipients", tx->env->recipients_n),
		    F_U64("size", tx->env->size));
		door_let_in(s);
		session_reply(s, 250, "2.0.0", "queued as %s", id_text(tx->env->id).s);
	} else {
		session_raw(s, text);
	}
	transaction_over(s);
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
	if (tx->reader.eight_bit && tx->env->body == BODY_7BIT)
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
	transaction_over(s);
	if (a->close)
		session_finish(s, "gate");
	session_resume(s);
}

/* What is wrong with a text that was read to its end, or NULL. */
static const char *
fault(struct session *s, int *code, const char **status)
{
	const struct data_reader *r = &s->tx->reader;

	*code = 550;
	*status = "5.6.0";
	if (r->defects & DEFECT_NUL)
		return "the text has a NUL octet; we take none";
	if (r->defects != 0)
		return "the text has a bare CR or LF; lines end with CR LF (RFC 5321 2.3.8)";
	if (s->tx->too_big) {
		*code = 552;
		*status = "5.3.4";
		return "the text is larger than this server takes";
	}
	if (r->received > session_conf()->limits[LIMIT_HOPS]) {
		*code = 554;
		*status = "5.4.6";
		return "too many hops: the message loops";
	}
	return NULL;
}

static void
end_of_text(struct session *s)
{
	struct transaction *tx = s->tx;
	const char *status, *what;
	int code;

	s->messages++;
	what = fault(s, &code, &status);
	if (what == NULL) {
		submit_write(tx->submission, tx->text);
		session_wait(s);
		door_pass(s, PHASE_MESSAGE, on_message_judged);
		return;
	}
	log_info("message.refused", F_STR("session", id_text(s->id).s), F_STR("client", tx->env->origin),
	    F_STR("helo", s->helo), F_STR("from", tx->env->sender), F_U64("size", tx->reader.size), F_STR("why", what));
	session_reply(s, code, status, "%s", what);
	if (tx->reader.defects != 0) {
		session_finish(s, "defective text");
		return;
	}
	transaction_over(s);
	session_error(s);
}

/* The header fields go on top with the first octets, when all recipients and verdicts are known. */
static void
label(struct session *s)
{
	struct evbuffer *top;

	if (s->tx->reader.size > 0 || submit_size(s->tx->submission) > 0)
		return;
	top = evbuffer_new();
	transaction_trace(s, top);
	submit_write(s->tx->submission, top);
	evbuffer_free(top);
}

static void
on_ready(void *arg)
{
	session_resume(arg);
}

size_t
cmd_data_text(struct session *s, const char *in, size_t len)
{
	struct transaction *tx = s->tx;
	size_t used;
	bool end;

	label(s);
	end = data_read(&tx->reader, in, len, tx->too_big ? NULL : tx->text, &used);
	if (tx->reader.size > session_conf()->limits[LIMIT_SIZE])
		tx->too_big = true;
	if (tx->too_big || tx->reader.defects != 0) /* read on to the end, keep nothing */
		evbuffer_drain(tx->text, evbuffer_get_length(tx->text));
	s->rest = len - used;
	if (end) {
		end_of_text(s);
		return used;
	}
	submit_write(tx->submission, tx->text);
	if (submit_busy(tx->submission)) {
		session_wait(s);
		submit_on_ready(tx->submission, on_ready, s);
	}
	return used;
}
