/*
 * Tries of one mail (tries.h).
 *
 * The ledger calls this with what it has on disk and writes back what comes out.  Nothing here can fail but decoding: what
 * comes from the disk is data, and names in it are no longer than names can be.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "filters/gate.h"
#include "filters/ledger_wire.h"
#include "filters/tries.h"
#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/cursor.h"
#include "lib/mem.h"

#define TRIES_VERSION 1
#define FLAG_PROPOSED 1
/* The year 36812, as for the greylist. */
/* What was only refused is forgotten like a triplet; what an operator may want to see is not so soon. */
#define KEPT_REFUSED (2 * 86400)
#define KEPT_SHOWN (31 * 86400)

bool
tries_are_over(const struct tries *t, int64_t now)
{
	return t->let_in != 0 || rhythm_is_over(&t->rhythm, now);
}

static void
copy_name(char out[TRIES_NAME_MAX + 1], const char *name)
{
	size_t len = name == NULL ? 0 : strnlen(name, TRIES_NAME_MAX);

	if (len > 0)
		memcpy(out, name, len);
	out[len] = '\0';
}

/* The last place takes what comes when all are taken. */
void
tries_add(struct tries *t, int64_t time, const struct ip *client, const char *name, const char *helo)
{
	struct try_made *m;

	if (!rhythm_add(&t->rhythm, time))
		return;
	if (t->n < TRIES_KEPT)
		t->n++;
	m = &t->made[t->n - 1];
	m->time = t->rhythm.last;
	m->client = *client;
	copy_name(m->name, name);
	copy_name(m->helo, helo);
}

uint32_t
tries_waited(const struct tries *t)
{
	int64_t end = t->let_in != 0 ? t->let_in : t->rhythm.last, waited;

	waited = end < t->rhythm.first ? 0 : end - t->rhythm.first;
	return waited > UINT32_MAX ? UINT32_MAX : (uint32_t)waited;
}

int64_t
tries_expire(const struct tries *t)
{
	if (t->let_in != 0)
		return t->let_in + KEPT_SHOWN;
	return t->rhythm.last + (t->proposed ? KEPT_SHOWN : KEPT_REFUSED);
}

/* The one address that all came from, as far as it is known; NULL when there were several. */
static const struct ip *
only_client(const struct tries *t)
{
	const struct ip *one = NULL;
	unsigned i;

	for (i = 0; i < t->n; i++) {
		if (t->made[i].client.family == 0)
			continue;
		if (one != NULL && !ip_equal(one, &t->made[i].client))
			return NULL;
		one = &t->made[i].client;
	}
	return one;
}

char *
tries_whom(const struct tries *t, const char *identity, enum operator_kind *kind)
{
	const struct ip *client = strncmp(identity, "net:", 4) == 0 ? only_client(t) : NULL;
	struct ipnet net;

	*kind = client != NULL ? OPERATOR_CLIENT : OPERATOR_IDENTITY;
	if (client == NULL)
		return xstrdup(identity);
	net = ip_network(client, client->family == AF_INET6 ? 128 : 32);
	return xstrdup(ipnet_text(&net).s);
}

void
tries_print(struct buf *b, const struct tries *t)
{
	const struct try_made *m;
	unsigned i;

	for (i = 0; i < t->n; i++) {
		m = &t->made[i];
		buf_adds(b, i == 0 ? "0s" : ", +");
		if (i > 0)
			human_add_seconds(b, (uint64_t)(m->time - t->made[0].time));
		if (m->client.family != 0)
			buf_addf(b, " %s", ip_text(&m->client).s);
		if (*m->name != '\0')
			buf_addf(b, " (%s)", m->name);
		if (*m->helo != '\0')
			buf_addf(b, " HELO %s", m->helo);
	}
}

/*
 * On disk
 */

void
tries_encode(struct buf *b, const struct tries *t)
{
	unsigned i;

	buf_add_u8(b, TRIES_VERSION);
	buf_add_u8(b, t->proposed ? FLAG_PROPOSED : 0);
	buf_add_u8(b, t->action);
	buf_add_u16(b, t->rule);
	buf_add_u16(b, t->line);
	buf_add_u32(b, t->rhythm.total);
	buf_add_u32(b, t->rhythm.counted);
	buf_add_u64(b, (uint64_t)t->rhythm.last);
	buf_add_u64(b, (uint64_t)t->let_in);
	buf_add_u8(b, (uint8_t)t->n);
	for (i = 0; i < t->n; i++) {
		buf_add_u64(b, (uint64_t)t->made[i].time);
		ledger_encode_ip(b, &t->made[i].client);
		buf_add_str(b, t->made[i].name);
		buf_add_str(b, t->made[i].helo);
	}
}

static void
decode_name(struct cursor *c, char out[TRIES_NAME_MAX + 1])
{
	const char *name;

	name = cursor_str(c);
	if (!c->bad && strlen(name) > TRIES_NAME_MAX)
		c->bad = true;
	copy_name(out, c->bad ? NULL : name);
}

static void
decode_made(struct cursor *c, struct tries *t)
{
	struct try_made *m;
	unsigned i;

	for (i = 0; i < t->n && !c->bad; i++) {
		m = &t->made[i];
		m->time = cursor_time(c);
		ledger_decode_ip(c, &m->client);
		decode_name(c, m->name);
		decode_name(c, m->helo);
		if (m->time > t->rhythm.last || (i > 0 && m->time < t->made[i - 1].time))
			c->bad = true;
	}
}

bool
tries_decode(const void *data, size_t len, struct tries *t)
{
	struct cursor c;
	uint8_t version, flags, n;

	memset(t, 0, sizeof(*t));
	c = cursor_init(data, len);
	version = cursor_u8(&c);
	flags = cursor_u8(&c);
	t->proposed = (flags & FLAG_PROPOSED) != 0;
	t->action = cursor_u8(&c);
	t->rule = cursor_u16(&c);
	t->line = cursor_u16(&c);
	t->rhythm.total = cursor_u32(&c);
	t->rhythm.counted = cursor_u32(&c);
	t->rhythm.last = cursor_time(&c);
	t->let_in = cursor_time(&c);
	n = cursor_u8(&c);
	if (version != TRIES_VERSION || (flags & ~FLAG_PROPOSED) != 0 || t->action >= ACTION_COUNT ||
	    n == 0 || n > TRIES_KEPT || t->rhythm.counted < n || t->rhythm.total < t->rhythm.counted)
		c.bad = true;
	t->n = c.bad ? 0 : n;
	decode_made(&c, t);
	if (cursor_done(&c)) {
		t->rhythm.first = t->made[0].time;
		t->rhythm.stepped = t->made[n - 1].time;
		return true;
	}
	memset(t, 0, sizeof(*t));
	return false;
}
