/*
 * What submitters and the queue say to each other (SUBJECT_SUBMIT).  The id of every message is
 * that of the submission, which becomes the id of the queued message.  Encoding and decoding only.
 */
#ifndef QUEUE_SUBMIT_WIRE_H
#define QUEUE_SUBMIT_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/peer.h"
#include "queue/envelope.h"
#include "queue/store.h"
#include "queue/submit.h"

struct evbuffer;

enum submit_type {
	SUBMIT_FILE = MESSAGE_TYPE(
	    SUBJECT_SUBMIT, 1), /* to the queue: the content is large, a file, please; no payload */
	SUBMIT_FILE_ANSWER, /* back: str "", and a descriptor open for writing; or str why not, as a
			       reply */
	SUBMIT_FORGET,	    /* to the queue: the file will not be used; no payload */
	SUBMIT_MESSAGE,	    /* to the queue: struct submit_message */
	SUBMIT_ANSWER,	    /* back: struct submit_answer */
	SUBMIT_FLUSH, /* to the queue: struct submit_flush; id 0, no answer */
	SUBMIT_CONF, /* from the master: the queue's new configuration (submit_add_conf) */
	SUBMIT_ROOM /* to all submitters when it changes, and at first: struct submit_room; id 0 */
};

/* An envelope longer than this is refused where it is made: with the longest inline content it must
 * fit a message. */
#define SUBMIT_ENVELOPE_MAX (MESSAGE_MAX - STORE_INLINE_MAX - 64)

struct submit_message {
	struct envelope *envelope; /* decoded: the reader's own */
	bool in_file;              /* the content is in the file that was asked for */
	const void *content;       /* else here, in the message's bytes */
	size_t content_len;
};
/* ENVELOPE is encoded; CONTENT is drained unless it is NULL, which means: in the file. */
void submit_add_message(struct buf *, const struct buf *envelope, struct evbuffer *content);
/* False: it is none, and nothing is to be freed. */
bool submit_read_message(struct cursor *, struct submit_message *);

/* What waits for DOMAIN is to be tried now (ETRN). */
struct submit_flush {
	const char *domain;
	const char *destination; /* where that goes (lookup.h), to be tried again if it is dead */
};
void submit_add_flush(struct buf *, const struct submit_flush *);
bool submit_read_flush(struct cursor *, struct submit_flush *);

struct submit_answer {
	uint8_t status;   /* enum submit_status */
	const char *text; /* a reply when it is not SUBMIT_OK */
};
void submit_add_answer(struct buf *, const struct submit_answer *);
bool submit_read_answer(struct cursor *, struct submit_answer *);

struct submit_room {
	uint64_t largest; /* messages up to so many octets are taken on; 0: none; UINT64_MAX: any */
	const char *text; /* the reply to others */
};
void submit_add_conf(struct buf *, const struct queue_conf *);
/* All but DIR; the host is in the message's bytes. */
bool submit_read_conf(struct cursor *, struct queue_conf *);
void submit_add_room(struct buf *, const struct submit_room *);
bool submit_read_room(struct cursor *, struct submit_room *);

#endif
