/*
 * Files of the corpora that others published, which are no part of the repository: below $CORPORA,
 * or beside the checkout.  Where they are absent the test says so and is skipped.
 */
#ifndef UNIT_CORPUS_H
#define UNIT_CORPUS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Opens FILE ("s25r/legit.txt"), or skips the test that asks. */
static inline FILE *
corpus_open(const char *file)
{
	const char *dir = getenv("CORPORA");
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir != NULL ? dir : "../shared/corpora", file);
	f = fopen(path, "r");
	if (f == NULL) {
		print_message("skipped: no %s (set CORPORA)\n", path);
		skip();
	}
	return f;
}

/*
 * The next line's first COUNT columns, separated by tabs, into COLUMN (pointers into LINE); comment
 * lines are passed over.  Returns how many there were, 0 at the end.
 */
static inline int
corpus_columns(FILE *f, char *line, size_t size, char **column, int count)
{
	int n;

	while (fgets(line, (int)size, f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (line[0] == '#')
			continue;
		for (n = 0; n < count && line != NULL; n++)
			column[n] = strsep(&line, "\t");
		return n;
	}
	return 0;
}

#endif
