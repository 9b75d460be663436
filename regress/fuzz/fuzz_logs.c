/*
 * Lines of logs are whatever a client made another server write: every reader, and the joining of what
 * they read.  The first octet says whose log it is.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fatal.h"
#include "lib/log.h"
#include "regress/fuzz/target.h"
#include "smtpctl/logbook.h"

static void
on_attempt(const struct attempt *a, void *arg)
{
	size_t *total = arg;

	/* what is told is whole strings, and a caller who is somebody */
	*total += a->name != NULL ? strlen(a->name) : 0;
	*total += a->helo != NULL ? strlen(a->helo) : 0;
	*total += a->sender != NULL ? strlen(a->sender) : 0;
	*total += a->recipient != NULL ? strlen(a->recipient) : 0;
	if (a->client.family == 0)
		fatal("an attempt of nobody");
	if (a->accepted != (a->code == 0))
		fatal("an attempt that is neither accepted nor refused");
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct log_clock clock = { .reference = 1784894400 };
	const char *text = (const char *)data, *end = text + size, *next;
	const struct log_format *format;
	struct logbook *book;
	struct log_line line;
	size_t total = 0;

	if (size == 0)
		return 0;
	format = &log_formats[data[0] % log_formats_n];
	(void)log_detect(text + 1, size - 1, clock.reference);
	book = logbook_new(on_attempt, &total);
	for (text++; text < end; text = next + 1) {
		next = memchr(text, '\n', (size_t)(end - text));
		if (next == NULL)
			next = end;
		if (format->read(&clock, text, (size_t)(next - text), &line))
			logbook_line(book, &line);
	}
	logbook_end(book);
	logbook_free(book);
	return 0;
}
