/*
 * The shared counters (census.h).  Each worker writes only its own column, so plain relaxed atomics are enough; a sum
 * over the columns may be a moment old, never wrong for long.
 */
#include <sys/mman.h>
#include <sys/random.h>

#include <stdatomic.h>
#include <string.h>

#include "lib/fatal.h"
#include "smtpd/census.h"

#define SLOTS 65536

struct column {
	_Atomic uint32_t all;
	_Atomic uint16_t slots[SLOTS];
};

static struct {
	_Atomic unsigned used; /* columns: the rest was never touched */
	struct column columns[];
} *census;
static unsigned mine;
static uint64_t key;

void
census_init(unsigned workers)
{
	census = mmap(NULL, sizeof(*census) + workers * sizeof(struct column), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (census == MAP_FAILED)
		fatal("census: no shared memory");
	if (getrandom(&key, sizeof(key), 0) != sizeof(key))
		fatal("census: no random numbers");
}

void
census_join(unsigned worker)
{
	unsigned used;

	mine = worker;
	for (used = atomic_load(&census->used); used <= worker;)
		if (atomic_compare_exchange_weak(&census->used, &used, worker + 1))
			break;
}

void
census_clear(unsigned worker)
{
	memset(&census->columns[worker], 0, sizeof(census->columns[worker]));
}

static unsigned
slot_of(const struct ip *ip, unsigned bits)
{
	struct ipnet net = ip_network(ip, (uint8_t)bits);
	uint64_t h = key ^ bits;
	unsigned i;

	for (i = 0; i < sizeof(net.ip.bytes); i++) {
		h ^= net.ip.bytes[i];
		h *= 0x9e3779b97f4a7c15ULL;
		h ^= h >> 29;
	}
	return (unsigned)(h >> 32) % SLOTS;
}

static unsigned
slot_address(const struct ip *ip)
{
	return slot_of(ip, ip->family == AF_INET ? 32 : 128);
}

static unsigned
slot_network(const struct ip *ip)
{
	return slot_of(ip, ip->family == AF_INET ? 24 : 64);
}

static uint32_t
sum(unsigned slot)
{
	uint32_t n = 0;
	unsigned i, used = atomic_load_explicit(&census->used, memory_order_relaxed);

	for (i = 0; i < used; i++)
		n += atomic_load_explicit(&census->columns[i].slots[slot], memory_order_relaxed);
	return n;
}

uint32_t
census_all(void)
{
	unsigned i, used = atomic_load_explicit(&census->used, memory_order_relaxed);
	uint32_t n = 0;

	for (i = 0; i < used; i++)
		n += atomic_load_explicit(&census->columns[i].all, memory_order_relaxed);
	return n;
}

struct census_count
census_look(const struct ip *ip)
{
	return (struct census_count){ .all = census_all(), .address = sum(slot_address(ip)),
		.network = sum(slot_network(ip)) };
}

struct census_count
census_enter(const struct ip *ip)
{
	atomic_fetch_add_explicit(&census->columns[mine].all, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&census->columns[mine].slots[slot_address(ip)], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&census->columns[mine].slots[slot_network(ip)], 1, memory_order_relaxed);
	return census_look(ip);
}

void
census_leave(const struct ip *ip)
{
	atomic_fetch_sub_explicit(&census->columns[mine].all, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&census->columns[mine].slots[slot_address(ip)], 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&census->columns[mine].slots[slot_network(ip)], 1, memory_order_relaxed);
}
