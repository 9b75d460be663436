/*
 * Rewriting of senders (rewrite.h).
 *
 * Asked about mail of our own users only, when it is taken: by the submission listener for envelope
 * and header, by the control role for what sendmail hands in.  What comes out is an address, or
 * nothing is changed; a row leads to no other row, so nothing can go round.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/rewrite.h"
#include "lib/rfc5322.h"
#include "lib/table.h"

/* "@domain", then "@.parent" for each domain above. */
static const char *
find_domain(const struct table *table, const char *domain)
{
	char *key = xasprintf("@%s", domain);
	const char *value = table_get(table, key), *dot;

	free(key);
	for (dot = strchr(domain, '.'); value == NULL && dot != NULL; dot = strchr(dot + 1, '.')) {
		key = xasprintf("@%s", dot);
		value = table_get(table, key);
		free(key);
	}
	return value;
}

static char *
normal(const char *text)
{
	struct mailaddr parsed;
	const char *why;
	char *address;

	if (!mailaddr_parse(text, strlen(text), MAILADDR_UTF8, &parsed, &why))
		return NULL;
	address = mailaddr_format(&parsed);
	mailaddr_free(&parsed);
	return address;
}

char *
rewrite_address(const struct table *table, const char *address)
{
	struct mailaddr parsed, new;
	const char *why, *value;
	char *text, *result;

	if (!mailaddr_parse(address, strlen(address), MAILADDR_UTF8, &parsed, &why))
		return NULL;
	text = mailaddr_format(&parsed);
	value = table_get(table, text);
	free(text);
	if (value == NULL)
		value = find_domain(table, parsed.domain);
	new = (struct mailaddr){ parsed.local, (char *)(uintptr_t)(value != NULL ? value + 1 : "") };
	text = value == NULL || value[0] == '\0' ? NULL
	       : value[0] == '@'		 ? mailaddr_format(&new)
						 : xstrdup(value);
	result = text != NULL ? normal(text) : NULL;
	free(text);
	mailaddr_free(&parsed);
	return result;
}

static char *
change(const char *address, const void *table)
{
	return rewrite_address(table, address);
}

void
rewrite_add_field(struct buf *out, const struct header_field *field, const char *host,
    const struct table *table)
{
	header_add_changed(out, field, host, table != NULL ? change : NULL, table);
}

bool
rewrite_field_wanted(const struct header_field *field)
{
	static const char *const names[] = {
		"From", "Sender", "Reply-To", "Resent-From", "Resent-Sender", "Resent-Reply-To"
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (header_field_is(field, names[i]))
			return true;
	return false;
}

void
rewrite_header(struct buf *out, const char *lines, size_t len, const struct table *table)
{
	struct header_field field;
	size_t pos = 0, used;

	while (pos < len && (used = header_field_read(lines + pos, len - pos, &field)) > 0) {
		if (rewrite_field_wanted(&field))
			rewrite_add_field(out, &field, NULL, table);
		else
			buf_add(out, lines + pos, used);
		pos += used;
	}
	buf_add(out, lines + pos, len - pos);
}
