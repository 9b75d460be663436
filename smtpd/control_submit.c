/*
 * Mail that local programs hand in, sendmail's other half: the words of a `submit` become an
 * envelope, the content goes to the queue as it comes, and the answer leaves after the flush that
 * covers it.
 *
 *   submit from=ADDRESS to=ADDRESS ... [envid=TEXT] [ret=full|hdrs]
 *       [notify=never|success,failure,delay] [verp=FORMULA]
 *   and from `smtpctl queue import`, which must be trusted, to bring back what was exported:
 *       time=SECONDS expires=SECONDS [held=yes] [smtputf8=yes] [requiretls=yes] [body=8BITMIME...]
 *       [release=SECONDS hold=TEXT] [deliver_by=SECONDS by=R|N|RT|NT], and behind each to=:
 *       [orcpt=TEXT] [to-notify=...]
 *
 * sendmail completes messages; this side only believes what it checked: addresses, line ends, size,
 * hops, and the uid that the kernel told.  Texts of refusals begin with an SMTP reply code and
 * status, by which sendmail chooses its exit code.  What must never happen: "done" before the
 * queue's word, or a content that an SMTP server could read as two.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "conf/conf.h"
#include "deliver/dotstuff.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/content.h"
#include "lib/ctl_wire.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/rewrite.h"
#include "lib/rfc5322.h"
#include "queue/submit.h"
#include "smtpd/control_client.h"

/* A longer header is left as it is. */
#define HEADER_MOST (512 * 1024)
/* Account names made of these can stand in a header field as they are. */
#define ATOM "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

struct local_submit {
	struct client *client; /* NULL: gone after the content was whole */
	struct envelope *env;
	struct submission *submission;
	struct content content;
	uint64_t limit;        /* octets of content */
	bool restored;         /* it was in a queue before: times are as they were, nothing is added */
	bool committed;        /* the queue has it all: its word is awaited */
	struct evbuffer *piece;
	bool in_header;        /* which is gathered in HEADER, since it names senders to be rewritten */
	struct buf header;
};

static void
local_submit_free(struct local_submit *s)
{
	envelope_free(s->env);
	evbuffer_free(s->piece);
	buf_free(&s->header);
	free(s);
}

/* Before the content is whole: what came of it is forgotten. */
static void
refuse(struct local_submit *s, int status, const char *why)
{
	struct client *client = s->client;

	if (s->submission != NULL)
		submit_abort(s->submission);
	log_notice("control.refused", F_U64("uid", client->uid), F_STR("why", why));
	local_submit_free(s);
	client_end(client, status, why);
}

/* --- who --- */

/* The account's name, without asking name services: this role must not connect to any.  NULL:
 * /etc/passwd does not say.  The caller frees. */
static char *
account_name(uint32_t uid)
{
	FILE *f = fopen("/etc/passwd", "re");
	char line[4096], *name = NULL;
	struct passwd pw, *found;

	if (f == NULL)
		return NULL;
	while (name == NULL && fgetpwent_r(f, &pw, line, sizeof(line), &found) == 0)
		if (found->pw_uid == uid)
			name = xstrdup(found->pw_name);
	fclose(f);
	return name;
}

/* RFC 5321 4.4; the name can be written as one word, or is left out. */
static void
add_trace(struct local_submit *s)
{
	uint32_t uid = s->client->uid;
	char *name = account_name(uid);
	struct buf b = { 0 };

	if (name != NULL && name[strspn(name, ATOM)] != '\0') {
		free(name);
		name = NULL;
	}
	s->env->origin = name == NULL ? xasprintf("local uid %u", uid) :
	    xasprintf("local uid %u (%s)", uid, name);
	buf_adds(&b, "Received: ");
	if (name != NULL)
		buf_addf(&b, "from %s (uid %u)\r\n\t", name, uid);
	else
		buf_addf(&b, "(from uid %u)\r\n\t", uid);
	buf_addf(&b, "by %s with local id %s;\r\n\t", control_conf()->host, id_text(s->env->id).s);
	header_add_date(&b, clock_now());
	buf_adds(&b, "\r\n");
	evbuffer_add(s->piece, b.data, b.len);
	submit_write(s->submission, s->piece);
	buf_free(&b);
	free(name);
}

/* --- the envelope --- */

/* The normalised address; NULL with *WHY.  The caller frees either. */
static char *
read_address(const char *text, unsigned flags, char **why)
{
	struct mailaddr a;
	const char *wrong;
	char *address;

	if (!mailaddr_parse(text, strlen(text), flags | MAILADDR_UTF8, &a, &wrong)) {
		*why = xasprintf("553 %s \"%s\": %s",
		    flags & MAILADDR_NULL ? "5.1.7 sender" : "5.1.3 recipient", text, wrong);
		return NULL;
	}
	address = mailaddr_format(&a);
	mailaddr_free(&a);
	return address;
}

static char *
read_from(struct local_submit *s, const char *value)
{
	char *why = NULL;

	if (s->env->sender != NULL)
		return xstrdup("501 5.5.4 more than one from=");
	s->env->sender = read_address(value, MAILADDR_NULL, &why);
	return why;
}

static char *
read_to(struct local_submit *s, const char *value)
{
	char *why = NULL, *address;
	uint32_t index;

	/* what an alias had made of an address is nobody's to name (deliver/target.h) */
	if (value[0] == '\\' && s->restored)
		address = xstrdup(value);
	else
		address = read_address(value, 0, &why);
	if (address == NULL)
		return why;
	index = envelope_add_recipient(s->env, address, NULL, NOTIFY_DEFAULT);
	s->env->recipients[index].due = clock_now();
	free(address);
	return NULL;
}

static char *
read_envid(struct local_submit *s, const char *value)
{
	envelope_set(&s->env->envid, value);
	return NULL;
}

static char *
read_ret(struct local_submit *s, const char *value)
{
	s->env->ret = strcmp(value, "full") == 0 ? 1 : strcmp(value, "hdrs") == 0 ? 2 : 0;
	return s->env->ret != 0 ? NULL : xstrdup("501 5.5.4 ret= is full or hdrs");
}

static char *
read_verp(struct local_submit *s, const char *value)
{
	if (!verp_formula_ok(value, strlen(value)))
		return xstrdup("501 5.5.4 verp= is two of the characters - = +");
	strlcpy(s->env->verp, value, VERP_SIZE);
	return NULL;
}

/* --- what was exported --- */

/* Seconds since 1970; -1: they are none. */
static int64_t
read_seconds(const char *value)
{
	char *end;
	long long n;

	errno = 0;
	n = strtoll(value, &end, 10);
	return errno != 0 || end == value || *end != '\0' || n < 0 ? -1 : n;
}

static char *
take_seconds(int64_t *to, const char *value)
{
	*to = read_seconds(value);
	return *to > 0 ? NULL : xstrdup("501 5.5.4 times are in seconds since 1970");
}

static char *
read_time(struct local_submit *s, const char *value)
{
	return take_seconds(&s->env->time, value);
}

static char *
read_expires(struct local_submit *s, const char *value)
{
	s->restored = true;
	return take_seconds(&s->env->expires, value);
}

static char *
read_release(struct local_submit *s, const char *value)
{
	return take_seconds(&s->env->release, value);
}

static char *
read_deliver_by(struct local_submit *s, const char *value)
{
	return take_seconds(&s->env->deliver_by, value);
}

static char *
read_by(struct local_submit *s, const char *value)
{
	s->env->by = (uint8_t)((value[0] == 'R' ? BY_RETURN : BY_NOTIFY) | (value[1] == 'T' ? BY_TRACE : 0));
	return NULL;
}

static char *
read_hold(struct local_submit *s, const char *value)
{
	envelope_set(&s->env->hold, value);
	return NULL;
}

static char *
read_held(struct local_submit *s, const char *value)
{
	s->env->held = strcmp(value, "yes") == 0;
	return NULL;
}

static char *
read_utf8(struct local_submit *s, const char *value)
{
	s->env->utf8 = strcmp(value, "yes") == 0;
	return NULL;
}

static char *
read_requiretls(struct local_submit *s, const char *value)
{
	s->env->requiretls = strcmp(value, "yes") == 0;
	return NULL;
}

/* Of the others the content says what it is. */
static char *
read_body(struct local_submit *s, const char *value)
{
	if (strcmp(value, "BINARYMIME") == 0)
		s->env->body = BODY_BINARYMIME;
	return NULL;
}

static char *
read_orcpt(struct local_submit *s, const char *value)
{
	if (s->env->recipients_n == 0)
		return xstrdup("501 5.5.4 orcpt= stands behind the to= that it is about");
	envelope_set(&s->env->recipients[s->env->recipients_n - 1].original, value);
	return NULL;
}

static char *read_bits(const char *value, uint8_t *notify);

static char *
read_to_notify(struct local_submit *s, const char *value)
{
	if (s->env->recipients_n == 0)
		return xstrdup("501 5.5.4 to-notify= stands behind the to= that it is about");
	return read_bits(value, &s->env->recipients[s->env->recipients_n - 1].notify);
}

static const struct {
	const char *key;
	bool restores; /* only who is trusted may say it */
	/* NULL, or what is wrong with it (caller frees) */
	char *(*read)(struct local_submit *, const char *value);
} parameters[] = {
	{ "from=", false, read_from },
	{ "to=", false, read_to },
	{ "envid=", false, read_envid },
	{ "ret=", false, read_ret },
	{ "verp=", false, read_verp },
	{ "notify=", false, NULL }, /* for all recipients: when all are there */
	{ "time=", true, read_time },
	{ "expires=", true, read_expires },
	{ "held=", true, read_held },
	{ "smtputf8=", true, read_utf8 },
	{ "requiretls=", true, read_requiretls },
	{ "body=", true, read_body },
	{ "release=", true, read_release },
	{ "hold=", true, read_hold },
	{ "deliver_by=", true, read_deliver_by },
	{ "by=", true, read_by },
	{ "orcpt=", true, read_orcpt },
	{ "to-notify=", true, read_to_notify },
};
#define PARAMETERS (sizeof(parameters) / sizeof(parameters[0]))

static char *
read_word(struct local_submit *s, const char *word)
{
	size_t i, len;

	for (i = 0; i < PARAMETERS; i++) {
		len = strlen(parameters[i].key);
		if (strncmp(word, parameters[i].key, len) != 0)
			continue;
		if (parameters[i].restores && !s->client->trusted)
			return xstrdup("550 5.7.1 only root may bring back what was exported");
		return parameters[i].read == NULL ? NULL : parameters[i].read(s, word + len);
	}
	return xasprintf("501 5.5.4 submit does not know \"%s\"", word);
}

static char *
read_bits(const char *value, uint8_t *bits_out)
{
	static const struct {
		const char *word;
		uint8_t bit;
	} bits[] = {
		{ "never", NOTIFY_NEVER },
		{ "success", NOTIFY_SUCCESS },
		{ "failure", NOTIFY_FAILURE },
		{ "delay", NOTIFY_DELAY },
	};
	uint8_t notify = 0;
	size_t i, n;

	for (; *value != '\0'; value += n + (value[n] == ',')) {
		n = strcspn(value, ",");
		for (i = 0; i < 4; i++)
			if (strlen(bits[i].word) == n && strncmp(bits[i].word, value, n) == 0)
				break;
		if (i == 4)
			return xstrdup(
			    "501 5.5.4 notify= is never, or some of success,failure,delay");
		notify |= bits[i].bit;
	}
	if ((notify & NOTIFY_NEVER) && notify != NOTIFY_NEVER)
		return xstrdup("501 5.5.4 notify=never stands alone");
	*bits_out = notify;
	return NULL;
}

static char *
read_notify(struct local_submit *s, const char *value)
{
	uint8_t notify = 0;
	char *why = read_bits(value, &notify);
	uint32_t r;

	for (r = 0; why == NULL && r < s->env->recipients_n; r++)
		s->env->recipients[r].notify = notify;
	return why;
}

static bool
is_utf8(const char *address)
{
	return dotstuff_has_8bit(address, strlen(address));
}

/* RFC 6531 3.4: who hands it in here need not say so. */
static void
look_for_utf8(struct envelope *env)
{
	uint32_t i;

	for (i = 0; i < env->recipients_n && !env->utf8; i++)
		env->utf8 = is_utf8(env->recipients[i].address);
	env->utf8 |= is_utf8(env->sender);
}

static char *
read_words(struct local_submit *s, unsigned n, const char *const *words)
{
	const char *notify = ctl_word_value(n, words, "notify");
	char *why = NULL;
	unsigned i;

	for (i = 1; i < n && why == NULL; i++)
		why = read_word(s, words[i]);
	if (why == NULL && notify != NULL)
		why = read_notify(s, notify);
	if (why == NULL && s->env->sender == NULL)
		why = xstrdup("501 5.5.4 from= is missing");
	if (why == NULL && s->env->verp[0] != '\0' && s->env->sender[0] == '\0')
		why = xstrdup("501 5.5.4 verp= needs a from= that is not empty");
	if (why == NULL && s->env->recipients_n == 0)
		why = xstrdup("554 5.5.1 no recipients");
	return why;
}

static void
rewrite_sender(struct local_submit *s)
{
	const struct table *rewrite = control_conf()->rewrite;
	char *sender = rewrite != NULL ? rewrite_address(rewrite, s->env->sender) : NULL;

	s->in_header = rewrite != NULL;
	if (sender != NULL)
		envelope_set(&s->env->sender, sender);
	free(sender);
}

struct local_submit *
local_submit_open(struct client *client, unsigned n, const char *const *words)
{
	struct local_submit *s = xcalloc(1, sizeof(*s));
	const char *full = submit_refusal(0);
	char *why;

	s->client = client;
	s->limit = control_conf()->limits[LIMIT_SIZE];
	s->piece = evbuffer_new();
	s->env = envelope_new();
	s->env->id = id_new();
	s->env->ours = true;
	s->env->time = clock_now();
	why = full != NULL ? xstrdup(full) : read_words(s, n, words);
	if (why != NULL) {
		refuse(s, 1, why);
		free(why);
		return NULL;
	}
	look_for_utf8(s->env);
	rewrite_sender(s);
	s->submission = submit_begin(s->env->id);
	if (s->restored)
		s->env->origin = xstrdup("import");
	else
		add_trace(s);
	return s;
}

/* --- the content --- */

static void
on_ready(void *arg)
{
	struct local_submit *s = arg;

	client_hold(s->client, false);
}

static void
wait_while_busy(struct local_submit *s)
{
	if (!submit_busy(s->submission))
		return;
	client_hold(s->client, true);
	submit_on_ready(s->submission, on_ready, s);
}

/* The header of a message whose sender is to be rewritten is gathered to its end. */
static void
take_header(struct local_submit *s, const void *p, size_t len)
{
	struct buf out = { 0 };
	const char *end;

	buf_add(&s->header, p, len);
	end = memmem(s->header.data, s->header.len, "\r\n\r\n", 4);
	if (end == NULL && s->header.len < HEADER_MOST)
		return;
	len = end != NULL && s->header.data[0] != '\r' ? (size_t)(end + 2 - s->header.data) : 0;
	rewrite_header(&out, s->header.data, len, control_conf()->rewrite);
	buf_add(&out, s->header.data + len, s->header.len - len);
	evbuffer_add(s->piece, out.data, out.len);
	buf_free(&out);
	buf_free(&s->header);
	s->in_header = false;
}

/* It had no body. */
static void
end_header(struct local_submit *s)
{
	struct buf out = { 0 };

	if (!s->in_header)
		return;
	rewrite_header(&out, buf_str(&s->header), s->header.len, control_conf()->rewrite);
	evbuffer_add(s->piece, buf_str(&out), out.len);
	submit_write(s->submission, s->piece);
	buf_free(&out);
	s->in_header = false;
}

/* What is too much is counted and not kept. */
void
local_submit_content(struct local_submit *s, const void *p, size_t len)
{
	content_look(&s->content, p, len);
	if (s->content.size > s->limit)
		return;
	if (s->in_header)
		take_header(s, p, len);
	else
		evbuffer_add(s->piece, p, len);
	submit_write(s->submission, s->piece);
	wait_while_busy(s);
}

static void
on_committed(enum submit_status status, const char *text, void *arg)
{
	struct local_submit *s = arg;
	struct client *client = s->client;

	if (status == SUBMIT_OK)
		log_info("message.accepted", F_STR("message", id_text(s->env->id).s),
		    F_STR("client", s->env->origin),
		    F_STR("from", s->env->sender), F_STR("to", s->env->recipients[0].address),
		    F_U64("recipients", s->env->recipients_n), F_U64("size", s->env->size));
	if (client != NULL && status == SUBMIT_OK)
		client_record(client, FIELDS(F_STR("message", id_text(s->env->id).s),
		    F_U64("recipients", s->env->recipients_n), F_U64("size", s->env->size)));
	local_submit_free(s);
	if (client != NULL)
		client_end(client, status == SUBMIT_OK ? 0 : 1, status == SUBMIT_OK ? "" : text);
}

/* NULL, or why a content that was read to its end is not taken. */
static const char *
fault(struct local_submit *s)
{
	uint8_t defects = s->env->body == BODY_BINARYMIME ? content_binary_defects(&s->content) :
							    s->content.defects;

	if (s->content.size > s->limit)
		return "552 5.3.4 the message is larger than this server takes";
	if (defects & CONTENT_NUL)
		return "554 5.6.0 the message holds a NUL octet";
	if (defects != 0)
		return "554 5.6.0 the message holds a CR or LF alone; lines end in CRLF";
	if (s->content.received >= control_conf()->limits[LIMIT_HOPS])
		return "554 5.4.6 the message has passed too many servers; it goes round in a loop";
	return NULL;
}

void
local_submit_end(struct local_submit *s)
{
	bool whole = content_end(&s->content);
	const char *why = fault(s);

	if (why != NULL) {
		refuse(s, 1, why);
		return;
	}
	end_header(s);
	if (!whole && s->env->body != BODY_BINARYMIME) {
		evbuffer_add(s->piece, "\r\n", 2);
		submit_write(s->submission, s->piece);
	}
	if (s->env->body != BODY_BINARYMIME)
		s->env->body = s->content.eight_bit ? BODY_8BITMIME : BODY_7BIT;
	s->env->size = submit_size(s->submission);
	s->committed = true;
	submit_commit(s->submission, s->env, on_committed, s);
}

void
local_submit_cancel(struct local_submit *s)
{
	s->client = NULL;
	if (s->committed)
		return;
	submit_abort(s->submission);
	local_submit_free(s);
}
