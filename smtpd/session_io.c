/*
 * What goes over a session's wire, and when: reading, working off lines and text, writing, waiting (session.h).
 *
 * Called by the loop with octets or the end of a wait, and by answers from other roles through session_resume().  What a
 * client sends can end its own session, nothing more.  Buffers exist only while they hold something: ten thousand callers
 * that wait cost ten thousand small structs.
 */
#include <string.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "lib/clock.h"
#include "lib/peer.h"
#include "smtpd/arrival.h"
#include "smtpd/command.h"
#include "smtpd/patience.h"
#include "smtpd/session_io.h"
#include "smtpd/session_proxy.h"
#include "smtpd/session_tls.h"
#include "smtpd/transaction.h"
#include "smtpd/wire.h"

#define AUTH_LINE_LIMIT 12290 /* RFC 4954 4: 12288 octets and CRLF, where there is AUTH */
#define LINE_LIMIT 4096       /* a command line; RFC 5321 4.5.3.1.4 asks for 512 and what extensions add */
#define IN_LIMIT (16 * 1024)  /* octets read ahead of a command that waits */
#define DOOR_LIMIT 1024       /* octets kept of one who talks before the banner */
#define LINGER_MS 2000        /* for our last words to arrive */

/* What one read brings; used within one call, by one session at a time.  No more than a TLS record has, and not much: with hundreds
 * who bring texts at once, the next turn of one who says a word comes when each of them has had his. */
static char scratch[16 * 1024];

static void on_readable(evutil_socket_t, short, void *);
static void on_timer(evutil_socket_t, short, void *);
static void work(struct session *, const char *, size_t);
static void read_some(struct session *);

void
session_io_begin(struct session *s)
{
	s->reading = true;
	event_assign(&s->event, peer_base(), s->fd, EV_READ | EV_PERSIST, on_readable, s);
	evtimer_assign(&s->timer, peer_base(), on_timer, s);
	event_add(&s->event, NULL);
}

void
session_io_end(struct session *s)
{
	event_del(&s->event);
	evtimer_del(&s->timer);
	if (s->writable != NULL)
		event_free(s->writable);
	s->writable = NULL;
}

static void
set_reading(struct session *s, bool on)
{
	if (s->reading == on || s->fd < 0)
		return;
	s->reading = on;
	if (on)
		event_add(&s->event, NULL);
	else
		event_del(&s->event);
}

/* Whose text is being read, or on its way to the disk, gets its answer first: a reply in the middle would be taken for it. */
bool
session_in_text(const struct session *s)
{
	return s->state == STATE_DATA || s->chunk != NULL || (s->busy && s->tx != NULL && s->tx->submission != NULL);
}

/* --- sending --- */

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	if (what & EV_TIMEOUT) {
		session_drop(s, "the client does not read");
		return;
	}
	event_free(s->writable);
	s->writable = NULL;
	if (s->handshaking)
		session_tls_ready(s);
	else
		work(s, NULL, 0);
	if (s->fd >= 0 && s->reading && s->tls != NULL && !s->handshaking) /* what could not be read before this was written */
		read_some(s);
}

/* He has one turn's time to read it all, not one for each octet. */
static void
await_writable(struct session *s)
{
	uint64_t now = clock_ms(), ms;

	if (s->writable != NULL)
		return;
	if (!s->stuck && !s->handshaking) {
		patience_turn(s);
		s->stuck = true;
	}
	ms = s->deadline_ms > now ? s->deadline_ms - now : 1;
	s->writable = event_new(peer_base(), s->fd, EV_WRITE, on_writable, s);
	event_add(s->writable, &(struct timeval){ (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) });
}

void
session_io_await(struct session *s, int want)
{
	set_reading(s, want == TLS_WANT_READ);
	if (want == TLS_WANT_WRITE)
		await_writable(s);
}

/* All is said.  A socket closed while octets are unread resets the connection, and our last words with it: unless the client
 * asked to quit, or was not let in, read on for a moment, and throw away. */
static void
say_good_bye(struct session *s)
{
	if (s->brief || s->eof || wire_end(s->fd, s->tls) < 0) {
		session_drop(s, s->why);
		return;
	}
	s->lingering = true;
	set_reading(s, true);
	session_set_timer(s, LINGER_MS);
}

/* Sends what it can; ends a closing session when all is out. */
void
session_flush(struct session *s)
{
	ssize_t n;

	while (s->out.len > 0 && s->writable == NULL) {
		n = wire_write(s->fd, s->upgrading ? NULL : s->tls, s->out.data, s->out.len);
		if (n > 0) {
			s->out.len -= (size_t)n;
			memmove(s->out.data, s->out.data + n, s->out.len);
		} else if (n == TLS_WANT_WRITE) {
			await_writable(s);
		} else {
			session_drop(s, "connection lost");
			return;
		}
	}
	if (s->out.len > 0)
		return;
	buf_free(&s->out);
	s->stuck = false;
	if (s->upgrading && s->state != STATE_CLOSING) {
		session_tls_begin(s);
		return;
	}
	if (s->state == STATE_CLOSING && !s->lingering)
		say_good_bye(s);
}

/* --- reading --- */

static size_t
line_limit(const struct session *s)
{
	return auth_served(s) ? AUTH_LINE_LIMIT : LINE_LIMIT;
}

/* Only CRLF ends a line (RFC 5321 2.3.8): what stands behind a bare LF, or behind what is too long, is the rest of it.  A client
 * that waits behind its bare LF (a person with nc) would wait for ever: it hears what was wrong of each of its lines. */
static void
refuse_line(struct session *s, const char *p, size_t n, const char *status, const char *why)
{
	s->skipping = p[n - 1] != '\n' || (s->rest > 0 && (n < 2 || p[n - 2] != '\r'));
	auth_forget(s);
	session_reply(s, 500, status, "%s", why);
	session_error(s);
}

/* Throws away the rest of a line that was refused.  Returns the octets used. */
static size_t
skip_line(struct session *s, const char *p, size_t len)
{
	const char *end = memmem(p, len, "\r\n", 2);

	if (end == NULL)
		return p[len - 1] == '\r' ? len - 1 : len;
	s->skipping = false;
	return (size_t)(end - p) + 2;
}

/* Takes one line from P.  Returns the octets used, 0 when it is not there whole. */
static size_t
take_line(struct session *s, const char *p, size_t len)
{
	const char *lf = memchr(p, '\n', len);
	size_t n = lf != NULL ? (size_t)(lf - p) + 1 : p[len - 1] == '\r' ? len - 1 : len;

	if (s->skipping)
		return skip_line(s, p, len);
	if (lf == NULL && len <= line_limit(s))
		return 0;
	s->rest = len - n;
	if (n > line_limit(s))
		refuse_line(s, p, n, s->auth != NULL ? "5.5.6" : "5.5.2", "line too long"); /* RFC 4954 4 */
	else if (n < 2 || p[n - 2] != '\r' || memchr(p, '\r', n - 2) != NULL || memchr(p, '\0', n) != NULL)
		refuse_line(s, p, n, "5.5.2", "bare CR, bare LF or NUL; lines end with CR LF");
	else if (s->auth != NULL)
		auth_line(s, p, n - 2);
	else
		command_line(s, p, n - 2);
	return n;
}

/* Works off P as far as it goes; returns the octets used. */
static size_t
work_off(struct session *s, const char *p, size_t len)
{
	size_t used = 0, n;

	while (used < len && !s->busy && s->state != STATE_CLOSING && s->state != STATE_DOOR &&
	    s->writable == NULL) {
		if (s->state == STATE_DATA)
			n = cmd_data_text(s, p + used, len - used);
		else if (s->chunk != NULL)
			n = cmd_bdat_octets(s, p + used, len - used);
		else
			n = take_line(s, p + used, len - used);
		if (n == 0)
			break;
		used += n;
		if (!s->busy && s->state != STATE_DATA && s->chunk == NULL && s->out.len > 16 * 1024)
			session_flush(s); /* a client that sends thousands of commands must also read */
		if (s->fd < 0)
			return len;
	}
	return used;
}

static void
keep_rest(struct session *s, const char *p, size_t len)
{
	if (len == 0) {
		buf_free(&s->in);
	} else if (s->in.data != NULL && p >= s->in.data && p <= s->in.data + s->in.len) {
		memmove(s->in.data, p, len);
		s->in.len = len;
	} else {
		buf_add(&s->in, p, len);
	}
}

static bool
is_text(const struct session *s)
{
	return s->state == STATE_DATA || s->chunk != NULL;
}

/* Goes on with what is there: NEW octets behind those kept, or only those kept. */
static void
work(struct session *s, const char *new, size_t len)
{
	const char *p = new;
	bool text = is_text(s);
	size_t used;

	if (s->running)
		return;
	s->running = true;
	if (s->in.len > 0) {
		buf_add(&s->in, new, len);
		p = s->in.data;
		len = s->in.len;
	}
	used = p == NULL ? 0 : work_off(s, p, len);
	if (s->fd >= 0 && s->leaving != NULL && !session_in_text(s) && s->state != STATE_CLOSING)
		session_turn_out(s, s->leaving, "shutdown");
	s->running = false;
	if (s->fd < 0)
		return;
	if (p != NULL)
		keep_rest(s, p + used, len - used);
	if (s->eof && !s->busy && s->state != STATE_CLOSING)
		session_finish(s, "the client left");
	session_flush(s);
	if (s->fd < 0)
		return;
	if (s->lingering || s->handshaking)
		return;
	set_reading(s, !s->eof && !s->upgrading && s->in.len < IN_LIMIT && s->writable == NULL);
	if (s->busy || s->state == STATE_DOOR || s->stuck)
		session_arm(s);
	else if (text && is_text(s) && new != NULL)
		patience_text(s, used);
	else if ((used > 0 && !s->skipping) || new == NULL) /* a command, or our answer: not a piece of a line */
		patience_turn(s);
	else
		session_arm(s);
}

void
session_go_on(struct session *s)
{
	work(s, NULL, 0);
}

/* One who talks before the banner is noted; what he says is kept, a little of it, and answered after the banner
 * (RFC 5321 4.3.1: a protocol error, but he gets replies, not a reset). */
static void
talks_early(struct session *s, const char *p, size_t len)
{
	if (len > DOOR_LIMIT - s->in.len)
		len = DOOR_LIMIT - s->in.len;
	buf_add(&s->in, p, len);
	if (s->in.len == DOOR_LIMIT)
		set_reading(s, false);
	door_early(s); /* which may be the end of him */
}

static void
read_some(struct session *s)
{
	ssize_t n = wire_read(s->fd, s->tls, scratch, sizeof(scratch));

	if (n == TLS_WANT_READ)
		return;
	if (n == TLS_WANT_WRITE) {
		await_writable(s);
	} else if (n < 0) {
		session_drop(s, "connection lost");
	} else if (s->state == STATE_CLOSING && s->lingering) {
		if (n == 0)
			session_drop(s, s->why);
	} else if (n == 0 && s->state == STATE_DOOR) {
		session_drop(s, "left before the banner");
	} else if (n == 0) {
		s->eof = true;
		set_reading(s, false);
		/* what he asked before he left may still be answered, but nobody waits for a tarpit or for DNS */
		if (s->busy && s->state != STATE_DATA && s->state != STATE_BDAT && door_left(s))
			session_drop(s, "the client left");
		else
			work(s, NULL, 0);
	} else if (s->state == STATE_DOOR) {
		talks_early(s, scratch, (size_t)n);
	} else if (s->busy) {
		buf_add(&s->in, scratch, (size_t)n);
		if (s->in.len >= IN_LIMIT)
			set_reading(s, false);
	} else {
		work(s, scratch, (size_t)n);
	}
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	if (s->deadline_ms > clock_ms() + 20) {
		session_arm(s);
		return;
	}
	if (s->deadline_ms == 0)
		return;
	s->deadline_ms = 0;
	if (s->state == STATE_CLOSING) {
		session_drop(s, s->why);
	} else if (s->state == STATE_PROXY) {
		session_proxy_timeout(s);
	} else if (s->handshaking) {
		session_tls_timeout(s);
	} else if (s->state == STATE_DOOR || s->door.waiting) {
		door_timer(s);
	} else if (!s->busy) { /* else it is ours to answer, not his to hurry */
		session_reply(s, 421, "4.4.2", "%s %s for too long; good-bye", session_conf()->host, is_text(s) ? "slow" : "idle");
		session_finish(s, "timeout");
	}
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	if (s->state == STATE_PROXY) {
		if (session_proxy_read(s))
			session_admit(s);
	} else if (s->handshaking) {
		session_tls_ready(s);
	} else {
		read_some(s);
	}
}
