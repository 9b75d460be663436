/*
 * Fuzz target: whole SMTP sessions.  The session's own state machine, its commands, its readers and the gate, with an
 * address book and a queue that this program plays.
 *
 * The input is a script: an octet that chooses the listener, then pieces, each with its length in front, which the client
 * sends one after the other; the server works between them.  What must hold: every reply is a line that RFC 5321 4.2
 * allows; what the queue is given can be decoded, has a sender and recipients, and unless it is binary no bare CR, bare LF
 * or NUL that a next hop could take for an end; after the client left, the session ends.
 */
#include <sys/socket.h>

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "deliver/lookup_message.h"
#include "filters/ledger.h"
#include "lib/clock.h"
#include "lib/dns_table.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"
#include "queue/submit_wire.h"
#include "smtpd/census.h"
#include "smtpd/health.h"
#include "smtpd/meters.h"
#include "smtpd/session.h"
#include "smtpd/session_life.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char text[] =
    "host \"mx.example.org\"\n"
    "listen on 127.0.0.1 port 2525\n"
    "listen on 127.0.0.2 port 2525 xclient from { 127.0.0.0/8 }\n"
    "listen on 127.0.0.3 port 2525 proxy from { 127.0.0.0/8 }\n"
    "listen on 127.0.0.4 port 2525 submission\n"
    "limit size 64K\n"
    "limit recipients 5\n"
    "relay { from { 127.0.0.9 } }\n"
    "gate { reject at helo when helo in { \"bad.example\" }\n greylist when sender in { \"grey.example\" }\n"
    " mark \"X-Odd\" \"yes\" when helo literal\n reject at data when pipelining\n tempfail at message when size > 60K }\n"
    "domain \"example.org\" { users { \"alice\", \"bob\" } }\n";

static struct conf *conf;

static void
require(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz_session: %s\n", what);
	abort();
}

/* --- the roles that the session talks with --- */

static bool
play_lookup(struct channel *ch, struct message *m, void *arg)
{
	static const enum recipient_verdict verdicts[] = { RECIPIENT_OURS, RECIPIENT_FOREIGN, RECIPIENT_UNKNOWN,
		RECIPIENT_TEMP };
	const char *address = cursor_str(&m->body);
	struct buf *b;

	(void)arg;
	require(m->type == LOOKUP_RECIPIENT && cursor_done(&m->body) && strpbrk(address, "\r\n") == NULL,
	    "a question to the address book that is none");
	b = channel_begin(ch, LOOKUP_VERDICT, m->id);
	buf_add_u8(b, (uint8_t)(*address >= 'w' && *address <= 'z' ? verdicts[*address - 'w'] : RECIPIENT_OURS));
	buf_add_str(b, "because");
	channel_end(ch, -1);
	return true;
}

static void
check_content(const struct submit_message *message)
{
	const char *p = message->content;
	size_t i, n = message->content_len;

	for (i = 0; i < n && message->envelope->body != BODY_BINARYMIME; i++) {
		require(p[i] != '\n' || (i > 0 && p[i - 1] == '\r'), "a bare LF in the queue");
		require(p[i] != '\r' || (i + 1 < n && p[i + 1] == '\n'), "a bare CR in the queue");
		require(p[i] != '\0', "a NUL in the queue");
	}
}

static bool
play_queue(struct channel *ch, struct message *m, void *arg)
{
	struct submit_message message;
	struct submit_answer ok = { .status = SUBMIT_OK, .text = "" };

	(void)arg;
	if (m->type == SUBMIT_FILE) { /* no descriptor is there */
		buf_add_str(channel_begin(ch, SUBMIT_FILE_ANSWER, m->id), "452 4.3.1 Insufficient system storage");
		channel_end(ch, -1);
		return true;
	}
	if (m->type == SUBMIT_FORGET)
		return true;
	require(m->type == SUBMIT_MESSAGE && submit_read_message(&m->body, &message), "no message for the queue");
	require(message.envelope->recipients_n > 0 && !message.in_file, "nobody to send it to");
	require(envelope_ok(message.envelope), "an envelope that cannot be stored");
	check_content(&message);
	envelope_free(message.envelope);
	submit_add_answer(channel_begin(ch, SUBMIT_ANSWER, m->id), &ok);
	channel_end(ch, -1);
	return true;
}

static void
on_closed(struct channel *ch, void *arg)
{
	(void)ch;
	(void)arg;
	require(false, "the session's side talks nonsense");
}

static const struct channel_ops lookup_ops = { play_lookup, on_closed }, queue_ops = { play_queue, on_closed };

static void
connect_role(enum role role, const struct channel_ops *ops)
{
	int pair[2];

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "no socketpair");
	channel_new(peer_base(), pair[0], ops, NULL);
	peer_connect(role, 0, pair[1]);
}

static void
lists_proven(void)
{
}

static void
begin(void)
{
	static const struct log_conf quiet = { .syslog_socket = "/nonexistent" };
	struct buf errors = { 0 }, warnings = { 0 };

	int err = dup(STDERR_FILENO);

	/* the log finds standard error closed, and is silent */
	close(STDERR_FILENO);
	log_init(&quiet, "session");
	dup2(err, STDERR_FILENO);
	close(err);
	clock_init();
	peer_set_base(event_base_new());
	conf = conf_parse("fuzz", text, strlen(text), &errors, &warnings);
	if (conf == NULL)
		fputs(buf_str(&errors), stderr);
	require(conf != NULL, "the configuration is wrong");
	buf_free(&warnings);
	census_init(1);
	census_join(0);
	meters_init(&conf->gate, 1);
	meters_join(0);
	resolver_use_table(dns_table_new());
	ledger_client_init();
	lookup_client_init();
	submit_client_init();
	session_init(conf);
	health_start(&conf->gate, 0, lists_proven);
	connect_role(ROLE_LOOKUP, &lookup_ops);
	connect_role(ROLE_QUEUE, &queue_ops);
}

/* --- the client --- */

static void
turns(unsigned n)
{
	while (n-- > 0)
		event_base_loop(peer_base(), EVLOOP_NONBLOCK);
}

/* Whole lines of P are looked at; returns how many octets they are. */
static size_t
check_replies(const char *p, size_t len)
{
	const char *lf;
	size_t at = 0, n, i;

	while ((lf = memchr(p + at, '\n', len - at)) != NULL) {
		n = (size_t)(lf - (p + at)) + 1;
		require(n >= 6 && n <= 4096 && p[at + n - 2] == '\r', "a reply without CR, or too short or long");
		require(p[at] >= '2' && p[at] <= '5' && isdigit((unsigned char)p[at + 1]) && isdigit((unsigned char)p[at + 2]) &&
		    (p[at + 3] == ' ' || p[at + 3] == '-'), "no reply");
		for (i = 0; i < n - 2; i++)
			require(p[at + i] != '\r' && p[at + i] != '\0', "a reply with CR or NUL in it");
		at += n;
	}
	return at;
}

static void
read_replies(int fd, struct buf *replies)
{
	char octets[4096];
	ssize_t n;
	size_t used;

	while ((n = recv(fd, octets, sizeof(octets), MSG_DONTWAIT)) > 0)
		buf_add(replies, octets, (size_t)n);
	used = replies->len > 0 ? check_replies(replies->data, replies->len) : 0;
	if (used > 0)
		memmove(replies->data, replies->data + used, replies->len -= used);
}

/* All of P, as the server makes room. */
static bool
send_all(int fd, const uint8_t *p, size_t len, struct buf *replies)
{
	ssize_t n;
	unsigned tries = 0;

	while (len > 0 && tries++ < 1000) {
		n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n < 0 && errno != EAGAIN) {
			return false;
		}
		turns(4);
		read_replies(fd, replies);
	}
	return true;
}

static void
play_client(int fd, const uint8_t *data, size_t size)
{
	struct buf replies = { 0 };
	size_t n;

	turns(8);
	read_replies(fd, &replies);
	while (size > 0) {
		n = data[0] == 255 ? size - 1 : data[0]; /* 255: all that is left */
		n = n < size - 1 ? n : size - 1;
		if (!send_all(fd, data + 1, n, &replies))
			break;
		data += 1 + n;
		size -= 1 + n;
		turns(8);
		read_replies(fd, &replies);
	}
	buf_free(&replies);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ip ip;
	int pair[2];
	unsigned i;

	if (conf == NULL)
		begin();
	if (size < 2)
		return 0;
	require(ip_parse(data[0] & 0x80 ? "127.0.0.9" : "127.0.0.1", &ip), "no address");
	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0, "no socketpair");
	session_new(pair[0], &ip, 1025, &conf->listeners[(data[0] & 0x7f) % conf->listeners_n]);
	play_client(pair[1], data + 1, size - 1);
	close(pair[1]);
	for (i = 0; i < 100 && session_count() > 0; i++)
		turns(1);
	require(session_count() == 0, "a session that does not end when its client has left");
	return 0;
}
