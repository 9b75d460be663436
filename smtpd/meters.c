/*
 * The gate's meters over all session workers (meters.h).
 *
 * Shared memory is reserved for as many tables as the gate asks for, and used page by page as
 * callers come.  Nothing here can fail but the reservation, at the start.
 */
#include <sys/mman.h>
#include <sys/random.h>

#include <ctype.h>
#include <string.h>

#include "filters/meter.h"
#include "lib/clock.h"
#include "lib/fatal.h"
#include "smtpd/meters.h"

static const struct gate *gate;
static struct meter *tables; /* [worker][meter] */
static struct meter *accounts; /* [worker] */
static unsigned workers_n, mine;
static uint64_t secret;

static struct meter *
reserve(size_t n)
{
	struct meter *meters = mmap(NULL, n * sizeof(*meters), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (meters == MAP_FAILED)
		fatal("meters: no shared memory");
	return meters;
}

void
meters_init(const struct gate *g, unsigned workers)
{
	gate = g;
	workers_n = workers;
	if (workers == 0)
		return;
	if (g->meters_n > 0)
		tables = reserve((size_t)workers * g->meters_n);
	if (accounts == NULL) /* what an account has sent is not forgotten with a new configuration */
		accounts = reserve(workers);
	if (getrandom(&secret, sizeof(secret), 0) != sizeof(secret))
		fatal("meters: no random numbers");
}

static struct meter *
table(unsigned worker, unsigned meter)
{
	return &tables[worker * gate->meters_n + meter];
}

void
meters_join(unsigned worker)
{
	unsigned i;

	mine = workers_n > 0 ? worker % workers_n : 0;
	for (i = 0; i < gate->meters_n; i++)
		meter_clear(table(mine, i));
}

/* --- accounts --- */

/* Letters without case, as names of accounts are compared. */
static uint64_t
key_of_account(const char *account)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *account != '\0'; account++)
		h = (h ^ (uint64_t)tolower((unsigned char)*account)) * 0x100000001b3ULL;
	return h;
}

void
meters_count_account(const char *account)
{
	meter_add(&accounts[mine], key_of_account(account), METERS_ACCOUNT_SECONDS * 1000, clock_ms());
}

uint64_t
meters_account(const char *account)
{
	uint64_t sum = 0, key = key_of_account(account);
	unsigned worker;

	for (worker = 0; worker < workers_n; worker++)
		sum += meter_read(&accounts[worker], key, METERS_ACCOUNT_SECONDS * 1000, clock_ms());
	return sum;
}

/* --- the gate's --- */

/* The /24 or /64, or the address. */
static uint64_t
key_of(const struct gate_meter *meter, const struct ip *ip)
{
	uint8_t bits = ip->family == AF_INET ? (meter->network ? 24 : 32) : (meter->network ? 64 : 128);
	struct ipnet net = ip_network(ip, bits);
	uint64_t h = secret ^ net.ip.family;
	unsigned i;

	for (i = 0; i < sizeof(net.ip.bytes); i++) {
		h ^= net.ip.bytes[i];
		h *= 0x9e3779b97f4a7c15ULL;
		h ^= h >> 29;
	}
	return h;
}

void
meters_count(enum fact fact, const struct ip *ip)
{
	unsigned i;

	for (i = 0; i < gate->meters_n; i++)
		if (gate->meters[i].fact == fact)
			meter_add(table(mine, i), key_of(&gate->meters[i], ip),
			    (uint64_t)gate->meters[i].period * 1000, clock_ms());
}

void
meters_read(enum fact fact, const struct ip *ip, uint32_t out[GATE_METERS])
{
	const struct gate_meter *meter;
	uint64_t sum, key, period;
	unsigned i, worker;

	for (i = 0; i < gate->meters_n; i++) {
		meter = &gate->meters[i];
		if (meter->fact != fact)
			continue;
		key = key_of(meter, ip);
		period = (uint64_t)meter->period * 1000;
		for (worker = 0, sum = 0; worker < workers_n; worker++)
			sum += meter_read(table(worker, i), key, period, clock_ms());
		out[i] = sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
	}
}
