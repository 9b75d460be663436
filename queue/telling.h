/*
 * Telling a sender: which verdicts go into one notice, and that notice.
 */
#ifndef QUEUE_TELLING_H
#define QUEUE_TELLING_H

#include "queue/notice.h"
#include "queue/work.h"

struct evbuffer;

/* Recipients whose notice is being stored. */
struct telling {
	STAILQ_ENTRY(telling) next;
	struct work *work;
	enum notice_kind kind;
	uint64_t notice;
	char *to;
	uint32_t n;
	struct verdict verdicts[];
};

/* Takes off WORK's verdicts, of which there are some, those that go into one notice with the last. */
struct telling *telling_pick(struct work *);
/* The notice, under an id that nothing else has; its text is added to OUT. */
struct envelope *telling_compose(struct telling *, struct evbuffer *out);
void telling_free(struct telling *);

#endif
