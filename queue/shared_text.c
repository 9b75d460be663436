/*
 * One copy of each text that is shared, counted, in a hash table with open addressing.
 *
 * Used by envelopes of the store (queue/envelope.c).  A text is found by what it says, and is
 * known to be ours by its address, so a string from malloc() that reads the same as a shared one
 * is never taken for it.
 */
#include <sys/random.h>

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/mem.h"
#include "queue/shared_text.h"

struct shared {
	uint32_t users;
	uint32_t sum;
	char text[];
};

static struct shared **table; /* a power of two; at least a quarter is NULL */
static size_t table_size, used;

static inline uint64_t
rotate(uint64_t v, int bits)
{
	return v << bits | v >> (64 - bits);
}

static inline void
sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotate(v[1], 13) ^ v[0];
	v[3] = rotate(v[3], 16) ^ v[2];
	v[0] = rotate(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotate(v[1], 17) ^ v[2];
	v[3] = rotate(v[3], 21) ^ v[0];
	v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (J.-P. Aumasson, D. J. Bernstein) under a key of this process: other servers choose
 * the texts, and must not be able to choose which of them collide. */
static uint32_t
sum_of(const char *text, size_t len)
{
	static uint64_t key[2];
	uint64_t v[4], word = 0;
	size_t i;

	if (key[0] == 0 && getrandom(key, sizeof(key), 0) != sizeof(key))
		key[0] = (uintptr_t)&key | 1; /* it cannot fail once the system is up */
	v[0] = key[0] ^ UINT64_C(0x736f6d6570736575);
	v[1] = key[1] ^ UINT64_C(0x646f72616e646f6d);
	v[2] = key[0] ^ UINT64_C(0x6c7967656e657261);
	v[3] = key[1] ^ UINT64_C(0x7465646279746573);
	for (i = 0; i <= len; i += sizeof(word)) {
		word = 0;
		memcpy(&word, text + i, len - i < sizeof(word) ? len - i : sizeof(word));
		if (len - i < sizeof(word))
			word |= (uint64_t)len << 56;
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	v[2] ^= 0xff;
	for (i = 0; i < 3; i++)
		sip_round(v);
	return (uint32_t)(v[0] ^ v[1] ^ v[2] ^ v[3]);
}

/* The place of the entry that reads so, or the free one where it would be. */
static size_t
place_of(const char *text, uint32_t sum)
{
	size_t i;

	for (i = sum & (table_size - 1); table[i] != NULL; i = (i + 1) & (table_size - 1))
		if (table[i]->sum == sum && strcmp(table[i]->text, text) == 0)
			break;
	return i;
}

static void
grow(void)
{
	struct shared **old = table;
	size_t old_size = table_size, i, at;

	table_size = old_size == 0 ? 64 : old_size * 2;
	table = xcalloc(table_size, sizeof(*table));
	for (i = 0; i < old_size; i++) {
		if (old[i] == NULL)
			continue;
		for (at = old[i]->sum & (table_size - 1); table[at] != NULL;
		     at = (at + 1) & (table_size - 1))
			;
		table[at] = old[i];
	}
	free(old);
}

void
text_share(char **text)
{
	struct shared *s;
	uint32_t sum;
	size_t len, at;

	if (*text == NULL)
		return;
	if (used >= table_size / 4 * 3)
		grow();
	len = strlen(*text);
	sum = sum_of(*text, len);
	at = place_of(*text, sum);
	if (table[at] != NULL && table[at]->text == *text)
		return;
	if (table[at] == NULL) {
		s = xmalloc(sizeof(*s) + len + 1);
		s->users = 0;
		s->sum = sum;
		memcpy(s->text, *text, len + 1);
		table[at] = s;
		used++;
	}
	free(*text);
	table[at]->users++;
	*text = table[at]->text;
}

/* Empties a place, and moves up those behind it that would not be found over the gap. */
static void
remove_at(size_t gap)
{
	size_t i, home, mask = table_size - 1;

	free(table[gap]);
	table[gap] = NULL;
	used--;
	for (i = (gap + 1) & mask; table[i] != NULL; i = (i + 1) & mask) {
		home = table[i]->sum & mask;
		if (((i - home) & mask) >= ((i - gap) & mask)) {
			table[gap] = table[i];
			table[i] = NULL;
			gap = i;
		}
	}
	if (used == 0) {
		free(table);
		table = NULL;
		table_size = 0;
	}
}

void
text_drop(char *text)
{
	size_t at;

	if (text != NULL && used > 0) {
		at = place_of(text, sum_of(text, strlen(text)));
		if (table[at] != NULL && table[at]->text == text) {
			if (--table[at]->users == 0)
				remove_at(at);
			return;
		}
	}
	free(text);
}

size_t
text_shared(void)
{
	return used;
}
