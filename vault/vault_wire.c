/* Encoding of the vault's messages (vault_wire.h).  Pure; what does not decode is false. */
#include <sys/socket.h>

#include <string.h>

#include "vault/vault_wire.h"

enum begin_flags { HAS_TLS = 1, HAS_CERTIFICATE = 2, HAS_BINDING = 4, HAS_INITIAL = 8, ALL_FLAGS = 15 };

/* What a client can say in one line (RFC 4954 4). */
#define RESPONSE_MAX 12288

static void
encode_ip(struct buf *b, const struct ip *ip)
{
	size_t len = ip->family == AF_INET ? 4 : ip->family == AF_INET6 ? 16 : 0;

	buf_add_blob(b, ip->bytes, len);
}

static void
decode_ip(struct cursor *c, struct ip *ip)
{
	size_t len;
	const void *bytes = cursor_blob(c, &len);

	memset(ip, 0, sizeof(*ip));
	if (c->bad || (len != 4 && len != 16)) {
		c->bad = true;
		return;
	}
	ip->family = len == 4 ? AF_INET : AF_INET6;
	memcpy(ip->bytes, bytes, len);
}

void
vault_begin_encode(struct buf *b, const struct vault_begin *m)
{
	const struct mechanism_caller *caller = &m->caller;

	buf_add_u8(b, (uint8_t)m->mechanism);
	buf_add_u8(b, (uint8_t)((caller->tls ? HAS_TLS : 0) | (caller->certificate != NULL ? HAS_CERTIFICATE : 0) |
	    (caller->binding != NULL ? HAS_BINDING : 0) | (m->initial != NULL ? HAS_INITIAL : 0)));
	buf_add_u64(b, m->session);
	encode_ip(b, &caller->ip);
	buf_add_str(b, caller->certificate);
	buf_add_str(b, caller->binding);
	buf_add_blob(b, caller->binding_data, caller->binding_len);
	buf_add_blob(b, m->initial, m->len);
}

bool
vault_begin_decode(struct cursor *c, struct vault_begin *m)
{
	struct mechanism_caller *caller = &m->caller;
	unsigned mechanism = cursor_u8(c), flags = cursor_u8(c);

	memset(m, 0, sizeof(*m));
	m->session = cursor_u64(c);
	decode_ip(c, &caller->ip);
	caller->certificate = cursor_str(c);
	caller->binding = cursor_str(c);
	caller->binding_data = cursor_blob(c, &caller->binding_len);
	m->initial = cursor_blob(c, &m->len);
	if (!cursor_done(c) || mechanism >= MECHANISM_COUNT || (flags & ~(unsigned)ALL_FLAGS) || m->len > RESPONSE_MAX)
		return false;
	if (!(flags & HAS_INITIAL) && m->len > 0) /* NULL has no length */
		return false;
	m->mechanism = (enum mechanism)mechanism;
	caller->tls = flags & HAS_TLS;
	if (!(flags & HAS_CERTIFICATE))
		caller->certificate = NULL;
	if (!(flags & HAS_BINDING))
		caller->binding = NULL;
	if (!(flags & HAS_INITIAL))
		m->initial = NULL;
	return true;
}

void
vault_answer_encode(struct buf *b, const struct vault_answer *a)
{
	buf_add_u8(b, (uint8_t)a->result);
	buf_add_blob(b, a->text, a->len);
	buf_addc(b, '\0');
	buf_add_str(b, a->name);
}

bool
vault_answer_decode(struct cursor *c, struct vault_answer *a)
{
	unsigned result = cursor_u8(c), nul;

	a->text = cursor_blob(c, &a->len);
	nul = cursor_u8(c);
	a->name = cursor_str(c);
	a->result = (enum vault_result)result;
	return cursor_done(c) && result <= VAULT_TEMP && nul == 0;
}
