/*
 * The SMTP client's TLS under the sanitizers: a server in this process that does what it should, or does not.
 */
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>

#include <setjmp.h>
#include <cmocka.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "deliver/smtp_client.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define TEXT "A: 1\r\n\r\nbody\r\n"

enum manner { HONEST, STRIPS, REFUSES, INJECTS, LEAVES };

static struct event_base *base;
static SSL_CTX *server_ctx;

/* --- the server --- */

struct server {
	struct bufferevent *bev;
	enum manner manner;
	bool secure, in_data;
	unsigned messages;
};

static void
say(struct server *s, const char *text)
{
	bufferevent_write(s->bev, text, strlen(text));
}

static void on_line(struct bufferevent *, void *);

static void
on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	((struct server *)arg)->secure |= (what & BEV_EVENT_CONNECTED) != 0;
}

static void
attend(struct server *s, struct bufferevent *bev)
{
	s->bev = bev;
	bufferevent_setcb(bev, on_line, NULL, on_event, s);
	bufferevent_enable(bev, EV_READ | EV_WRITE);
}

static void
start_tls(struct server *s)
{
	int fd = bufferevent_getfd(s->bev);

	bufferevent_flush(s->bev, EV_WRITE, BEV_FLUSH);
	bufferevent_setfd(s->bev, -1);
	bufferevent_free(s->bev);
	attend(s, bufferevent_openssl_socket_new(base, fd, SSL_new(server_ctx), BUFFEREVENT_SSL_ACCEPTING,
	    BEV_OPT_CLOSE_ON_FREE));
}

/* The words that go before the handshake leave at once. */
static void
say_now(struct server *s, const char *text)
{
	assert_int_equal(send(bufferevent_getfd(s->bev), text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void
answer_starttls(struct server *s)
{
	switch (s->manner) {
	case REFUSES:
		say(s, "454 4.7.0 not now\r\n");
		return;
	case INJECTS:
		say_now(s, "220 go\r\n250 injected\r\n");
		start_tls(s);
		return;
	case LEAVES:
		say_now(s, "220 go\r\n");
		shutdown(bufferevent_getfd(s->bev), SHUT_WR);
		return;
	default:
		say_now(s, "220 go\r\n");
		start_tls(s);
	}
}

static void
serve(struct server *s, const char *line)
{
	if (s->in_data) {
		s->in_data = strcmp(line, ".") != 0;
		s->messages += !s->in_data;
		if (!s->in_data)
			say(s, "250 taken\r\n");
	} else if (strncmp(line, "EHLO", 4) == 0) {
		say(s, s->secure || s->manner == STRIPS ? "250-them.example\r\n250 REQUIRETLS\r\n"
							: "250-them.example\r\n250 STARTTLS\r\n");
	} else if (strcmp(line, "STARTTLS") == 0) {
		answer_starttls(s);
	} else if (strcmp(line, "DATA") == 0) {
		s->in_data = true;
		say(s, "354 go\r\n");
	} else {
		say(s, "250 ok\r\n");
	}
}

static void
on_line(struct bufferevent *bev, void *arg)
{
	struct server *s = arg;
	char *line;

	while (bev == s->bev &&
	       (line = evbuffer_readln(bufferevent_get_input(bev), NULL, EVBUFFER_EOL_CRLF_STRICT)) != NULL) {
		serve(s, line);
		free(line);
	}
}

/* --- the client --- */

static struct {
	struct buf log;
	bool over;
} client;

static const struct job_recipient to[] = { { .index = 0, .address = "b@them.example" } };
static const struct smtp_client_message message = { .sender = "a@us.example", .size = sizeof(TEXT) - 1,
	.recipients_n = 1, .recipients = to, .content = TEXT, .content_len = sizeof(TEXT) - 1, .fd = -1, .requiretls = true };

static void
on_ready(struct smtp_client *c, void *arg)
{
	bool *sent = arg;

	if (!*sent) {
		*sent = true;
		buf_addf(&client.log, "%s%s%s\n", smtp_client_tls(c)[0] != '\0' ? "tls" : "clear",
		    smtp_client_is_verified(c) ? " verified" : "", smtp_client_takes_requiretls(c) ? " requiretls" : "");
		smtp_client_send(c, &message);
		return;
	}
	smtp_client_quit(c);
	client.over = true;
}

static void
on_result(struct smtp_client *c, unsigned i, enum delivery_status status, const char *text, void *arg)
{
	(void)c;
	(void)arg;
	buf_addf(&client.log, "%u %d %s\n", i, status, text);
}

static void
on_ended(struct smtp_client *c, const struct smtp_client_end *end, void *arg)
{
	(void)c;
	(void)arg;
	buf_addf(&client.log, "end %d%s %.9s\n", end->status, end->no_tls ? " no-tls" : "", end->text);
	client.over = true;
}

static void
run(enum manner manner, const struct smtp_client_security *security, const char *log)
{
	static const struct smtp_client_conf conf = { .host = "us.example", .connect_timeout = 5, .idle_timeout = 5 };
	static const struct smtp_client_ops ops = { on_ready, on_result, on_ended };
	struct server server = { .manner = manner };
	struct smtp_client *c;
	bool sent = false;
	int pair[2], i;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	evutil_make_socket_nonblocking(pair[0]);
	attend(&server, bufferevent_socket_new(base, pair[0], BEV_OPT_CLOSE_ON_FREE));
	if (security->implicit)
		start_tls(&server);
	say(&server, "220 them.example\r\n");
	c = smtp_client_new(base, &conf, &ops, &sent);
	smtp_client_secure(c, security);
	smtp_client_use(c, pair[1]);
	client.over = false;
	while (!client.over)
		event_base_loop(base, EVLOOP_ONCE);
	for (i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	bufferevent_free(server.bev);
	for (i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	if (strcmp(buf_str(&client.log), log) != 0)
		fail_msg("manner %d, need %d:\n%s", manner, security->tls.need, buf_str(&client.log));
	buf_free(&client.log);
}

#define WANT(what, ...) { .tls = { .need = (what), .name = "them.example" }, .policy = "route", ##__VA_ARGS__ }
#define DONE "0 0 250 taken\n"
#define LACK "end 4 451 4.7.5\n"

static void
test_manners(void **state)
{
	static const struct smtp_client_security none = WANT(TLS_NONE), may = WANT(TLS_MAY), encrypt = WANT(TLS_ENCRYPT),
	    pkix = WANT(TLS_PKIX), implicit = WANT(TLS_ENCRYPT, .implicit = true),
	    good = WANT(TLS_PKIX, .for_good = true);

	(void)state;
	run(HONEST, &none, "clear\n" DONE);
	run(HONEST, &may, "tls requiretls\n" DONE);
	run(HONEST, &encrypt, "tls requiretls\n" DONE);
	run(HONEST, &implicit, "tls requiretls\n" DONE);
	/* signed by itself */
	run(HONEST, &pkix, LACK);
	run(HONEST, &good, "end 2 550 5.7.1\n");
	run(STRIPS, &may, "clear\n" DONE);
	run(STRIPS, &encrypt, LACK);
	run(STRIPS, &good, "end 2 550 5.7.1\n");
	run(REFUSES, &may, "clear\n" DONE);
	run(REFUSES, &encrypt, LACK);
	run(INJECTS, &may, "end 3 451 4.7.0\n");
	run(INJECTS, &encrypt, "end 3 451 4.7.0\n");
	run(LEAVES, &may, "end 3 no-tls 451 4.7.5\n");
	run(LEAVES, &pkix, LACK);
}

/* The server's own key, as a TLSA record has it: right, and wrong by a bit. */
static void
test_dane(void **state)
{
	uint8_t rdata[3 + 32] = { 3, 1, 1 };
	struct tlsa tlsa = { rdata, sizeof(rdata) };
	struct smtp_client_security dane = { .tls = { .need = TLS_DANE, .name = "them.example", .dane_name = "mx.example",
		.dane_domain = "example", .tlsa = &tlsa, .tlsa_n = 1 }, .policy = "dane" };
	unsigned char *der = NULL;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(SSL_CTX_get0_certificate(server_ctx)), &der);

	(void)state;
	assert_int_equal(EVP_Digest(der, (size_t)n, rdata + 3, NULL, EVP_sha256(), NULL), 1);
	OPENSSL_free(der);
	run(HONEST, &dane, "tls verified requiretls\n" DONE);
	rdata[10] ^= 1;
	run(HONEST, &dane, LACK);
	tlsa.len--; /* OpenSSL takes no such record: then there is no proof, and no mail */
	run(HONEST, &dane, LACK);
}

static void
make_server_ctx(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"them.example", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	server_ctx = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(server_ctx, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(server_ctx, key), 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static int
setup(void **state)
{
	char *why = NULL;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	base = event_base_new();
	make_server_ctx();
	assert_int_equal(tls_client_prepare(NULL, &why), 0);
	assert_int_equal(tls_client_prepare("/dev/null", &why), -1);
	assert_non_null(strstr(why, "/dev/null: "));
	free(why);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	SSL_CTX_free(server_ctx);
	event_base_free(base);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manners),
		cmocka_unit_test(test_dane),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
