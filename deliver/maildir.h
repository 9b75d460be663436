/*
 * Delivery into Maildirs (cr.yp.to/proto/maildir.html), many at once: what is delivered in one call
 * shares its flushes. Blocking: for the process that delivers, not for a loop that serves others.
 */
#ifndef DELIVER_MAILDIR_H
#define DELIVER_MAILDIR_H

#include <stdint.h>

#include "deliver/delivery.h"
#include "deliver/mailtext.h"
#include "lib/buf.h"

struct maildirs;
struct maildir_folder;

/* The content of a message, made ready once for all its mailboxes. */
struct maildir_content {
	struct mailtext text;
	struct buf data; /* as it is written, when it came in memory */
	int fd;		 /* else the file it is read from; -1 */
};

/* Fills CONTENT from CRLF text in memory; BODY is an enum body_type. */
void maildir_content_init(struct maildir_content *, uint8_t body, const void *, size_t len);
/* FD becomes CONTENT's own, and is read once for each mailbox. */
void maildir_content_init_fd(struct maildir_content *, uint8_t body, int fd);
void maildir_content_free(struct maildir_content *);

/* One mailbox to be written. */
struct maildir_item {
	const char *path;    /* of the Maildir, absolute */
	const char *sender;  /* "" for the null one */
	const char *address; /* for Delivered-To */
	struct maildir_content *content;
	/* what became of it */
	enum delivery_status status;
	char *text; /* "250 2.0.0 ..." and the like; the caller frees by maildir_item_free */
	char *file; /* where it is, or NULL */
	/* while it is being written */
	struct maildir_folder *folder;
	char *name;
	uint64_t size;
	int fd;
	bool renamed;
};

/* HOST stands in file names. */
struct maildirs *maildirs_new(const char *host);
void maildirs_free(struct maildirs *);
/*
 * Delivers all N.  When it returns, every item has its result, and those that are DELIVERY_OK are
 * on disk, data and name; no crash on the way shows a name in new/ without all of the data.
 * Directories that are missing are made.  What failed left no file behind, and has not kept others
 * from being delivered.
 */
void maildirs_deliver(struct maildirs *, struct maildir_item *, unsigned n);
void maildir_item_free(struct maildir_item *);

#endif
