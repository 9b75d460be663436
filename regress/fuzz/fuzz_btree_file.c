/*
 * Another program's database: any octets that claim to be a Berkeley DB btree or a dump of one, and
 * what stands in it as postgrey's keys and values.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/fatal.h"
#include "regress/fuzz/target.h"
#include "smtpctl/btree_file.h"
#include "smtpctl/postgrey.h"

static void
on_pair(const void *key, size_t key_len, const void *value, size_t len, void *arg)
{
	struct postgrey_triplet t;
	struct postgrey_client c;

	(void)arg;
	if (postgrey_read(key, key_len, value, len, &t, &c) == POSTGREY_TRIPLET &&
	    (strchr(t.recipient, '@') == NULL || t.last < t.first))
		fatal("a triplet that is none");
	postgrey_triplet_clear(&t);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct btree_visitor visitor = { on_pair, NULL };

	free(btree_file_read(data, size, &visitor));
	return 0;
}
