/*
 * Jobs of the relay role, and what the queue is told of them.
 *
 * Every recipient is reported once, as soon as his server has decided; what is left when all
 * servers were tried has the last reason, and a reason to try again goes before one to give up.  A
 * job whose queue is gone reports to nobody.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "deliver/relay_inside.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/rfc5322.h"

struct relay relay;

#define HEADER_MAX (64 * 1024) /* so much of a large message is looked at */

static char *
copy_or_null(const char *s)
{
	return s != NULL ? xstrdup(s) : NULL;
}

static void
copy_recipients(struct relay_job *job, const struct job *from)
{
	unsigned i;

	job->recipients_n = from->recipients_n;
	job->recipients = xcalloc(from->recipients_n, sizeof(*job->recipients));
	job->reported = xcalloc(from->recipients_n, sizeof(*job->reported));
	job->sent = xcalloc(from->recipients_n, sizeof(*job->sent));
	job->sent_index = xcalloc(from->recipients_n, sizeof(*job->sent_index));
	for (i = 0; i < from->recipients_n; i++) {
		job->recipients[i] = from->recipients[i];
		job->recipients[i].address = xstrdup(from->recipients[i].address);
		job->recipients[i].sender = copy_or_null(from->recipients[i].sender);
		job->recipients[i].original = copy_or_null(from->recipients[i].original);
		job->recipients[i].path = NULL;
	}
}

/* --- "TLS-Required: No" (RFC 8689 3) --- */

static bool
is_no(const struct header_field *field)
{
	const char *s = field->value, *end = s + field->value_len;

	while (s < end && strchr(" \t\r\n", *s) != NULL)
		s++;
	while (end > s && strchr(" \t\r\n", end[-1]) != NULL)
		end--;
	return end - s == 2 && strncasecmp(s, "no", 2) == 0;
}

static bool
header_says_optional(const char *s, size_t len)
{
	struct header_field field;
	size_t n;

	for (; (n = header_field_read(s, len, &field)) > 0; s += n, len -= n) {
		if (header_field_is(&field, "TLS-Required") && is_no(&field))
			return true;
	}
	return false;
}

static bool
says_tls_optional(const struct relay_job *job, size_t content_len)
{
	char *header;
	ssize_t n;
	bool says;

	if (job->content != NULL)
		return header_says_optional(job->content, content_len);
	header = xmalloc(HEADER_MAX);
	n = pread(job->fd, header, HEADER_MAX, 0);
	says = n > 0 && header_says_optional(header, (size_t)n);
	free(header);
	return says;
}

struct relay_job *
relay_job_new(struct peer *queue, struct message *m, const struct job *from)
{
	struct relay_job *job = xcalloc(1, sizeof(*job));

	job->queue = queue;
	job->id = from->id;
	job->message = from->message;
	job->since_ms = clock_ms();
	job->sender = xstrdup(from->sender);
	job->envid = copy_or_null(from->envid);
	job->fd = -1;
	copy_recipients(job, from);
	if (from->content != NULL) {
		job->content = xmalloc(from->content_len);
		memcpy(job->content, from->content, from->content_len);
	} else {
		job->fd = message_take_fd(m);
	}
	job->outgoing = (struct smtp_client_message){ .sender = job->sender,
		.envid = job->envid,
		.body = from->body,
		.ret = from->ret,
		.utf8 = from->utf8,
		.requiretls = from->requiretls,
		.by = from->by,
		.deliver_by = from->deliver_by,
		.size = from->size,
		.recipients = job->sent,
		.content = job->content,
		.content_len = from->content_len,
		.fd = job->fd };
	job->tls_optional = !from->requiretls && says_tls_optional(job, from->content_len);
	TAILQ_INSERT_TAIL(&relay.jobs, job, entry);
	return job;
}

void
relay_job_free(struct relay_job *job)
{
	unsigned i;

	TAILQ_REMOVE(&relay.jobs, job, entry);
	way_cancel(job->finding);
	for (i = 0; i < job->recipients_n; i++) {
		free((char *)job->recipients[i].address);
		free((char *)job->recipients[i].sender);
		free((char *)job->recipients[i].original);
	}
	way_drop(job->way);
	free(job->tries);
	free(job->recipients);
	free(job->reported);
	free(job->sent);
	free(job->sent_index);
	free(job->sender);
	free(job->envid);
	free(job->content);
	free(job->host);
	free(job->text);
	if (job->fd >= 0)
		close(job->fd);
	free(job);
}

bool
relay_job_requires_tls(const struct relay_job *job)
{
	return job->outgoing.requiretls && job->sender[0] != '\0';
}

/* --- results --- */

static const char *
event_name(enum delivery_status status)
{
	switch (status) {
	case DELIVERY_OK:
		return "relay.delivered";
	case DELIVERY_PERM:
		return "relay.failed";
	default:
		return "relay.deferred";
	}
}

void
relay_report(struct relay_job *job, unsigned i, enum delivery_status status, const char *host,
    const char *detail, const char *text)
{
	struct delivery_result result = { .job = job->id,
		.index = job->recipients[i].index,
		.status = (uint8_t)status,
		.host = host,
		.text = text,
		.detail = detail,
		.dsn = status == DELIVERY_OK && job->link != NULL &&
		    smtp_client_tells_sender(job->link->client, &job->outgoing) };

	if (job->reported[i])
		return;
	if (status != DELIVERY_OK && status != DELIVERY_PERM && job->way != NULL)
		result.pause = provider_pause(job->way->provider, text);
	job->reported[i] = true;
	log_debug(event_name(status), F_STR("message", id_text(job->message).s),
	    F_STR("to", job->recipients[i].address), F_STR("host", host[0] != '\0' ? host : NULL),
	    F_STR("reply", text), F_U64("ms", clock_ms() - job->since_ms));
	if (job->queue != NULL)
		delivery_send_result(job->queue->channel, &result);
}

void
relay_finish(struct relay_job *job)
{
	if (job->queue != NULL)
		channel_send(job->queue->channel, DELIVERY_DONE, job->id);
	relay_job_free(job);
}

void
relay_give_up(struct relay_job *job)
{
	unsigned i;

	for (i = 0; i < job->recipients_n; i++)
		relay_report(job, i, job->status, job->host != NULL ? job->host : "", "",
		    job->text != NULL ? job->text : "451 4.4.0 no server could be tried");
	relay_finish(job);
}

void
relay_keep_reason(
    struct relay_job *job, enum delivery_status status, const char *host, const char *text)
{
	if (job->text != NULL && status == DELIVERY_PERM && job->status != DELIVERY_PERM)
		return;
	free(job->host);
	free(job->text);
	job->status = status;
	job->host = xstrdup(host);
	job->text = xstrdup(text);
}

unsigned
relay_count_open(const struct relay_job *job)
{
	unsigned i, n = 0;

	for (i = 0; i < job->recipients_n; i++)
		n += !job->reported[i];
	return n;
}
