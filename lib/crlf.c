/* One octet of memory, and runs copied whole (crlf.h). */
#include <string.h>

#include <event2/buffer.h>

#include "lib/crlf.h"

/* What a CR that was held back turns out to be before the octet C. */
static void
release(struct crlf *state, char c, struct evbuffer *out)
{
	if (state->cr && c != '\n')
		evbuffer_add(out, " ", 1);
	state->cr = false;
}

void
crlf_feed(struct crlf *state, const char *s, size_t len, struct evbuffer *out)
{
	const char *end = s + len;
	size_t run;

	while (s < end) {
		release(state, *s, out);
		for (run = 0; s + run < end && s[run] != '\r' && s[run] != '\n'; run++)
			;
		evbuffer_add(out, s, run);
		s += run;
		if (s == end)
			return;
		if (*s == '\n')
			evbuffer_add(out, "\r\n", 2);
		state->cr = *s++ == '\r';
	}
}

void
crlf_end(struct crlf *state, struct evbuffer *out)
{
	release(state, '\0', out);
}
