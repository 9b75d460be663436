/*
 * A hash table with entries in large pieces of memory (dict.h).
 *
 * smtpctl's replay and simulate keep a greylist and their counts in it.  Entries are never removed, so
 * they lie one behind the other and a table of pointers leads to them; it grows by doubling.  The hash
 * is seeded anew in every process, because what is counted comes from outside: nobody can choose keys
 * that all fall into one place.  Nothing can fail but memory.
 */
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "lib/dict.h"
#include "lib/mem.h"

#define PIECE (1024 * 1024)
#define TABLE_FIRST 1024

struct entry {
	struct entry *next;
	uint64_t hash;
	uint32_t key_len;
	alignas(max_align_t) unsigned char value[]; /* and the key behind it */
};

struct piece {
	struct piece *next;
	alignas(max_align_t) unsigned char data[];
};

struct dict {
	struct entry **table;
	size_t size, count; /* of the table; a power of two */
	size_t value_size;
	struct piece *pieces;
	size_t left; /* octets of the first piece */
	unsigned char *free;
	uint64_t seed;
};

static size_t
aligned(size_t n)
{
	return (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

struct dict *
dict_new(size_t value_size)
{
	struct dict *d = xcalloc(1, sizeof(*d));

	d->value_size = value_size;
	d->size = TABLE_FIRST;
	d->table = xcalloc(d->size, sizeof(*d->table));
	if (getrandom(&d->seed, sizeof(d->seed), GRND_NONBLOCK) != sizeof(d->seed))
		d->seed = (uint64_t)time(NULL) ^ (uint64_t)(uintptr_t)d;
	return d;
}

void
dict_free(struct dict *d)
{
	struct piece *piece;

	if (d == NULL)
		return;
	while ((piece = d->pieces) != NULL) {
		d->pieces = piece->next;
		free(piece);
	}
	free(d->table);
	free(d);
}

/* Eight octets at a time, multiplied and folded; each step depends on the seed. */
static uint64_t
mix(uint64_t h, uint64_t n)
{
	__uint128_t product = (__uint128_t)(h ^ n) * 0x9e3779b97f4a7c15u;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t
hash_of(const struct dict *d, const void *key, size_t len)
{
	const unsigned char *p = key;
	uint64_t h = d->seed ^ len, n;

	for (; len >= sizeof(n); p += sizeof(n), len -= sizeof(n)) {
		memcpy(&n, p, sizeof(n));
		h = mix(h, n) + d->seed;
	}
	n = 0;
	memcpy(&n, p, len);
	return mix(mix(h, n), d->seed);
}

static const unsigned char *
key_of(const struct dict *d, const struct entry *e)
{
	return e->value + d->value_size;
}

static struct entry *
find(const struct dict *d, uint64_t hash, const void *key, size_t len)
{
	struct entry *e;

	for (e = d->table[hash & (d->size - 1)]; e != NULL; e = e->next)
		if (e->hash == hash && e->key_len == len && memcmp(key_of(d, e), key, len) == 0)
			return e;
	return NULL;
}

void *
dict_get(const struct dict *d, const void *key, size_t len)
{
	struct entry *e = find(d, hash_of(d, key, len), key, len);

	return e != NULL ? e->value : NULL;
}

static void
grow(struct dict *d)
{
	struct entry **old = d->table, *e, *next;
	size_t old_size = d->size, i;

	d->size *= 2;
	d->table = xcalloc(d->size, sizeof(*d->table));
	for (i = 0; i < old_size; i++)
		for (e = old[i]; e != NULL; e = next) {
			next = e->next;
			e->next = d->table[e->hash & (d->size - 1)];
			d->table[e->hash & (d->size - 1)] = e;
		}
	free(old);
}

static struct entry *
allocate(struct dict *d, size_t len)
{
	size_t need = aligned(sizeof(struct entry) + d->value_size + len), size;
	struct piece *piece;
	struct entry *e;

	if (need > d->left) {
		size = need > PIECE ? need : PIECE;
		piece = xmalloc(sizeof(*piece) + size);
		piece->next = d->pieces;
		d->pieces = piece;
		d->free = piece->data;
		d->left = size;
	}
	e = (struct entry *)(void *)d->free;
	d->free += need;
	d->left -= need;
	return e;
}

void *
dict_put(struct dict *d, const void *key, size_t len)
{
	uint64_t hash = hash_of(d, key, len);
	struct entry *e = find(d, hash, key, len);

	if (e != NULL)
		return e->value;
	if (d->count >= d->size)
		grow(d);
	e = allocate(d, len);
	e->hash = hash;
	e->key_len = (uint32_t)len;
	memset(e->value, 0, d->value_size);
	memcpy(e->value + d->value_size, key, len);
	e->next = d->table[hash & (d->size - 1)];
	d->table[hash & (d->size - 1)] = e;
	d->count++;
	return e->value;
}

size_t
dict_count(const struct dict *d)
{
	return d->count;
}

void
dict_each(const struct dict *d, void (*visit)(const void *, size_t, void *, void *), void *arg)
{
	struct entry *e;
	size_t i;

	for (i = 0; i < d->size; i++)
		for (e = d->table[i]; e != NULL; e = e->next)
			visit(key_of(d, e), e->key_len, e->value, arg);
}
