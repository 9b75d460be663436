/*
 * A message as the queue knows it: the envelope and what became of each recipient.  The content
 * is elsewhere (store.h).
 */
#ifndef QUEUE_ENVELOPE_H
#define QUEUE_ENVELOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "deliver/delivery.h" /* enum body_type */
#include "lib/verp.h"

struct buf;
struct cursor;

enum recipient_state {
	RECIPIENT_WAITING,   /* to be tried at DUE */
	RECIPIENT_DELIVERED, /* in a mailbox, or taken by the next server */
	RECIPIENT_FAILED,    /* for good; the sender was or will be told */
	RECIPIENT_EXPANDED,  /* replaced by others of the same message (alias, list) */
	RECIPIENT_REMOVED    /* by the operator: nobody is told */
};

/* RFC 3461 4.1 */
enum notify {
	NOTIFY_DEFAULT = 0,
	NOTIFY_NEVER = 1,
	NOTIFY_SUCCESS = 2,
	NOTIFY_FAILURE = 4,
	NOTIFY_DELAY = 8
};

struct recipient {
	char *address;  /* normalised forward-path, "local@domain" */
	char *original; /* what the client named: xtext-decoded ORCPT, or the address that was
	                 * expanded; or NULL */
	char *reason;   /* last remote or local text, "451 4.7.1 ..."; or NULL */
	char *sender;   /* EXPANDED: who sends to those that it was replaced by (owner-NAME); NULL: as
	                 * before */
	char *host;     /* who said so: "mx.example.net[192.0.2.1]", or NULL for ourselves */
	char *route;    /* by the operator: a destination (lookup.h) instead of where ADDRESS leads;
	                 * or NULL */
	int64_t due;    /* not before this time (clock_now) */
	uint32_t parent; /* index of the recipient whose expansion it is, or UINT32_MAX */
	uint16_t attempts;
	uint8_t state;   /* enum recipient_state */
	uint8_t notify;  /* enum notify, or'ed */
	bool delay_told; /* the one delay notice was sent */
	bool owed;       /* DELIVERED or EXPANDED, and the sender, who asked for it, was not told yet */
	bool relayed;    /* DELIVERED to a server that will tell the sender nothing */
	bool counted;    /* the store's own: it waited when the store last looked */
	bool returned;   /* the operator gave it up while it was busy: it fails instead of waiting again */
};

struct envelope {
	uint64_t id;
	uint64_t session;   /* the SMTP session it came by; 0: made here */
	int64_t time;       /* of acceptance */
	int64_t expires;    /* gives up then */
	char *sender;       /* reverse-path, "" for the null one */
	char *origin;       /* where from, for people: "mail.example.org[192.0.2.1]", "notice" */
	char *envid;        /* RFC 3461 ENVID, decoded, or NULL */
	uint64_t size;      /* octets of content */
	uint8_t body;       /* enum body_type */
	uint8_t ret;        /* RFC 3461 RET: 0 unset, 1 FULL, 2 HDRS */
	int64_t release;    /* RFC 4865: nothing is tried before; 0: at once */
	char *hold;         /* how that was asked for, "for;3600" or "until;2026-12-24T18:00:00Z" */
	int64_t deliver_by; /* RFC 2852; 0: no hurry */
	uint8_t by;         /* enum deliver_by, or'ed */
	char verp[VERP_SIZE]; /* the formula of a reverse-path for each recipient (verp.h); "": one for all */
	bool utf8;          /* SMTPUTF8 */
	bool held;          /* by the operator: nothing is tried */
	bool requiretls;    /* RFC 8689: goes on over verified TLS, to servers that do the same, or back */
	bool ours;          /* from an authenticated or relay client, or a program here */
	uint32_t recipients_n;
	struct recipient *recipients;
};

/* So that an envelope is never more than 400 MB, nor a record. */
#define ENVELOPE_RECIPIENTS_MAX 100000

struct envelope *envelope_new(void);
/* Returns the index of the new recipient; ADDRESS and ORIGINAL are copied. */
uint32_t envelope_add_recipient(
    struct envelope *, const char *address, const char *original, uint8_t notify);
/* Before anything is done for them: whoever is named twice, with nothing said of notices, gets one copy.
 * Whoever asked for notices under two names (RFC 3461 ORCPT) is told of both. */
void envelope_drop_doubles(struct envelope *);
void envelope_free(struct envelope *);
/* Who sends to one recipient: the sender of the message, or the owner of the list whose expansion
 * he is. */
const char *envelope_sender(const struct envelope *, uint32_t index);
/* He has a reverse-path of his own: `verp` is set, and the sender of the message sends to him. */
bool envelope_has_own_path(const struct envelope *, uint32_t index);
/* The reverse-path under which it goes to him, with `verp` made of what the sender called him.  The
 * caller frees. */
char *envelope_return_path(const struct envelope *, uint32_t index);
/* Replaces one of the texts of an envelope or recipient by a copy of VALUE, or by NULL.  Texts of
 * envelopes in the store may be shared (shared_text.h): they are changed and freed by this, never
 * by free(). */
void envelope_set(char **text, const char *value);
/* The store's own: texts that other messages have too take no memory twice.  In the loop's
 * thread. */
void envelope_share(struct envelope *);
void envelope_share_state(struct recipient *);
/* Something is still to be done about it: it waits, or its sender does. */
bool recipient_is_open(const struct recipient *);
/* True when no recipient waits any more, and no sender for his notice. */
bool envelope_finished(const struct envelope *);
/* True when it can be stored and read back: id, sender, origin and at least one recipient are
 * there, no more than 100,000 of them, and nothing is longer than RFC 5321 4.5.3.1 and RFC 3461
 * allow. */
bool envelope_ok(const struct envelope *);
/* Of an envelope that is OK.  Texts for people (origin, reason, host) are cut at 1024 octets. */
void envelope_encode(struct buf *, const struct envelope *);
/* NULL, and a bad cursor, when the bytes are no envelope that envelope_ok() would pass. */
struct envelope *envelope_decode(struct cursor *);
/* What changes about a recipient after it was accepted: everything but address and original. */
void envelope_encode_state(struct buf *, const struct recipient *);
/* Of the recipient at INDEX.  False leaves it as it was. */
bool envelope_decode_state(struct cursor *, struct recipient *, uint32_t index);

#endif
