/*
 * Handshakes (session_tls.h).
 *
 * A handshake costs as much as hundreds of commands.  So none is worked on when its octets arrive: it
 * gets in line, and in one turn of the loop a few get on.  A flood of them makes the line longer, and
 * whoever is past it, or speaks in the clear, waits for a few milliseconds at most.  How many one
 * address can have in line is the census's business (limit connections-per-address); how many are half
 * done is limited here.
 *
 * What must never happen: that an octet which came in the clear is taken for one that came under TLS.
 * Who sent commands behind STARTTLS is refused (cmd_starttls.c); what comes later is read by OpenSSL
 * alone.
 */
#include <stdlib.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/peer.h"
#include "lib/tls_server.h"
#include "smtpd/patience.h"
#include "smtpd/session.h"
#include "smtpd/session_tls.h"

#define AT_ONCE 4            /* steps of handshakes in a turn of the loop */
#define HALF_MOST 1000       /* that have begun and wait for the client: OpenSSL has 100 kB and more in each */
#define HANDSHAKE_MS 30000   /* for all of it, or a turn's time if that is less */

static TAILQ_HEAD(, session) line = TAILQ_HEAD_INITIALIZER(line);
static TAILQ_HEAD(, session) half = TAILQ_HEAD_INITIALIZER(half); /* the oldest first */
static unsigned half_n;
static struct event *turn;
static void (*secured)(struct session *);
static uint64_t done, resumed, failed;

bool
session_tls_served(const struct session *s)
{
	return s->listener->certificate != NULL;
}

bool
session_tls_offered(const struct session *s)
{
	return session_tls_served(s) && s->tls == NULL;
}

/* --- how it ends --- */

static void
succeeded(struct session *s)
{
	const char *sni = SSL_get_servername(s->tls, TLSEXT_NAMETYPE_host_name);
	X509 *theirs = SSL_get0_peer_certificate(s->tls);
	long verified = SSL_get_verify_result(s->tls);
	char *subject = theirs != NULL ? X509_NAME_oneline(X509_get_subject_name(theirs), NULL, 0) : NULL;

	s->handshaking = false;
	done++;
	resumed += (uint64_t)SSL_session_reused(s->tls);
	log_info("session.tls", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
	    F_STR("tls", tls_name(s->tls).s), F_STR("sni", sni),
	    F_BOOL("resumed", SSL_session_reused(s->tls)), F_STR("certificate", subject),
	    F_STR("verified", subject != NULL ? X509_verify_cert_error_string(verified) : NULL));
	OPENSSL_free(subject);
	secured(s);
}

static void
gave_up(struct session *s, const char *why)
{
	failed++;
	log_info("session.tls_failed", F_STR("session", id_text(s->id).s), F_STR("client", ip_text(&s->ip).s),
	    F_STR("why", why),
	    F_STR("sni", s->tls != NULL ? SSL_get_servername(s->tls, TLSEXT_NAMETYPE_host_name) : NULL));
	session_finish(s, "no TLS");
}

/* --- halves --- */

static void
leave_half(struct session *s)
{
	if (!s->half)
		return;
	s->half = false;
	TAILQ_REMOVE(&half, s, turn);
	half_n--;
}

/* It is the client's turn.  An honest one takes it within the second, so who has to go when there are too many is the one who has
 * had it longest. */
static void
await_client(struct session *s, int want)
{
	s->half = true;
	TAILQ_INSERT_TAIL(&half, s, turn);
	if (++half_n > HALF_MOST)
		gave_up(TAILQ_FIRST(&half), "too many handshakes were begun and not finished");
	session_await(s, want);
}

/* Whoever sends nothing costs nothing of OpenSSL's. */
static bool
have_tls(struct session *s)
{
	const struct listener *l = s->listener;

	if (s->tls == NULL)
		s->tls = tls_server_new(s->fd, l->certificate->name, l->client_ca);
	return s->tls != NULL;
}

static void
step(struct session *s)
{
	int r = have_tls(s) ? tls_handshake(s->tls) : TLS_FAILED;
	char *why;

	if (s->tls == NULL) {
		gave_up(s, "no certificate can be used");
	} else if (r == TLS_DONE) {
		succeeded(s);
	} else if (r == TLS_FAILED) {
		why = tls_why("client");
		gave_up(s, why);
		free(why);
	} else {
		await_client(s, r);
	}
}

/* --- the line --- */

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct session *s;
	int n;

	(void)fd;
	(void)what;
	(void)arg;
	for (n = 0; n < AT_ONCE && (s = TAILQ_FIRST(&line)) != NULL; n++) {
		TAILQ_REMOVE(&line, s, turn);
		s->queued = false;
		step(s);
	}
	if (!TAILQ_EMPTY(&line))
		event_add(turn, &(struct timeval){ 0, 0 });
}

void
session_tls_init(void (*on_secured)(struct session *))
{
	secured = on_secured;
	turn = event_new(peer_base(), -1, 0, on_turn, NULL);
}

void
session_tls_ready(struct session *s)
{
	session_await(s, 0);
	if (s->queued)
		return;
	leave_half(s);
	s->queued = true;
	if (TAILQ_EMPTY(&line))
		event_add(turn, &(struct timeval){ 0, 0 });
	TAILQ_INSERT_TAIL(&line, s, turn);
}

void
session_tls_begin(struct session *s)
{
	s->upgrading = false;
	s->handshaking = true;
	patience_turn(s);
	if (s->deadline_ms > clock_ms() + HANDSHAKE_MS)
		session_set_timer(s, HANDSHAKE_MS);
	session_await(s, TLS_WANT_READ);
}

void
session_tls_timeout(struct session *s)
{
	gave_up(s, "the client did not finish the handshake in time");
}

void
session_tls_end(struct session *s)
{
	if (s->queued)
		TAILQ_REMOVE(&line, s, turn);
	leave_half(s);
	s->queued = s->handshaking = s->upgrading = false;
	if (s->tls == NULL)
		return;
	tls_goodbye(s->tls);
	SSL_free(s->tls);
	s->tls = NULL;
}

void
session_tls_stats(struct ctl *c)
{
	ctl_record(c, FIELDS(F_U64("tls_handshakes", done), F_U64("resumed", resumed), F_U64("failed", failed)));
}
