/*
 * Fuzz target: what strangers and other servers say while somebody logs in: base 64, PLAIN, SCRAM's first message, lines of Dovecot,
 * stored passwords, the vault's messages.  What is taken can be said again, and names hold no controls.
 */
#include <stdlib.h>
#include <string.h>

#include "filters/lockout.h"
#include "lib/base64.h"
#include "lib/buf.h"
#include "regress/fuzz/target.h"
#include "vault/dovecot_line.h"
#include "vault/mechanism.h"
#include "vault/password.h"
#include "vault/vault_wire.h"

static void
check_base64(const char *s, size_t len)
{
	struct buf plain = { 0 }, text = { 0 };

	if (base64_decode(&plain, s, len)) {
		base64_encode(&text, buf_str(&plain), plain.len);
		require(text.len == len && (len == 0 || memcmp(text.data, s, len) == 0));
	}
	buf_free(&plain);
	buf_free(&text);
}

static void
require_name(const char *s, size_t len)
{
	size_t i;

	require(len > 0 && len <= SASL_TEXT_MAX);
	for (i = 0; i < len; i++)
		require((unsigned char)s[i] >= ' ' && s[i] != 127);
}

static void
check_messages(const char *s, size_t len)
{
	struct sasl_plain p;
	char *name;

	if (sasl_plain_parse(s, len, &p)) {
		require_name(p.authcid, p.authcid_len);
		require(p.authzid_len + p.authcid_len + p.password_len + 2 == len);
	}
	name = sasl_scram_name(s, len);
	if (name != NULL)
		require_name(name, strlen(name));
	free(name);
}

static void
check_dovecot(const char *s, size_t len)
{
	struct dovecot_line line;
	struct buf out = { 0 };

	if (!dovecot_line_parse(s, len, &line))
		return;
	if (line.user != NULL) {
		dovecot_add_value(&out, line.user);
		require(memchr(buf_str(&out), '\t', out.len) == NULL && memchr(buf_str(&out), '\n', out.len) == NULL);
	}
	buf_free(&out);
	dovecot_line_free(&line);
}

static void
check_stored(const char *s, size_t len)
{
	char *text = strndup(s, len), *scram;
	struct password p = password_parse(text);

	scram = password_scram_text(&p);
	free(scram);
	if (p.kind == PASSWORD_PLAIN) {
		require(p.len > 0);
		require(password_check(&p, p.text));
	}
	free(text);
}

static void
check_wire(const void *data, size_t len)
{
	struct cursor c = cursor_init(data, len);
	struct vault_begin begin;
	struct vault_answer answer;
	struct lockout l, back;
	struct buf b = { 0 };

	if (vault_begin_decode(&c, &begin)) {
		vault_begin_encode(&b, &begin);
		c = cursor_init(b.data, b.len);
		require(vault_begin_decode(&c, &begin));
	}
	c = cursor_init(data, len);
	if (vault_answer_decode(&c, &answer))
		require(strlen(answer.text) <= answer.len);
	buf_clear(&b);
	if (lockout_decode(data, len, &l)) {
		lockout_encode(&b, &l);
		require(lockout_decode(b.data, b.len, &back) && memcmp(&l, &back, sizeof(l)) == 0);
	}
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const char *s = (const char *)data;

	check_base64(s, len);
	check_messages(s, len);
	check_dovecot(s, len);
	check_stored(s, len);
	check_wire(data, len);
	return 0;
}
