/*
 * What a program at the control socket is told: records, and the end of an answer (control_client.h).
 *
 * A client that reads slowly makes the roles that answer it wait (CTL_PAUSE); one whose backlog grows
 * all the same is dropped.
 */
#include <sys/socket.h>

#include <event2/event.h>

#include "lib/ctl.h"
#include "lib/ctl_wire.h"
#include "lib/log.h"
#include "smtpd/control_client.h"

#define BACKLOG_PAUSE (1024 * 1024)
#define BACKLOG_MAX (16 * 1024 * 1024)
#define SILENCE_SECONDS 60    /* without a request, or in the middle of a content */

static const struct conf *the_conf;

void
control_set_conf(const struct conf *conf)
{
	the_conf = conf;
}

const struct conf *
control_conf(void)
{
	return the_conf;
}

void
client_await(struct client *c)
{
	const struct timeval tv = { SILENCE_SECONDS, 0 };

	event_add(&c->timer, &tv);
}

static void
on_drained(struct channel *ch, void *arg)
{
	struct client *c = arg;

	(void)ch;
	c->paused = false;
	if (!c->slow)
		c->pause(c, false);
}

/* Dropping must wait: this is called from a role's message about the forward that would go.  Its
 * channel is told to end, which comes back as CLOSED. */
static void
check_backlog(struct client *c)
{
	size_t backlog = channel_backlog(c->channel);

	if (backlog > BACKLOG_MAX) {
		log_notice("control.slow", F_U64("uid", c->uid), F_U64("backlog", backlog),
		    F_STR("what", "the caller reads too slowly; it is dropped"));
		c->slow = true;
		(void)shutdown(channel_fd(c->channel), SHUT_RDWR);
	} else if (backlog > BACKLOG_PAUSE && !c->paused && c->forward != NULL) {
		c->paused = true;
		c->pause(c, true);
		channel_on_drained(c->channel, on_drained, c);
	}
}

void
client_pass(struct client *c, uint16_t type, const void *payload, size_t len)
{
	if (c->slow)
		return;
	buf_add(channel_begin(c->channel, type, c->id), payload, len);
	channel_end(c->channel, -1);
	check_backlog(c);
}

void
client_record(struct client *c, const struct field *fields)
{
	struct buf b = { 0 };

	field_encode(&b, fields);
	client_pass(c, CTL_RECORD, b.data, b.len);
	buf_free(&b);
}

void
client_end(struct client *c, int status, const char *why)
{
	ctl_end_write(channel_begin(c->channel, CTL_END, c->id), status, why);
	channel_end(c->channel, -1);
	c->state = c->state == CLIENT_SUBMITS ? CLIENT_REFUSED : CLIENT_IDLE;
	c->forward = NULL;
	c->submit = NULL;
	client_hold(c, false);
	client_await(c);
}

void
client_hold(struct client *c, bool held)
{
	c->held = held;
	channel_pause(c->channel, held);
	if (!held)
		client_await(c);
}
