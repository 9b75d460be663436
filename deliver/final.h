/*
 * What all final deliveries (RFC 5321 4.4) have in common: the fields on top, the loop check, the
 * content as a mailbox or a program gets it, and what is said when the file system fails.
 */
#ifndef DELIVER_FINAL_H
#define DELIVER_FINAL_H

#include <stdbool.h>

#include "deliver/delivery.h"
#include "deliver/maildir.h"

struct final_result {
	enum delivery_status status;
	char *text; /* "250 2.0.0 ..." and the like; final_result_free */
};

/* Takes TEXT over, in place of what was there. */
void final_settle(struct final_result *, enum delivery_status, char *text);
/* "cannot WHAT PATH", and why; a full disk and a quota have their own codes.  Always DELIVERY_TEMP. */
void final_settle_error(struct final_result *, const char *what, const char *path, int error);
void final_result_free(struct final_result *);

/* Return-Path and Delivered-To; what would be a line end in a value is not one there. */
void final_head(struct buf *, const char *sender, const char *address);
/* False, and settled for good: the message was delivered to ADDRESS before (Delivered-To). */
bool final_check_loop(struct maildir_content *, const char *address, struct final_result *);
/* Hands the content, with LF line ends, to SINK piece by piece, until it returns an errno.  0 or an
 * errno. */
int final_copy(
    struct maildir_content *, int (*sink)(const char *, size_t, void *arg), void *arg);

#endif
