/*
 * Speaking LMTP (lmtp.h).
 *
 * Called by the delivery process of domains with `deliver lmtp`, which does nothing else: so it may
 * block, and what waits meanwhile waits in its socket.  Commands go out together when the server
 * takes that (RFC 2033 5 wants it of every server); after the dot there is a reply for each
 * recipient that was accepted, in their order, and each is that recipient's own fate.
 *
 * A server may close a connection between messages whenever it likes.  So when one that was used
 * before breaks ahead of the first reply, the message is tried once more on a new one; nothing was
 * accepted yet, so nothing is doubled.  A connection that breaks after the dot leaves those in
 * doubt who have no reply: they are tried later, and may get the message twice (RFC 1047).
 *
 * Anything that is not LMTP, and any silence, ends the connection.  What must never happen: that a
 * reply is taken for another recipient's, so after any doubt about their order the connection goes.
 */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "deliver/lmtp.h"
#include "deliver/smtp_form.h"
#include "deliver/smtp_reply.h"
#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/unix_socket.h"

/* A server that could not be reached is not asked again for so long, so that a batch of messages
 * does not wait for each. */
#define DEAD_MS 1000
#define READ_SIZE 16384

const struct lmtp_timeouts lmtp_timeouts = { 30 * 1000, 300 * 1000, 600 * 1000 };

struct lmtp {
	char *server, *host;
	struct lmtp_timeouts timeouts;
	int fd; /* -1: not connected */
	bool used; /* a message went over it before */
	unsigned offers; /* enum offer, or'ed */
	struct evbuffer *in, *out;
	struct smtp_reply reply;
	uint64_t dead_until; /* clock_ms() */
	char *why;	     /* the last failure, as a text of a result */
};

/* --- the server's address --- */

bool
lmtp_parse(const char *server, struct ip *ip, uint16_t *port)
{
	const char *close = strchr(server, ']');
	char *address, *end;
	unsigned long number;
	bool ok;

	*ip = (struct ip){ .family = 0 };
	if (server[0] == '/')
		return server[1] != '\0';
	if (server[0] != '[' || close == NULL || close[1] != ':' || close[2] < '1' ||
	    close[2] > '9')
		return false;
	address = xstrndup(server + 1, (size_t)(close - server - 1));
	number = strtoul(close + 2, &end, 10);
	ok = *end == '\0' && number <= UINT16_MAX && ip_parse(address, ip);
	free(address);
	*port = (uint16_t)number;
	return ok;
}

struct lmtp *
lmtp_new(const char *server, const char *host, const struct lmtp_timeouts *timeouts)
{
	struct lmtp *l = xcalloc(1, sizeof(*l));

	l->server = xstrdup(server);
	l->host = xstrdup(host);
	l->timeouts = *timeouts;
	l->fd = -1;
	l->in = evbuffer_new();
	l->out = evbuffer_new();
	if (l->in == NULL || l->out == NULL)
		fatal("evbuffer_new: out of memory");
	return l;
}

static void
disconnect(struct lmtp *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	l->used = false;
	evbuffer_drain(l->in, evbuffer_get_length(l->in));
	evbuffer_drain(l->out, evbuffer_get_length(l->out));
	smtp_reply_clear(&l->reply);
}

void
lmtp_free(struct lmtp *l)
{
	if (l->fd >= 0)
		(void)send(l->fd, "QUIT\r\n", 6, MSG_DONTWAIT | MSG_NOSIGNAL);
	disconnect(l);
	smtp_reply_free(&l->reply);
	evbuffer_free(l->in);
	evbuffer_free(l->out);
	free(l->server);
	free(l->host);
	free(l->why);
	free(l);
}

/* --- the wire: false is the end of the connection, and WHY says the reason --- */

static bool __attribute__((format(printf, 2, 3)))
broken(struct lmtp *l, const char *fmt, ...)
{
	va_list ap;

	free(l->why);
	va_start(ap, fmt);
	l->why = xvasprintf(fmt, ap);
	va_end(ap);
	disconnect(l);
	return false;
}

static bool
await(struct lmtp *l, short events, uint32_t patience_ms, const char *what)
{
	struct pollfd fd = { l->fd, events, 0 };
	int n;

	do
		n = poll(&fd, 1, (int)patience_ms);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		return true;
	return broken(l, "451 4.4.1 %s: no answer %s", l->server, what);
}

static bool
flush(struct lmtp *l, size_t leave)
{
	while (evbuffer_get_length(l->out) > leave) {
		if (evbuffer_write(l->out, l->fd) >= 0)
			continue;
		if (errno != EAGAIN && errno != EINTR)
			return broken(l, "451 4.4.2 %s: %s", l->server, strerror(errno));
		if (!await(l, POLLOUT, l->timeouts.reply, "while the message was sent"))
			return false;
	}
	return true;
}

/* Takes a whole reply out of what was read; false with *MORE: not yet. */
static bool
take_reply(struct lmtp *l, bool *more)
{
	size_t len = evbuffer_get_length(l->in), used;
	enum smtp_reply_status status;

	*more = false;
	status = smtp_reply_feed(&l->reply, (const char *)evbuffer_pullup(l->in, -1), len, &used);
	evbuffer_drain(l->in, used);
	if (status == SMTP_REPLY_DONE)
		return true;
	if (status == SMTP_REPLY_BAD)
		return broken(l, "451 4.5.0 %s: what it says is not LMTP", l->server);
	*more = true;
	return false;
}

/* The next reply is in L->REPLY. */
static bool
read_reply(struct lmtp *l, uint32_t patience_ms, const char *what)
{
	uint64_t end = clock_ms() + patience_ms, now;
	bool more;
	int n;

	smtp_reply_clear(&l->reply);
	for (;;) {
		if (evbuffer_get_length(l->in) > 0) {
			if (take_reply(l, &more))
				return true;
			if (!more)
				return false;
		}
		now = clock_ms();
		if (!await(l, POLLIN, now < end ? (uint32_t)(end - now) : 0, what))
			return false;
		n = evbuffer_read(l->in, l->fd, READ_SIZE);
		if (n == 0)
			return broken(l, "451 4.4.2 %s closed the connection %s", l->server, what);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return broken(l, "451 4.4.2 %s: %s", l->server, strerror(errno));
	}
}

/* --- connecting --- */

static int
connect_address(struct lmtp *l, const struct ip *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t len = ip_to_sockaddr(ip, port, &ss), error_len = sizeof(int);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;
	struct pollfd ready = { fd, POLLOUT, 0 };

	if (fd < 0 || connect(fd, (const struct sockaddr *)&ss, len) == 0)
		return fd;
	error = errno;
	if (error == EINPROGRESS) {
		error = ETIMEDOUT;
		if (poll(&ready, 1, (int)l->timeouts.connect) > 0)
			(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len);
	}
	if (error == 0)
		return fd;
	close(fd);
	errno = error;
	return -1;
}

static bool
open_connection(struct lmtp *l)
{
	struct ip ip;
	uint16_t port;

	if (!lmtp_parse(l->server, &ip, &port))
		return broken(l, "451 4.3.5 \"%s\" is no LMTP server", l->server);
	l->fd = ip.family != 0 ? connect_address(l, &ip, port) : unix_socket_connect(l->server);
	if (l->fd < 0)
		return broken(l, "451 4.4.1 cannot connect to %s: %s", l->server, strerror(errno));
	fcntl(l->fd, F_SETFL, O_NONBLOCK);
	return true;
}

/* The answer to LHLO; its first line is the server's name. */
static void
read_offers(struct lmtp *l)
{
	const char *line = strchr(buf_str(&l->reply.lines), '\n'), *lf;
	size_t word;

	l->offers = 0;
	for (; line != NULL && (lf = strchr(++line, '\n')) != NULL; line = lf)
		l->offers |= smtp_offer(line, (size_t)(lf - line), &word);
}

/* Not of this kind: the reply is why there will be no conversation. */
static bool
expect_200(struct lmtp *l, const char *what)
{
	char *text;

	if (!read_reply(l, l->timeouts.reply, what))
		return false;
	if (l->reply.code / 100 == 2)
		return true;
	/* also a 5xx is about the connection, and about no recipient */
	text = smtp_reply_text(&l->reply);
	(void)broken(l, "451 4.4.2 %s %s: %s", l->server, what, text);
	free(text);
	return false;
}

static bool
connect_server(struct lmtp *l)
{
	if (l->fd >= 0)
		return true;
	if (clock_ms() < l->dead_until)
		return false;
	if (open_connection(l) && expect_200(l, "when it was to greet")) {
		evbuffer_add_printf(l->out, "LHLO %s\r\n", l->host);
		if (flush(l, 0) && expect_200(l, "after LHLO")) {
			read_offers(l);
			return true;
		}
	}
	l->dead_until = clock_ms() + DEAD_MS;
	return false;
}

/* --- a transaction --- */

struct transaction {
	struct lmtp *l;
	const struct smtp_client_message *message;
	struct lmtp_recipient *recipients;
	unsigned n;
	struct smtp_form form;
	bool begun; /* a reply of it was read */
};

static void
settle_reply(struct lmtp *l, struct lmtp_recipient *r)
{
	unsigned kind = l->reply.code / 100;

	final_settle(&r->result,
	    kind == 2	      ? DELIVERY_OK
		: kind == 5 ? DELIVERY_PERM
			    : DELIVERY_TEMP,
	    smtp_reply_text(&l->reply));
}

/* All that are not settled yet. */
static void
settle_rest(struct transaction *t, enum delivery_status status, const char *text)
{
	unsigned i;

	for (i = 0; i < t->n; i++)
		if (t->recipients[i].result.text == NULL)
			final_settle(&t->recipients[i].result, status, xstrdup(text));
}

/* Whole octets above 127, or what would be a command of its own. */
static bool
has_octet(const char *s, bool controls)
{
	for (; *s != '\0'; s++)
		if (controls ? (unsigned char)*s < ' ' || *s == 0x7f : (unsigned char)*s > 0x7f)
			return true;
	return false;
}

/* False, and settled: it cannot be said to this server.  Text that cannot be encoded goes as it is to
 * one without 8BITMIME: what that does with it is better than no mail. */
static bool
choose_form(struct transaction *t)
{
	struct smtp_client_message m = *t->message;
	char *why;

	m.sender = ""; /* addresses are looked at one by one */
	m.recipients_n = 0;
	why = smtp_form_choose(&t->form, t->l->offers, &m);
	if (why != NULL && m.body != BODY_BINARYMIME && (!m.utf8 || (t->l->offers & OFFER_SMTPUTF8))) {
		smtp_form_free(&t->form);
		free(why);
		why = smtp_form_choose(&t->form, t->l->offers | OFFER_8BITMIME, &m);
		t->form.eight_bit = false;
	}
	if (why == NULL)
		return true;
	settle_rest(t, why[0] == '4' ? DELIVERY_TEMP : DELIVERY_PERM, why);
	free(why);
	return false;
}

static bool
check_addresses(struct transaction *t)
{
	bool knows_utf8 = (t->l->offers & OFFER_SMTPUTF8) != 0;
	unsigned i;

	if (has_octet(t->message->sender, true)) {
		settle_rest(t, DELIVERY_PERM, "553 5.1.7 the sender's address has control characters");
		return false;
	}
	if (!knows_utf8 && has_octet(t->message->sender, false)) {
		settle_rest(t, DELIVERY_PERM, "550 5.6.7 the mailbox server knows no SMTPUTF8");
		return false;
	}
	for (i = 0; i < t->n; i++) {
		const char *address = t->recipients[i].address;

		if (has_octet(address, true) || (!knows_utf8 && has_octet(address, false)))
			final_settle(&t->recipients[i].result, DELIVERY_PERM,
			    xstrdup("553 5.1.3 the mailbox server cannot be told this address"));
	}
	return true;
}

static void
add_mail(struct transaction *t)
{
	struct lmtp *l = t->l;

	evbuffer_add_printf(l->out, "MAIL FROM:<%s>", t->message->sender);
	if ((l->offers & OFFER_SIZE) && t->form.size > 0)
		evbuffer_add_printf(l->out, " SIZE=%" PRIu64, t->form.size);
	if (t->form.kind == FORM_BINARY)
		evbuffer_add_printf(l->out, " BODY=BINARYMIME");
	else if (t->form.eight_bit)
		evbuffer_add_printf(l->out, " BODY=8BITMIME");
	if (l->offers & OFFER_SMTPUTF8)
		evbuffer_add_printf(l->out, " SMTPUTF8");
	evbuffer_add_printf(l->out, "\r\n");
}

static bool
command_reply(struct transaction *t, const char *what)
{
	if (!flush(t->l, 0) || !read_reply(t->l, t->l->timeouts.reply, what))
		return false;
	t->begun = true;
	return true;
}

/* The reply to MAIL; a refusal is everybody's.  False: the connection is gone. */
static bool
read_mail_reply(struct transaction *t)
{
	enum delivery_status status;
	char *text;

	if (!command_reply(t, "after MAIL"))
		return false;
	if (t->l->reply.code / 100 == 2)
		return true;
	status = t->l->reply.code / 100 == 5 ? DELIVERY_PERM : DELIVERY_TEMP;
	text = smtp_reply_text(&t->l->reply);
	settle_rest(t, status, text);
	free(text);
	return true;
}

/*
 * MAIL, RCPT and DATA, together or one by one.  With pipelining all replies are read whatever they
 * are.  Whoever is refused is settled; ACCEPTED marks the others.  Returns false when the connection is
 * gone, or there is nothing more to say; else *CODE is the reply to DATA, which a chunk does without.
 */
static bool
send_commands(struct transaction *t, bool *accepted, unsigned *accepted_n, unsigned *code)
{
	struct lmtp *l = t->l;
	bool pipelining = (l->offers & OFFER_PIPELINING) != 0, chunk = t->form.kind == FORM_BINARY;
	bool *named = xcalloc(t->n, sizeof(*named));
	unsigned i;
	bool ok;

	for (i = 0; i < t->n; i++)
		named[i] = t->recipients[i].result.text == NULL;
	add_mail(t);
	for (i = 0; i < t->n && pipelining; i++)
		if (named[i])
			evbuffer_add_printf(l->out, "RCPT TO:<%s>\r\n", t->recipients[i].address);
	if (pipelining && !chunk)
		evbuffer_add_printf(l->out, "DATA\r\n");
	ok = read_mail_reply(t);
	for (i = 0; i < t->n && ok; i++) {
		if (!named[i] || (!pipelining && t->recipients[i].result.text != NULL))
			continue;
		if (!pipelining)
			evbuffer_add_printf(l->out, "RCPT TO:<%s>\r\n", t->recipients[i].address);
		ok = command_reply(t, "after RCPT");
		accepted[i] = ok && l->reply.code / 100 == 2 && t->recipients[i].result.text == NULL;
		*accepted_n += accepted[i];
		if (ok && !accepted[i] && t->recipients[i].result.text == NULL)
			settle_reply(l, &t->recipients[i]);
	}
	free(named);
	*code = chunk && *accepted_n > 0 ? 354 : 503;
	if (!ok || chunk || (!pipelining && *accepted_n == 0))
		return ok;
	if (!pipelining)
		evbuffer_add_printf(l->out, "DATA\r\n");
	ok = command_reply(t, "after DATA");
	*code = ok ? l->reply.code : 0;
	return ok;
}

static bool
send_content(struct transaction *t)
{
	enum smtp_content_status status;
	struct smtp_content content;

	if (t->form.kind == FORM_BINARY)
		evbuffer_add_printf(t->l->out, "BDAT %zu LAST\r\n", t->form.len);
	smtp_form_content(&t->form, t->message, &content);
	while ((status = smtp_content_next(&content, t->l->out)) == SMTP_CONTENT_MORE)
		if (!flush(t->l, READ_SIZE))
			return false;
	if (status == SMTP_CONTENT_BARE) {
		settle_rest(t, DELIVERY_PERM, "554 5.6.0 a CR or LF stands alone in the message");
		return broken(t->l, "554 5.6.0 a CR or LF stands alone in the message");
	}
	if (status == SMTP_CONTENT_ERROR)
		return broken(t->l, "451 4.3.0 cannot read the message: %s", strerror(errno));
	return flush(t->l, 0);
}

/* RFC 2033 4.2: one for each that was accepted, in their order. */
static bool
read_fates(struct transaction *t, const bool *accepted)
{
	unsigned i;

	for (i = 0; i < t->n; i++) {
		if (!accepted[i])
			continue;
		if (!read_reply(t->l, t->l->timeouts.data, "after the message"))
			return false;
		settle_reply(t->l, &t->recipients[i]);
	}
	return true;
}

static bool
reset(struct lmtp *l)
{
	evbuffer_add_printf(l->out, "RSET\r\n");
	return flush(l, 0) && expect_200(l, "after RSET");
}

/* False: the connection is gone, and L->WHY is for those who are not settled. */
static bool
run_transaction(struct transaction *t)
{
	bool *accepted = xcalloc(t->n, sizeof(*accepted));
	unsigned accepted_n = 0, code = 0;
	char *text;
	bool ok = send_commands(t, accepted, &accepted_n, &code);

	if (ok && code == 354 && accepted_n == 0) {
		/* it wants a message for nobody (RFC 2033 4.2 forbids), and no reply to it is due */
		ok = broken(t->l, "451 4.5.0 %s wants a message for nobody", t->l->server);
	} else if (ok && code == 354) {
		ok = send_content(t) && read_fates(t, accepted);
	} else if (ok) {
		text = smtp_reply_text(&t->l->reply);
		settle_rest(t, code / 100 == 5 ? DELIVERY_PERM : DELIVERY_TEMP, text);
		free(text);
		ok = reset(t->l);
	}
	free(accepted);
	return ok;
}

void
lmtp_deliver(struct lmtp *l, const struct smtp_client_message *message,
    struct lmtp_recipient *recipients, unsigned n)
{
	struct transaction t = { .l = l, .message = message, .recipients = recipients, .n = n };
	bool again = false;

	do {
		smtp_form_free(&t.form);
		if (!connect_server(l) || !choose_form(&t) || !check_addresses(&t))
			break;
		again = l->used;
		l->used = true;
		again &= !run_transaction(&t) && !t.begun;
	} while (again);
	smtp_form_free(&t.form);
	settle_rest(&t, DELIVERY_TEMP, l->why != NULL ? l->why : "451 4.4.2 the conversation broke");
}
