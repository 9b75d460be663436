/*
 * The control client (client.h): connects to SPOOL/control, sends a request, hands on what comes.
 *
 * Its loop ends with the request.  Whoever consumes records may take its time: nothing is read
 * meanwhile, and the server holds its answer back.  A server that is gone, or says what makes no
 * sense, is an error with a reason, never a crash.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "lib/ctl.h"
#include "lib/ctl_wire.h"
#include "lib/mem.h"
#include "lib/unix_socket.h"
#include "smtpctl/client.h"
#include "smtpctl/smtpctl.h"

#define PIECE (64 * 1024)
#define BROKEN "the server closed the connection before the answer was complete; its log says why"

struct exchange {
	const struct request *request;
	struct event_base *base;
	int status;
	char *why;
	bool ended;
};

static bool
on_end(struct exchange *x, struct message *m)
{
	const char *why;

	if (!ctl_end_read(&m->body, &x->status, &why))
		return false;
	x->why = x->status != 0 ? xstrdup(why) : NULL;
	x->ended = true;
	event_base_loopbreak(x->base);
	return true;
}

static bool
on_record(struct exchange *x, struct message *m)
{
	struct field *fields = field_decode(&m->body);

	if (fields == NULL || !cursor_done(&m->body))
		return false;
	if (x->request->record != NULL)
		x->request->record(fields, x->request->arg);
	field_free(fields);
	return true;
}

static bool
on_text(struct exchange *x, struct message *m)
{
	size_t len;
	const void *p = cursor_blob(&m->body, &len);

	if (!cursor_done(&m->body))
		return false;
	if (x->request->text != NULL)
		x->request->text(p, len, x->request->arg);
	return true;
}

static bool
on_message(struct channel *ch, struct message *m, void *arg)
{
	struct exchange *x = arg;

	(void)ch;
	switch (m->type) {
	case CTL_RECORD:
		return on_record(x, m);
	case CTL_TEXT:
		return on_text(x, m);
	case CTL_END:
		return on_end(x, m);
	}
	return false;
}

static void
on_closed(struct channel *ch, void *arg)
{
	struct exchange *x = arg;

	(void)ch;
	event_base_loopbreak(x->base);
}

static void
send_request(struct channel *ch, const struct request *r)
{
	const char *p = r->content;
	size_t left = r->content_len, n;
	struct buf *b;

	b = channel_begin(ch, CTL_REQUEST, 1);
	buf_add_u32(b, 0);
	ctl_words_write(b, r->n, r->words);
	channel_end(ch, -1);
	if (p == NULL)
		return;
	for (; left > 0; p += n, left -= n) {
		n = left < PIECE ? left : PIECE;
		buf_add_blob(channel_begin(ch, CTL_CONTENT, 1), p, n);
		channel_end(ch, -1);
	}
	channel_send(ch, CTL_CONTENT_END, 1);
}

static int
exchange(const struct request *r, int fd, char **why)
{
	static const struct channel_ops ops = { on_message, on_closed };
	struct exchange x = { .request = r, .base = event_base_new(), .status = 1 };
	struct channel *ch = channel_new(x.base, fd, &ops, &x);

	send_request(ch, r);
	event_base_dispatch(x.base);
	if (x.ended) { /* else the channel is freed by itself */
		channel_free(ch);
		event_base_loop(x.base, EVLOOP_NONBLOCK);
	}
	event_base_free(x.base);
	*why = x.ended ? x.why : xstrdup(BROKEN);
	return x.status;
}

static size_t
words_size(const struct request *r)
{
	size_t size = 0;
	unsigned i;

	for (i = 0; i < r->n; i++)
		size += strlen(r->words[i]) + 5;
	return size;
}

int
client_request(const struct request *r, bool quiet, char **why)
{
	static char *path; /* an export asks many times */
	char *spool;
	int fd;

	if (words_size(r) > MESSAGE_MAX - 64 || r->n > CTL_SUBMIT_WORDS_MAX) {
		*why = xstrdup("too many words for one request");
		return EXIT_USAGE;
	}
	if (path == NULL) {
		spool = smtpctl_spool(quiet);
		path = xasprintf("%s/control", spool);
		free(spool);
	}
	fd = unix_socket_connect(path);
	if (fd < 0)
		*why = errno == ENOENT || errno == ECONNREFUSED ?
		    xasprintf("smtpd does not run (nobody answers at %s)", path) :
		    xasprintf("%s: %s", path, strerror(errno));
	return fd < 0 ? CLIENT_NO_SERVER : exchange(r, fd, why);
}
