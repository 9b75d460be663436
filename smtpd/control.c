/*
 * The control socket: who calls, may he, and what does he want (control.h).
 *
 * Every client has one channel and at most one request at a time.  Its octets are anybody's: a
 * message that makes no sense costs that client its connection and nothing else.  Places are few, and
 * some are kept for those who run the server.  What must never happen: an answer to somebody who may
 * not have it.
 */
#include <sys/queue.h>
#include <sys/socket.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "conf/conf.h"
#include "lib/ctl.h"
#include "lib/ctl_wire.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role.h"
#include "lib/unix_socket.h"
#include "lib/version.h"
#include "smtpd/control.h"
#include "smtpd/control_client.h"

#define CLIENTS_MAX 100
#define STRANGERS_MAX 80      /* of these: others than who runs the server */
#define STRANGERS_OF_ONE 20   /* of one user */
#define NO_DESCRIPTORS_SECONDS 1

static struct {
	TAILQ_HEAD(, client) clients;
	unsigned n;
	struct event listener;
	struct event again;
	bool retired;
} here;

/* --- the end of a client --- */

static void
client_drop(struct client *c)
{
	TAILQ_REMOVE(&here.clients, c, entry);
	here.n--;
	if (c->forward != NULL)
		forward_cancel(c->forward);
	if (c->submit != NULL)
		local_submit_cancel(c->submit);
	event_del(&c->timer);
	channel_free(c->channel);
	free(c);
	if (here.retired && here.n == 0)
		role_exit(0);
}

static void
on_silence(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (c->state == CLIENT_FORWARDED || c->state == CLIENT_COMMITS || c->held)
		return;
	log_debug("control.silence", F_U64("uid", c->uid));
	client_drop(c);
}

/* --- requests --- */

/* Who answers for us is to wait, or to go on. */
static void
pause_answers(struct client *c, bool paused)
{
	if (c->forward != NULL)
		forward_pause(c->forward, paused);
}

static void
do_version(struct client *c, unsigned n, const char *const *words)
{
	uint64_t size = control_conf()->limits[LIMIT_SIZE];

	(void)n;
	(void)words;
	client_record(c, FIELDS(F_STR("version", GENKAN_VERSION), F_STR("host", control_conf()->host),
	    F_U64("size", size), F_U64("pid", (uint64_t)getpid())));
	client_end(c, 0, "");
}

static void
do_submit(struct client *c, unsigned n, const char *const *words)
{
	c->state = CLIENT_SUBMITS;
	c->submit = local_submit_open(c, n, words);
}

/* Those that this role answers are records of its own beside those of the others. */
static void
count_ourselves(struct client *c)
{
	client_record(c, FIELDS(F_STR("role", role_name(ROLE_CONTROL)), F_U64("instance", 0),
	    F_U64("clients", here.n)));
}

static void
do_forward(struct client *c, unsigned n, const char *const *words)
{
	if (strcmp(words[0], "stats") == 0)
		count_ourselves(c);
	c->state = CLIENT_FORWARDED;
	c->forward = forward_begin(c, n, words);
}

static const struct request {
	const char *object;
	bool anybody; /* may ask */
	void (*handle)(struct client *, unsigned n, const char *const *words);
} requests[] = {
	{ "version", true, do_version },
	{ "submit", true, do_submit },
	{ NULL, false, do_forward },
};

static bool
on_request(struct client *c, struct message *m)
{
	static const char *words[CTL_SUBMIT_WORDS_MAX];
	const struct request *r = requests;
	unsigned n;

	(void)cursor_u32(&m->body); /* who the caller says he is: the kernel knows better */
	n = ctl_words_read(&m->body, words, CTL_SUBMIT_WORDS_MAX);
	if (!cursor_done(&m->body) || c->state != CLIENT_IDLE)
		return false;
	while (r->object != NULL && strcmp(r->object, words[0]) != 0)
		r++;
	c->id = m->id;
	if (r->anybody || c->trusted) {
		r->handle(c, n, words);
		return true;
	}
	log_notice("control.denied", F_U64("uid", c->uid), F_STR("request", words[0]));
	client_end(c, 1,
	    "only the superuser, and the account that the server runs as, may ask this");
	return true;
}

static bool
on_content(struct client *c, struct message *m)
{
	const void *p;
	size_t len;

	p = cursor_blob(&m->body, &len);
	if (!cursor_done(&m->body))
		return false;
	if (c->state == CLIENT_SUBMITS)
		local_submit_content(c->submit, p, len);
	return true;
}

static bool
on_content_end(struct client *c, struct message *m)
{
	(void)m;
	if (c->state == CLIENT_REFUSED) {
		c->state = CLIENT_IDLE;
		return true;
	}
	c->state = CLIENT_COMMITS;
	local_submit_end(c->submit);
	return true;
}

#define STATE(s) (1u << (s))

static const struct {
	enum ctl_type type;
	unsigned states; /* in which it may come */
	bool (*handle)(struct client *, struct message *);
} messages[] = {
	{ CTL_REQUEST, STATE(CLIENT_IDLE), on_request },
	{ CTL_CONTENT, STATE(CLIENT_SUBMITS) | STATE(CLIENT_REFUSED), on_content },
	{ CTL_CONTENT_END, STATE(CLIENT_SUBMITS) | STATE(CLIENT_REFUSED), on_content_end },
};

static bool
on_message(struct channel *ch, struct message *m, void *arg)
{
	struct client *c = arg;
	size_t i;

	(void)ch;
	if (m->fd >= 0)
		return false;
	client_await(c);
	for (i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
		if (messages[i].type == m->type && (messages[i].states & STATE(c->state)))
			return messages[i].handle(c, m);
	return false;
}

static void
on_closed(struct channel *ch, void *arg)
{
	(void)ch;
	client_drop(arg);
}

static const struct channel_ops client_ops = { on_message, on_closed };

/* --- callers --- */

static bool
is_trusted(uint32_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* NULL: there is a place. */
static const char *
no_place(uint32_t uid)
{
	const struct client *c;
	unsigned strangers = 0, his = 0;

	if (here.n >= CLIENTS_MAX)
		return "too many control requests at once; try again";
	if (is_trusted(uid))
		return NULL;
	TAILQ_FOREACH(c, &here.clients, entry) {
		strangers += !c->trusted;
		his += c->uid == uid;
	}
	if (strangers >= STRANGERS_MAX || his >= STRANGERS_OF_ONE)
		return "451 4.3.2 too many submissions at once; try again";
	return NULL;
}

static void
client_new(int fd, uint32_t uid)
{
	const char *why = no_place(uid);
	struct client *c = xcalloc(1, sizeof(*c));

	c->uid = uid;
	c->trusted = is_trusted(uid);
	c->pause = pause_answers;
	c->channel = channel_new(peer_base(), fd, &client_ops, c);
	event_assign(&c->timer, peer_base(), -1, 0, on_silence, c);
	TAILQ_INSERT_TAIL(&here.clients, c, entry);
	here.n++;
	client_await(c);
	if (why == NULL)
		return;
	ctl_end_write(channel_begin(c->channel, CTL_END, 0), 1, why);
	channel_end(c->channel, -1);
	client_drop(c);
}

/* Without descriptors accept fails at once, again and again: leave the callers in the backlog for a
 * while. */
static void
rest(void)
{
	const struct timeval tv = { NO_DESCRIPTORS_SECONDS, 0 };

	log_warning("control.accept", F_STR("what", strerror(errno)));
	event_del(&here.listener);
	event_add(&here.again, &tv);
}

static void
on_again(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	event_add(&here.listener, NULL);
}

static void
on_caller(evutil_socket_t listen_fd, short what, void *arg)
{
	struct ucred who;
	socklen_t len;
	int fd;

	(void)what;
	(void)arg;
	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		len = sizeof(who);
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0)
			client_new(fd, who.uid);
		else
			close(fd);
	}
	if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
		rest();
}

int
control_listen(const char *path, char **why)
{
	return unix_socket_listen(path, 0666, why);
}

void
control_role_prepare(void)
{
	/* the folder: a file that is replaced, as useradd does, would be another one than the rule names */
	sandbox_allow_read("/etc");
}

void
control_role_start(int listen_fd, const struct conf *conf)
{
	TAILQ_INIT(&here.clients);
	control_set_conf(conf);
	forward_init();
	event_assign(&here.listener, peer_base(), listen_fd, EV_READ | EV_PERSIST, on_caller, NULL);
	event_assign(&here.again, peer_base(), -1, 0, on_again, NULL);
	event_add(&here.listener, NULL);
}

static void
on_end(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	role_exit(0);
}

/* The master's last answer may have come with its order to stop, and is sent at the end of this turn. */
void
control_role_stop(void)
{
	const struct timeval turn = { 0, 10000 };

	event_base_once(peer_base(), -1, EV_TIMEOUT, on_end, NULL, &turn);
}

void
control_role_retire(void)
{
	here.retired = true;
	event_del(&here.listener);
	event_del(&here.again);
	if (here.n == 0)
		role_exit(0);
}
