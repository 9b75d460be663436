/*
 * The set of addresses: open addressing, made once in its final size.
 *
 * The dispatcher fills it with the recipients of one message and asks for each target of an
 * expansion.  Nothing fails but memory; putting in more than was announced is a broken invariant.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/fatal.h"
#include "lib/mem.h"
#include "queue/addresses.h"

/* FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo). */
static uint64_t
hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3;
	return h;
}

void
addresses_init(struct addresses *set, size_t most)
{
	set->size = 8;
	while (set->size < 2 * most + 2)
		set->size *= 2;
	set->slots = xcalloc(set->size, sizeof(*set->slots));
}

void
addresses_free(struct addresses *set)
{
	free(set->slots);
	*set = (struct addresses){ 0 };
}

/* Where ADDRESS is, or would be. */
static size_t
slot(const struct addresses *set, const char *address)
{
	size_t at = hash(address) & (set->size - 1), tried;

	for (tried = 0; tried < set->size; tried++) {
		if (set->slots[at] == NULL || strcmp(set->slots[at], address) == 0)
			return at;
		at = (at + 1) & (set->size - 1);
	}
	fatal("a set of %zu addresses overflows", set->size);
}

void
addresses_add(struct addresses *set, const char *address)
{
	set->slots[slot(set, address)] = address;
}

bool
addresses_has(const struct addresses *set, const char *address)
{
	return set->slots[slot(set, address)] != NULL;
}
