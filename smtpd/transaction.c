/* Making, ending and labelling a transaction (transaction.h). */
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <openssl/ssl.h>

#include "conf/conf.h"
#include "lib/clock.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "lib/rfc5322.h"
#include "smtpd/fixup.h"
#include "smtpd/recipient.h"
#include "smtpd/session.h"
#include "smtpd/transaction.h"

struct transaction *
transaction_new(struct session *s, const char *sender)
{
	struct transaction *tx = xcalloc(1, sizeof(*tx));

	tx->env = envelope_new();
	tx->env->id = id_new();
	tx->env->session = s->id;
	tx->env->sender = xstrdup(sender);
	tx->env->origin = session_client_text(s);
	tx->env->ours = s->relay_client || s->login != NULL;
	data_init(&tx->reader);
	return tx;
}

void
transaction_ask_no_more(struct transaction *tx)
{
	if (tx == NULL)
		return;
	if (tx->lookup != NULL)
		lookup_cancel(tx->lookup);
	recipients_ahead_free(tx->ahead);
	tx->lookup = NULL;
	tx->ahead = NULL;
}

void
transaction_free(struct transaction *tx)
{
	if (tx == NULL)
		return;
	transaction_ask_no_more(tx);
	if (tx->submission != NULL)
		submit_abort(tx->submission);
	if (tx->text != NULL)
		evbuffer_free(tx->text);
	fixup_free(tx->fixup);
	free(tx->recipient);
	free(tx->unknown);
	free(tx->original);
	envelope_free(tx->env);
	free(tx);
}

/* RFC 3848, RFC 6531 4.3.  HELO under TLS has no name of its own. */
static const char *
protocol(const struct session *s)
{
	static const char *const names[] = { "ESMTP", "ESMTPS", "ESMTPA", "ESMTPSA" },
				 *const utf8[] = { "UTF8SMTP", "UTF8SMTPS", "UTF8SMTPA", "UTF8SMTPSA" };
	unsigned how = (s->tls != NULL) | (s->login != NULL) << 1;

	return !s->esmtp ? "SMTP" : s->tx->env->utf8 ? utf8[how] : names[how];
}

/* RFC 5321 4.4: from what the client calls itself, with what we know of it; FOR only when there is one recipient, so that no
 * blind copy is betrayed (7.6). */
static void
add_received(struct session *s, struct evbuffer *out)
{
	const struct envelope *env = s->tx->env;
	struct buf date = { 0 };
	char literal[64];

	ip_literal(&s->ip, literal, sizeof(literal));
	evbuffer_add_printf(out, "Received: from %s (%s %s)\r\n\tby %s with %s", s->helo,
	    s->door.facts.name != NULL ? s->door.facts.name : "unknown", literal, session_conf()->host, protocol(s));
	if (s->tls != NULL)
		evbuffer_add_printf(out, " (%s)", SSL_get_version(s->tls));
	evbuffer_add_printf(out, " id %s", id_text(env->id).s);
	if (env->recipients_n == 1)
		evbuffer_add_printf(out, "\r\n\tfor <%s>", env->recipients[0].address);
	if (s->tls != NULL) /* RFC 8314 4.3 */
		evbuffer_add_printf(out, "\r\n\ttls %s", SSL_CIPHER_standard_name(SSL_get_current_cipher(s->tls)));
	header_add_date_utc(&date, clock_now());
	evbuffer_add_printf(out, ";\r\n\t%s\r\n", buf_str(&date));
	buf_free(&date);
}

static void
add_marks(struct session *s, struct evbuffer *out)
{
	const struct gate *gate = &session_conf()->gate;
	unsigned i;

	for (i = 0; i < gate->n && i < 64; i++)
		if (s->door.marks & (UINT64_C(1) << i))
			evbuffer_add_printf(out, "%s: %s\r\n", gate->rules[i].name, gate->rules[i].text);
}

void
transaction_trace(struct session *s, struct evbuffer *out)
{
	char *evidence;

	add_received(s, out);
	if (s->door.open)
		return;
	evidence = door_evidence(s);
	if (*evidence != '\0')
		evbuffer_add_printf(out, "X-Genkan: %s\r\n", evidence);
	free(evidence);
	add_marks(s, out);
}
