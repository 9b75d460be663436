/*
 * A DNS server of a few records for unit tests, by UDP on 127.0.0.1, on the test's own event loop.
 * It can be silent, hold its answers back, fail, go away and come back on the same port, sign (one
 * Ed25519 key for the root and all below it) and forge. It counts what it was asked.
 */
#ifndef REGRESS_UNIT_RESPONDER_H
#define REGRESS_UNIT_RESPONDER_H

#include <arpa/inet.h>
#include <ctype.h>
#include <event2/event.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "lib/dns.h"

#define RESPONDER_RECORDS 128
#define RESPONDER_HELD 64
#define RESPONDER_SEEN 20000

enum responder_manner { RESPONDS, RESPONDS_SERVFAIL, RESPONDS_NEVER, RESPONDS_FORGED };

struct responder_bytes {
	uint8_t data[4096];
	size_t len;
};

struct responder_record {
	const char *name;
	uint16_t type;
	uint32_t ttl;
	struct responder_bytes rdata;
};

struct responder {
	struct event_base *base;
	struct event *readable;
	int fd;
	uint16_t port;
	struct responder_record records[RESPONDER_RECORDS];
	unsigned records_n;
	struct {
		const char *name;
		enum responder_manner manner;
	} manners[16];
	unsigned manners_n;
	bool silent;            /* drops every question */
	const char *deaf_below; /* drops those for names that end so */
	bool holding;
	struct {
		uint8_t packet[512];
		size_t len;
		struct sockaddr_in from;
	} held[RESPONDER_HELD];
	unsigned held_n;
	struct {
		char name[256];
		uint16_t type;
	} * seen;
	unsigned seen_n;
	EVP_PKEY *key; /* NULL: nothing is signed */
};

static inline void
responder_put(struct responder_bytes *b, const void *data, size_t len)
{
	if (b->len + len > sizeof(b->data))
		abort();
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static inline void
responder_put_u8(struct responder_bytes *b, unsigned v)
{
	uint8_t byte = (uint8_t)v;

	responder_put(b, &byte, 1);
}

static inline void
responder_put_u16(struct responder_bytes *b, unsigned v)
{
	responder_put_u8(b, v >> 8);
	responder_put_u8(b, v);
}

static inline void
responder_put_u32(struct responder_bytes *b, uint32_t v)
{
	responder_put_u16(b, v >> 16);
	responder_put_u16(b, v);
}

static inline void
responder_put_name(struct responder_bytes *b, const char *name)
{
	while (*name != '\0' && strcmp(name, ".") != 0) {
		size_t n = strcspn(name, ".");

		responder_put_u8(b, (unsigned)n);
		responder_put(b, name, n);
		name += n + (name[n] == '.');
	}
	responder_put_u8(b, 0);
}

/* TEXT: an address, a name, "10 name" (MX), strings divided by '|' (TXT). */
static inline void
responder_put_rdata(struct responder_bytes *b, uint16_t type, const char *text)
{
	uint8_t address[16];

	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		if (inet_pton(type == DNS_A ? AF_INET : AF_INET6, text, address) != 1)
			abort();
		responder_put(b, address, type == DNS_A ? 4 : 16);
		break;
	case DNS_MX:
		responder_put_u16(b, (unsigned)strtoul(text, NULL, 10));
		responder_put_name(b, strchr(text, ' ') + 1);
		break;
	case DNS_TXT:
		while (*text != '\0') {
			size_t n = strcspn(text, "|");

			responder_put_u8(b, (unsigned)n);
			responder_put(b, text, n);
			text += n + (text[n] == '|');
		}
		break;
	default:
		responder_put_name(b, text);
		break;
	}
}

static inline void
responder_add(struct responder *r, const char *name, uint16_t type, uint32_t ttl, const char *text)
{
	struct responder_record *record = &r->records[r->records_n++];

	if (r->records_n > RESPONDER_RECORDS)
		abort();
	memset(record, 0, sizeof(*record));
	record->name = name;
	record->type = type;
	record->ttl = ttl;
	responder_put_rdata(&record->rdata, type, text);
}

static inline void
responder_behave(struct responder *r, const char *name, enum responder_manner manner)
{
	r->manners[r->manners_n].name = name;
	r->manners[r->manners_n++].manner = manner;
}

static inline unsigned
responder_seen(const struct responder *r, const char *name, uint16_t type)
{
	unsigned i, n = 0;

	for (i = 0; i < r->seen_n; i++)
		n += r->seen[i].type == type && strcasecmp(r->seen[i].name, name) == 0;
	return n;
}

/* --- signing (RFC 4034) --- */

#define RESPONDER_SOA 6
#define RESPONDER_RRSIG 46
#define RESPONDER_NSEC 47
#define RESPONDER_DNSKEY 48

static inline void
responder_put_dnskey(const struct responder *r, struct responder_bytes *b)
{
	uint8_t raw[32];
	size_t len = sizeof(raw);

	EVP_PKEY_get_raw_public_key(r->key, raw, &len);
	responder_put_u16(b, 257);
	responder_put_u8(b, 3);
	responder_put_u8(b, 15);
	responder_put(b, raw, len);
}

/* The anchor's text for struct dns_conf; the caller frees. */
static inline char *
responder_sign(struct responder *r)
{
	struct responder_bytes key = { .len = 0 };
	char *text = malloc(256);
	int n;

	r->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	responder_put_dnskey(r, &key);
	n = snprintf(text, 256, ". IN DNSKEY 257 3 15 ");
	EVP_EncodeBlock((unsigned char *)text + n, key.data + 4, (int)key.len - 4);
	return text;
}

static inline unsigned
responder_key_tag(const struct responder_bytes *key)
{
	uint32_t sum = 0;
	size_t i;

	for (i = 0; i < key->len; i++)
		sum += i & 1 ? key->data[i] : (uint32_t)key->data[i] << 8;
	return (sum + (sum >> 16)) & 0xffff;
}

static inline void
responder_put_rr(struct responder_bytes *b, const char *owner, uint16_t type, uint32_t ttl,
    const struct responder_bytes *rdata)
{
	responder_put_name(b, owner);
	responder_put_u16(b, type);
	responder_put_u16(b, 1);
	responder_put_u32(b, ttl);
	responder_put_u16(b, (unsigned)rdata->len);
	responder_put(b, rdata->data, rdata->len);
}

/* Adds the signature of a set of one record (signed sets in tests have no more). */
static inline void
responder_put_rrsig(const struct responder *r, struct responder_bytes *b, const char *owner,
    uint16_t type, uint32_t ttl, const struct responder_bytes *rdata)
{
	struct responder_bytes key = { .len = 0 }, sig = { .len = 0 }, tosign;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t signature[64];
	size_t len = sizeof(signature);
	unsigned labels = owner[0] == '\0' ? 0 : 1;
	const char *p;

	for (p = owner; *p != '\0'; p++)
		labels += *p == '.';
	responder_put_dnskey(r, &key);
	responder_put_u16(&sig, type);
	responder_put_u8(&sig, 15);
	responder_put_u8(&sig, labels);
	responder_put_u32(&sig, ttl);
	responder_put_u32(&sig, (uint32_t)time(NULL) + 86400);
	responder_put_u32(&sig, (uint32_t)time(NULL) - 86400);
	responder_put_u16(&sig, responder_key_tag(&key));
	responder_put_u8(&sig, 0);
	tosign = sig;
	responder_put_rr(&tosign, owner, type, ttl, rdata);
	EVP_DigestSignInit(ctx, NULL, NULL, NULL, r->key);
	EVP_DigestSign(ctx, signature, &len, tosign.data, tosign.len);
	EVP_MD_CTX_free(ctx);
	responder_put(&sig, signature, len);
	responder_put_rr(b, owner, RESPONDER_RRSIG, ttl, &sig);
}

/* --- answering --- */

static inline enum responder_manner
responder_manner(const struct responder *r, const char *name)
{
	unsigned i;

	for (i = r->manners_n; i-- > 0;)
		if (strcasecmp(r->manners[i].name, name) == 0)
			return r->manners[i].manner;
	return RESPONDS;
}

/* One record and, signed, its signature; returns the records added. */
static inline unsigned
responder_put_signed(const struct responder *r, struct responder_bytes *b, const char *owner,
    uint16_t type, uint32_t ttl, const struct responder_bytes *rdata, bool forge)
{
	struct responder_bytes put = *rdata;

	if (forge)
		put.data[put.len - 1] ^= 1;
	responder_put_rr(b, owner, type, ttl, &put);
	if (r->key == NULL)
		return 1;
	responder_put_rrsig(r, b, owner, type, ttl, rdata);
	return 2;
}

static inline unsigned
responder_put_answers(const struct responder *r, struct responder_bytes *b, const char *name,
    uint16_t type, const char **last)
{
	bool forge = responder_manner(r, name) == RESPONDS_FORGED, moved = true;
	unsigned n = 0, i, chain = 0;
	const char *at = name;

	if (type == RESPONDER_DNSKEY && name[0] == '\0' && r->key != NULL) {
		struct responder_bytes key = { .len = 0 };

		responder_put_dnskey(r, &key);
		return responder_put_signed(r, b, "", type, 60, &key, false);
	}
	while (moved && chain++ < 10) {
		moved = false;
		for (i = 0; i < r->records_n; i++) {
			const struct responder_record *record = &r->records[i];

			if (strcasecmp(record->name, at) != 0 ||
			    (record->type != type && record->type != DNS_CNAME))
				continue;
			n += responder_put_signed(
			    r, b, at, record->type, record->ttl, &record->rdata, forge);
			if (record->type == type)
				continue;
			/* the target as text: found among the names we have */
			for (unsigned k = 0; k < r->records_n && !moved; k++) {
				struct responder_bytes wire = { .len = 0 };

				responder_put_name(&wire, r->records[k].name);
				if (wire.len == record->rdata.len &&
				    memcmp(wire.data, record->rdata.data, wire.len) == 0) {
					at = r->records[k].name;
					moved = true;
				}
			}
			break;
		}
	}
	*last = at;
	return n;
}

static inline bool
responder_knows(const struct responder *r, const char *name)
{
	unsigned i;

	for (i = 0; i < r->records_n; i++)
		if (strcasecmp(r->records[i].name, name) == 0)
			return true;
	return name[0] == '\0' || r->key != NULL;
}

/* The SOA, and signed, an NSEC that denies just this. */
static inline unsigned
responder_put_denial(const struct responder *r, struct responder_bytes *b, const char *name)
{
	static const uint8_t types[] = { 0, 6, 0, 0, 0, 0, 0, 3 }; /* RRSIG NSEC */
	struct responder_bytes soa = { .len = 0 }, nsec = { .len = 0 };
	unsigned n;

	responder_put_name(&soa, "ns");
	responder_put_name(&soa, "root");
	responder_put_u32(&soa, 1);
	responder_put_u32(&soa, 3600);
	responder_put_u32(&soa, 600);
	responder_put_u32(&soa, 86400);
	responder_put_u32(&soa, 7);
	n = responder_put_signed(r, b, "", RESPONDER_SOA, 60, &soa, false);
	if (r->key == NULL)
		return n;
	responder_put(&nsec, "\001\000", 2);
	responder_put_name(&nsec, name);
	responder_put(&nsec, types, sizeof(types));
	return n + responder_put_signed(r, b, name, RESPONDER_NSEC, 7, &nsec, false);
}

static inline void
responder_send(struct responder *r, const uint8_t *packet, size_t question_len, const char *name,
    uint16_t type, const struct sockaddr_in *to)
{
	enum responder_manner manner = responder_manner(r, name);
	size_t name_len = strlen(name),
	       deaf_len = r->deaf_below != NULL ? strlen(r->deaf_below) : 0;
	struct responder_bytes b = { .len = 0 }, opt = { .len = 0 };
	const char *last = name;
	unsigned answers = 0, authorities = 0, rcode = 0;

	responder_put(&b, packet, question_len);
	if (deaf_len > 0 && name_len > deaf_len &&
	    strcmp(name + name_len - deaf_len, r->deaf_below) == 0)
		return;
	if (manner == RESPONDS_NEVER)
		return;
	if (manner == RESPONDS_SERVFAIL) {
		rcode = 2;
	} else {
		answers = responder_put_answers(r, &b, name, type, &last);
		if (answers == 0)
			authorities = responder_put_denial(r, &b, name);
		if (answers == 0 && !responder_knows(r, name))
			rcode = 3;
	}
	/* OPT with DO */
	responder_put_u8(&opt, 0);
	responder_put_u16(&opt, 41);
	responder_put_u16(&opt, 1232);
	responder_put_u32(&opt, 0x8000);
	responder_put_u16(&opt, 0);
	responder_put(&b, opt.data, opt.len);
	b.data[2] = 0x85; /* QR AA RD: an authoritative server, no recursion */
	b.data[3] = (uint8_t)rcode;
	memset(b.data + 4, 0, 8);
	b.data[5] = 1;
	b.data[7] = (uint8_t)answers;
	b.data[9] = (uint8_t)authorities;
	b.data[11] = 1;
	sendto(r->fd, b.data, b.len, 0, (const struct sockaddr *)to, sizeof(*to));
}

/* The question's name as text; returns where the question ends. */
static inline size_t
responder_question(const uint8_t *packet, size_t len, char *name, uint16_t *type)
{
	size_t pos = 12, used = 0;

	while (pos < len && packet[pos] != 0) {
		size_t n = packet[pos++];

		if (used > 0)
			name[used++] = '.';
		memcpy(name + used, packet + pos, n);
		used += n;
		pos += n;
	}
	name[used] = '\0';
	*type = (uint16_t)(packet[pos + 1] << 8 | packet[pos + 2]);
	return pos + 5;
}

static inline void
responder_handle(
    struct responder *r, const uint8_t *packet, size_t len, const struct sockaddr_in *from)
{
	char name[256];
	uint16_t type;
	size_t end = responder_question(packet, len, name, &type);

	if (r->holding) {
		if (r->held_n == RESPONDER_HELD)
			abort();
		memcpy(r->held[r->held_n].packet, packet, len);
		r->held[r->held_n].len = len;
		r->held[r->held_n++].from = *from;
		return;
	}
	responder_send(r, packet, end, name, type, from);
}

static inline void
responder_readable(int fd, short what, void *arg)
{
	struct responder *r = arg;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	uint8_t packet[512];
	ssize_t len;

	(void)what;
	while ((len = recvfrom(
		    fd, packet, sizeof(packet), 0, (struct sockaddr *)&from, &from_len)) > 12) {
		if (r->seen_n < RESPONDER_SEEN) {
			responder_question(
			    packet, (size_t)len, r->seen[r->seen_n].name, &r->seen[r->seen_n].type);
			r->seen_n++;
		}
		if (!r->silent)
			responder_handle(r, packet, (size_t)len, &from);
	}
}

static inline void
responder_release(struct responder *r)
{
	unsigned i, n = r->held_n;

	r->holding = false;
	r->held_n = 0;
	for (i = 0; i < n; i++)
		responder_handle(r, r->held[i].packet, r->held[i].len, &r->held[i].from);
}

/* Closed, then on the same port again. */
static inline void
responder_close(struct responder *r)
{
	if (r->readable != NULL) {
		event_free(r->readable);
		close(r->fd);
	}
	r->readable = NULL;
}

static inline void
responder_open(struct responder *r)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(r->port) };
	socklen_t len = sizeof(at);

	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(r->fd, (struct sockaddr *)&at, sizeof(at)) == -1 ||
	    getsockname(r->fd, (struct sockaddr *)&at, &len) == -1)
		abort();
	r->port = ntohs(at.sin_port);
	r->readable = event_new(r->base, r->fd, EV_READ | EV_PERSIST, responder_readable, r);
	event_add(r->readable, NULL);
}

static inline struct responder *
responder_new(struct event_base *base)
{
	struct responder *r = calloc(1, sizeof(*r));

	r->seen = calloc(RESPONDER_SEEN, sizeof(*r->seen));
	r->base = base;
	responder_open(r);
	return r;
}

static inline void
responder_free(struct responder *r)
{
	responder_close(r);
	EVP_PKEY_free(r->key);
	free(r->seen);
	free(r);
}

#endif
