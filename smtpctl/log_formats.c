/*
 * The formats of logs, and whose a file is (log_line.h).
 *
 * A file belongs to the server that can read most of its first lines.  Several may stand in one file of
 * syslog; postgrey's lines beside Postfix's tell the same attempts again, so Postfix comes first.
 */
#include <string.h>

#include "smtpctl/log_line.h"

/* Lines that are looked at, and how many of them must be of one server. */
#define LOOK_AT 2000
#define ENOUGH 1

const struct log_format log_formats[] = {
	{ "postfix", "Postfix", log_read_postfix, true },
	{ "sendmail", "Sendmail", log_read_sendmail, true },
	{ "exim", "Exim", log_read_exim, true },
	{ "opensmtpd", "OpenSMTPD", log_read_opensmtpd, false },
	{ "qmail", "qmail", log_read_qmail, false },
	{ "postgrey", "postgrey", log_read_postgrey, true },
};
const size_t log_formats_n = sizeof(log_formats) / sizeof(log_formats[0]);

#define FORMATS (sizeof(log_formats) / sizeof(log_formats[0]))

const struct log_format *
log_detect(const char *text, size_t len, int64_t reference)
{
	struct log_clock clock = { .reference = reference };
	unsigned scores[FORMATS] = { 0 }, lines;
	const char *end = text + len, *next;
	struct log_line line;
	size_t i, best = 0;

	for (lines = 0; text < end && lines < LOOK_AT; lines++, text = next + 1) {
		next = memchr(text, '\n', (size_t)(end - text));
		if (next == NULL)
			next = end;
		for (i = 0; i < FORMATS; i++)
			scores[i] += log_formats[i].read(&clock, text, (size_t)(next - text), &line);
	}
	for (i = 1; i < FORMATS; i++)
		if (scores[i] > scores[best])
			best = i;
	return scores[best] >= ENOUGH ? &log_formats[best] : NULL;
}

const struct log_format *
log_format_by_name(const char *name)
{
	size_t i;

	for (i = 0; i < FORMATS; i++)
		if (strcmp(log_formats[i].name, name) == 0)
			return &log_formats[i];
	return NULL;
}
