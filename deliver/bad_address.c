/*
 * A short memory of failures, so that a dead first MX costs a connection time-out once a minute and
 * not for each message.  The relay role is its only user.  It holds the last few hundred; when it
 * is full the oldest goes, which costs somebody one more attempt and no mail.
 */
#include <string.h>

#include "deliver/bad_address.h"

#define BAD_MS 60000
#define BAD_MAX 256

static struct {
	struct ip ip;
	uint16_t port;
	uint64_t until; /* 0: none */
} bad[BAD_MAX];
static unsigned next;

static int
find(const struct ip *ip, uint16_t port)
{
	int i;

	for (i = 0; i < BAD_MAX; i++) {
		if (bad[i].until != 0 && bad[i].port == port && ip_equal(&bad[i].ip, ip))
			return i;
	}
	return -1;
}

void
bad_address_add(const struct ip *ip, uint16_t port, uint64_t now)
{
	int at = find(ip, port);

	if (at < 0) {
		at = (int)next;
		next = (next + 1) % BAD_MAX;
	}
	bad[at].ip = *ip;
	bad[at].port = port;
	bad[at].until = now + BAD_MS;
}

void
bad_address_remove(const struct ip *ip, uint16_t port)
{
	int at = find(ip, port);

	if (at >= 0)
		bad[at].until = 0;
}

bool
bad_address_is(const struct ip *ip, uint16_t port, uint64_t now)
{
	int at = find(ip, port);

	return at >= 0 && bad[at].until > now;
}
