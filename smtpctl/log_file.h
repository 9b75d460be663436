/*
 * One file of an old log, read line by line: plain, packed (by gzip, bzip2, xz or zstd, whose own programs
 * unpack it), or standard input.  Several are read side by side, for some servers write two: whoever
 * reads takes the file whose line is the oldest.
 */
#ifndef SMTPCTL_LOG_FILE_H
#define SMTPCTL_LOG_FILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/buf.h"
#include "smtpctl/log_line.h"

struct log_file {
	const char *path;    /* "-": standard input */
	const struct log_format *format; /* NULL while nothing was read, and of an empty file */
	int64_t begins;	     /* the time of its first line; INT64_MAX: not known */
	uint64_t size, done; /* octets, of the file as it is when it is not packed; SIZE 0: not known */
	uint64_t lines, understood;
	bool more;	       /* LINE is there */
	struct log_line line;  /* valid until the next call; only lines of its server's come */
	/* its own */
	struct log_clock clock;
	struct buf text;
	size_t at; /* in TEXT */
	const char *unpacker;
	pid_t child;
	int fd;
	bool ended;
};

/* What can be told of PATH before it is read.  These give EXIT_DONE or, with a message, EXIT_FAILED. */
int log_file_look(struct log_file *, const char *path);
/* FORMAT: whose it is, or NULL: that shows in its first lines.  The first line is there after it. */
int log_file_open(struct log_file *, const struct log_format *);
/* The next line of its server's; MORE false: there is none. */
int log_file_next(struct log_file *);
/* Also of one that was never opened, or twice. */
void log_file_close(struct log_file *);

#endif
