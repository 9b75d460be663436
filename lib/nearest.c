/*
 * Edit distance (optimal string alignment) over short words.
 *
 * The configuration and smtpctl ask it about a word that they do not know.  Pure; words longer than
 * any keyword or name worth guessing are near to nothing, which also bounds the work.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/nearest.h"

#define WORD_MAX 64
#define DISTANCE_MAX 3

static char
fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static unsigned
least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Both at most WORD_MAX long.  Rows of the table: for i, i - 1 and i - 2 letters of A. */
static unsigned
distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][WORD_MAX + 1], *row, *last, *before;
	size_t i, j;

	for (j = 0; j <= b_len; j++)
		rows[0][j] = (unsigned)j;
	for (i = 1; i <= a_len; i++) {
		row = rows[i % 3];
		last = rows[(i + 2) % 3];
		before = rows[(i + 1) % 3];
		row[0] = (unsigned)i;
		for (j = 1; j <= b_len; j++) {
			row[j] = last[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));
			row[j] = least(row[j], least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
			    fold(a[i - 2]) == fold(b[j - 1]))
				row[j] = least(row[j], before[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

const char *
nearest_word(const char *word, const char *const *words, size_t n)
{
	const char *best = NULL;
	size_t i, len = strlen(word), other;
	unsigned most, found;

	if (len > WORD_MAX)
		return NULL;
	most = least(DISTANCE_MAX, (unsigned)(len + 2) / 3);
	for (i = 0; i < n; i++) {
		if (words[i] == NULL || (other = strlen(words[i])) > WORD_MAX)
			continue;
		found = distance(word, len, words[i], other);
		/* All letters changed is another word. */
		if (found > most || found >= len)
			continue;
		best = words[i];
		if (found == 0)
			break;
		most = found - 1;
	}
	return best;
}
