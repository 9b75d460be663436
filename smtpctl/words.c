/*
 * Lists of words (words.h).  Pure but for memory.
 */
#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpctl/words.h"

void
words_clear(struct words *w)
{
	while (w->n > 0)
		free(w->list[--w->n]);
}

char *
words_add(struct words *w, const char *word)
{
	if (w->n == WORDS_MAX)
		return xstrdup("too many words");
	w->list[w->n++] = xstrdup(word);
	return NULL;
}

/* The length of "key=" in WORD, or of all of it. */
static size_t
key_len(const char *word)
{
	const char *equals = strchr(word, '=');

	return equals != NULL ? (size_t)(equals - word) + 1 : strlen(word);
}

char *
words_merge(struct words *old, const struct words *new)
{
	int i, k, kept = 0;
	char *why = NULL;

	for (i = 0; i < old->n; i++) {
		for (k = 0; k < new->n && strncmp(old->list[i], new->list[k], key_len(new->list[k])) != 0; k++)
			;
		if (k == new->n)
			old->list[kept++] = old->list[i];
		else
			free(old->list[i]);
	}
	old->n = kept;
	for (k = 0; k < new->n && why == NULL; k++)
		why = words_add(old, new->list[k]);
	return why;
}

char *
words_split(struct words *w, const char *s)
{
	struct buf word = { 0 };
	bool quoted = false, any = false;
	char *why = NULL;

	for (; why == NULL; s++) {
		if (*s == '"') {
			quoted = !quoted;
			any = true;
		} else if (*s == '\0' || (!quoted && isspace((unsigned char)*s))) {
			if (any)
				why = words_add(w, buf_str(&word));
			buf_clear(&word);
			any = false;
			if (*s == '\0')
				break;
		} else {
			buf_addc(&word, *s);
			any = true;
		}
	}
	buf_free(&word);
	return why != NULL ? why : quoted ? xstrdup("a quote is not closed") : NULL;
}

const char *
word_value(const char *word, const char *key)
{
	size_t len = strlen(key);

	return strncmp(word, key, len) == 0 ? word + len : NULL;
}

const char *
words_get(const struct words *w, const char *key)
{
	const char *value = NULL;
	int i;

	for (i = 0; i < w->n && value == NULL; i++)
		value = word_value(w->list[i], key);
	return value;
}
