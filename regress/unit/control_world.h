/*
 * The control role, in this process: real clients on its socket, and roles behind it that are one end of a socketpair.
 */
#ifndef REGRESS_UNIT_CONTROL_WORLD_H
#define REGRESS_UNIT_CONTROL_WORLD_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/ctl.h"
#include "lib/ctl_wire.h"
#include "lib/mem.h"
#include "lib/unix_socket.h"
#include "queue/submit_wire.h"
#include "smtpd/control.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define STRANGER 65534

static struct event_base *base;
static char *folder, *path;
static struct conf conf;

/* --- clients --- */

struct asker {
	struct channel *channel; /* NULL: the server closed it */
	struct buf got;          /* "record key=value|text 5|end 0 why" */
};

static inline bool
on_record(struct channel *ch, struct message *m, void *arg)
{
	struct asker *c = arg;
	struct field *fields;
	const char *why;
	size_t len;
	int status;

	(void)ch;
	if (c->got.len > 0)
		buf_addc(&c->got, '|');
	if (m->type == CTL_RECORD) {
		fields = field_decode(&m->body);
		assert_non_null(fields);
		buf_adds(&c->got, "record ");
		field_text(&c->got, fields);
		field_free(fields);
	} else if (m->type == CTL_TEXT) {
		(void)cursor_blob(&m->body, &len);
		buf_addf(&c->got, "text %zu", len);
	} else {
		assert_int_equal(m->type, CTL_END);
		assert_true(ctl_end_read(&m->body, &status, &why));
		buf_addf(&c->got, "end %d %s", status, why);
	}
	return true;
}

static inline void
on_lost(struct channel *ch, void *arg)
{
	(void)ch;
	((struct asker *)arg)->channel = NULL;
}

static const struct channel_ops client_ops = { on_record, on_lost };

static inline void
run_turn(void)
{
	int i;

	for (i = 0; i < 50; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

/* The kernel notes who is asking when he connects. */
static inline struct asker *
connect_as(uid_t uid)
{
	struct asker *c = xcalloc(1, sizeof(*c));
	int fd;

	if (uid != geteuid())
		assert_int_equal(seteuid(uid), 0);
	fd = unix_socket_connect(path);
	if (uid != getuid())
		assert_int_equal(seteuid(getuid()), 0);
	assert_true(fd >= 0);
	c->channel = channel_new(base, fd, &client_ops, c);
	run_turn();
	return c;
}

static inline struct asker *
connect_own(void)
{
	return connect_as(geteuid());
}

static inline void
leave(struct asker *c)
{
	channel_free(c->channel);
	run_turn();
	buf_free(&c->got);
	free(c);
}

static inline void
ask_words(struct asker *c, unsigned n, const char *const *words)
{
	struct buf *b = channel_begin(c->channel, CTL_REQUEST, 7);

	buf_add_u32(b, 12345); /* a lie */
	ctl_words_write(b, n, words);
	channel_end(c->channel, -1);
}

/* LINE's words. */
static inline void
ask_line(struct asker *c, const char *line)
{
	char *copy = xstrdup(line), *word, *rest = copy;
	const char *words[32];
	unsigned n = 0;

	while ((word = strsep(&rest, " ")) != NULL)
		words[n++] = word;
	ask_words(c, n, words);
	run_turn();
	free(copy);
}

static inline void
send_content(struct asker *c, const void *p, size_t len)
{
	buf_add_blob(channel_begin(c->channel, CTL_CONTENT, 7), p, len);
	channel_end(c->channel, -1);
}

static inline void
expect(struct asker *c, const char *want)
{
	run_turn();
	assert_string_equal(buf_str(&c->got), want);
	buf_clear(&c->got);
}

static inline void
expect_begin(struct asker *c, const char *want)
{
	run_turn();
	if (strncmp(buf_str(&c->got), want, strlen(want)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", buf_str(&c->got), want);
	buf_clear(&c->got);
}

/* --- roles --- */

struct role_end {
	struct channel *channel;
	enum role role;
	unsigned instance;
	struct buf heard;           /* "request ID uid words|cancel ID" */
	uint64_t id;                /* of the last request */
	bool refuse_mail, keep_mail;
	struct envelope *env;       /* the last message handed in */
	struct buf mail;
};

static inline bool
on_request(struct role_end *r, struct message *m)
{
	const char *words[CTL_WORDS_MAX];
	uint32_t uid = cursor_u32(&m->body);
	unsigned n = ctl_words_read(&m->body, words, CTL_WORDS_MAX), i;

	assert_int_equal(uid, geteuid());
	r->id = m->id;
	buf_adds(&r->heard, "request");
	for (i = 0; i < n; i++)
		buf_addf(&r->heard, " %s", words[i]);
	return n > 0;
}

static inline bool
on_mail(struct role_end *r, struct message *m)
{
	struct submit_answer answer = { SUBMIT_OK, "" };
	struct submit_message message;

	assert_true(submit_read_message(&m->body, &message));
	assert_false(message.in_file);
	envelope_free(r->env);
	r->env = message.envelope;
	buf_clear(&r->mail);
	buf_add(&r->mail, message.content, message.content_len);
	if (r->keep_mail)
		return true;
	if (r->refuse_mail)
		answer = (struct submit_answer){ SUBMIT_TEMP, "452 4.3.1 disk full" };
	submit_add_answer(channel_begin(r->channel, SUBMIT_ANSWER, m->id), &answer);
	channel_end(r->channel, -1);
	return true;
}

static inline bool
on_role_message(struct channel *ch, struct message *m, void *arg)
{
	struct role_end *r = arg;

	(void)ch;
	if (m->type == SUBMIT_MESSAGE)
		return on_mail(r, m);
	if (r->heard.len > 0)
		buf_addc(&r->heard, '|');
	switch (m->type) {
	case CTL_REQUEST:
		return on_request(r, m);
	case CTL_CANCEL:
		buf_adds(&r->heard, "cancel");
		return true;
	case CTL_PAUSE:
		buf_adds(&r->heard, "pause");
		return true;
	case CTL_RESUME:
		buf_adds(&r->heard, "resume");
		return true;
	}
	fail_msg("type %u", m->type);
	return false;
}

static inline void
on_role_lost(struct channel *ch, void *arg)
{
	(void)ch;
	((struct role_end *)arg)->channel = NULL;
}

static const struct channel_ops role_ops = { on_role_message, on_role_lost };

static inline struct role_end *
connect_role(enum role role, unsigned instance)
{
	struct role_end *r = xcalloc(1, sizeof(*r));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	peer_connect(role, instance, pair[0]);
	r->channel = channel_new(base, pair[1], &role_ops, r);
	r->role = role;
	r->instance = instance;
	return r;
}

static inline void
role_dies(struct role_end *r)
{
	channel_free(r->channel);
	run_turn();
	buf_free(&r->heard);
	buf_free(&r->mail);
	envelope_free(r->env);
	free(r);
}

/* --- all of it --- */

static char host[] = "h.example";

static inline int
set_up(void **state)
{
	char template[] = "/tmp/genkan-control-XXXXXX", *why = NULL;
	int fd;

	(void)state;
	folder = xstrdup(mkdtemp(template));
	if (chmod(folder, 0755) < 0)
		return -1;
	path = xasprintf("%s/control", folder);
	base = event_base_new();
	peer_set_base(base);
	conf.host = host;
	conf.limits[LIMIT_SIZE] = 60;
	conf.limits[LIMIT_HOPS] = 3;
	fd = control_listen(path, &why);
	if (fd < 0)
		return -1;
	submit_client_init();
	control_role_start(fd, &conf);
	return 0;
}

static inline int
tear_down(void **state)
{
	(void)state;
	unlink(path);
	rmdir(folder);
	free(path);
	free(folder);
	return 0;
}

#endif
