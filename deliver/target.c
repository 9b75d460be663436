/*
 * Recipients as text (target.h).
 *
 * The lookup role and the delivery processes of accounts write them, the queue keeps them, the log
 * and notices show them.  Where an address ends is told by its grammar: a local part that is not
 * quoted holds no '@' but may hold '|' and '/', a quoted one may hold anything, and a domain holds
 * neither '|' nor '/'.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/target.h"
#include "lib/mem.h"

/* Behind the local part. */
static const char *
local_end(const char *s)
{
	if (*s != '"')
		return s + strcspn(s, "@");
	for (s++; *s != '\0' && *s != '"'; s++)
		if (*s == '\\' && s[1] != '\0')
			s++;
	return s + strcspn(s, "@");
}

const char *
target_words(const char *text)
{
	return text + (text[0] == '\\');
}

const char *
target_address_end(const char *text)
{
	const char *end = local_end(target_words(text));

	return end + strcspn(end, "|/");
}

void
target_parse(const char *text, struct target *target)
{
	const char *start = target_words(text), *end = target_address_end(text);

	*target = (struct target){ .kind = TARGET_ADDRESS };
	if (start == text) {
		target->address = xstrdup(text);
		return;
	}
	target->address = xstrndup(start, (size_t)(end - start));
	target->kind = *end == '|' ? TARGET_PROGRAM : *end == '/' ? TARGET_FILE : TARGET_MAILBOX;
	target->item = *end != '\0' ? end : NULL;
}

void
target_free(struct target *target)
{
	free(target->address);
	*target = (struct target){ .kind = TARGET_ADDRESS };
}
