/*
 * What the importers share (import.h): lists, lines, and expressions that are names in disguise.
 *
 * Pure.  What must never happen: that an expression is turned into a name that takes in more than it
 * did, for a white list would then let in strangers.  So whatever is not understood to the letter is
 * no name.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/ip.h"
#include "lib/mem.h"
#include "lib/quote.h"
#include "smtpctl/import.h"

/* So many stand in one line. */
#define SHORT_LIST 3

void
import_list_add(struct import_list *list, const char *element)
{
	size_t i;

	for (i = list->n; i > 0 && i + 64 > list->n; i--)
		if (strcmp(list->items[i - 1], element) == 0)
			return;
	list->items = xreallocarray(list->items, list->n + 1, sizeof(*list->items));
	list->items[list->n++] = xstrdup(element);
}

void
import_list_clear(struct import_list *list)
{
	while (list->n > 0)
		free(list->items[--list->n]);
	free(list->items);
	list->items = NULL;
}

static void
print_element(struct buf *out, const char *element)
{
	struct ipnet net;

	if (ipnet_parse(element, &net))
		buf_adds(out, element);
	else
		quote_add(out, element);
}

void
import_list_print(struct buf *out, const struct import_list *list)
{
	bool many = list->n > SHORT_LIST;
	size_t i;

	buf_adds(out, many ? "{\n" : "{ ");
	for (i = 0; i < list->n; i++) {
		buf_adds(out, many ? "\t\t" : "");
		print_element(out, list->items[i]);
		buf_adds(out, i + 1 < list->n ? "," : "");
		buf_adds(out, many ? "\n" : i + 1 < list->n ? " " : "");
	}
	buf_adds(out, many ? "\t}" : " }");
}

bool
import_next_line(struct import_lines *lines, const char **line, size_t *len)
{
	const char *end;

	if (lines->pos >= lines->end)
		return false;
	end = memchr(lines->pos, '\n', (size_t)(lines->end - lines->pos));
	*line = lines->pos;
	lines->pos = end != NULL ? end + 1 : lines->end;
	lines->number++;
	if (end == NULL)
		end = lines->end;
	while (*line < end && isspace((unsigned char)**line))
		++*line;
	while (end > *line && isspace((unsigned char)end[-1]))
		end--;
	*len = (size_t)(end - *line);
	return true;
}

void
import_print_text(struct buf *out, const char *text)
{
	struct buf plain = { 0 };

	for (; *text != '\0' && plain.len < 400; text++)
		if (*text >= ' ' && *text < '\x7f')
			buf_addc(&plain, *text);
	if (plain.len > 0) {
		buf_addc(out, ' ');
		quote_add(out, buf_str(&plain));
	}
	buf_free(&plain);
}

/* --- expressions --- */

static bool
skip(const char **s, size_t *len, const char *prefix)
{
	size_t n = strlen(prefix);

	if (*len < n || memcmp(*s, prefix, n) != 0)
		return false;
	*s += n;
	*len -= n;
	return true;
}

/* What stands in front of a name to say "anything, or nothing, and then a dot". */
static bool
skip_anything_below(const char **s, size_t *len)
{
	static const char *const prefixes[] = { "^(.*\\.)?", "^(.+\\.)?", "^([^.]+\\.)*", "(^|\\.)",
		"(\\.|^)", "(?:^|\\.)", "^.*\\.", "^.+\\.", "\\.", "[.]" };
	size_t i;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (skip(s, len, prefixes[i]))
			return true;
	return skip(s, len, "^");
}

/* The letters that the rest stands for; false when it is more than letters. */
static bool
literal(const char *s, size_t len, struct buf *out)
{
	while (len > 0) {
		if (skip(&s, &len, "\\.") || skip(&s, &len, "[.]")) {
			buf_addc(out, '.');
		} else if (skip(&s, &len, "\\-")) {
			buf_addc(out, '-');
		} else if (isalnum((unsigned char)*s) || *s == '-' || *s == '_') {
			buf_addc(out, (char)tolower((unsigned char)*s));
			s++;
			len--;
		} else {
			return false;
		}
	}
	return out->len > 0;
}

/* "192.0.2." of an expression without an end. */
static char *
network_of_literal(struct buf *text)
{
	if (text->len == 0 || text->data[text->len - 1] != '.')
		return NULL;
	text->data[--text->len] = '\0';
	return import_network_of_prefix(text->data);
}

char *
import_name_of_regex(const char *regex, size_t len)
{
	bool from_start = len > 0 && regex[0] == '^', bounded, to_end;
	struct buf text = { 0 };
	char *name = NULL;

	to_end = len > 0 && regex[len - 1] == '$' && (len < 2 || regex[len - 2] != '\\');
	if (to_end)
		len--;
	bounded = skip_anything_below(&regex, &len);
	if (!bounded || !literal(regex, len, &text))
		name = NULL;
	else if (to_end && strspn(text.data, "0123456789.") < text.len)
		name = memchr(text.data, '.', text.len) != NULL ? xstrdup(text.data) : NULL;
	else if (to_end && from_start)
		name = import_network_of_prefix(text.data);
	else if (from_start)
		name = network_of_literal(&text);
	buf_free(&text);
	return name;
}

/* From the last "\." on that nothing but letters follows, and on from the one before if it can be. */
char *
import_domain_of_regex(const char *regex, size_t len)
{
	struct buf text = { 0 };
	char *domain = NULL;
	size_t i;

	if (len == 0 || regex[len - 1] != '$')
		return NULL;
	len--;
	for (i = 0; i + 2 < len; i++) {
		if (regex[i] != '\\' || regex[i + 1] != '.')
			continue;
		buf_clear(&text);
		if (!literal(regex + i + 2, len - i - 2, &text) || strchr(text.data, '.') == NULL)
			continue;
		domain = buf_take(&text);
		break;
	}
	buf_free(&text);
	return domain;
}

char *
import_network_of_prefix(const char *text)
{
	struct ipnet net;
	struct ip ip;
	unsigned parts = 1;
	const char *p;
	char *whole, *name = NULL;

	if (ipnet_parse(text, &net))
		return xstrdup(text);
	for (p = text; *p != '\0'; p++)
		parts += *p == '.';
	if (parts > 3 || strspn(text, "0123456789.") < strlen(text))
		return NULL;
	whole = xasprintf("%s%s", text, parts == 3 ? ".0" : parts == 2 ? ".0.0" : ".0.0.0");
	if (ip_parse(whole, &ip))
		name = xasprintf("%s/%u", whole, parts * 8);
	free(whole);
	return name;
}
