/*
 * The SMTP client's connection: what is sent, what is awaited, and how it ends.
 *
 * Every command that is sent puts its step into the queue of awaited replies, and the first of them
 * has the time that RFC 5321 4.5.3.2 gives it.  Everything that can go wrong with a connection ends
 * in smtp_end, which says what that means for recipients without a result.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "deliver/smtp_inside.h"
#include "lib/mem.h"

static const struct {
	const char *name; /* what a time-out or a loss is said to have waited for */
	unsigned seconds; /* RFC 5321 4.5.3.2; 0: the configuration's */
} steps[STEP_COUNT] = {
	[STEP_CONNECT] = { "the connection", 0 },
	[STEP_BANNER] = { "the greeting", 300 },
	[STEP_EHLO] = { "the reply to EHLO", 300 },
	[STEP_HELO] = { "the reply to HELO", 300 },
	[STEP_STARTTLS] = { "the reply to STARTTLS", 120 },
	[STEP_HANDSHAKE] = { "the TLS handshake", 60 },
	[STEP_AUTH] = { "the reply to AUTH", 180 },
	[STEP_MAIL] = { "the reply to MAIL", 300 },
	[STEP_RCPT] = { "the reply to RCPT", 300 },
	[STEP_DATA] = { "the reply to DATA", 120 },
	[STEP_CONTENT] = { "room to send the message", 180 },
	[STEP_DOT] = { "the reply to the message", 600 },
	[STEP_RSET] = { "the reply to RSET", 300 },
	[STEP_IDLE] = { "the next message", 0 },
	[STEP_QUIT] = { "the reply to QUIT", 10 },
};

/* --- the end --- */

void
smtp_end(
    struct smtp_client *c, enum delivery_status status, bool try_elsewhere, const char *fmt, ...)
{
	va_list ap;

	if (c->over)
		return;
	c->over = true;
	va_start(ap, fmt);
	c->end_text = xvasprintf(fmt, ap);
	va_end(ap);
	c->end = (struct smtp_client_end){
		.status = status, .try_elsewhere = try_elsewhere, .text = c->end_text
	};
	if (c->bev != NULL)
		bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	event_del(&c->timer);
	event_active(&c->turn, 0, 0);
}

/* In the words of a reply, for a server that turns the session away. */
void
smtp_end_by_reply(struct smtp_client *c, const struct smtp_reply *reply, bool try_elsewhere)
{
	char *text = smtp_reply_text(reply);
	bool never = reply->code >= 500;

	smtp_end(c, never ? DELIVERY_PERM : DELIVERY_TEMP_HOST, try_elsewhere, "%s", text);
	free(text);
}

/* --- what is awaited --- */

enum step
smtp_present_step(const struct smtp_client *c)
{
	if (c->streaming)
		return STEP_CONTENT;
	return c->awaited_n > 0 ? c->awaited[0].step : STEP_IDLE;
}

const char *
smtp_waits_for(const struct smtp_client *c)
{
	return steps[smtp_present_step(c)].name;
}

void
smtp_arm(struct smtp_client *c)
{
	enum step step = smtp_present_step(c);
	unsigned seconds = steps[step].seconds;

	if (step == STEP_CONNECT)
		seconds = c->conf->connect_timeout;
	else if (step == STEP_IDLE)
		seconds = c->conf->idle_timeout;
	event_add(&c->timer, &(struct timeval){ (time_t)seconds, 0 });
}

void
smtp_await(struct smtp_client *c, enum step step, unsigned recipient)
{
	if (c->awaited_n == c->awaited_cap) {
		c->awaited_cap = c->awaited_cap == 0 ? 8 : c->awaited_cap * 2;
		c->awaited = xreallocarray(c->awaited, c->awaited_cap, sizeof(*c->awaited));
	}
	c->awaited[c->awaited_n++] = (struct awaited){ step, recipient };
	if (c->awaited_n == 1)
		smtp_arm(c);
}

struct awaited
smtp_take_awaited(struct smtp_client *c)
{
	struct awaited first = c->awaited[0];

	c->awaited_n--;
	memmove(c->awaited, c->awaited + 1, c->awaited_n * sizeof(*c->awaited));
	return first;
}

void
smtp_command(struct smtp_client *c, enum step step, unsigned recipient, const char *fmt, ...)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	va_list ap;

	va_start(ap, fmt);
	evbuffer_add_vprintf(out, fmt, ap);
	va_end(ap);
	evbuffer_add(out, "\r\n", 2);
	smtp_await(c, step, recipient);
}
