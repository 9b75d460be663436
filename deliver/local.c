/*
 * The local delivery process: takes jobs from the queue, delivers all that wait in one go, reports.
 *
 * It runs as the owner of the mailboxes, confined to the one directory that they are in, for as
 * long as the queue has work for it; it ends when the queue closes the channel.  Jobs that arrive
 * while the loop still finds more to read are gathered, since their flushes can then be shared
 * (maildir.c); nothing is gathered by waiting: when the socket is empty the delivery begins.  It
 * blocks meanwhile, and the next jobs gather in the socket.
 *
 * What it may do besides is the master's choice by the method of its domain (smtpd/roles.c): only a
 * process for `pipe` runs programs, only one for `lmtp` makes sockets.  An order of another method
 * therefore fails here for want of rights, whatever the queue says.  A process for what aliases or
 * .forward files name looks itself whether they do: the queue can make it do what the operator, or
 * the user, wrote down, and nothing else.
 *
 * Contents are converted when they arrive, which is also the only copy made of them.  A result is
 * sent when the message is on disk and not before; when this process dies, what it had not reported
 * is delivered again, at worst twice.
 */
#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "deliver/alias.h"
#include "deliver/command.h"
#include "deliver/command_line.h"
#include "deliver/delivery.h"
#include "deliver/domain.h"
#include "deliver/final.h"
#include "deliver/forward.h"
#include "deliver/lmtp.h"
#include "deliver/lookup.h"
#include "deliver/maildir.h"
#include "deliver/mbox.h"
#include "deliver/pipe.h"
#include "deliver/smtp_client.h"
#include "deliver/target.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/role.h"

/* Mailboxes written in one go: files that are open at once. */
#define BATCH_ITEMS 256
/* Octets gathered before the delivery begins in any case. */
#define BATCH_SIZE (16 * 1024 * 1024)

struct mailbox_order { /* a recipient of a job */
	uint32_t index;
	uint8_t method;
	bool forward;
	char *path, *address, *sender;
};

struct local_job {
	STAILQ_ENTRY(local_job) entry;
	uint64_t id, message, since_ms;
	uint8_t body;
	bool utf8;
	uint64_t size;
	struct maildir_content content; /* for mailboxes and programs */
	struct buf wire;		/* for LMTP: as it came, when it came in memory; the file is
					   CONTENT's */
	unsigned orders_n;
	struct mailbox_order *orders;
};

static struct {
	const struct local_conf *conf;
	struct maildirs *dirs;
	struct lmtp *lmtp; /* to the one server that this process is for; NULL: not yet */
	struct peer *queue;
	struct event begin;
	STAILQ_HEAD(, local_job) jobs;
	unsigned items; /* mailboxes in JOBS */
	size_t size;	/* octets in JOBS */
} here;

/* --- jobs --- */

static void
copy_orders(struct local_job *to, const struct job *from)
{
	struct target target;
	unsigned i;

	to->orders_n = from->recipients_n;
	to->orders = xcalloc(to->orders_n, sizeof(*to->orders));
	for (i = 0; i < to->orders_n; i++) {
		const struct job_recipient *r = &from->recipients[i];

		target_parse(r->address, &target);
		to->orders[i] = (struct mailbox_order){ .index = r->index,
			.method = r->method,
			.forward = r->forward,
			.path = xstrdup(r->path != NULL ? r->path : ""),
			.address = target.address,
			.sender = xstrdup(r->sender != NULL ? r->sender : from->sender) };
	}
}

static void
job_free(struct local_job *job)
{
	unsigned i;

	for (i = 0; i < job->orders_n; i++) {
		free(job->orders[i].path);
		free(job->orders[i].address);
		free(job->orders[i].sender);
	}
	free(job->orders);
	maildir_content_free(&job->content);
	buf_free(&job->wire);
	free(job);
}

/* The queue never mixes LMTP with others in a job: they have other processes (queue/lane.h). */
static bool
is_for_lmtp(const struct local_job *job)
{
	unsigned i;

	for (i = 0; i < job->orders_n; i++)
		if (job->orders[i].method != MAILBOX_LMTP ||
		    strcmp(job->orders[i].path, job->orders[0].path) != 0)
			return false;
	return true;
}

static bool
take_job(struct peer *peer, struct message *m)
{
	const struct timeval at_once = { 0, 0 };
	struct local_job *job;
	struct job order;

	if (!delivery_read_job(m, &order))
		return false;
	job = xcalloc(1, sizeof(*job));
	job->id = order.id;
	job->message = order.message;
	job->since_ms = clock_ms();
	job->body = order.body;
	job->utf8 = order.utf8;
	job->size = order.size;
	copy_orders(job, &order);
	if (order.content != NULL && is_for_lmtp(job)) {
		buf_add(&job->wire, order.content, order.content_len);
		job->content.fd = -1;
	} else if (order.content != NULL)
		maildir_content_init(&job->content, job->body, order.content, order.content_len);
	else
		maildir_content_init_fd(&job->content, job->body, message_take_fd(m));
	delivery_free_job(&order);
	here.queue = peer;
	here.items += job->orders_n;
	here.size += order.content_len;
	STAILQ_INSERT_TAIL(&here.jobs, job, entry);
	/* each further job puts this off behind what the socket still has */
	if (here.items < BATCH_ITEMS && here.size < BATCH_SIZE)
		event_add(&here.begin, &at_once);
	return true;
}

/* --- results --- */

static const char *
event_name(enum delivery_status status)
{
	return status == DELIVERY_OK	 ? "local.delivered"
	       : status == DELIVERY_PERM ? "local.failed"
					 : "local.deferred";
}

static void
report(const struct local_job *job, const struct mailbox_order *order, enum delivery_status status,
    const char *text, const char *file)
{
	struct delivery_result result = { .job = job->id,
		.index = order->index,
		.status = (uint8_t)status,
		.host = "",
		.text = text,
		.detail = file != NULL ? file : "" };

	log_debug(event_name(status), F_STR("message", id_text(job->message).s),
	    F_STR("to", order->address), F_STR("reply", text), F_STR("file", file),
	    F_U64("ms", clock_ms() - job->since_ms));
	if (here.queue != NULL)
		delivery_send_result(here.queue->channel, &result);
}

/* And frees it. */
static void
report_final(
    const struct local_job *job, const struct mailbox_order *order, struct final_result *result)
{
	report(job, order, result->status, result->text, NULL);
	final_result_free(result);
}

static void
refuse(const struct local_job *job, const struct mailbox_order *order)
{
	struct final_result result = { .text = NULL };

	final_settle(&result, DELIVERY_TEMP,
	    xasprintf("451 4.3.5 \"%s\" is no such place to deliver to", order->path));
	report_final(job, order, &result);
}

/* RFC 3030 3: all octets or none, and an mbox marks ends of messages between lines. */
static void
refuse_binary(const struct local_job *job, const struct mailbox_order *order)
{
	struct final_result result = { .text = NULL };

	final_settle(&result, DELIVERY_PERM,
	    xstrdup("554 5.6.3 the message is binary, and the mailbox is an mbox, which holds lines; "
		    "conversion is not possible"));
	report_final(job, order, &result);
}

/* --- one by one --- */

static void
deliver_mbox(struct local_job *job, struct mailbox_order *order)
{
	struct mbox_item item = { .path = order->path,
		.sender = order->sender,
		.address = order->address,
		.content = &job->content,
		.wait_ms = MBOX_WAIT_MS };

	if (order->path[0] != '/') {
		refuse(job, order);
		return;
	}
	if (job->body == BODY_BINARYMIME) {
		refuse_binary(job, order);
		return;
	}
	mbox_deliver(&item);
	report(job, order, item.result.status, item.result.text,
	    item.result.status == DELIVERY_OK ? order->path : NULL);
	final_result_free(&item.result);
}

static void
run(struct local_job *job, struct mailbox_order *order, const struct command *command)
{
	struct pipe_item item = { .command = command,
		.sender = order->sender,
		.address = order->address,
		.content = &job->content,
		.limit_ms = PIPE_LIMIT_MS };

	pipe_deliver(&item);
	report_final(job, order, &item.result);
}

static void
deliver_pipe(struct local_job *job, struct mailbox_order *order)
{
	struct command command;

	if (!command_decode(order->path, &command)) {
		refuse(job, order);
		return;
	}
	run(job, order, &command);
	command_free(&command);
}

/* --- by LMTP: recipients of a job with one sender are one transaction --- */

static void
deliver_lmtp(struct local_job *job, struct mailbox_order *orders, unsigned n)
{
	struct smtp_client_message message = { .sender = orders[0].sender,
		.size = job->size,
		.content = job->content.fd < 0 ? buf_str(&job->wire) : NULL,
		.content_len = job->wire.len,
		.fd = job->content.fd,
		.body = job->body,
		.utf8 = job->utf8 };
	struct lmtp_recipient *to = xcalloc(n, sizeof(*to));
	unsigned i;

	if (here.lmtp == NULL)
		here.lmtp = lmtp_new(orders[0].path, here.conf->host, &lmtp_timeouts);
	for (i = 0; i < n; i++)
		to[i].address = orders[i].address;
	lmtp_deliver(here.lmtp, &message, to, n);
	for (i = 0; i < n; i++)
		report_final(job, &orders[i], &to[i].result);
	free(to);
}

static void
deliver_all_lmtp(struct local_job *job)
{
	unsigned i, k;

	for (i = 0; i < job->orders_n; i = k) {
		for (k = i + 1; k < job->orders_n &&
				strcmp(job->orders[k].sender, job->orders[i].sender) == 0;
		     k++)
			;
		deliver_lmtp(job, job->orders + i, k - i);
	}
}

/* --- into Maildirs, many at once --- */

struct batch {
	struct maildir_item items[BATCH_ITEMS];
	const struct local_job *jobs[BATCH_ITEMS]; /* of each item */
	const struct mailbox_order *orders[BATCH_ITEMS];
	unsigned n;
};

static void
deliver(struct batch *batch)
{
	unsigned i;

	maildirs_deliver(here.dirs, batch->items, batch->n);
	for (i = 0; i < batch->n; i++) {
		report(batch->jobs[i], batch->orders[i], batch->items[i].status,
		    batch->items[i].text, batch->items[i].file);
		maildir_item_free(&batch->items[i]);
	}
	batch->n = 0;
}

static void
add_maildir(struct batch *batch, struct local_job *job, struct mailbox_order *order)
{
	if (order->path[0] != '/') {
		refuse(job, order);
		return;
	}
	if (batch->n == BATCH_ITEMS)
		deliver(batch);
	batch->items[batch->n] = (struct maildir_item){ .path = order->path,
		.sender = order->sender,
		.address = order->address,
		.content = &job->content };
	batch->jobs[batch->n] = job;
	batch->orders[batch->n++] = order;
}

/* --- what aliases and .forward files say --- */

static void
expand(const struct local_job *job, const struct mailbox_order *order, const char **targets,
    size_t n)
{
	const struct delivery_expansion expansion = {
		.job = job->id, .index = order->index, .targets_n = (unsigned)n, .targets = targets
	};

	if (here.queue != NULL)
		delivery_send_expansion(here.queue->channel, &expansion);
}

static void
put_off(const struct local_job *job, const struct mailbox_order *order, const char *why)
{
	struct final_result result = { .text = NULL };

	final_settle(&result, DELIVERY_TEMP, xasprintf("451 4.3.5 %s", why));
	report_final(job, order, &result);
}

/* "|/usr/bin/prog arg", by the account that this process is. */
static void
run_item(struct local_job *job, struct mailbox_order *order)
{
	const char *home = here.conf->home;
	struct command command = { .user = (char *)(uintptr_t)here.conf->account,
		.home = (char *)(uintptr_t)(home != NULL ? home : ""),
		.domain = strrchr(order->address, '@'),
		.extension = (char *)(uintptr_t) "" };
	char *why = command_split(order->path + 1, &command.argv);

	if (why != NULL) {
		put_off(job, order, why);
		free(why);
		return;
	}
	command.domain = command.domain != NULL ? command.domain + 1 : command.extension;
	run(job, order, &command);
	command_argv_free(command.argv);
}

/* A program, a mbox, a Maildir (whose path ends in '/'), or nothing at all. */
static void
deliver_item(struct batch *batch, struct local_job *job, struct mailbox_order *order)
{
	if (order->path[0] == '|')
		run_item(job, order);
	else if (strcmp(order->path, "/dev/null") == 0)
		report(job, order, DELIVERY_OK, "250 2.0.0 thrown away, as /dev/null asks for", NULL);
	else if (order->path[0] == '/' && order->path[strlen(order->path) - 1] == '/')
		add_maildir(batch, job, order);
	else
		deliver_mbox(job, order);
}

/* The account's .forward, as it is now, decides; false when it has nothing to say. */
static bool
obey_forward(struct batch *batch, struct local_job *job, struct mailbox_order *order)
{
	const char *item = order->method == MAILBOX_FORWARD ? order->path : "";
	char *text = xasprintf("\\%s%s", order->address, item), *why = NULL;
	struct alias_targets targets = { .n = 0 };
	enum forward_result result = FORWARD_NONE;
	struct forward_of who = { .account = here.conf->account,
		.home = here.conf->home,
		.uid = geteuid(),
		.address = order->address };
	char *file = NULL;

	if (here.conf->home != NULL)
		result = forward_read(&who, &targets, &file, &why);
	if (result == FORWARD_LATER)
		put_off(job, order, why);
	else if (result == FORWARD_TARGETS && item[0] != '\0' && alias_has(&targets, text))
		deliver_item(batch, job, order);
	else if (result == FORWARD_TARGETS)
		expand(job, order, (const char **)targets.addresses, targets.n);
	else if (why != NULL)
		log_warning("local.forward", F_STR("message", id_text(job->message).s),
		    F_STR("to", order->address), F_STR("why", why),
		    F_STR("what", "the mailbox gets it"));
	alias_free(&targets);
	free(file);
	free(why);
	free(text);
	return result != FORWARD_NONE;
}

/* Asked for by a process of the account alone: without a .forward the mailbox counts. */
static void
deliver_forward(struct batch *batch, struct local_job *job, struct mailbox_order *order)
{
	char *mailbox;

	if (here.conf->method != MAILBOX_FORWARD) {
		refuse(job, order);
		return;
	}
	if (obey_forward(batch, job, order))
		return;
	mailbox = xasprintf("\\%s", order->address);
	expand(job, order, (const char *[]){ mailbox }, 1);
	free(mailbox);
}

static void
deliver_alias(struct batch *batch, struct local_job *job, struct mailbox_order *order)
{
	char *why = NULL;

	if (here.conf->method != MAILBOX_ALIAS) {
		refuse(job, order);
		return;
	}
	lookup_refresh(here.conf->lookup);
	if (lookup_alias_names(here.conf->lookup, order->address, order->path, &why))
		deliver_item(batch, job, order);
	else
		put_off(job, order, why != NULL ? why : "the alias does not say so any more");
	free(why);
}

/* --- all of them --- */

static void
add_job(struct batch *batch, struct local_job *job)
{
	unsigned i;

	if (is_for_lmtp(job)) {
		deliver_all_lmtp(job);
		return;
	}
	for (i = 0; i < job->orders_n; i++) {
		if (job->orders[i].forward && obey_forward(batch, job, &job->orders[i]))
			continue;
		switch ((enum mailbox_method)job->orders[i].method) {
		case MAILBOX_MAILDIR:
			add_maildir(batch, job, &job->orders[i]);
			break;
		case MAILBOX_MBOX:
			deliver_mbox(job, &job->orders[i]);
			break;
		case MAILBOX_PIPE:
			deliver_pipe(job, &job->orders[i]);
			break;
		case MAILBOX_ALIAS:
			deliver_alias(batch, job, &job->orders[i]);
			break;
		case MAILBOX_FORWARD:
			deliver_forward(batch, job, &job->orders[i]);
			break;
		case MAILBOX_LMTP:
			refuse(job, &job->orders[i]);
			break;
		}
	}
}

/* All jobs that wait.  Results first, then the ends of the jobs, in one message to the queue's
 * socket. */
static void
on_begin(evutil_socket_t fd, short what, void *arg)
{
	static struct batch batch;
	struct local_job *job;

	(void)fd;
	(void)what;
	(void)arg;
	STAILQ_FOREACH(job, &here.jobs, entry)
		add_job(&batch, job);
	if (batch.n > 0)
		deliver(&batch);
	while ((job = STAILQ_FIRST(&here.jobs)) != NULL) {
		STAILQ_REMOVE_HEAD(&here.jobs, entry);
		if (here.queue != NULL)
			channel_send(here.queue->channel, DELIVERY_DONE, job->id);
		job_free(job);
	}
	here.items = 0;
	here.size = 0;
}

/* --- the role --- */

static bool
on_message(struct peer *peer, struct message *m)
{
	if (peer->role != ROLE_QUEUE)
		return false;
	switch (m->type) {
	case DELIVERY_JOB:
		return take_job(peer, m);
	case DELIVERY_CANCEL: /* for those who may have jobs waiting for long */
		return true;
	default:
		return false;
	}
}

/* Our work is done; what was gathered and not begun is the queue's again. */
static void
on_down(struct peer *peer)
{
	if (peer->role != ROLE_QUEUE)
		return;
	if (here.lmtp != NULL)
		lmtp_free(here.lmtp);
	role_exit(0);
}

void
local_role_start(const struct local_conf *conf)
{
	static const struct subject_ops ops = { .message = on_message, .down = on_down };

	STAILQ_INIT(&here.jobs);
	here.conf = conf;
	here.dirs = maildirs_new(conf->host);
	evtimer_assign(&here.begin, peer_base(), on_begin, NULL);
	peer_register(SUBJECT_DELIVERY, &ops);
}
