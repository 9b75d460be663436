/*
 * AUTH (RFC 4954): the client says who it is, the vault whether that is so.
 *
 * This file speaks the SMTP side: base 64, the order of things, the replies.  What a client responds goes to the vault as it is
 * and is overwritten here at once.  From AUTH to the reply that ends it the client's lines belong to the dialogue and not to
 * the command table; a line that is none, or "*", ends it.  The vault's death or silence is 454, never a verdict on a password.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "lib/base64.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/tls_server.h"
#include "smtpd/command.h"
#include "smtpd/session.h"
#include "vault/vault.h"

struct auth {
	struct vault_dialogue *dialogue; /* NULL: it has ended */
	enum mechanism mechanism;
};

/* --- who is here --- */

struct caller {
	struct mechanism_caller c;
	char *certificate;
	unsigned char binding[EVP_MAX_MD_SIZE];
};

/*
 * The first Finished message (RFC 5929 3), which of a resumed session is ours.  TLS 1.3 has no such thing; for its successor (RFC
 * 9266) clients choose the mechanism by its name and then find that they cannot do it (mutt with GNU SASL): offering
 * it would lock them out.
 */
static void
bind_channel(SSL *tls, struct caller *caller)
{
	size_t len;

	if (SSL_version(tls) >= TLS1_3_VERSION)
		return;
	if (SSL_session_reused(tls) && SSL_get_extms_support(tls) != 1) /* RFC 7677 4: it would bind to nothing */
		return;
	len = SSL_session_reused(tls) ? SSL_get_finished(tls, caller->binding, sizeof(caller->binding))
	                              : SSL_get_peer_finished(tls, caller->binding, sizeof(caller->binding));
	if (len == 0 || len > sizeof(caller->binding))
		return;
	caller->c.binding = "tls-unique";
	caller->c.binding_data = caller->binding;
	caller->c.binding_len = len;
}

static void
caller_of(const struct session *s, struct caller *caller)
{
	memset(caller, 0, sizeof(*caller));
	caller->c.ip = s->ip;
	if (s->tls == NULL)
		return;
	caller->c.tls = true;
	caller->certificate = tls_client_name(s->tls);
	if (caller->certificate != NULL && sasl_name_ok(caller->certificate, strlen(caller->certificate)))
		caller->c.certificate = caller->certificate;
	bind_channel(s->tls, caller);
}

static void
caller_free(struct caller *caller)
{
	free(caller->certificate);
}

bool
auth_served(const struct session *s)
{
	return s->listener->submission && session_conf()->vault.accounts != ACCOUNTS_NONE;
}

uint32_t
auth_offered(const struct session *s)
{
	struct caller caller;
	uint32_t set;

	if (!auth_served(s) || s->login != NULL)
		return 0;
	caller_of(s, &caller);
	set = vault_offers(&caller.c);
	caller_free(&caller);
	return set;
}

/* --- how it ends --- */

void
auth_forget(struct session *s)
{
	if (s->auth == NULL)
		return;
	if (s->auth->dialogue != NULL)
		vault_cancel(s->auth->dialogue);
	free(s->auth);
	s->auth = NULL;
}

static void
passed(struct session *s, const struct vault_answer *a, enum mechanism mechanism)
{
	log_info("auth.passed", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
	    F_STR("account", a->text), F_STR("mechanism", mechanism_name(mechanism)), F_BOOL("tls", s->tls != NULL));
	free(s->login);
	s->login = xstrdup(a->text);
	session_reply(s, 235, "2.7.0", "welcome");
}

static void
failed(struct session *s, const struct vault_answer *a, enum mechanism mechanism)
{
	static const struct {
		const char *why; /* for the log; NULL: the vault's words */
		int code;
		const char *status, *text;
	} replies[] = {
		[VAULT_REFUSED] = { "wrong", 535, "5.7.8", "name or password is wrong" },
		[VAULT_MALFORMED] = { "malformed", 501, "5.5.2", "that is no message of this mechanism" },
		[VAULT_BANNED] = { NULL, 454, "4.7.0", "too many failed logins; please try again later" },
		[VAULT_TEMP] = { NULL, 454, "4.7.0", "cannot be told now; please try again later" },
	};
	const char *why = replies[a->result].why;

	log_info(a->result == VAULT_BANNED ? "auth.banned" : "auth.failed", F_STR("session", id_text(s->id).s),
	    F_STR("client", ip_text(&s->ip).s), F_STR("account", a->name), F_STR("mechanism", mechanism_name(mechanism)),
	    F_STR("why", why != NULL ? why : a->text));
	session_reply(s, replies[a->result].code, replies[a->result].status, "%s", replies[a->result].text);
	if (a->result != VAULT_TEMP)
		session_error(s);
}

static void
challenge(struct session *s, const struct vault_answer *a)
{
	struct buf line = { 0 };

	buf_adds(&line, "334 ");
	base64_encode(&line, a->text, a->len);
	session_raw(s, buf_str(&line));
	buf_free(&line);
}

static void
on_answer(const struct vault_answer *a, void *arg)
{
	struct session *s = arg;
	enum mechanism mechanism = s->auth->mechanism;

	if (a->result == VAULT_CHALLENGE) {
		challenge(s, a);
	} else {
		s->auth->dialogue = NULL;
		auth_forget(s);
		if (a->result == VAULT_OK)
			passed(s, a, mechanism);
		else
			failed(s, a, mechanism);
	}
	session_resume(s);
}

/* --- the client's words --- */

/* A password may be in it: it is not to lie about. */
static void
overwrite(const char *text, size_t len)
{
	explicit_bzero((char *)(uintptr_t)text, len);
}

/* "=" is the empty response, of AUTH's argument only (RFC 4954 4). */
static bool
decode(struct buf *out, const char *text, size_t len, bool initial)
{
	buf_add(out, "", 0);
	if (initial && len == 1 && text[0] == '=')
		return true;
	return base64_decode(out, text, len) && (!initial || len > 0);
}

static void
refuse(struct session *s, int code, const char *status, const char *text)
{
	auth_forget(s);
	session_reply(s, code, status, "%s", text);
	session_error(s);
}

void
auth_line(struct session *s, const char *line, size_t len)
{
	struct buf response = { 0 };

	if (len == 1 && line[0] == '*') {
		refuse(s, 501, "5.7.0", "cancelled, as you wish");
		return;
	}
	if (decode(&response, line, len, false)) {
		session_wait(s);
		vault_respond(s->auth->dialogue, buf_str(&response), response.len);
	} else {
		refuse(s, 501, "5.5.2", "that is no base 64 (RFC 4648)");
	}
	overwrite(line, len);
	buf_wipe(&response);
}

/* NAME as a mechanism that is offered to this client in this state; -1: refused, said. */
static int
find_mechanism(struct session *s, const char *name, size_t len)
{
	int m = mechanism_by_name(name, len);

	if (m >= 0 && (auth_offered(s) & MECHANISM_BIT(m)))
		return m;
	if (m >= 0 && (MECHANISM_BIT(m) & MECHANISM_PASSWORDS) && s->tls == NULL)
		refuse(s, 538, "5.7.11", "passwords in the clear are taken under TLS only");
	else
		refuse(s, 504, "5.5.4", "this mechanism is not offered");
	return -1;
}

static void
begin(struct session *s, enum mechanism mechanism, const struct buf *initial)
{
	struct caller caller;

	caller_of(s, &caller);
	s->auth = xcalloc(1, sizeof(*s->auth));
	s->auth->mechanism = mechanism;
	session_wait(s);
	s->auth->dialogue = vault_begin(mechanism, &caller.c, s->id, initial != NULL ? buf_str(initial) : NULL,
	    initial != NULL ? initial->len : 0, on_answer, s);
	caller_free(&caller);
}

void
cmd_auth(struct session *s, const char *arg, size_t len)
{
	const char *space = memchr(arg, ' ', len);
	size_t name = space != NULL ? (size_t)(space - arg) : len;
	struct buf initial = { 0 };
	int m;

	if (!s->esmtp || s->login != NULL) {
		refuse(s, 503, "5.5.1", s->esmtp ? "you have logged in already" : "EHLO first");
		return;
	}
	m = find_mechanism(s, arg, name);
	if (m >= 0 && space == NULL)
		begin(s, (enum mechanism)m, NULL);
	else if (m >= 0 && decode(&initial, space + 1, len - name - 1, true))
		begin(s, (enum mechanism)m, &initial);
	else if (m >= 0)
		refuse(s, 501, "5.5.2", "that is no base 64 (RFC 4648)");
	overwrite(arg + name, len - name);
	buf_wipe(&initial);
}
