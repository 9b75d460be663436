/*
 * A set of addresses, for finding doubles while a list of thousands is expanded.  It points to the
 * strings and owns none.
 */
#ifndef QUEUE_ADDRESSES_H
#define QUEUE_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addresses {
	const char **slots;
	size_t size; /* a power of two, more than twice what it will hold */
};

/* Room for MOST addresses. */
void addresses_init(struct addresses *, size_t most);
void addresses_free(struct addresses *);
/* Addresses are normalised (mailaddr.h), so that equal ones are equal octets. */
void addresses_add(struct addresses *, const char *);
bool addresses_has(const struct addresses *, const char *);

#endif
