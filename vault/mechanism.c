/*
 * Mechanisms and messages (mechanism.h).
 *
 * The vault calls it with what clients say before anybody knows who they are.  Pure; what does not fit is false.  What must never
 * happen: that a name is read here otherwise than by whoever checks its password, because then one is counted and another
 * let in; so names hold no control octet, and the one that libsasl2 has verified is compared (local.c).
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/buf.h"
#include "lib/utf8.h"
#include "vault/mechanism.h"

enum needs { NEEDS_TLS = 1, NEEDS_BINDING = 2, NEEDS_CERTIFICATE = 4 };

static const struct {
	const char *name;
	unsigned needs;
} mechanisms[MECHANISM_COUNT] = {
	[MECHANISM_EXTERNAL] = { "EXTERNAL", NEEDS_CERTIFICATE },
	[MECHANISM_SCRAM_SHA_256_PLUS] = { "SCRAM-SHA-256-PLUS", NEEDS_BINDING },
	[MECHANISM_SCRAM_SHA_1_PLUS] = { "SCRAM-SHA-1-PLUS", NEEDS_BINDING },
	[MECHANISM_SCRAM_SHA_256] = { "SCRAM-SHA-256", 0 },
	[MECHANISM_SCRAM_SHA_1] = { "SCRAM-SHA-1", 0 },
	[MECHANISM_PLAIN] = { "PLAIN", NEEDS_TLS },
	[MECHANISM_LOGIN] = { "LOGIN", NEEDS_TLS },
};

const char *
mechanism_name(enum mechanism m)
{
	return m < MECHANISM_COUNT ? mechanisms[m].name : "";
}

int
mechanism_by_name(const char *name, size_t len)
{
	int i;

	for (i = 0; i < MECHANISM_COUNT; i++)
		if (strlen(mechanisms[i].name) == len && strncasecmp(mechanisms[i].name, name, len) == 0)
			return i;
	return -1;
}

uint32_t
mechanism_usable(uint32_t offered, const struct mechanism_caller *caller)
{
	unsigned has = (caller->tls ? NEEDS_TLS : 0) | (caller->binding != NULL ? NEEDS_BINDING : 0) |
	    (caller->certificate != NULL ? NEEDS_CERTIFICATE : 0);
	unsigned i;

	for (i = 0; i < MECHANISM_COUNT; i++)
		if (mechanisms[i].needs & ~has)
			offered &= ~MECHANISM_BIT(i);
	return offered;
}

void
mechanism_list(struct buf *out, uint32_t set)
{
	const char *space = "";
	unsigned i;

	for (i = 0; i < MECHANISM_COUNT; i++) {
		if (!(set & MECHANISM_BIT(i)))
			continue;
		buf_addf(out, "%s%s", space, mechanisms[i].name);
		space = " ";
	}
}

/* --- messages --- */

bool
sasl_name_ok(const char *name, size_t len)
{
	uint32_t c;
	size_t i, n;

	if (len == 0 || len > SASL_TEXT_MAX)
		return false;
	for (i = 0; i < len; i += n) {
		n = utf8_next(name + i, name + len, &c);
		if (n == 0 || c < 0x20 || (c >= 0x7f && c < 0xa0)) /* controls are no characters of a name */
			return false;
	}
	return true;
}

bool
sasl_plain_parse(const char *s, size_t len, struct sasl_plain *out)
{
	const char *first = len > 0 ? memchr(s, '\0', len) : NULL, *second;

	memset(out, 0, sizeof(*out));
	if (first == NULL)
		return false;
	second = memchr(first + 1, '\0', len - (size_t)(first + 1 - s));
	if (second == NULL)
		return false;
	out->authzid = s;
	out->authzid_len = (size_t)(first - s);
	out->authcid = first + 1;
	out->authcid_len = (size_t)(second - out->authcid);
	out->password = second + 1;
	out->password_len = len - (size_t)(out->password - s);
	return (out->authzid_len == 0 || sasl_name_ok(out->authzid, out->authzid_len)) &&
	    sasl_name_ok(out->authcid, out->authcid_len) &&
	    out->password_len > 0 && out->password_len <= SASL_TEXT_MAX &&
	    memchr(out->password, '\0', out->password_len) == NULL;
}

/* saslname: "=2C" and "=3D" stand for a comma and an equals sign. */
static char *
unescape(const char *s, size_t len)
{
	struct buf out = { 0 };
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] != '=') {
			buf_addc(&out, s[i]);
			continue;
		}
		if (len - i < 3 || (memcmp(s + i, "=2C", 3) != 0 && memcmp(s + i, "=3D", 3) != 0))
			break;
		buf_addc(&out, s[i + 1] == '2' ? ',' : '=');
		i += 2;
	}
	if (i == len && sasl_name_ok(buf_str(&out), out.len))
		return buf_take(&out);
	buf_free(&out);
	return NULL;
}

/* Past the next comma; NULL: there is none. */
static const char *
behind_comma(const char *s, const char *end)
{
	const char *comma = memchr(s, ',', (size_t)(end - s));

	return comma == NULL ? NULL : comma + 1;
}

char *
sasl_scram_name(const char *s, size_t len)
{
	const char *end = s + len, *next, *authzid, *name;
	size_t authzid_len, name_len;

	if (len == 0 || (s[0] != 'n' && s[0] != 'y' && s[0] != 'p'))
		return NULL;
	authzid = behind_comma(s, end);
	next = authzid == NULL ? NULL : behind_comma(authzid, end);
	if (next == NULL || (size_t)(end - next) < 2 || memcmp(next, "n=", 2) != 0)
		return NULL;
	authzid_len = (size_t)(next - authzid) - 1;
	name = next + 2;
	next = behind_comma(name, end);
	if (next == NULL)
		return NULL;
	name_len = (size_t)(next - name) - 1;
	/* who may act for others is not known here */
	if (authzid_len > 0 && (authzid_len != name_len + 2 || memcmp(authzid, "a=", 2) != 0 ||
	    memcmp(authzid + 2, name, name_len) != 0))
		return NULL;
	return unescape(name, name_len);
}
