/*
 * Counting failures (lockout.h).  The numbers are here and nowhere else: ten wrong passwords of one address within an hour
 * are no person's, fifty of a network and thirty for an account no accident; a first ban of ten minutes costs
 * a guesser his rate and a person a cup of tea.
 */
#include <string.h>

#include "filters/lockout.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/cursor.h"

#define VERSION 1
#define ROW_SECONDS 3600
#define BAN_FIRST 600
#define BAN_MOST 86400
#define KNOWN_SECONDS (60 * 86400)
#define KNOWN_FAILURES 20
#define DELAY_MOST 30

static const struct {
	const char *name;
	uint8_t bits_v4, bits_v6;
	uint32_t most; /* failures of a row before the ban; 0: never banned */
} subjects[LOCKOUT_SUBJECTS] = {
	[LOCKOUT_ADDRESS] = { "address", 32, 64, 10 },
	[LOCKOUT_NETWORK] = { "network", 24, 48, 50 },
	[LOCKOUT_ACCOUNT] = { "account", 0, 0, 30 },
	[LOCKOUT_PAIR] = { "known", 32, 64, 0 },
};

const char *
lockout_name(enum lockout_subject s)
{
	return subjects[s].name;
}

struct ipnet
lockout_net(enum lockout_subject s, const struct ip *ip)
{
	return ip_network(ip, ip->family == AF_INET ? subjects[s].bits_v4 : subjects[s].bits_v6);
}

struct ip_text
lockout_net_text(enum lockout_subject s, const struct ip *ip)
{
	struct ipnet net = lockout_net(s, ip);

	return net.bits == 32 ? ip_text(&net.ip) : ipnet_text(&net);
}

/* It was written while the clock was ahead: nobody is banned for a year because of that. */
static bool
is_ahead(const struct lockout *l, int64_t now)
{
	return l->last > now + CLOCK_SLACK || l->until > now + BAN_MOST + CLOCK_SLACK;
}

uint32_t
lockout_failures(const struct lockout *l, int64_t now)
{
	if (is_ahead(l, now))
		return 0;
	return now - l->last > ROW_SECONDS ? 0 : l->failures;
}

uint32_t
lockout_left(const struct lockout *l, int64_t now)
{
	return l->until > now && !is_ahead(l, now) ? (uint32_t)(l->until - now) : 0;
}

bool
lockout_fail(struct lockout *l, enum lockout_subject s, int64_t now)
{
	uint32_t seconds = BAN_FIRST, i;

	l->failures = lockout_failures(l, now) + 1;
	if (is_ahead(l, now))
		l->until = 0;
	l->last = now;
	if (subjects[s].most == 0 || l->failures < subjects[s].most || lockout_left(l, now) > 0)
		return false;
	for (i = 0; i < l->bans && seconds < BAN_MOST; i++)
		seconds *= 2;
	l->until = now + (seconds < BAN_MOST ? seconds : BAN_MOST);
	l->bans++;
	l->failures = 0;
	return true;
}

void
lockout_pass(struct lockout *l, int64_t now)
{
	l->passed = now;
	l->failures = 0;
}

bool
lockout_knows(const struct lockout *l, int64_t now)
{
	return l->passed != 0 && now - l->passed <= KNOWN_SECONDS && lockout_failures(l, now) < KNOWN_FAILURES;
}

uint32_t
lockout_delay(uint32_t n)
{
	return n == 0 ? 0 : n > 5 ? DELAY_MOST : UINT32_C(1) << (n - 1);
}

int64_t
lockout_expires(const struct lockout *l)
{
	int64_t at = l->last != 0 ? l->last + BAN_MOST : 0;

	if (l->until != 0 && l->until + BAN_MOST > at)
		at = l->until + BAN_MOST;
	if (l->passed != 0 && l->passed + KNOWN_SECONDS > at)
		at = l->passed + KNOWN_SECONDS;
	return at;
}

void
lockout_encode(struct buf *b, const struct lockout *l)
{
	buf_add_u8(b, VERSION);
	buf_add_u32(b, l->failures);
	buf_add_u32(b, l->bans);
	buf_add_u64(b, (uint64_t)l->last);
	buf_add_u64(b, (uint64_t)l->until);
	buf_add_u64(b, (uint64_t)l->passed);
}

bool
lockout_decode(const void *data, size_t len, struct lockout *l)
{
	struct cursor c = cursor_init(data, len);
	uint8_t version = cursor_u8(&c);

	l->failures = cursor_u32(&c);
	l->bans = cursor_u32(&c);
	l->last = cursor_time(&c);
	l->until = cursor_time(&c);
	l->passed = cursor_time(&c);
	return cursor_done(&c) && version == VERSION;
}
