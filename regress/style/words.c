/*
 * For the manual's check: every word that the configuration knows, a line each, "keyword WORD" and
 * "limit NAME".
 */
#include <stdio.h>

#include "conf/conf.h"

int
main(void)
{
	const char *const *word;
	unsigned i;

	for (word = conf_keywords; *word != NULL; word++)
		printf("keyword %s\n", *word);
	for (i = 0; i < LIMIT_COUNT; i++)
		printf("limit %s\n", limit_specs[i].name);
	return 0;
}
