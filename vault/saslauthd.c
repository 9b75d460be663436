/*
 * Accounts that saslauthd(8) knows, by PAM or whatever it was told (attempt.h): name, password, service and realm go to
 * its socket, and one word comes back.  One connection an attempt; it waits for the answer in the loop.
 *
 * The protocol (saslauthd's testsaslauthd.c): four counted strings, each a length of two octets, most significant first;
 * the answer is one such string that begins with "OK" or "NO".
 */
#include <sys/socket.h>
#include <sys/un.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/unix_socket.h"
#include "vault/attempt.h"

#define SERVICE "smtp" /* of PAM: /etc/pam.d/smtp */
#define ANSWER_MOST 1024

struct attempt {
	attempt_callback callback;
	void *arg;
	struct event *event;
	int fd;
	char *name;
	struct buf out, in;
	size_t sent;
};

static const struct vault_conf *conf;

static void on_ready(evutil_socket_t, short, void *);

static void
cancel(struct attempt *a)
{
	event_free(a->event);
	if (a->fd >= 0)
		close(a->fd);
	buf_wipe(&a->out);
	buf_free(&a->in);
	free(a->name);
	free(a);
}

static void
end(struct attempt *a, enum vault_result result, const char *why)
{
	attempt_callback callback = a->callback;
	void *arg = a->arg;
	char *text = xstrdup(result == VAULT_OK ? a->name : why);

	cancel(a);
	callback(result, text, strlen(text), arg);
	free(text);
}

static void
read_answer(struct attempt *a)
{
	char *room = buf_reserve(&a->in, ANSWER_MOST);
	ssize_t n = read(a->fd, room, ANSWER_MOST);
	const unsigned char *p;

	if (n <= 0) {
		end(a, VAULT_TEMP, "saslauthd closed the connection");
		return;
	}
	a->in.len += (size_t)n;
	p = (const unsigned char *)a->in.data;
	if (a->in.len < 4 || a->in.len < 2u + ((size_t)p[0] << 8 | p[1]))
		return;
	if (memcmp(p + 2, "OK", 2) == 0)
		end(a, VAULT_OK, "");
	else if (memcmp(p + 2, "NO", 2) == 0)
		end(a, VAULT_REFUSED, "");
	else
		end(a, VAULT_TEMP, "saslauthd's answer makes no sense");
}

/* Sends what is to be sent, then waits for the answer; the whole has ATTEMPT_SECONDS for each turn. */
static void
on_ready(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval limit = { ATTEMPT_SECONDS, 0 };
	struct attempt *a = arg;
	ssize_t n;

	if (a->fd < 0 || (what & EV_TIMEOUT)) {
		end(a, VAULT_TEMP, a->fd < 0 ? "saslauthd's socket cannot be reached" : "saslauthd does not answer");
		return;
	}
	if (a->sent == a->out.len) {
		read_answer(a);
		return;
	}
	n = send(fd, a->out.data + a->sent, a->out.len - a->sent, MSG_NOSIGNAL);
	if (n <= 0) {
		end(a, VAULT_TEMP, "saslauthd closed the connection");
		return;
	}
	a->sent += (size_t)n;
	if (a->sent < a->out.len)
		return;
	event_del(a->event);
	event_assign(a->event, peer_base(), fd, EV_READ | EV_PERSIST, on_ready, a);
	event_add(a->event, &limit);
}

static void
add_counted(struct buf *b, const char *s)
{
	size_t len = strlen(s);

	buf_addc(b, (char)(len >> 8 & 0xff));
	buf_addc(b, (char)(len & 0xff));
	buf_add(b, s, len);
}

static struct attempt *
begin(const struct attempt_request *r, attempt_callback callback, void *arg)
{
	static const struct timeval limit = { ATTEMPT_SECONDS, 0 };
	struct attempt *a = xcalloc(1, sizeof(*a));
	const char *at = strrchr(r->name, '@');
	char *user = at == NULL ? xstrdup(r->name) : xstrndup(r->name, (size_t)(at - r->name));

	a->callback = callback;
	a->arg = arg;
	a->name = xstrdup(r->name);
	a->fd = unix_socket_connect_now(conf->path);
	buf_reserve(&a->out, 4 * (SASL_TEXT_MAX + 2));
	add_counted(&a->out, user);
	add_counted(&a->out, r->password);
	add_counted(&a->out, SERVICE);
	add_counted(&a->out, at == NULL ? "" : at + 1);
	free(user);
	a->event = event_new(peer_base(), a->fd, EV_WRITE | EV_PERSIST, on_ready, a);
	if (a->fd >= 0)
		event_add(a->event, &limit);
	else
		event_active(a->event, EV_WRITE, 0);
	return a;
}

static void
start(const struct vault_conf *c, void (*offer)(uint32_t))
{
	conf = c;
	offer(MECHANISM_PASSWORDS);
}

const struct source source_saslauthd = { NULL, start, begin, NULL, cancel, NULL };
