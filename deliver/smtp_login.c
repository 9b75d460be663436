/*
 * The SMTP client's login at a smarthost (RFC 4954), by libsasl2.
 *
 * After TLS the client asks smtp_login_wanted, which takes the first mechanism of our order that
 * the server offers and the library has: those that do not show the password first, and CRAM-MD5
 * last, for which the server must keep it readable.  In the clear nothing shows it.  A refusal is
 * the account's matter, not this message's: it ends the connection, and the mail waits.  What must
 * never happen: a login that counts although the mechanism has not come to its end, since with
 * SCRAM that is the server's own proof.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sasl/sasl.h>
#include <sasl/saslutil.h>

#include "deliver/login.h"
#include "deliver/smtp_inside.h"
#include "lib/buf.h"
#include "lib/fatal.h"
#include "lib/mem.h"

/* RFC 4954 4: a line of AUTH has up to 12,288 octets; so much is decoded. */
#define CHALLENGE_MAX 12288
/* libsasl2 has one type for callbacks of every kind. */
#define CALLBACK(function) ((int (*)(void))(void (*)(void))(function))

static const struct mechanism {
	const char *name;
	bool shows; /* the password, to whoever listens */
} mechanisms[] = {
	{ "SCRAM-SHA-512", false },
	{ "SCRAM-SHA-256", false },
	{ "SCRAM-SHA-1", false },
	{ "PLAIN", true },
	{ "LOGIN", true },
	{ "CRAM-MD5", false },
};
#define MECHANISMS_N (sizeof(mechanisms) / sizeof(mechanisms[0]))

struct smtp_login {
	sasl_conn_t *conn;
	sasl_secret_t *secret;
	sasl_callback_t callbacks[5];
	size_t mechanism; /* in use */
	bool complete;	  /* on our side */
};

/* --- libsasl2 --- */

static int
give_name(void *context, int id, const char **result, unsigned *len)
{
	const struct login *login = context;

	/* we act for nobody but who logs in */
	*result = id == SASL_CB_AUTHNAME ? login->user : "";
	if (len != NULL)
		*len = (unsigned)strlen(*result);
	return SASL_OK;
}

static int
give_secret(sasl_conn_t *conn, void *context, int id, sasl_secret_t **secret)
{
	struct smtp_login *l = context;

	(void)conn;
	(void)id;
	*secret = l->secret;
	return SASL_OK;
}

/* What it has to say is in sasl_errdetail. */
static int
no_log(void *context, int level, const char *text)
{
	(void)context;
	(void)level;
	(void)text;
	return SASL_OK;
}

int
smtp_login_prepare(char **why)
{
	static const sasl_callback_t callbacks[] = { { SASL_CB_LOG, CALLBACK(no_log), NULL },
		{ SASL_CB_LIST_END, NULL, NULL } };
	int r = sasl_client_init(callbacks);

	if (r == SASL_OK)
		return 0;
	*why = xasprintf("libsasl2: %s", sasl_errstring(r, NULL, NULL));
	return -1;
}

static struct smtp_login *
login_new(const struct smtp_client *c)
{
	const struct login *login = c->security.login;
	const sasl_security_properties_t properties = { .max_ssf = 0,
		.security_flags = SASL_SEC_NOANONYMOUS };
	struct smtp_login *l = xcalloc(1, sizeof(*l));
	size_t len = strlen(login->password);
	void *account = (void *)(uintptr_t)login;

	l->secret = xmalloc(sizeof(*l->secret) + len + 1);
	l->secret->len = len;
	memcpy(l->secret->data, login->password, len + 1);
	l->callbacks[0] = (sasl_callback_t){ SASL_CB_USER, CALLBACK(give_name), account };
	l->callbacks[1] = (sasl_callback_t){ SASL_CB_AUTHNAME, CALLBACK(give_name), account };
	l->callbacks[2] = (sasl_callback_t){ SASL_CB_PASS, CALLBACK(give_secret), l };
	l->callbacks[3] = (sasl_callback_t){ SASL_CB_LOG, CALLBACK(no_log), NULL };
	l->callbacks[4] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	if (sasl_client_new("smtp", c->security.tls.name, NULL, NULL, l->callbacks, 0, &l->conn) !=
		SASL_OK ||
	    sasl_setprop(l->conn, SASL_SEC_PROPS, &properties) != SASL_OK)
		fatal("smtp login: libsasl2 makes no connection");
	return l;
}

void
smtp_login_free(struct smtp_client *c)
{
	struct smtp_login *l = c->login;

	if (l == NULL)
		return;
	sasl_dispose(&l->conn);
	explicit_bzero(l->secret->data, l->secret->len);
	free(l->secret);
	free(l);
	c->login = NULL;
}

/* --- the exchange --- */

static void __attribute__((format(printf, 2, 3)))
end_login(struct smtp_client *c, const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = xvasprintf(fmt, ap);
	va_end(ap);
	smtp_end(c, DELIVERY_TEMP_HOST, true, "451 4.7.8 no login as %s: %s",
	    c->security.login->user, text);
	free(text);
}

static bool
is_offered(const char *offered, const char *name)
{
	size_t len = strlen(name), n;

	for (; *offered != '\0'; offered += n) {
		offered += strspn(offered, " \t");
		n = strcspn(offered, " \t");
		if (n == len && strncasecmp(offered, name, len) == 0)
			return true;
	}
	return false;
}

/* "AUTH PLAIN AGFsaWNlA...", or a line of the exchange when BEFORE is "". */
static void
send_response(struct smtp_client *c, const char *before, const char *data, unsigned len)
{
	unsigned size = len / 3 * 4 + 8, used;
	char *text = xmalloc(size);

	if (sasl_encode64(data, len, text, size, &used) != SASL_OK)
		fatal("smtp login: base64");
	smtp_command(c, STEP_AUTH, 0, "%s%.*s", before, (int)used, text);
	explicit_bzero(text, size);
	free(text);
}

/* With the first mechanism from FROM on that both sides have. */
static void
start(struct smtp_client *c, size_t from)
{
	const char *offered = c->mechanisms != NULL ? c->mechanisms : "", *data, *used;
	struct smtp_login *l = c->login;
	char *before;
	unsigned len;
	int r;

	for (l->mechanism = from; l->mechanism < MECHANISMS_N; l->mechanism++) {
		const struct mechanism *m = &mechanisms[l->mechanism];

		if (!is_offered(offered, m->name) || (m->shows && !c->secure))
			continue;
		data = NULL;
		r = sasl_client_start(l->conn, m->name, NULL, &data, &len, &used);
		if (r != SASL_OK && r != SASL_CONTINUE)
			continue;
		l->complete = r == SASL_OK;
		before = xasprintf("AUTH %s%s", m->name,
		    data == NULL ? "" : len == 0 ? " =" : " ");
		send_response(c, before, data != NULL ? data : "", data != NULL ? len : 0);
		free(before);
		return;
	}
	end_login(c, "the server offers no mechanism that can be used%s (%s)",
	    c->secure ? "" : " in the clear", *offered != '\0' ? offered : "none");
}

static void
answer_challenge(struct smtp_client *c, const struct smtp_reply *reply)
{
	const char *text = buf_str(&reply->lines), *data = NULL;
	size_t text_len = strcspn(text, "\n");
	struct smtp_login *l = c->login;
	char challenge[CHALLENGE_MAX];
	unsigned len = 0;
	int r;

	if (text_len >= CHALLENGE_MAX ||
	    sasl_decode64(text, (unsigned)text_len, challenge, sizeof(challenge), &len) !=
		SASL_OK) {
		end_login(c, "the server's challenge is no base64");
		return;
	}
	r = l->complete && len == 0
		? SASL_OK
		: sasl_client_step(l->conn, challenge, len, NULL, &data, &len);
	if (r != SASL_OK && r != SASL_CONTINUE) {
		end_login(c, "%s: %s", mechanisms[l->mechanism].name, sasl_errdetail(l->conn));
		return;
	}
	l->complete = r == SASL_OK;
	send_response(c, "", data != NULL ? data : "", data != NULL ? len : 0);
}

void
smtp_on_auth(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	struct smtp_login *l = c->login;
	char *text;

	(void)recipient;
	if (reply->code == 334) {
		answer_challenge(c, reply);
	} else if (reply->code < 300 && l->complete) {
		c->logged_in = true;
		smtp_login_free(c);
	} else if (reply->code < 300) {
		end_login(c, "the server did not prove that it knows the password");
	} else if (reply->code == 504) { /* RFC 4954 4: not this mechanism */
		start(c, l->mechanism + 1);
	} else {
		text = smtp_reply_text(reply);
		end_login(c, "by %s: %s", mechanisms[l->mechanism].name, text);
		free(text);
	}
}

bool
smtp_login_wanted(struct smtp_client *c)
{
	if (c->security.login == NULL || c->logged_in)
		return false;
	c->login = login_new(c);
	start(c, 0);
	return true;
}
