/*
 * The SMTP client's messages: what can be sent to this server at all, transactions, and the result
 * of each recipient.
 *
 * Called for replies by the table in smtp_client.c, and by smtp_advance when none is awaited any
 * more.  A transaction is a number of commands (MAIL, recipients, DATA), of which SENT are out;
 * with PIPELINING that is all of them at once. Every transaction gives at least one recipient a
 * result, so a message comes to its end.  What must never happen: a recipient that is reported as
 * delivered without a 2xx reply to the data of his own transaction; a CR or LF of an address or a
 * content that the server takes for the end of a line.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "deliver/smtp_inside.h"
#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/mem.h"
#include "lib/orcpt.h"
#include "lib/xtext.h"

#define OUTPUT_HIGH (256 * 1024)

/* --- results --- */

static void
report(struct smtp_client *c, unsigned recipient, enum delivery_status status, const char *text)
{
	c->steps[recipient] = REPORTED;
	c->ops->result(c, recipient, status, text, c->arg);
}

void
smtp_report_all(
    struct smtp_client *c, enum recipient_step step, enum delivery_status status, const char *text)
{
	unsigned i;

	/* whoever is told may be done with the message */
	for (i = 0; c->ops != NULL && i < c->message->recipients_n; i++) {
		if (c->steps[i] == step)
			report(c, i, status, text);
	}
}

static enum delivery_status
status_of(const struct smtp_reply *reply)
{
	return reply->code < 300 ? DELIVERY_OK : reply->code >= 500 ? DELIVERY_PERM : DELIVERY_TEMP;
}

/* A reply that is neither yes nor no where one of them is due. */
static bool
is_refusal(const struct smtp_reply *reply)
{
	return reply->code >= 400;
}

static void
report_refusal(struct smtp_client *c, enum recipient_step step, const struct smtp_reply *reply)
{
	char *text = smtp_reply_text(reply), *odd;

	if (is_refusal(reply)) {
		smtp_report_all(c, step, status_of(reply), text);
	} else {
		odd = xasprintf("451 4.5.0 the server answered what makes no sense: %s", text);
		smtp_report_all(c, step, DELIVERY_TEMP, odd);
		free(odd);
	}
	free(text);
}

/* --- commands of a transaction --- */

static const char *
sender_of(const struct smtp_client_message *m, unsigned recipient)
{
	const char *own = m->recipients[recipient].sender;

	return own != NULL ? own : m->sender;
}

static void
send_mail(struct smtp_client *c, const struct smtp_transaction *t)
{
	const struct smtp_client_message *m = c->message;
	struct buf params = { 0 };

	if (c->offers & OFFER_SIZE)
		buf_addf(&params, " SIZE=%llu", (unsigned long long)c->form.size);
	if (c->form.kind == FORM_BINARY)
		buf_adds(&params, " BODY=BINARYMIME");
	else if (c->form.eight_bit)
		buf_adds(&params, " BODY=8BITMIME");
	if (c->form.utf8)
		buf_adds(&params, " SMTPUTF8");
	if (m->requiretls && (c->offers & OFFER_REQUIRETLS))
		buf_adds(&params, " REQUIRETLS");
	if (m->by != 0 && (c->offers & OFFER_DELIVERBY))
		buf_addf(&params, " BY=%lld;%c%s", (long long)(m->deliver_by - clock_now()),
		    m->by & BY_RETURN ? 'R' : 'N', m->by & BY_TRACE ? "T" : "");
	if ((c->offers & OFFER_DSN) && m->ret != 0)
		buf_adds(&params, m->ret == 1 ? " RET=FULL" : " RET=HDRS");
	if ((c->offers & OFFER_DSN) && m->envid != NULL) {
		buf_adds(&params, " ENVID=");
		xtext_add(&params, m->envid);
	}
	smtp_command(c, STEP_MAIL, 0, "MAIL FROM:<%s>%s", sender_of(m, t->batch[0]),
	    buf_str(&params));
	buf_free(&params);
}

/* RFC 2852 4.1.4.2: a server that does not know until when is asked to tell when it takes long. */
static uint8_t
notify_of(const struct smtp_client *c, uint8_t notify)
{
	enum { NEVER = 1, FAILURE = 4, DELAY = 8 }; /* the queue's bits */
	const struct smtp_client_message *m = c->message;

	if (!(m->by & BY_NOTIFY) || (c->offers & OFFER_DELIVERBY) || m->deliver_by <= clock_now() || (notify & NEVER))
		return notify;
	return (uint8_t)(notify | DELAY | (notify == 0 ? FAILURE : 0));
}

/* The queue's bits, as RFC 3461 4.1 orders the words. */
static void
add_notify(struct buf *out, uint8_t notify)
{
	static const char *const words[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };
	const char *before = " NOTIFY=";
	unsigned i;

	for (i = 0; i < 4; i++) {
		if (notify & 1u << i) {
			buf_addf(out, "%s%s", before, words[i]);
			before = ",";
		}
	}
}

static void
send_rcpt(struct smtp_client *c, unsigned i)
{
	const struct job_recipient *r = &c->message->recipients[i];
	const char *address = r->address + (r->address[0] == '\\');
	struct buf params = { 0 };

	if (c->offers & OFFER_DSN) {
		add_notify(&params, notify_of(c, r->notify));
		if (r->original != NULL) {
			buf_adds(&params, " ORCPT=");
			orcpt_add_param(&params, r->original);
		}
	}
	c->steps[i] = SENT;
	smtp_command(c, STEP_RCPT, i, "RCPT TO:<%s>%s", address, buf_str(&params));
	buf_free(&params);
}

/* RFC 3030 2: all of it in one chunk, as it is.  The replies to RCPT are here. */
static void
send_chunk(struct smtp_client *c)
{
	evbuffer_add_printf(
	    bufferevent_get_output(c->bev), "BDAT %zu LAST\r\n", c->form.len);
	smtp_await(c, STEP_DOT, 0);
	smtp_form_content(&c->form, c->message, &c->content);
	c->streaming = true;
	smtp_send_content(c);
}

/* May the next one be sent before the replies to those that are out? */
static bool
may_go_on(const struct smtp_client *c, const struct smtp_transaction *t)
{
	if (c->awaited_n == 0)
		return true;
	return (c->offers & OFFER_PIPELINING) && (c->form.kind != FORM_BINARY || t->sent <= t->batch_n);
}

/* All that may be sent now. */
static void
send_commands(struct smtp_client *c, struct smtp_transaction *t)
{
	while (!c->over && t->sent < t->batch_n + 2 && may_go_on(c, t)) {
		if (t->sent == 0)
			send_mail(c, t);
		else if (t->sent <= t->batch_n)
			send_rcpt(c, t->batch[t->sent - 1]);
		else if (c->form.kind == FORM_BINARY)
			send_chunk(c);
		else
			smtp_command(c, STEP_DATA, 0, "DATA");
		t->sent++;
	}
}

static bool
same_domain(const struct smtp_client_message *m, unsigned a, unsigned b)
{
	const char *left = strrchr(m->recipients[a].address, '@');
	const char *right = strrchr(m->recipients[b].address, '@');

	return left != NULL && right != NULL ? strcasecmp(left, right) == 0 : left == right;
}

/* RFC 9422 4.3: false when the transaction has as many domains as the server takes, and I is of yet
 * another one.  *DOMAINS are those so far. */
static bool
domain_fits(const struct smtp_client *c, const struct smtp_transaction *t, unsigned i, unsigned *domains)
{
	unsigned k;

	if (c->limits.domains == 0)
		return true;
	for (k = 0; k < t->batch_n; k++)
		if (same_domain(c->message, t->batch[k], i))
			return true;
	if (*domains == c->limits.domains)
		return false;
	++*domains;
	return true;
}

/* A transaction has one sender. */
static bool
sender_fits(const struct smtp_client *c, const struct smtp_transaction *t, unsigned i)
{
	return t->batch_n == 0 ||
	    strcmp(sender_of(c->message, i), sender_of(c->message, t->batch[0])) == 0;
}

/* The recipients of the next transaction. */
static void
gather(const struct smtp_client *c, struct smtp_transaction *t)
{
	unsigned most = TRANSACTION_MAX, domains = 0, i;

	if (c->limits.recipients > 0 && c->limits.recipients < most)
		most = c->limits.recipients;
	if (c->ours.recipients > 0 && c->ours.recipients < most)
		most = c->ours.recipients;
	t->batch_n = t->sent = t->accepted = 0;
	t->opened = t->refused = false;
	for (i = 0; i < c->message->recipients_n && t->batch_n < most; i++) {
		if (c->steps[i] == TO_SEND && sender_fits(c, t, i) && domain_fits(c, t, i, &domains))
			t->batch[t->batch_n++] = i;
	}
}

bool
smtp_client_is_used_up(const struct smtp_client *c)
{
	return (c->limits.mails > 0 && c->mails >= c->limits.mails) ||
	       (c->ours.mails > 0 && c->mails >= c->ours.mails);
}

void
smtp_client_limit(struct smtp_client *c, unsigned mails, unsigned recipients)
{
	c->ours = (struct smtp_limits){ .mails = mails, .recipients = recipients };
}

void
smtp_begin_transaction(struct smtp_client *c)
{
	struct smtp_transaction *now = &c->now;

	gather(c, now);
	if (now->batch_n > 0 && smtp_client_is_used_up(c)) {
		smtp_end(c, DELIVERY_TEMP, false, "451 4.5.3 the server takes no more messages on one connection");
		c->end.anew = true;
		return;
	}
	if (now->batch_n > 0) {
		c->mails++;
		send_commands(c, now);
		return;
	}
	smtp_form_free(&c->form);
	c->message = NULL;
	c->finished = true;
	event_active(&c->turn, 0, 0);
}

/* RFC 2920 3.1: MAIL may stand behind the text of the message before, so that each costs one round
 * trip. */
static void
begin_next(struct smtp_client *c)
{
	const struct evbuffer *out = bufferevent_get_output(c->bev);
	size_t before = evbuffer_get_length(out);

	if (!(c->offers & OFFER_PIPELINING) || smtp_client_is_used_up(c))
		return;
	gather(c, &c->next);
	if (c->next.batch_n == 0)
		return;
	c->mails++;
	send_commands(c, &c->next);
	c->behind = evbuffer_get_length(out) - before;
}

bool
smtp_has_others(const struct smtp_client *c)
{
	unsigned i;

	for (i = 0; i < c->message->recipients_n; i++)
		if (c->steps[i] != ACCEPTED && c->steps[i] != REPORTED)
			return true;
	return false;
}

/* --- replies in a transaction --- */

/* A sender who is refused is refused for all that he has here. */
static void
report_sender(struct smtp_client *c, const struct smtp_reply *reply)
{
	const char *sender = sender_of(c->message, c->now.batch[0]);
	unsigned i;

	for (i = 0; i < c->message->recipients_n; i++)
		if (c->steps[i] == TO_SEND && strcmp(sender_of(c->message, i), sender) == 0)
			c->steps[i] = SENT;
	report_refusal(c, SENT, reply);
}

void
smtp_on_mail(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	(void)recipient;
	c->now.opened = reply->code < 300;
	c->now.refused = !c->now.opened;
	if (c->now.refused)
		report_sender(c, reply);
}

/* RFC 5321 4.5.3.1.10: the server has enough recipients for this transaction; 552 is what it was
 * before. */
static bool
is_too_many(const struct smtp_client *c, const struct smtp_reply *reply)
{
	if (c->now.accepted == 0)
		return false;
	return reply->code == 452 ||
	       (reply->code == 552 && smtp_reply_has_enhanced(reply, "5.5.3"));
}

void
smtp_on_rcpt(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	char *text;

	if (c->steps[recipient] != SENT) /* went with MAIL */
		return;
	if (reply->code < 300) {
		c->steps[recipient] = ACCEPTED;
		c->now.accepted++;
	} else if (is_too_many(c, reply)) {
		c->steps[recipient] = AGAIN;
	} else {
		text = smtp_reply_text(reply);
		report(c, recipient, is_refusal(reply) ? status_of(reply) : DELIVERY_TEMP, text);
		free(text);
	}
}

void
smtp_send_content(struct smtp_client *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	enum smtp_content_status status = SMTP_CONTENT_MORE;

	while (status == SMTP_CONTENT_MORE && evbuffer_get_length(out) < OUTPUT_HIGH)
		status = smtp_content_next(&c->content, out);
	c->streaming = status == SMTP_CONTENT_MORE;
	switch (status) {
	case SMTP_CONTENT_MORE:
		break;
	case SMTP_CONTENT_END:
		c->committed = true;
		begin_next(c);
		break;
	case SMTP_CONTENT_BARE:
		smtp_end(c, DELIVERY_PERM, false,
		    "554 5.6.0 the message has a CR or LF that is no line end");
		break;
	case SMTP_CONTENT_ERROR:
		smtp_end(c, DELIVERY_TEMP, false, "451 4.3.0 the message cannot be read: %s",
		    strerror(errno));
		break;
	}
	if (!c->over)
		smtp_arm(c);
}

void
smtp_write_now(struct smtp_client *c)
{
	struct evbuffer *out;
	int n;

	if (c->over || c->ssl != NULL || smtp_present_step(c) == STEP_CONNECT)
		return;
	out = bufferevent_get_output(c->bev);
	do {
		evbuffer_unfreeze(out, 1); /* a bufferevent keeps its front to itself */
		n = evbuffer_write(out, bufferevent_getfd(c->bev));
		evbuffer_freeze(out, 1);
		if (n > 0 && c->streaming && evbuffer_get_length(out) < OUTPUT_HIGH / 4)
			smtp_send_content(c);
	} while (n > 0 && !c->over && evbuffer_get_length(out) > 0);
	if (!c->over && evbuffer_get_length(out) > 0)
		bufferevent_enable(c->bev, EV_WRITE);
	else
		bufferevent_disable(c->bev, EV_WRITE);
}

void
smtp_on_data(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	(void)recipient;
	if (reply->code != 354) {
		report_refusal(c, ACCEPTED, reply);
		return;
	}
	smtp_await(c, STEP_DOT, 0);
	if (c->now.accepted > 0) {
		smtp_form_content(&c->form, c->message, &c->content);
		c->streaming = true;
		smtp_send_content(c);
	} else {
		/* RFC 2920 3.1: nobody was accepted, and DATA was out already */
		evbuffer_add(bufferevent_get_output(c->bev), ".\r\n", 3);
	}
}

/* Those who did not fit in are to be sent again; what went out behind the content takes its place. */
static void
end_transaction(struct smtp_client *c)
{
	unsigned i;

	for (i = 0; i < c->now.batch_n; i++) {
		if (c->steps[c->now.batch[i]] == AGAIN)
			c->steps[c->now.batch[i]] = TO_SEND;
	}
	c->now = c->next;
	c->next.batch_n = 0;
	c->behind = 0;
}

void
smtp_on_dot(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	bool whole = c->committed || c->now.accepted == 0;
	char *text;

	(void)recipient;
	/* before the results, so that READY, if it comes to that, stands in one turn with them */
	event_active(&c->turn, 0, 0);
	c->committed = c->streaming = c->now.opened = false;
	if (reply->code < 300 && whole) {
		text = smtp_reply_text(reply);
		smtp_report_all(c, ACCEPTED, DELIVERY_OK, text);
		free(text);
	} else {
		report_refusal(c, ACCEPTED, reply);
	}
	if (!whole && c->ops != NULL) /* what we still had to send would now be read as commands */
		smtp_end(c, DELIVERY_TEMP_HOST, false,
		    "451 4.5.0 the server answered before it had the whole message");
	else
		end_transaction(c);
}

void
smtp_on_rset(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	(void)recipient;
	c->now.opened = false;
	if (reply->code >= 300)
		smtp_end_by_reply(c, reply, false);
}

void
smtp_advance(struct smtp_client *c)
{
	struct smtp_transaction *now = &c->now;

	if (c->message == NULL)
		return;
	if (!now->refused && now->batch_n > 0 &&
	    (now->sent <= now->batch_n || (now->sent == now->batch_n + 1 && now->accepted > 0))) {
		send_commands(c, now);
		return;
	}
	if (now->opened) {
		smtp_command(c, STEP_RSET, 0, "RSET");
		return;
	}
	end_transaction(c);
	smtp_begin_transaction(c);
}

/* --- a message --- */

/* Nothing that a server could take for the end of a line or of a path. */
static bool
is_sendable(const char *address)
{
	for (; *address != '\0'; address++) {
		if ((unsigned char)*address < ' ' || *address == 0x7f)
			return false;
	}
	return true;
}

static bool
addresses_ok(const struct smtp_client_message *m)
{
	unsigned i;

	for (i = 0; i < m->recipients_n; i++) {
		if (!is_sendable(m->recipients[i].address) || !is_sendable(sender_of(m, i)))
			return false;
	}
	return true;
}

/* A content in memory is checked before anything is sent. */
static bool
line_ends_ok(const struct smtp_client_message *m)
{
	struct dotstuff stuff = { .cr = false };

	if (m->content == NULL || m->body == BODY_BINARYMIME)
		return true;
	return dotstuff_feed(&stuff, m->content, m->content_len, NULL) && dotstuff_end(&stuff, NULL);
}

/* RFC 2852 4.1.3, 4.1.4.1: what is to come back by a time goes to nobody who would not send it back.  NULL: it may go. */
static const char *
why_not_by(const struct smtp_client *c, const struct smtp_client_message *m)
{
	int64_t rest = m->deliver_by - clock_now();

	if (!(m->by & BY_RETURN))
		return NULL;
	if (rest <= 0)
		return "554 5.4.7 the time that was given to deliver it is over";
	if (!(c->offers & OFFER_DELIVERBY) || rest < c->by_least)
		return "554 5.3.3 the message is to come back when it is late, and the server does not offer DELIVERBY for "
		       "so short a time";
	return NULL;
}

/* Why this message cannot go to this server, or NULL; the caller frees. */
static char *
why_not(struct smtp_client *c, const struct smtp_client_message *m)
{
	const char *by;
	char *why;

	if (!addresses_ok(m))
		return xstrdup("553 5.1.3 an address has a control character");
	if (!line_ends_ok(m))
		return xstrdup("554 5.6.0 the message has a CR or LF that is no line end");
	why = smtp_form_choose(&c->form, c->offers, m);
	if (why != NULL)
		return why;
	if (c->size_most > 0 && c->form.size > c->size_most)
		return xasprintf("552 5.3.4 the message has %llu octets, and the server takes %llu",
		    (unsigned long long)c->form.size, (unsigned long long)c->size_most);
	by = why_not_by(c, m);
	return by != NULL ? xstrdup(by) : NULL;
}

void
smtp_client_send(struct smtp_client *c, const struct smtp_client_message *message)
{
	char *why;

	if (c->message != NULL)
		fatal("smtp client: a second message at the same time");
	c->message = message;
	c->answered = false;
	if (c->over) /* ENDED is on its way */
		return;
	event_del(&c->timer);
	c->steps = xreallocarray(c->steps, message->recipients_n, sizeof(*c->steps));
	memset(c->steps, 0, message->recipients_n * sizeof(*c->steps));
	c->refusal = why = why_not(c, message);
	if (why == NULL)
		smtp_begin_transaction(c);
	else
		event_active(&c->turn, 0, 0);
	smtp_write_now(c);
}
