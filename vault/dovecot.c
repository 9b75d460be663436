/*
 * Accounts that Dovecot knows (attempt.h): its auth-client socket, over one connection that is kept; attempts are
 * numbered requests on it.
 *
 * The connection is made at the start, and again a moment after it was lost; meanwhile attempts are answered "not now".
 * Which mechanisms there are Dovecot says in its greeting.  What it says is data: a line that makes no
 * sense, or is too long, ends the connection.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>

#include "lib/base64.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/unix_socket.h"
#include "vault/attempt.h"
#include "vault/dovecot_line.h"

#define LINE_MOST 16384
#define AGAIN_SECONDS 1

struct attempt {
	TAILQ_ENTRY(attempt) entry;
	uint32_t id;
	attempt_callback callback;
	void *arg;
	char *name;
	struct event *timer;
};

static const struct vault_conf *conf;
static void (*tell_offer)(uint32_t);
static TAILQ_HEAD(, attempt) attempts = TAILQ_HEAD_INITIALIZER(attempts);
static struct bufferevent *stream; /* NULL: not connected */
static bool greeted;
static uint32_t mechanisms, last_id;
static struct event *again;
static bool complained;

static void connect_now(evutil_socket_t, short, void *);

static void
cancel(struct attempt *a)
{
	TAILQ_REMOVE(&attempts, a, entry);
	event_free(a->timer);
	free(a->name);
	free(a);
}

/* TEXT may be the attempt's own. */
static void
end(struct attempt *a, enum vault_result result, const char *text)
{
	attempt_callback callback = a->callback;
	void *arg = a->arg;
	char *copy = xstrdup(text);

	cancel(a);
	callback(result, copy, strlen(copy), arg);
	free(copy);
}

static void
disconnect(const char *why)
{
	static const struct timeval soon = { AGAIN_SECONDS, 0 };
	struct attempt *a;

	if (!complained)
		log_warning("vault.dovecot", F_STR("socket", conf->path), F_STR("why", why),
		    F_STR("effect", "nobody can log in until it is there"));
	complained = true;
	if (stream != NULL)
		bufferevent_free(stream);
	stream = NULL;
	greeted = false;
	event_add(again, &soon);
	while ((a = TAILQ_FIRST(&attempts)) != NULL)
		end(a, VAULT_TEMP, why);
}

/* --- what it says --- */

static void
challenge(struct attempt *a, const char *text)
{
	struct buf out = { 0 };

	event_del(a->timer); /* the next word is the client's */
	if (!base64_decode(&out, text, strlen(text)))
		end(a, VAULT_TEMP, "Dovecot's challenge is no base 64");
	else
		a->callback(VAULT_CHALLENGE, buf_str(&out), out.len, a->arg);
	buf_free(&out);
}

static void
on_line(const struct dovecot_line *line)
{
	struct attempt *a;
	int m;

	TAILQ_FOREACH(a, &attempts, entry)
		if (a->id == line->id)
			break;
	switch (line->word) {
	case DOVECOT_MECH:
		m = mechanism_by_name(line->text, strlen(line->text));
		if (m >= 0)
			mechanisms |= MECHANISM_BIT(m) & (MECHANISM_SCRAMS | MECHANISM_PASSWORDS);
		break;
	case DOVECOT_DONE:
		greeted = true;
		complained = false;
		/* LOGIN is read by us and asked as PLAIN; channels are bound to us and not to Dovecot */
		if (mechanisms & MECHANISM_BIT(MECHANISM_PLAIN))
			mechanisms |= MECHANISM_BIT(MECHANISM_LOGIN);
		mechanisms &= ~(MECHANISM_BIT(MECHANISM_SCRAM_SHA_256_PLUS) | MECHANISM_BIT(MECHANISM_SCRAM_SHA_1_PLUS));
		tell_offer(mechanisms);
		break;
	case DOVECOT_OK:
		if (a != NULL)
			end(a, VAULT_OK, line->user != NULL ? line->user : a->name);
		break;
	case DOVECOT_FAIL:
		if (a != NULL)
			end(a, line->temp ? VAULT_TEMP : VAULT_REFUSED, line->temp ? "Dovecot cannot tell now" : "");
		break;
	case DOVECOT_CONT:
		if (a != NULL)
			challenge(a, line->text);
		break;
	default:
		break;
	}
}

static void
on_input(struct bufferevent *from, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(from);
	struct dovecot_line line;
	size_t len;
	char *text;
	bool ok = true;

	(void)arg;
	while (ok && stream == from && (text = evbuffer_readln(in, &len, EVBUFFER_EOL_LF)) != NULL) {
		ok = dovecot_line_parse(text, len, &line) && (line.word != DOVECOT_VERSION || line.id == 1);
		if (ok)
			on_line(&line);
		dovecot_line_free(&line);
		free(text);
	}
	if (stream == from && (!ok || evbuffer_get_length(in) > LINE_MOST))
		disconnect("what Dovecot says makes no sense");
}

static void
on_event(struct bufferevent *from, short what, void *arg)
{
	(void)arg;
	(void)what;
	if (stream == from)
		disconnect("Dovecot closed the connection");
}

static void
connect_now(evutil_socket_t unused, short what, void *arg)
{
	int fd = unix_socket_connect_now(conf->path);
	struct buf hello = { 0 };

	(void)unused;
	(void)what;
	(void)arg;
	if (fd < 0) {
		disconnect("the socket cannot be reached");
		return;
	}
	stream = bufferevent_socket_new(peer_base(), fd, BEV_OPT_CLOSE_ON_FREE);
	mechanisms = 0;
	bufferevent_setcb(stream, on_input, NULL, on_event, NULL);
	bufferevent_enable(stream, EV_READ | EV_WRITE);
	buf_addf(&hello, "VERSION\t1\t1\nCPID\t%d\n", (int)getpid());
	bufferevent_write(stream, hello.data, hello.len);
	buf_free(&hello);
}

/* --- attempts --- */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	end(arg, VAULT_TEMP, what & EV_TIMEOUT ? "Dovecot does not answer" : "Dovecot is not connected");
}

static void
add_response(struct buf *line, const struct attempt_request *r)
{
	struct buf plain = { 0 };

	if (r->mechanism != MECHANISM_PLAIN) {
		base64_encode(line, r->first, r->first_len);
		return;
	}
	buf_reserve(&plain, 2 * SASL_TEXT_MAX + 4);
	buf_addc(&plain, '\0');
	buf_adds(&plain, r->name);
	buf_addc(&plain, '\0');
	buf_adds(&plain, r->password);
	base64_encode(line, plain.data, plain.len);
	buf_wipe(&plain);
}

static void
send_line(struct buf *line)
{
	buf_addc(line, '\n');
	bufferevent_write(stream, line->data, line->len);
	buf_wipe(line);
}

static struct attempt *
begin(const struct attempt_request *r, attempt_callback callback, void *arg)
{
	static const struct timeval limit = { ATTEMPT_SECONDS, 0 };
	struct attempt *a = xcalloc(1, sizeof(*a));
	struct buf line = { 0 };

	a->id = ++last_id;
	a->callback = callback;
	a->arg = arg;
	a->name = xstrdup(r->name);
	a->timer = evtimer_new(peer_base(), on_timer, a);
	TAILQ_INSERT_TAIL(&attempts, a, entry);
	if (!greeted) {
		event_active(a->timer, 0, 0);
		return a;
	}
	event_add(a->timer, &limit);
	buf_reserve(&line, 8 * SASL_TEXT_MAX + r->first_len * 2);
	buf_addf(&line, "AUTH\t%u\t%s\tservice=smtp\trip=%s%s\tresp=", a->id, mechanism_name(r->mechanism),
	    ip_text(&r->caller->ip).s, r->caller->tls ? "\tsecured" : "");
	add_response(&line, r);
	send_line(&line);
	return a;
}

static void
step(struct attempt *a, const void *response, size_t len)
{
	static const struct timeval limit = { ATTEMPT_SECONDS, 0 };
	struct buf line = { 0 };

	if (!greeted)
		return; /* it was ended with the connection */
	event_add(a->timer, &limit);
	buf_addf(&line, "CONT\t%u\t", a->id);
	base64_encode(&line, response, len);
	send_line(&line);
}

static void
start(const struct vault_conf *c, void (*offer)(uint32_t))
{
	conf = c;
	tell_offer = offer;
	again = evtimer_new(peer_base(), connect_now, NULL);
	connect_now(-1, 0, NULL);
}

const struct source source_dovecot = { NULL, start, begin, step, cancel, NULL };
