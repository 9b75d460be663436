/*
 * Lines of a log joined to attempts: one caller, one sender, one recipient, and what the old server
 * said.  Memory is bounded: what has not been completed after some hundred thousand other messages is
 * given up.
 */
#ifndef SMTPCTL_LOGBOOK_H
#define SMTPCTL_LOGBOOK_H

#include <stdbool.h>
#include <stdint.h>

#include "smtpctl/log_line.h"

struct attempt {
	int64_t time;
	struct ip client;
	enum log_name name_is;
	const char *name;      /* or NULL */
	const char *helo;      /* or NULL: not told */
	const char *sender;    /* "" is the null sender; NULL: not told */
	const char *recipient; /* or NULL: it did not come to one */
	bool accepted;
	int code;              /* when it was not */
	bool early;            /* he had talked before the banner */
	bool authenticated;
};

struct logbook;

/* The strings of an attempt are valid during the call. */
struct logbook *logbook_new(void (*attempt)(const struct attempt *, void *), void *arg);
void logbook_line(struct logbook *, const struct log_line *);
/* The log is over: what is still open is told as far as it is known. */
void logbook_end(struct logbook *);
void logbook_free(struct logbook *);

#endif
