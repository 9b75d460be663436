/*
 * For the manual's check: every word that the configuration knows, a line each, "keyword WORD" and
 * "limit NAME"; and those of the ledger's records, "state WORD".
 */
#include <stdio.h>

#include "conf/conf.h"
#include "filters/grey_selector.h"

int
main(void)
{
	const char *const *word;
	unsigned i;

	for (word = conf_keywords; *word != NULL; word++)
		printf("keyword %s\n", *word);
	for (i = 0; i < LIMIT_COUNT; i++)
		printf("limit %s\n", limit_specs[i].name);
	for (word = grey_states; *word != NULL; word++)
		printf("state %s\n", *word);
	return 0;
}
