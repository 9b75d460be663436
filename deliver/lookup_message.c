/*
 * Route answers as bytes.  The lookup role writes them, the queue and smtpctl's clients read them;
 * what a reader gets is data from another process, so kinds are checked and the number of targets
 * is believed only as far as the message has room for them.  A field that a kind does not have is
 * absent, and reads as "".
 */
#include <stdlib.h>

#include "deliver/lookup_message.h"
#include "lib/mem.h"

#define TARGET_MIN 5 /* an empty string */

static void
encode_local(struct buf *b, const struct route_answer *answer)
{
	buf_add_u32(b, answer->uid);
	buf_add_u32(b, answer->gid);
	buf_add_str(b, answer->account);
	buf_add_str(b, answer->root);
	buf_add_u8(b, (uint8_t)answer->method);
	buf_add_str(b, answer->path);
	buf_add_u8(b, answer->forward);
}

/* NULL and "" are not the same. */
static void
encode_optional(struct buf *b, const char *s)
{
	buf_add_u8(b, s != NULL);
	buf_add_str(b, s);
}

static const char *
decode_optional(struct cursor *c)
{
	bool there = cursor_bool(c);
	const char *s = cursor_str(c);

	if (!there && *s != '\0')
		c->bad = true;
	return there ? s : NULL;
}

static void
encode_targets(struct buf *b, const struct route_answer *answer)
{
	unsigned i;

	buf_add_u32(b, answer->targets_n);
	for (i = 0; i < answer->targets_n; i++)
		buf_add_str(b, answer->targets[i]);
	encode_optional(b, answer->owner);
}

void
lookup_answer_encode(struct buf *b, const struct route_answer *answer)
{
	buf_add_u8(b, (uint8_t)answer->kind);
	switch (answer->kind) {
	case ROUTE_LOCAL:
		encode_local(b, answer);
		break;
	case ROUTE_RELAY:
		buf_add_str(b, answer->destination);
		encode_optional(b, answer->sender);
		break;
	case ROUTE_EXPAND:
		encode_targets(b, answer);
		break;
	case ROUTE_DISCARD:
		break;
	case ROUTE_FAIL:
	case ROUTE_DEFER:
		buf_add_str(b, answer->why);
		break;
	}
}

static void
decode_local(struct cursor *c, struct route_answer *answer)
{
	uint8_t method;

	answer->uid = cursor_u32(c);
	answer->gid = cursor_u32(c);
	answer->account = cursor_str(c);
	answer->root = cursor_str(c);
	method = cursor_u8(c);
	answer->path = cursor_str(c);
	answer->forward = cursor_bool(c);
	if (method >= MAILBOX_METHODS)
		c->bad = true;
	answer->method = (enum mailbox_method)method;
}

static void
decode_targets(struct cursor *c, struct route_answer *answer)
{
	unsigned i, n = cursor_u32(c);
	const char **targets;

	if (c->bad || n == 0 || n > (size_t)(c->end - c->pos) / TARGET_MIN) {
		c->bad = true;
		return;
	}
	targets = xcalloc(n, sizeof(*targets));
	for (i = 0; i < n; i++)
		targets[i] = cursor_str(c);
	answer->targets = targets;
	answer->targets_n = n;
	answer->owner = decode_optional(c);
}

bool
lookup_answer_decode(struct cursor *c, struct route_answer *answer)
{
	*answer = (struct route_answer){ .kind = cursor_u8(c),
		.why = "",
		.account = "",
		.root = "",
		.path = "",
		.destination = "" };
	switch (answer->kind) {
	case ROUTE_LOCAL:
		decode_local(c, answer);
		break;
	case ROUTE_RELAY:
		answer->destination = cursor_str(c);
		answer->sender = decode_optional(c);
		break;
	case ROUTE_EXPAND:
		decode_targets(c, answer);
		break;
	case ROUTE_DISCARD:
		break;
	case ROUTE_FAIL:
	case ROUTE_DEFER:
		answer->why = cursor_str(c);
		break;
	default:
		c->bad = true;
	}
	if (cursor_done(c))
		return true;
	lookup_answer_free(answer);
	return false;
}

void
lookup_answer_free(struct route_answer *answer)
{
	free((void *)answer->targets);
	answer->targets = NULL;
	answer->targets_n = 0;
}
