/*
 * The queue role in the middle of a made-up house, for tests: its peers are the other ends of
 * socketpairs in the same loop, time stands still until a test moves it, and deliverers do what the
 * recipient's name says.
 *
 *   local part begins with   relay or local process
 *   temp, perm, host         fails: this time, for good, the whole destination
 *   crash                    drops its connection, once for each name in CRASHES
 *   silent                   ends the job without a result
 *   wait                     keeps the job until finish_waiting()
 *   busy                     fails: this time, and asks for a pause of PAUSE seconds
 *   anything else            delivers, as it does once HEALED is set
 *
 * The servers of a domain are called like the domain but for its first label, when that is "shared",
 * and no two others' are the same.
 *
 * The address book: alias... stands for TARGETS, nobody... is unknown, box... is a mailbox of user
 * 1000, cot... one of user 1001, later... cannot be told; everything else goes to "mx DOMAIN".
 */
#ifndef REGRESS_UNIT_QUEUE_WORLD_H
#define REGRESS_UNIT_QUEUE_WORLD_H

#include <sys/socket.h>
#include <sys/stat.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "deliver/delivery.h"
#include "deliver/lookup_message.h"
#include "filters/ledger_wire.h"
#include "lib/buf.h"
#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/field.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "queue/submit_wire.h"

#define SENDER "alice@sender.test"

#define WORLD_START 1700000000
#define DELIVERIES_MAX 8192
#define LOCALS 8

/* The other end of one of the queue's peers. */
struct actor {
	enum role role;
	unsigned instance;
	struct channel *channel; /* NULL: not connected */
	struct { uint64_t job; uint32_t index; bool begun; char address[60]; } waiting[8]; /* jobs that are kept */
	unsigned waiting_n;
};

struct delivered {
	uint64_t message;
	char address[100], sender[100], destination[64];
	enum role role;
	unsigned instance;
	bool by_descriptor;
	unsigned together; /* recipients of the same job */
};

static struct world {
	struct event_base *base;
	char dir[64];
	struct queue_conf conf;
	int64_t now;
	int64_t set; /* what the clock was set by: part of NOW */
	uint64_t ms;
	struct actor master, lookup, ledger, session, control, relays[2], locals[LOCALS];
	unsigned cancels;
	const char *targets[8];
	unsigned targets_n;
	bool healed;
	bool mute; /* the address book hears, and says nothing */
	unsigned crashes;
	bool speechless; /* the relay roles do not say where destinations lead */
	uint32_t pause;
	uint32_t most; /* messages under way at one site, as the relay role says; 0: nothing */
	/* what happened */
	struct delivered delivered[DELIVERIES_MAX];
	unsigned delivered_n, attempts, jobs, starts, taught, asked;
	char content[65536]; /* of the last job that had it inline */
	/* what the session heard last */
	unsigned answers;
	struct { uint64_t id; uint8_t status; char text[100]; } answer;
	uint64_t room;
	int file;
	char file_text[100];
	bool patience_over;
	/* what smtpctl was told: records as text, a line each, and text */
	struct buf told;
	int status; /* -1: not yet */
} world;

/* --- time --- */

void
clock_init(void)
{
}

int64_t
clock_now(void)
{
	return world.now;
}

int64_t
clock_steady(void)
{
	return world.now - world.set;
}

bool
clock_is_test(void)
{
	return true;
}

uint64_t
clock_ms(void)
{
	return world.ms;
}

static inline void
on_patience_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	*(bool *)arg = true;
}

/* Runs the loop until WHAT is true, not for ever. */
#define until(what)                                                                                \
	do {                                                                                       \
		struct event *patience_ =                                                          \
		    evtimer_new(world.base, on_patience_over, &world.patience_over);               \
		world.patience_over = false;                                                       \
		event_add(patience_, &(struct timeval){ 20, 0 });                                  \
		while (!(what) && !world.patience_over)                                            \
			event_base_loop(world.base, EVLOOP_ONCE);                                  \
		event_free(patience_);                                                             \
		if (world.patience_over)                                                           \
			fail_msg("nothing happens, and not: %s", #what);                           \
	} while (0)

/* --- the queue's peers --- */

static void connect_actor(struct actor *);

static inline void
on_closed(struct channel *ch, void *arg)
{
	struct actor *a = arg;

	/* the number may belong to another process by now */
	if (a->channel != ch)
		return;
	a->channel = NULL;
	a->waiting_n = 0;
}

static inline void
reconnect_relays(void)
{
	unsigned i;

	for (i = 0; i < 2; i++)
		if (world.relays[i].channel == NULL)
			connect_actor(&world.relays[i]);
}

static inline void
drop_actor(struct actor *a)
{
	channel_free(a->channel);
	a->channel = NULL;
	a->waiting_n = 0;
}

static inline bool
begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static inline void
answer_route(struct channel *ch, uint64_t id, const char *address)
{
	struct route_answer a = { .kind = ROUTE_RELAY };
	char destination[160];

	snprintf(destination, sizeof(destination), "mx %s",
	    strchr(address, '@') != NULL ? strrchr(address, '@') + 1 : "");
	a.destination = destination;
	if (begins(address, "alias")) {
		a = (struct route_answer){
			.kind = ROUTE_EXPAND, .targets_n = world.targets_n, .targets = world.targets
		};
	} else if (begins(address, "nobody")) {
		a = (struct route_answer){ .kind = ROUTE_FAIL,
			.why = "550 5.1.1 Nobody of that name" };
	} else if (begins(address, "later")) {
		a = (struct route_answer){ .kind = ROUTE_DEFER,
			.why = "451 4.3.0 The alias file cannot be read" };
	} else if (begins(address, "box") || begins(address, "cot") ||
	    strcmp(address, "postmaster") == 0) {
		a = (struct route_answer){ .kind = ROUTE_LOCAL,
			.uid = begins(address, "cot") ? 1001 : 1000,
			.gid = 1000,
			.account = "user",
			.root = "/home/user",
			.method = MAILBOX_MAILDIR,
			.path = "/home/user/Maildir" };
	}
	lookup_answer_encode(channel_begin(ch, LOOKUP_ANSWER, id), &a);
	channel_end(ch, -1);
}

static inline bool
on_lookup(struct channel *ch, struct message *m, void *arg)
{
	const char *address = cursor_str(&m->body);

	(void)arg;
	message_skip(m); /* sender, and by whom it is expanded */
	if (m->type != LOOKUP_ROUTE)
		return false;
	if (!world.mute)
		answer_route(ch, m->id, address);
	return true;
}

static inline bool
on_ledger(struct channel *ch, struct message *m, void *arg)
{
	(void)ch;
	(void)arg;
	world.taught += m->type == LEDGER_TELL_WROTE;
	message_skip(m);
	return true;
}

static inline bool
on_master(struct channel *ch, struct message *m, void *arg)
{
	uint32_t instance = cursor_u32(&m->body);

	(void)ch;
	(void)arg;
	if (m->type != DELIVERY_START || instance >= LOCALS)
		return false;
	message_skip(m);
	world.starts++;
	connect_actor(&world.locals[instance]);
	return true;
}

static inline void
note_delivery(const struct actor *a, const struct job *job, const struct job_recipient *r)
{
	struct delivered *d = &world.delivered[world.delivered_n++ % DELIVERIES_MAX];

	*d = (struct delivered){ .message = job->message, .role = a->role, .instance = a->instance,
		.by_descriptor = job->content == NULL, .together = job->recipients_n };
	strlcpy(d->address, r->address, sizeof(d->address));
	strlcpy(d->sender, r->sender != NULL ? r->sender : job->sender, sizeof(d->sender));
	strlcpy(d->destination, job->destination != NULL ? job->destination : "",
	    sizeof(d->destination));
}

static inline void
report(struct actor *a, const struct job *job, const struct job_recipient *r)
{
	static const struct {
		const char *begins;
		enum delivery_status status;
		const char *text;
	} manners[] = {
		{ "temp", DELIVERY_TEMP, "451 4.2.1 Not now" },
		{ "perm", DELIVERY_PERM, "550 5.1.1 No such user" },
		{ "host", DELIVERY_TEMP_HOST, "451 4.4.1 Connection refused" },
		{ "busy", DELIVERY_TEMP, "451 4.7.500 Too much from you" },
	};
	struct delivery_result result = { .job = job->id,
		.index = r->index,
		.host = "mx.test[192.0.2.1]",
		.text = "250 2.0.0 Taken",
		.detail = "",
		.dsn = begins(r->address, "dsn") };
	size_t i;

	for (i = 0; i < sizeof(manners) / sizeof(manners[0]) && !world.healed; i++) {
		if (!begins(r->address, manners[i].begins))
			continue;
		result.status = (uint8_t)manners[i].status;
		result.text = manners[i].text;
		result.pause = begins(r->address, "busy") ? world.pause : 0;
	}
	if (result.status == DELIVERY_OK)
		note_delivery(a, job, r);
	delivery_send_result(a->channel, &result);
}

static inline void
do_job(struct actor *a, const struct job *job)
{
	unsigned i;

	for (i = 0; i < job->recipients_n; i++) {
		if (begins(job->recipients[i].address, "wait") && !world.healed) {
			a->waiting[a->waiting_n].job = job->id;
			strlcpy(a->waiting[a->waiting_n].address, job->recipients[i].address,
			    sizeof(a->waiting[0].address));
			a->waiting[a->waiting_n].begun = !begins(job->recipients[i].address, "wait-idle");
			a->waiting[a->waiting_n++].index = job->recipients[i].index;
			return;
		}
		if (!begins(job->recipients[i].address, "silent"))
			report(a, job, &job->recipients[i]);
	}
	channel_send(a->channel, DELIVERY_DONE, job->id);
}

/* As the relay role: what was begun goes on. */
static inline void
cancel_job(struct actor *a, uint64_t id)
{
	unsigned i;

	world.cancels++;
	for (i = 0; i < a->waiting_n; i++) {
		if (a->waiting[i].job != id || a->waiting[i].begun)
			continue;
		a->waiting[i] = a->waiting[--a->waiting_n];
		channel_send(a->channel, DELIVERY_DONE, id);
		return;
	}
}

static inline bool
tell_site(struct actor *a, struct message *m)
{
	struct delivery_site site = { .destination = delivery_read_way(m), .most = world.most, .holds = 300 };
	const char *dot;

	if (site.destination == NULL)
		return false;
	world.asked++;
	if (world.speechless)
		return true;
	site.site = site.destination;
	if (begins(site.destination, "mx shared") && (dot = strchr(site.destination, '.')) != NULL)
		site.site = dot + 1;
	delivery_send_site(a->channel, &site);
	return true;
}

static inline bool
on_job(struct channel *ch, struct message *m, void *arg)
{
	struct actor *a = arg;
	struct job job;

	(void)ch;
	if (m->type == DELIVERY_CANCEL) {
		cancel_job(a, m->id);
		return true;
	}
	if (m->type == DELIVERY_WAY)
		return tell_site(a, m);
	if (!delivery_read_job(m, &job))
		return false;
	world.jobs++;
	world.attempts += job.recipients_n;
	if (job.content != NULL)
		snprintf(world.content, sizeof(world.content), "%.*s", (int)job.content_len,
		    (const char *)job.content);
	if (begins(job.recipients[0].address, "crash") && world.crashes > 0) {
		world.crashes--;
		delivery_free_job(&job);
		drop_actor(a);
		return true;
	}
	do_job(a, &job);
	delivery_free_job(&job);
	return true;
}

static inline void
finish_waiting(struct actor *a)
{
	struct delivery_result result = {
		.host = "mx.test[192.0.2.1]", .text = "250 2.0.0 Taken at last", .detail = ""
	};
	unsigned i;

	for (i = 0; i < a->waiting_n; i++) {
		result.job = a->waiting[i].job;
		result.index = a->waiting[i].index;
		delivery_send_result(a->channel, &result);
		channel_send(a->channel, DELIVERY_DONE, result.job);
	}
	a->waiting_n = 0;
}

static inline bool
on_session(struct channel *ch, struct message *m, void *arg)
{
	struct submit_answer answer;
	struct submit_room room;

	(void)ch;
	(void)arg;
	if (m->type == SUBMIT_ROOM && submit_read_room(&m->body, &room)) {
		world.room = room.largest;
		return true;
	}
	if (m->type == SUBMIT_FILE_ANSWER) {
		strlcpy(world.file_text, cursor_str(&m->body), sizeof(world.file_text));
		world.file = message_take_fd(m);
		world.answers++;
		return true;
	}
	if (m->type != SUBMIT_ANSWER || !submit_read_answer(&m->body, &answer))
		return false;
	world.answer.id = m->id;
	world.answer.status = answer.status;
	strlcpy(world.answer.text, answer.text, sizeof(world.answer.text));
	world.answers++;
	return true;
}

static inline bool
on_control(struct channel *ch, struct message *m, void *arg)
{
	struct field *fields;
	const void *text;
	size_t len;

	(void)ch;
	(void)arg;
	switch (m->type) {
	case CTL_RECORD:
		fields = field_decode(&m->body);
		field_text(&world.told, fields);
		buf_addc(&world.told, '\n');
		field_free(fields);
		return true;
	case CTL_TEXT:
		text = cursor_blob(&m->body, &len);
		buf_add(&world.told, text, len);
		return true;
	case CTL_END:
		world.status = cursor_u8(&m->body);
		buf_adds(&world.told, cursor_str(&m->body));
		return true;
	}
	message_skip(m); /* as a submitter it hears of room, too */
	return true;
}

static const struct channel_ops actor_ops[ROLE_COUNT] = {
	[ROLE_MASTER] = { on_master, on_closed },
	[ROLE_LOOKUP] = { on_lookup, on_closed },
	[ROLE_LEDGER] = { on_ledger, on_closed },
	[ROLE_SESSION] = { on_session, on_closed },
	[ROLE_CONTROL] = { on_control, on_closed },
	[ROLE_RELAY] = { on_job, on_closed },
	[ROLE_LOCAL] = { on_job, on_closed },
};

static inline void
connect_actor(struct actor *a)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == -1)
		abort();
	a->channel = channel_new(world.base, pair[0], &actor_ops[a->role], a);
	peer_connect(a->role, a->instance, pair[1]);
}

/* --- beginning and end --- */

static inline void
place_actors(void)
{
	unsigned i;

	world.master.role = ROLE_MASTER;
	world.lookup.role = ROLE_LOOKUP;
	world.ledger.role = ROLE_LEDGER;
	world.session.role = ROLE_SESSION;
	world.control.role = ROLE_CONTROL;
	for (i = 0; i < 2; i++)
		world.relays[i] = (struct actor){ .role = ROLE_RELAY, .instance = i };
	for (i = 0; i < LOCALS; i++)
		world.locals[i] = (struct actor){ .role = ROLE_LOCAL, .instance = i };
}

/* In the folder of WORLD.DIR, or a new one when it is "". */
static inline void
begin_world(void)
{
	static const struct log_conf quiet = { .to_stderr = true };

	log_init(&quiet, "test");
	if (world.now == 0)
		world.now = WORLD_START;
	world.ms = 1000000;
	world.file = -1;
	world.base = event_base_new();
	peer_set_base(world.base);
	if (world.dir[0] == '\0' && mkdtemp(strcpy(world.dir, "/tmp/genkan-queue.XXXXXX")) == NULL)
		abort();
	place_actors();
	world.conf = (struct queue_conf){ .dir = world.dir,
		.host = "mx.example.net",
		.retry_first = 600,
		.retry_most = 7200,
		.lifetime = 5 * 86400,
		.notice_lifetime = 86400,
		.delay_notice = 4 * 3600,
		.destination_most = 20,
		.local_most = 2 };
	lookup_client_init();
	ledger_client_init();
	queue_role_start(&world.conf);
	connect_actor(&world.master);
	connect_actor(&world.lookup);
	connect_actor(&world.ledger);
	connect_actor(&world.session);
	connect_actor(&world.control);
	connect_actor(&world.relays[0]);
	connect_actor(&world.relays[1]);
}

static inline void
remove_tree(const char *dir)
{
	struct dirent *e;
	char *path;
	DIR *d = opendir(dir);

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		path = xasprintf("%s/%s", dir, e->d_name);
		if (unlink(path) == -1 && rmdir(path) == -1)
			remove_tree(path);
		free(path);
	}
	if (d != NULL)
		closedir(d);
	rmdir(dir);
}

/* --- the session's part --- */

/* Recipients are separated by blanks. */
static inline struct envelope *
new_envelope(const char *sender, const char *recipients, uint8_t notify)
{
	struct envelope *env = envelope_new();
	char *copy = xstrdup(recipients), *word;

	env->id = id_new();
	env->session = 77;
	envelope_set(&env->sender, sender);
	envelope_set(&env->origin, "client.test[192.0.2.9]");
	for (word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		envelope_add_recipient(env, word, NULL, notify);
	free(copy);
	return env;
}

/* CONTENT NULL: it is in the file. */
static inline void
send_envelope(const struct envelope *env, const char *content)
{
	struct evbuffer *text = evbuffer_new();
	struct buf bytes = { 0 };

	envelope_encode(&bytes, env);
	if (content != NULL)
		evbuffer_add(text, content, strlen(content));
	submit_add_message(channel_begin(world.session.channel, SUBMIT_MESSAGE, env->id), &bytes,
	    content != NULL ? text : NULL);
	channel_end(world.session.channel, -1);
	buf_free(&bytes);
	evbuffer_free(text);
}

/* Returns the id; the message is durable. */
static inline uint64_t
submit(const char *sender, const char *recipients, uint8_t notify)
{
	struct envelope *env = new_envelope(sender, recipients, notify);
	unsigned before = world.answers;
	uint64_t id = env->id;

	send_envelope(env, "Subject: test\r\n\r\nbody\r\n");
	envelope_free(env);
	until(world.answers > before);
	assert_int_equal(world.answer.id, id);
	assert_int_equal(world.answer.status, SUBMIT_OK);
	return id;
}

/* --- the operator's part --- */

/* "queue list from=a@b": what smtpctl would be told. */
static inline const char *
ctl(const char *request)
{
	char *copy = xstrdup(request), *word;
	const char *words[16];
	unsigned n = 0, i;
	struct buf *b;

	for (word = strtok(copy, " "); word != NULL; word = strtok(NULL, " "))
		words[n++] = word;
	buf_clear(&world.told);
	world.status = -1;
	b = channel_begin(world.control.channel, CTL_REQUEST, 1);
	buf_add_u32(b, 0);
	buf_add_u32(b, n);
	for (i = 0; i < n; i++)
		buf_add_str(b, words[i]);
	channel_end(world.control.channel, -1);
	free(copy);
	until(world.status >= 0);
	return buf_str(&world.told);
}

static inline bool
is_told(const char *request, const char *what)
{
	return strstr(ctl(request), what) != NULL;
}

/* What the queue was busy with when this is called has come about when it returns. */
static inline void
settle(void)
{
	static unsigned n;
	char address[40];
	unsigned before = world.delivered_n;

	/* a message goes all the way, through the same queues as what was before it */
	snprintf(address, sizeof(address), "ok%u@settle.test", n++);
	submit("", address, 0);
	until(world.delivered_n > before &&
	      strcmp(world.delivered[world.delivered_n - 1].address, address) == 0);
}

/* Nothing waits any more. */
static inline bool
is_empty(void)
{
	return ctl("queue list")[0] == '\0';
}

/* --- what happened --- */

static inline unsigned
reached(const char *address)
{
	unsigned i, n = 0;

	for (i = 0; i < world.delivered_n; i++)
		n += strcmp(world.delivered[i].address, address) == 0;
	return n;
}

static inline const struct delivered *
delivery_of(const char *address)
{
	unsigned i;

	for (i = world.delivered_n; i > 0; i--)
		if (strcmp(world.delivered[i - 1].address, address) == 0)
			return &world.delivered[i - 1];
	fail_msg("%s was not reached", address);
	return NULL;
}

/* --- for cmocka --- */

static inline int
set_up(void **state)
{
	(void)state;
	begin_world();
	return 0;
}

static inline int
tear_down(void **state)
{
	(void)state;
	remove_tree(world.dir);
	return 0;
}

#endif
