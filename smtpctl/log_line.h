/*
 * One line of another mail server's log, as what it says of a caller.  Pure: octets in, a struct of
 * slices of them out.  Each server has its reader (log_*.c); log_formats.c knows them all and tells
 * whose log a file is; logbook.h joins lines to attempts.
 */
#ifndef SMTPCTL_LOG_LINE_H
#define SMTPCTL_LOG_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/ip.h"

/* A part of the line; S NULL: it is not there. */
struct slice {
	const char *s;
	size_t len;
};

enum log_what {
	LOG_NOTHING,   /* of the server, and of no interest */
	LOG_EARLY,     /* CLIENT talked before the banner */
	LOG_CLIENT,    /* KEY is a message, or a session, of CLIENT */
	LOG_QUEUED,    /* KEY, a connection, has a message queued by PROCESS */
	LOG_SENDER,    /* KEY has this SENDER, and CLIENT where the line says so */
	LOG_RECIPIENT, /* KEY was accepted for this RECIPIENT; SENDER where the line says so */
	LOG_END,       /* nothing more comes of KEY */
	LOG_REFUSED,   /* RECIPIENT, or the sender or client, was refused with CODE; what is not told here KEY tells */
	LOG_ACCEPTED   /* RECIPIENT was accepted; the line tells all */
};

/* What the log says of the client's name. */
enum log_name {
	LOG_NAME_UNTOLD,     /* nothing */
	LOG_NAME_NONE,       /* that there is none, or none that leads back */
	LOG_NAME_FORGED,     /* that it does not lead back */
	LOG_NAME_UNVERIFIED, /* a name that nobody has verified */
	LOG_NAME_VERIFIED
};

struct log_line {
	enum log_what what;
	int64_t time;
	struct slice key;
	bool connection; /* qmail: KEY is the process of a connection, not a message */
	struct ip client; /* family 0: not told */
	enum log_name name_is;
	struct slice name;
	struct slice process; /* qmail: the process that queued the message */
	struct slice helo, sender, recipient; /* without brackets; a null sender has the length 0 */
	struct slice further; /* recipients besides RECIPIENT, commas between them, each perhaps in brackets */
	int code;	      /* of LOG_REFUSED; of LOG_EARLY: he was refused for it before all else, or 0 */
	bool authenticated; /* one of their own users */
};

/*
 * Time, which most logs tell without a year.  A line's year is that of REFERENCE (the file's last
 * change), or the one before when it would otherwise lie after it.
 */
struct log_clock {
	int64_t reference;
	/* the day of the line before, because most lines share it */
	char day[11];
	size_t day_len;
	int64_t day_start;
};

/* Each takes a time at the start of S, moves *S and *LEN behind it and a blank, and gives seconds since
 * 1970; -1 when there is none.  "Jul 24 10:00:00"; "2026-07-24T10:00:00.123+02:00" or with a blank in
 * the middle; "@4000000063c5..." (TAI64N). */
int64_t log_time_syslog(struct log_clock *, const char **s, size_t *len);
int64_t log_time_iso(struct log_clock *, const char **s, size_t *len);
int64_t log_time_tai(const char **s, size_t *len);
/* Any of them. */
int64_t log_time_any(struct log_clock *, const char **s, size_t *len);

/* "TIME HOST PROGRAM[PID]: REST"; false when it is none.  PROGRAM without what stands before a slash is in NAME. */
struct syslog_line {
	int64_t time;
	struct slice program; /* "postfix/smtpd" */
	struct slice pid;
	const char *rest;
	size_t rest_len;
};
bool log_syslog(struct log_clock *, const char *s, size_t len, struct syslog_line *);

/* --- slices --- */

bool slice_is(struct slice, const char *);
bool slice_begins(struct slice, const char *);
bool slice_ends(struct slice, const char *);
/* Where NEEDLE is in it, or NULL. */
const char *slice_find(struct slice, const char *needle);
/* What stands between OPEN and CLOSE (or the end), from the first OPEN on; S NULL when there is no OPEN. */
struct slice slice_between(struct slice, const char *open, const char *close);
/* What stands before the first C, or all of it; *S is what is behind that. */
struct slice slice_before(struct slice *s, char c);
/* From P, which lies in it, to its end. */
struct slice slice_from(struct slice, const char *p);
/* Without "<" and ">" around it. */
struct slice slice_bare(struct slice);
/* An address, with or without "IPv6:" or a length behind it. */
bool slice_ip(struct slice, struct ip *);
/* The number that it begins with, 0 for none. */
int slice_number(struct slice);

/* --- formats --- */

struct log_format {
	const char *name;  /* "postfix" */
	const char *title; /* "Postfix" */
	/* False: this line is none of that server's. */
	bool (*read)(struct log_clock *, const char *line, size_t len, struct log_line *);
	/* its names are verified ones */
	bool verifies;
};
extern const struct log_format log_formats[];
extern const size_t log_formats_n;

bool log_read_postfix(struct log_clock *, const char *, size_t, struct log_line *);
bool log_read_sendmail(struct log_clock *, const char *, size_t, struct log_line *);
bool log_read_exim(struct log_clock *, const char *, size_t, struct log_line *);
bool log_read_qmail(struct log_clock *, const char *, size_t, struct log_line *);
bool log_read_opensmtpd(struct log_clock *, const char *, size_t, struct log_line *);
bool log_read_postgrey(struct log_clock *, const char *, size_t, struct log_line *);

/* Whose log this is, by the beginning of it; NULL: nobody's that is known. */
const struct log_format *log_detect(const char *text, size_t len, int64_t reference);
const struct log_format *log_format_by_name(const char *);

#endif
