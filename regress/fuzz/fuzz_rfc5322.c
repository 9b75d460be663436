/*
 * Fuzz target: a program's input to sendmail.  Whatever it is, the message that comes out is lines that end in CRLF, none of
 * the body too long, with no Bcc in its header, and once composed it is not changed by composing it again.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/compose.h"
#include "lib/content.h"
#include "lib/rfc5322.h"
#include "regress/fuzz/target.h"

struct list {
	size_t len, last;
};

static void
check_address(const struct header_address *a, void *arg)
{
	struct list *l = arg;

	require(*a->text != '\0');
	require(strpbrk(a->text, "\r\n") == NULL);
	require(a->end <= l->len && a->end >= l->last);
	require(a->qualified == (strchr(a->text, '@') != NULL) || strchr(a->text, '"') != NULL ||
	    strchr(a->text, '[') != NULL);
	l->last = a->end;
}

static void
check_list(const char *s, size_t len)
{
	struct list l = { len, 0 };
	const char *why = NULL;
	size_t at;

	if (!header_addresses(s, len, check_address, &l, &why, &at))
		require(why != NULL && at <= len);
}

static void
check_message(const struct composed *m)
{
	struct header_field f;
	struct content c = { 0 };
	size_t pos = 0, used;

	content_look(&c, m->text.data, m->text.len);
	require(content_end(&c) && c.defects == 0);
	for (; (used = header_field_read(m->text.data + pos, m->text.len - pos, &f)) > 0; pos += used)
		require(!header_field_is(&f, "Bcc") && !header_field_is(&f, "Resent-Bcc"));
	require(m->text.len - pos >= 2 && memcmp(m->text.data + pos, "\r\n", 2) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct compose_options o = { .dot_is_text = true, .host = "h.example", .sender = "u@h.example", .id = 1 };
	struct composed first, second;
	char *why;

	check_list((const char *)data, size);
	require(compose(&o, (const char *)data, size, &first) == NULL);
	check_message(&first);
	require(compose(&o, first.text.data, first.text.len, &second) == NULL);
	require(first.text.len == second.text.len && memcmp(first.text.data, second.text.data, first.text.len) == 0);
	composed_free(&second);
	composed_free(&first);

	o.from_header = true;
	why = compose(&o, (const char *)data, size, &first);
	if (why == NULL)
		composed_free(&first);
	free(why);
	return 0;
}
