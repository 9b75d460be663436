/*
 * postgrey's white lists as tables (import.h).
 *
 *	clients		/regex/, address, address/length, a.b.c, name (and all below it)
 *	recipients	domain, user@, user@domain, /regex/
 *
 * Pure.  The forms are those of postgrey 1.37.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpctl/import.h"

static void
not_said(struct buf *out, unsigned line, const char *text)
{
	size_t len = strlen(text);
	char *domain = len > 2 ? import_domain_of_regex(text + 1, len - 2) : NULL;

	buf_addf(out, "# line %u: %s: more than a name", line, text);
	if (domain != NULL)
		buf_addf(out, "; \"%s\" would take in others as well", domain);
	buf_addc(out, '\n');
	free(domain);
}

/* One line without its comment as an element, or NULL. */
static char *
element(const char *text)
{
	size_t len = strlen(text);
	char *network;

	if (len > 2 && text[0] == '/' && text[len - 1] == '/')
		return import_name_of_regex(text + 1, len - 2);
	if (text[0] == '/')
		return NULL;
	network = import_network_of_prefix(text);
	return network != NULL ? network : xstrdup(text);
}

static void
import(struct buf *out, const char *text, size_t len, struct import_list *list)
{
	struct import_lines lines = { text, text + len, 0 };
	const char *line, *hash;
	char *word, *item;
	size_t n;

	while (import_next_line(&lines, &line, &n)) {
		hash = memchr(line, '#', n);
		if (hash != NULL)
			n = (size_t)(hash - line);
		while (n > 0 && (line[n - 1] == ' ' || line[n - 1] == '\t'))
			n--;
		if (n == 0)
			continue;
		word = xstrndup(line, n);
		item = element(word);
		if (item != NULL)
			import_list_add(list, item);
		else
			not_said(out, lines.number, word);
		free(item);
		free(word);
	}
}

static void
print(struct buf *out, const char *name, const char *rule, struct import_list *list)
{
	if (list->n == 0) {
		buf_adds(out, "# nothing in it\n");
		return;
	}
	buf_addf(out, "table %s ", name);
	import_list_print(out, list);
	buf_addf(out, "\n# in the gate: %s\n", rule);
	import_list_clear(list);
}

void
import_postgrey_clients(struct buf *out, const char *text, size_t len)
{
	struct import_list list = { NULL, 0 };

	import(out, text, len, &list);
	print(out, "postgrey-clients", "trust when client in <postgrey-clients>", &list);
}

void
import_postgrey_recipients(struct buf *out, const char *text, size_t len)
{
	struct import_list list = { NULL, 0 };

	import(out, text, len, &list);
	print(out, "postgrey-recipients",
	    "greylist by network when not recipient in <postgrey-recipients>", &list);
}
