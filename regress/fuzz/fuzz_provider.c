/*
 * Fuzz target: a row of rules for a provider, its key and value divided by the first line end.  Whatever parses is within
 * its limits, stands alone or has rules, and every text that asks for a pause is found in itself.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/provider.h"
#include "lib/mem.h"
#include "regress/fuzz/target.h"

static void
look(const struct provider *p)
{
	unsigned i;

	require(p->concurrency <= 10000 && p->recipients <= 100 && p->messages <= 10000);
	require((p->as != NULL) != (p->concurrency + p->recipients + p->messages + p->pauses_n > 0));
	for (i = 0; i < p->pauses_n; i++) {
		require(p->pauses[i].seconds >= 1 && p->pauses[i].seconds <= 86400);
		require(p->pauses[i].text[0] != '\0');
		require(provider_pause(p, p->pauses[i].text) > 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *key = xstrndup((const char *)data, size), *value = strchr(key, '\n'), *why;
	struct provider *p;

	if (value != NULL)
		*value++ = '\0';
	p = provider_parse(key, value != NULL ? value : "", &why);
	require((p == NULL) == (why != NULL));
	free(why);
	if (p != NULL)
		look(p);
	provider_free(p);
	free(key);
	return 0;
}
