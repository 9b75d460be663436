/*
 * DATA (RFC 5321 4.1.1.4): the text, line by line, up to the line that holds only a dot.
 *
 * A defective text (bare CR, bare LF, NUL) is read to its true end, refused, and the connection closed: what follows on it
 * cannot be trusted to be commands (smuggling).
 */
#include <event2/buffer.h>

#include "smtpd/command.h"
#include "smtpd/intake.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

static void
on_judged(struct session *s, const struct door_answer *a)
{
	if (a->code != 0) {
		session_reply(s, a->code, a->status, "%s", a->text);
		intake_over(s);
		if (a->close)
			session_finish(s, "gate");
		session_resume(s);
		return;
	}
	intake_open(s);
	s->tx->reader.tolerated = intake_tolerated(s);
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
	if (s->tx->env->body == BODY_BINARYMIME) { /* RFC 3030 3 */
		session_reply(s, 503, "5.5.1", "BODY=BINARYMIME comes by BDAT");
		session_error(s);
		return;
	}
	session_wait(s);
	door_pass(s, PHASE_DATA, on_judged);
}

/* Those that the text may not have. */
static uint8_t
defects(const struct data_reader *r)
{
	return r->defects & (uint8_t)~r->tolerated;
}

size_t
cmd_data_text(struct session *s, const char *in, size_t len)
{
	struct transaction *tx = s->tx;
	const struct data_reader *r = &tx->reader;
	size_t used;
	bool end;

	end = data_read(&tx->reader, in, len, tx->text, &used);
	s->rest = len - used;
	if (!end)
		intake_write(s, r->size, defects(r));
	else if (intake_end(s, &(struct intake_found){ r->size, r->received, defects(r), r->eight_bit }))
		session_finish(s, "defective text");
	return used;
}
