/*
 * Fuzz target: the argument of BDAT, and the findings in chunks of any length, which must be those of a slower reading of the
 * same rules (regress/unit/data_reference.h).
 */
#include <stdio.h>
#include <string.h>

#include "lib/content.h"
#include "regress/fuzz/target.h"
#include "regress/unit/data_reference.h"
#include "smtpd/bdat.h"

static void
parse(const char *s, size_t len)
{
	char again[32];
	uint64_t size, size2;
	bool last, last2;

	if (bdat_parse(s, len, &size, &last) != BDAT_OK)
		return;
	snprintf(again, sizeof(again), "%llu%s", (unsigned long long)size, last ? " LAST" : "");
	require(bdat_parse(again, strlen(again), &size2, &last2) == BDAT_OK && size == size2 && last == last2);
}

/* The first octet: how it is cut. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct content c = { 0 };
	uint32_t seed;
	size_t at, n;

	if (size == 0)
		return 0;
	parse((const char *)data + 1, size - 1);
	for (at = 1, seed = data[0]; at < size; at += n) {
		seed = seed * 1103515245 + 12345;
		n = 1 + (seed >> 16) % 16;
		n = n < size - at ? n : size - at;
		content_look(&c, data + at, n);
	}
	content_end(&c);
	require(c.size == size - 1);
	require(c.defects == reference_defects((const char *)data + 1, size - 1));
	require((content_binary_defects(&c) & c.defects) == content_binary_defects(&c));
	return 0;
}
