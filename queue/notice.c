/*
 * Composing notices: plain words for the sender (or, where there is none, for the postmaster), the
 * same for programs (message/delivery-status), and the header of the message, or all of it.
 *
 * Replies of other servers and addresses are strangers' text.  They are quoted so that none of it
 * can end a line, a part or the notice: controls become blanks, what is no ASCII is escaped in the
 * part for programs and sent as quoted-printable UTF-8 in the part for people, and long lines are
 * folded.  Apart from what is returned of the message itself, a notice is 7-bit text that any
 * server takes; only one about internationalised addresses needs SMTPUTF8 (RFC 6533), and only
 * their owners get such.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "deliver/downgrade.h"
#include "deliver/target.h"
#include "lib/ascii.h"
#include "lib/buf.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "lib/orcpt.h"
#include "lib/rfc5322.h"
#include "lib/utf8.h"
#include "queue/notice.h"

#define LINE 76          /* columns that text is wrapped at (RFC 5322 2.1.1, RFC 2045 6.7) */
#define WORD_MAX 900     /* octets; a longer word is broken (RFC 5322 2.1.1: 998 a line) */
#define HEADER_MAX 65536 /* octets of the message's header that are returned */

/* What each kind says. */
static const struct wording {
	const char *subject, *action; /* ACTION NULL: each recipient has his own */
	const char *whose, *opening, *closing;
} wordings[] = {
	[NOTICE_FAILURE] = {
		"Undeliverable: your message was not delivered to everybody", "failed",
		"Your message",
		"could not be delivered to the recipients below. It will not be tried again.",
		"If you do not know what to do about this, forward this whole notice to your own "
		"postmaster.",
	},
	[NOTICE_DELAY] = {
		"Delayed: your message was not yet delivered to everybody", "delayed",
		"Your message",
		"could not yet be delivered to the recipients below.",
		"You need not do anything: it is tried again and again. You will hear from us if it "
		"fails.",
	},
	[NOTICE_SUCCESS] = {
		"On its way: your message was handed on", NULL,
		"Your message",
		"has gone the way that is told below for each recipient.",
		"You get this notice because you asked for it.",
	},
	[NOTICE_DOUBLE] = {
		"Undeliverable: a message without a sender", "failed",
		"A message",
		"could not be delivered to the recipients below. It has no sender who could be told, "
		"as it is most likely a notice itself: so this goes to the postmaster, and nobody "
		"else hears of it.",
		"If many of these come, mail is taken for addresses that do not exist, or forwarded "
		"to servers that refuse it.",
	},
};

bool
notice_wanted(enum notice_kind kind, const struct envelope *env, uint32_t index)
{
	const struct recipient *r = &env->recipients[index];
	bool none = envelope_sender(env, index)[0] == '\0';
	static const uint8_t asked[] = {
		[NOTICE_FAILURE] = NOTIFY_FAILURE,
		[NOTICE_DELAY] = NOTIFY_DELAY,
		[NOTICE_SUCCESS] = NOTIFY_SUCCESS,
		[NOTICE_DOUBLE] = NOTIFY_FAILURE,
	};

	if (none != (kind == NOTICE_DOUBLE) || (r->notify & NOTIFY_NEVER) != 0)
		return false;
	if (kind == NOTICE_DOUBLE && strcmp(env->origin, NOTICE_ORIGIN_DOUBLE) == 0)
		return false;
	if (kind == NOTICE_SUCCESS && env->by != 0 && r->relayed)
		return true; /* RFC 2852 4.1.4: also to those who did not ask for it */
	if (r->notify == NOTIFY_DEFAULT)
		return kind != NOTICE_SUCCESS;
	return (r->notify & asked[kind]) != 0;
}

/* --- text --- */

/* Words of TEXT, wrapped at LINE; lines after the first begin with INDENT, and *COLUMN says where
 * we are.  Controls are blanks. */
static void
add_words(struct buf *b, const char *text, const char *indent, size_t *column)
{
	size_t len;

	while (*text != '\0') {
		for (; *text != '\0' && (unsigned char)*text <= ' '; text++)
			;
		for (len = 0; (unsigned char)text[len] > ' ' && text[len] != 0x7f && len < WORD_MAX;
		     len++)
			;
		if (len == 0 && *text == '\0')
			return;
		if (len == 0) {
			text++; /* DEL */
			continue;
		}
		if (*column + 1 + len > LINE && *column > strlen(indent)) {
			buf_addf(b, "\r\n%s", indent);
			*column = strlen(indent);
		} else if (*column > strlen(indent)) {
			buf_addc(b, ' ');
			++*column;
		}
		buf_add(b, text, len);
		*column += len;
		text += len;
	}
}

/* A paragraph, each of its lines indented. */
static void
add_paragraph(struct buf *b, const char *indent, const char *text)
{
	size_t column = strlen(indent);

	buf_adds(b, indent);
	add_words(b, text, indent, &column);
	buf_adds(b, "\r\n");
}

/* "Name: value", folded. */
static void
add_header(struct buf *b, const char *name, const char *value)
{
	size_t column = strlen(name) + 1;

	buf_addf(b, "%s:", name);
	add_words(b, value, " ", &column);
	buf_adds(b, "\r\n");
}

static void
add_date_header(struct buf *b, const char *name, int64_t t)
{
	struct buf value = { 0 };

	header_add_date_utc(&value, t);
	add_header(b, name, buf_str(&value));
	buf_free(&value);
}

/* For places that take ASCII only: other characters by their number, \x{FC} (RFC 6533 3); what is
 * no UTF-8 octet by octet. */
static char *
ascii_of(const char *s)
{
	const char *end = s + strlen(s);
	struct buf b = { 0 };
	uint32_t c;
	size_t n;

	for (; s < end; s += n) {
		n = utf8_next(s, end, &c);
		if (n == 0) {
			c = (unsigned char)*s;
			n = 1;
		}
		if (c > 127)
			buf_addf(&b, "\\x{%02" PRIX32 "}", c);
		else
			buf_addc(&b, (char)c);
	}
	return buf_take(&b);
}

/* --- what is to be said of one recipient --- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Length of "5.1.1" at the beginning of S (RFC 3463 2), or 0. */
static size_t
status_length(const char *s)
{
	size_t len = 1, digits;
	int i;

	if ((s[0] != '2' && s[0] != '4' && s[0] != '5'))
		return 0;
	for (i = 0; i < 2; i++) {
		if (s[len++] != '.')
			return 0;
		for (digits = 0; digits < 3 && is_digit(s[len]); digits++)
			len++;
		if (digits == 0)
			return 0;
	}
	return s[len] == ' ' || s[len] == '\0' ? len : 0;
}

/* The time that BY gave is over. */
static bool
is_late(const struct notice *notice)
{
	return notice->about->by != 0 && notice->time >= notice->about->deliver_by;
}

/* RFC 3464 2.3.4: the enhanced code of the reply if it has one of its own class, else only the
 * class. */
static void
add_status(struct buf *b, const struct notice *notice, const struct notice_recipient *nr)
{
	const char *reason = nr->recipient->reason, *code = "";
	char class = notice->kind == NOTICE_DELAY	 ? '4' :
		     notice->kind == NOTICE_SUCCESS ? '2' :
						      '5';
	size_t len;

	/* RFC 3463 3.5: delivery time expired; 5 when it was the sender's own time (RFC 2852 4.1.3) */
	if (nr->expired || (class == '4' && is_late(notice))) {
		buf_adds(b, class == '5' && is_late(notice) ? "5.4.7" : "4.4.7");
		return;
	}
	if (reason != NULL && is_digit(reason[0]) && is_digit(reason[1]) && is_digit(reason[2]) &&
	    (reason[3] == ' ' || reason[3] == '-'))
		code = reason + 4;
	len = status_length(code);
	if (len > 0 && code[0] == class)
		buf_add(b, code, len);
	else
		buf_addf(b, "%c.0.0", class);
}

static const char *
reason_of(const struct recipient *r)
{
	return r->reason != NULL ? r->reason : "no further reason was given";
}

/* RFC 3464 2.3.3 */
static const char *
action_of(const struct notice *notice, const struct recipient *r)
{
	if (notice->kind != NOTICE_SUCCESS)
		return wordings[notice->kind].action;
	/* a list, which sends under its own name, is where the message was going (RFC 3461 5.2.7.1) */
	if (r->state == RECIPIENT_EXPANDED && r->sender != NULL)
		return "delivered";
	return r->state == RECIPIENT_EXPANDED ? "expanded" : r->relayed ? "relayed" : "delivered";
}

/* What has become of it, in a sentence. */
static void
add_fate(struct buf *line, const struct notice *notice, const struct recipient *r)
{
	if (notice->kind == NOTICE_SUCCESS && r->state == RECIPIENT_EXPANDED) {
		buf_adds(line, "this address stands for several others, to whom it is on its way");
		return;
	}
	if (notice->kind == NOTICE_SUCCESS && !r->relayed) {
		buf_adds(line, "delivered to the mailbox");
		return;
	}
	if (notice->kind == NOTICE_SUCCESS)
		buf_adds(line, "handed to the next server, from which you may hear no more: ");
	if (r->host != NULL)
		buf_addf(line, "%s said: ", r->host);
	buf_adds(line, reason_of(r));
}

static void
add_recipient_words(
    struct buf *b, const struct notice *notice, const struct notice_recipient *nr)
{
	const struct recipient *r = nr->recipient;
	char *original = r->original != NULL ? orcpt_address(r->original, true) : NULL;
	struct buf line = { 0 };
	struct target target;

	/* which program or file stood behind it is nobody else's business */
	target_parse(r->address, &target);
	buf_addf(&line, "<%s>", target.address);
	if (original != NULL && strcmp(original, target.address) != 0)
		buf_addf(&line, " (for <%s>)", original);
	free(original);
	target_free(&target);
	add_paragraph(b, "  ", buf_str(&line));
	buf_clear(&line);
	if (nr->expired)
		add_paragraph(b, "    ", is_late(notice) ? "the time that was given to deliver it is over; the last answer:" :
							   "given up after many attempts; the last answer:");
	add_fate(&line, notice, r);
	add_paragraph(b, "    ", buf_str(&line));
	buf_adds(b, "\r\n");
	buf_free(&line);
}

/* --- the part for people --- */

static void
add_words_part(struct buf *b, const struct notice *notice)
{
	const struct wording *wording = &wordings[notice->kind];
	struct buf opening = { 0 };
	unsigned i;

	buf_addf(&opening, "This is the mail server %s. %s of ", notice->host, wording->whose);
	header_add_date_utc(&opening, notice->about->time);
	buf_addf(&opening, " %s", wording->opening);
	if (notice->kind == NOTICE_DELAY) {
		buf_adds(&opening, " We go on trying until ");
		header_add_date_utc(&opening, notice->about->expires);
		buf_addc(&opening, '.');
	}
	add_paragraph(b, "", buf_str(&opening));
	buf_adds(b, "\r\n");
	buf_free(&opening);
	for (i = 0; i < notice->recipients_n; i++)
		add_recipient_words(b, notice, &notice->recipients[i]);
	add_paragraph(b, "", wording->closing);
	buf_addf(b, "(Message %s; the next part says the same to programs.)\r\n",
	    id_text(notice->about->id).s);
}

/* RFC 2045 6.7, of text whose lines end in CRLF. */
static void
add_quoted_printable(struct buf *b, const char *s)
{
	size_t column = 0;
	bool plain;

	for (; *s != '\0'; s++) {
		if (s[0] == '\r' && s[1] == '\n') {
			buf_adds(b, "\r\n");
			column = 0;
			s++;
			continue;
		}
		plain = *s != '=' && (unsigned char)*s < 0x7f &&
			((unsigned char)*s > ' ' || (*s == ' ' && s[1] != '\r'));
		if (column + (plain ? 1 : 3) > LINE - 1) {
			buf_adds(b, "=\r\n");
			column = 0;
		}
		if (plain)
			buf_addc(b, *s);
		else
			buf_addf(b, "=%02X", (unsigned char)*s);
		column += plain ? 1 : 3;
	}
}

static void
add_text_part(struct buf *b, const struct notice *notice)
{
	struct buf text = { 0 };

	add_words_part(&text, notice);
	if (ascii_only(buf_str(&text))) {
		buf_adds(b, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
		buf_adds(b, buf_str(&text));
	} else {
		buf_adds(b, "Content-Type: text/plain; charset=utf-8\r\n"
			    "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
		add_quoted_printable(b, buf_str(&text));
	}
	buf_free(&text);
}

/* --- the part for programs --- */

/* "Name: value" as it is, for an address may have spaces, in quotes, that count; where it fits in a line. */
static void
add_exactly(struct buf *b, const char *name, const char *value)
{
	const char *s;

	for (s = value; (unsigned char)*s >= ' ' && *s != 0x7f; s++)
		;
	if (*s == '\0' && s - value <= WORD_MAX)
		buf_addf(b, "%s: %s\r\n", name, value);
	else
		add_header(b, name, value);
}

/* In a part that may have UTF-8 an address is written in it (RFC 6533 4.1). */
static void
add_typed_address(struct buf *b, const char *name, const char *typed, bool global)
{
	char *address = orcpt_address(typed, global), *value;
	size_t type = orcpt_type(typed);

	if (type > 0)
		value = xasprintf("%.*s; %s", (int)type, typed, address);
	else
		value = xasprintf("%s; %s", ascii_only(address) ? "rfc822" : "utf-8", address);
	add_exactly(b, name, value);
	free(value);
	free(address);
}

/* "mx.example.net[192.0.2.1]:25": the name, or if there is none the address literal. */
static void
add_remote(struct buf *b, const char *host)
{
	size_t len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, "[");
	char *value = xasprintf("dns; %.*s", (int)len, host), *plain = ascii_of(value);

	add_header(b, "Remote-MTA", plain);
	free(plain);
	free(value);
}

static void
add_diagnostic(struct buf *b, const struct recipient *r)
{
	char *plain, *value;

	if (r->reason == NULL)
		return;
	plain = ascii_of(r->reason);
	value = xasprintf("%s; %s", r->host != NULL ? "smtp" : "x-genkan", plain);
	add_header(b, "Diagnostic-Code", value);
	free(value);
	free(plain);
}

/* RFC 3464 2.3 */
static void
add_recipient_fields(struct buf *b, const struct notice *notice, const struct notice_recipient *nr, bool global)
{
	const struct recipient *r = nr->recipient;
	struct buf status = { 0 };
	struct target target;

	if (r->original != NULL)
		add_typed_address(b, "Original-Recipient", r->original, global);
	target_parse(r->address, &target);
	add_typed_address(b, "Final-Recipient", target.address, global);
	target_free(&target);
	add_header(b, "Action", action_of(notice, r));
	add_status(&status, notice, nr);
	add_header(b, "Status", buf_str(&status));
	buf_free(&status);
	/* of a delivery of ours our own words would say nothing */
	if (r->host != NULL && r->state != RECIPIENT_EXPANDED)
		add_remote(b, r->host);
	if (notice->kind != NOTICE_SUCCESS || r->relayed)
		add_diagnostic(b, r);
	if (r->attempts > 0)
		add_date_header(b, "Last-Attempt-Date", notice->time);
	if (notice->kind == NOTICE_DELAY)
		add_date_header(b, "Will-Retry-Until", notice->about->expires);
}

static void
add_status_part(struct buf *b, const struct notice *notice, bool global)
{
	struct buf line = { 0 };
	char *envid;
	unsigned i;

	buf_addf(b, "Content-Type: message/%s\r\n",
	    global ? "global-delivery-status" : "delivery-status");
	if (global)
		buf_adds(b, "Content-Transfer-Encoding: 8bit\r\n");
	buf_adds(b, "\r\n");
	buf_addf(&line, "dns; %s", notice->host);
	add_header(b, "Reporting-MTA", buf_str(&line));
	buf_free(&line);
	if (notice->envid != NULL) {
		envid = ascii_of(notice->envid);
		add_header(b, "Original-Envelope-Id", envid);
		free(envid);
	}
	add_date_header(b, "Arrival-Date", notice->about->time);
	if (notice->about->by != 0)
		add_date_header(b, "Deliver-By-Date", notice->about->deliver_by);
	if (notice->about->hold != NULL)
		add_header(b, "Future-Release-Request", notice->about->hold);
	for (i = 0; i < notice->recipients_n; i++) {
		buf_adds(b, "\r\n");
		add_recipient_fields(b, notice, &notice->recipients[i], global);
	}
}

/* --- the message --- */

/* Octets of the header with the end of its last line, held to HEADER_MAX at the end of a line. */
static size_t
header_length(const struct notice *notice)
{
	const char *s = notice->content, *end;
	size_t len = notice->content_len;

	if (s == NULL || len == 0)
		return 0;
	end = memmem(s, len, "\r\n\r\n", 4);
	if (end != NULL)
		len = (size_t)(end - s) + 2;
	if (len > HEADER_MAX || end == NULL) {
		len = len > HEADER_MAX ? HEADER_MAX : len;
		end = memrchr(s, '\n', len);
		len = end != NULL ? (size_t)(end - s) + 1 : 0;
	}
	return len;
}

static bool
has_8bit(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((s[i] & 0x80) != 0)
			return true;
	return false;
}

/* A server on the way may take 7 bits only: what cannot be encoded for it would keep the notice from
 * arriving.  Those that take a global one take 8 bits. */
static bool
goes_anywhere(const struct notice *notice, bool global)
{
	struct downgrade plan = { 0 };
	bool fits;

	if (global || !has_8bit(notice->content, notice->content_len))
		return true;
	fits = downgrade_plan(&plan, notice->content, notice->content_len) == NULL;
	downgrade_free(&plan);
	return fits;
}

/* RFC 3461 4.3: the whole only when asked for, only of failures, not when it could not be sent as
 * lines of text, and not when it requires TLS (RFC 8689 5). */
static bool
returns_whole(const struct notice *notice, bool global)
{
	bool asked = notice->kind == NOTICE_DOUBLE ||
	    (notice->kind == NOTICE_FAILURE && notice->about->ret == 1);

	return asked && notice->whole && notice->about->body != BODY_BINARYMIME &&
	    !notice->about->requiretls && goes_anywhere(notice, global);
}

struct returned {
	const char *type;
	size_t len;
	bool eight_bit;
};

static struct returned
choose_returned(const struct notice *notice, bool global)
{
	struct returned r = { .len = header_length(notice) };

	if (returns_whole(notice, global)) {
		r.len = notice->content_len;
		r.type = global ? "message/global" : "message/rfc822";
	} else {
		r.type = global ? "message/global-headers" : "text/rfc822-headers";
	}
	r.eight_bit = has_8bit(notice->content, r.len);
	return r;
}

static void
add_returned_part(struct buf *b, const struct notice *notice, const struct returned *r)
{
	buf_addf(b, "Content-Type: %s\r\n", r->type);
	if (r->eight_bit)
		buf_adds(b, "Content-Transfer-Encoding: 8bit\r\n");
	buf_adds(b, "\r\n");
	buf_add(b, notice->content, r->len);
	if (r->len > 0 && notice->content[r->len - 1] != '\n')
		buf_adds(b, "\r\n");
}

/* --- all of it --- */

/* A notice of success, and nobody's message went to others. */
static bool
all_arrived(const struct notice *notice)
{
	unsigned i;

	for (i = 0; i < notice->recipients_n; i++)
		if (strcmp(action_of(notice, notice->recipients[i].recipient), "delivered") != 0)
			return false;
	return true;
}

static void
add_top(struct buf *b, const struct notice *notice, const char *boundary, bool eight_bit)
{
	struct buf line = { 0 };

	buf_addf(&line, "Mail Delivery System <MAILER-DAEMON@%s>", notice->host);
	add_header(b, "From", buf_str(&line));
	buf_clear(&line);
	if (notice->kind == NOTICE_DOUBLE)
		buf_addf(&line, "<postmaster@%s>", notice->host);
	else
		buf_addf(&line, "<%s>", notice->to);
	add_header(b, "To", buf_str(&line));
	buf_free(&line);
	add_header(b, "Subject", all_arrived(notice) ? "Delivered: your message has arrived" : wordings[notice->kind].subject);
	add_date_header(b, "Date", notice->time);
	buf_addf(b, "Message-ID: <%s@%s>\r\n", id_text(notice->id).s, notice->host);
	/* RFC 3834 5.1 */
	buf_adds(b, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	buf_addf(b,
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n boundary=\"%s\"\r\n",
	    boundary);
	if (eight_bit)
		buf_adds(b, "Content-Transfer-Encoding: 8bit\r\n");
	buf_adds(b, "\r\n");
}

/* RFC 6533: needed as soon as an address that must be named is not ASCII. */
static bool
is_global(const struct notice *notice)
{
	const struct recipient *r;
	unsigned i;

	if (notice->kind != NOTICE_DOUBLE && !ascii_only(notice->to))
		return true;
	for (i = 0; i < notice->recipients_n; i++) {
		r = notice->recipients[i].recipient;
		if (!ascii_only(r->address) || (r->original != NULL && !ascii_only(r->original)))
			return true;
	}
	return false;
}

static struct envelope *
make_envelope(const struct notice *notice, uint64_t size, bool global, bool eight_bit)
{
	struct envelope *env = envelope_new();

	env->id = notice->id;
	env->time = notice->time;
	envelope_set(&env->sender, "");
	envelope_set(&env->origin, notice->kind == NOTICE_DOUBLE ? NOTICE_ORIGIN_DOUBLE : "notice");
	env->size = size;
	env->body = eight_bit ? BODY_8BITMIME : BODY_7BIT;
	env->utf8 = global;
	env->requiretls = notice->about->requiretls; /* RFC 8689 5 */
	/* without a domain it is ours (RFC 5321 4.5.1) */
	envelope_add_recipient(env,
	    notice->kind == NOTICE_DOUBLE ? "postmaster" : notice->to, NULL,
	    NOTIFY_DEFAULT);
	env->recipients[0].due = notice->time;
	return env;
}

struct envelope *
notice_compose(const struct notice *notice, struct evbuffer *out)
{
	bool global = is_global(notice);
	struct returned returned = choose_returned(notice, global);
	bool eight_bit = global || returned.eight_bit;
	struct buf b = { 0 };
	struct envelope *env;
	char *boundary;

	/* "=_" occurs in no quoted-printable text, and nobody knows the id in advance */
	boundary = xasprintf("=_%s", id_text(notice->id).s);
	add_top(&b, notice, boundary, eight_bit);
	buf_addf(&b, "--%s\r\n", boundary);
	add_text_part(&b, notice);
	buf_addf(&b, "\r\n--%s\r\n", boundary);
	add_status_part(&b, notice, global);
	buf_addf(&b, "\r\n--%s\r\n", boundary);
	add_returned_part(&b, notice, &returned);
	buf_addf(&b, "\r\n--%s--\r\n", boundary);
	env = make_envelope(notice, b.len, global, eight_bit);
	evbuffer_add(out, b.data, b.len);
	buf_free(&b);
	free(boundary);
	return env;
}
