/*
 * smtpctl's requests, as a role answers them.  A request is a list of words ("queue", "list",
 * "from=a@b"); an answer is any number of records (lists of fields) and pieces of text, then one
 * end with an exit status.  The control role authenticates the caller and forwards; the role whose
 * object it is registers a handler.
 */
#ifndef LIB_CTL_H
#define LIB_CTL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/field.h"
#include "lib/peer.h"

enum ctl_type {
	CTL_REQUEST = MESSAGE_TYPE(SUBJECT_CONTROL, 1), /* u32 uid, u32 n, n strings */
	CTL_RECORD,                                     /* fields */
	CTL_TEXT,                                       /* blob */
	CTL_END,                                        /* u8 exit status (0, 1, 2), string: what is wrong, or "" */
	CTL_CANCEL,                                     /* the caller went away */
	CTL_PAUSE,                                      /* the caller reads slowly: send no more of this answer */
	CTL_RESUME,                                     /* go on with it */
	/* between the caller of `submit` and the control role only */
	CTL_CONTENT,                                    /* blob */
	CTL_CONTENT_END
};

/* One request being answered.  Lives until ctl_end, or until the caller went away: then ctl_gone is
 * true and output is dropped, but ctl_end must still be called. */
struct ctl;

/* Handles "OBJECT VERB ...": WORDS[0] is the object; WORDS has N strings, valid during the call. */
typedef void (*ctl_handler)(struct ctl *, unsigned n, const char *const *words);
void ctl_register(const char *object, ctl_handler);
/* In a child, right after the fork: the master's handlers are not ours. */
void ctl_forget(void);

void ctl_record(struct ctl *, const struct field *);
void ctl_text(struct ctl *, const void *, size_t);
/* STATUS 0: done.  1: failed, 2: usage; WHY then says what is wrong and what to do. */
void ctl_end(struct ctl *, int status, const char *why);
/* Who asks. */
uint32_t ctl_uid(const struct ctl *);
bool ctl_gone(const struct ctl *);
/* True while the caller reads slower than we produce: wait for DRAINED (called once, also when the
 * caller went away) before going on. */
bool ctl_busy(struct ctl *);
void ctl_on_drained(struct ctl *, void (*drained)(struct ctl *, void *), void *arg);

#endif
