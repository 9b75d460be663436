/*
 * TLS of a server in one process, against a client of OpenSSL's: what is wrong with files, which
 * certificate is chosen, what is stapled, what tickets are good for, who a client proves to be, and the
 * words for what fails.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/err.h>

#include "lib/mem.h"
#include "lib/tls_server.h"
#include "regress/unit/certs.h"

static struct cert root, mid, mx, mx_rsa, other, old, young, weak, alice, stranger;
static uint8_t tickets[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];

static EVP_PKEY *
ec(void)
{
	return EVP_EC_gen("P-256");
}

static int
make_all(void **state)
{
	(void)state;
	root = cert_make(ec(), "Test Root", NULL, NULL, -1000, 1000);
	mid = cert_make(ec(), "Test Intermediate", NULL, &root, -1000, 1000);
	mx = cert_make(ec(), "mx.example.org", "DNS:mx.example.org", &mid, -1, 30);
	mx_rsa = cert_make(EVP_RSA_gen(2048), "mx.example.org", "DNS:mx.example.org", &mid, -1, 30);
	other = cert_make(ec(), "other", "DNS:*.example.net,DNS:other.example.com", &mid, -1, 30);
	old = cert_make(ec(), "mx.example.org", "DNS:mx.example.org", &mid, -30, -1);
	young = cert_make(ec(), "mx.example.org", "DNS:mx.example.org", &mid, 2, 30);
	weak = cert_make(EVP_RSA_gen(1024), "mx.example.org", "DNS:mx.example.org", &mid, -1, 30);
	alice = cert_make(ec(), "Alice", "email:alice@example.org", &root, -1, 30);
	stranger = cert_make(ec(), "Alice", "email:alice@example.org", NULL, -1, 30);
	memset(tickets, 'a', sizeof(tickets[0]));
	memset(tickets[1], 'b', sizeof(tickets[0]));
	memset(tickets[2], 'c', sizeof(tickets[0]));
	return 0;
}

static int
free_all(void **state)
{
	struct cert *all[] = { &root, &mid, &mx, &mx_rsa, &other, &old, &young, &weak, &alice, &stranger };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		cert_free(all[i]);
	return 0;
}

/* --- files --- */

struct files {
	struct buf chain, key, ocsp;
};

static struct tls_pair
pair_of(const struct files *f)
{
	return (struct tls_pair){ f->chain.data, f->key.data, f->ocsp.data, f->chain.len, f->key.len, f->ocsp.len };
}

static void
free_files(struct files *f)
{
	buf_free(&f->chain);
	buf_free(&f->key);
	buf_free(&f->ocsp);
}

/* C with its key, the intermediate behind it. */
static struct files
files_of(const struct cert *c)
{
	struct files f = { 0 };

	cert_pem(&f.chain, c);
	cert_pem(&f.chain, &mid);
	key_pem(&f.key, c->key, NULL);
	return f;
}

static void
note(enum tls_file file, bool fatal, const char *why, void *arg)
{
	static const char *const names[] = { "chain", "key", "ocsp" };

	buf_addf(arg, "%s %s %s\n", fatal ? "error" : "warning", names[file], why);
}

/* The complaints about F begin with WANT; "" for none. */
static void
expect(struct files f, const char *want)
{
	struct tls_pair p = pair_of(&f);
	struct buf said = { 0 };
	bool ok = tls_pair_check(&p, "mx.example.org", note, &said);

	if (strncmp(buf_str(&said), want, *want == '\0' ? said.len + 1 : strlen(want)) != 0)
		fail_msg("want \"%s\", got \"%s\"", want, buf_str(&said));
	assert_int_equal(ok, strstr(buf_str(&said), "error ") == NULL);
	assert_int_equal(ERR_peek_error(), 0);
	buf_free(&said);
	free_files(&f);
}

static void
test_files(void **state)
{
	struct files f;

	(void)state;
	expect(files_of(&mx), "");
	expect(files_of(&mx_rsa), "");
	f = files_of(&mx);
	buf_free(&f.chain);
	expect(f, "error chain holds no certificate");
	f = files_of(&mx);
	buf_clear(&f.chain);
	buf_adds(&f.chain, "-----BEGIN CERTIFICATE-----\nbm90IG9uZQ==\n-----END CERTIFICATE-----\n");
	expect(f, "error chain holds no certificate");
	f = files_of(&mx);
	buf_free(&f.key);
	expect(f, "error key holds no private key");
	f = files_of(&mx); /* the files are swapped */
	buf_clear(&f.key);
	cert_pem(&f.key, &mx);
	expect(f, "error key holds no private key");
	f = files_of(&mx);
	buf_clear(&f.key);
	key_pem(&f.key, mx.key, "secret");
	expect(f, "error key is locked by a passphrase");
	f = files_of(&mx);
	buf_clear(&f.key);
	key_pem(&f.key, other.key, NULL);
	expect(f, "error key does not fit the certificate");
	f = files_of(&mx);
	buf_clear(&f.key);
	key_pem(&f.key, mid.key, NULL);
	expect(f, "error key fits a certificate of the chain that is not the first");
	f = files_of(&mx);
	cert_pem(&f.chain, &other);
	expect(f, "warning chain is out of order");
	expect(files_of(&other), "warning chain is not made out to the name");
	expect(files_of(&weak), "error chain cannot be used: ee key too small");
}

static void
test_dates(void **state)
{
	struct files f = files_of(&old);
	struct tls_pair p = pair_of(&f);

	(void)state;
	assert_true(tls_pair_expires(&p) < time(NULL) && tls_pair_expires(&p) > time(NULL) - 2 * DAY);
	expect(f, "warning chain has expired on 20");
	expect(files_of(&young), "warning chain is not valid before 20");
	f = files_of(&mx);
	p = pair_of(&f);
	assert_true(tls_pair_expires(&p) > time(NULL));
	assert_string_equal(tls_pair_kind(&p), "id-ecPublicKey");
	free_files(&f);
	f = files_of(&mx_rsa);
	p = pair_of(&f);
	assert_string_equal(tls_pair_kind(&p), "rsaEncryption");
	free_files(&f);
	p = (struct tls_pair){ NULL, NULL, NULL, 0, 0, 0 };
	assert_null(tls_pair_kind(&p));
	assert_int_equal(tls_pair_expires(&p), 0);
	assert_int_equal(tls_authorities("x", 1), 0);
}

static void
test_ocsp_files(void **state)
{
	struct files f = files_of(&mx);

	(void)state;
	ocsp_der(&f.ocsp, &mx, &mid, V_OCSP_CERTSTATUS_GOOD, 2);
	expect(f, "");
	f = files_of(&mx);
	ocsp_der(&f.ocsp, &mx, &mid, V_OCSP_CERTSTATUS_GOOD, -2);
	expect(f, "warning ocsp was good until 20");
	f = files_of(&mx);
	ocsp_der(&f.ocsp, &mx, &mid, V_OCSP_CERTSTATUS_REVOKED, 2);
	expect(f, "warning ocsp says that this certificate is revoked");
	f = files_of(&mx);
	ocsp_der(&f.ocsp, &mx, &mid, V_OCSP_CERTSTATUS_UNKNOWN, 2);
	expect(f, "warning ocsp says nothing of this certificate");
	f = files_of(&mx);
	ocsp_der(&f.ocsp, &other, &mid, V_OCSP_CERTSTATUS_GOOD, 2);
	expect(f, "warning ocsp says nothing of this certificate");
	f = files_of(&mx);
	buf_adds(&f.ocsp, "<html>404</html>");
	expect(f, "warning ocsp is no OCSP response");
}

/* --- serving --- */

static void
add_site(struct buf *b, const char *name, const struct cert *first, const struct cert *second, int staple)
{
	struct files f[2] = { files_of(first) };
	struct tls_pair pairs[2];
	unsigned n = 1;

	if (staple >= 0)
		ocsp_der(&f[0].ocsp, first, &mid, staple, 2);
	if (second != NULL)
		f[n++] = files_of(second);
	pairs[0] = pair_of(&f[0]);
	pairs[1] = pair_of(&f[1]);
	tls_bundle_certificate(b, name, pairs, n);
	free_files(&f[0]);
	free_files(&f[1]);
}

static void
add_authorities(struct buf *b, const char *path, const struct cert *c)
{
	struct buf pem = { 0 };

	cert_pem(&pem, c);
	tls_bundle_authorities(b, path, pem.data, pem.len);
	buf_free(&pem);
}

static void
load(struct buf *b)
{
	char *why = tls_server_load(b->data, b->len);

	if (why != NULL)
		fail_msg("%s", why);
	buf_wipe(b);
	assert_null(b->data);
}

static void
load_usual(void)
{
	struct buf b = { 0 };

	tls_bundle_tickets(&b, tickets);
	add_site(&b, "first", &mx, &mx_rsa, V_OCSP_CERTSTATUS_GOOD);
	add_site(&b, "second", &other, NULL, V_OCSP_CERTSTATUS_REVOKED);
	add_authorities(&b, "/ca", &root);
	add_authorities(&b, "/other-ca", &mid);
	load(&b);
}

/* A client as a test wants it, and what came of it. */
struct try {
	const char *sni, *sigalgs, *authorities;
	int least, most; /* versions */
	const struct cert *trust, *own;
	bool ask_status;
	SSL_SESSION *session; /* in: to resume; out: the new one */
	/* out */
	bool ok, resumed;
	char peer[64];      /* the server's common name */
	int key_type;
	bool stapled;
	char tls[80];
	char *server_why, *client_why, *client_name;
	void (*then)(SSL *server, SSL *client); /* when all is agreed; or NULL */
};

static void
keep(char *out, size_t size, SSL *client)
{
	X509 *x = SSL_get0_peer_certificate(client);

	*out = '\0';
	if (x != NULL)
		X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, out, (int)size);
}

static SSL_CTX *
client_context(const struct try *t)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	SSL_CTX_set_security_level(ctx, t->most != 0 && t->most < TLS1_2_VERSION ? 0 : 1);
	SSL_CTX_set_min_proto_version(ctx, t->least);
	SSL_CTX_set_max_proto_version(ctx, t->most);
	if (t->sigalgs != NULL)
		assert_int_equal(SSL_CTX_set1_sigalgs_list(ctx, t->sigalgs), 1);
	if (t->trust != NULL) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), t->trust->x);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	}
	if (t->own != NULL) {
		SSL_CTX_use_certificate(ctx, t->own->x);
		SSL_CTX_use_PrivateKey(ctx, t->own->key);
	}
	return ctx;
}

/* Both sides in turn, until each is done or has failed.  In the end an octet goes each way, so that
 * tickets arrive. */
static void
pump(struct try *t, SSL *server, SSL *client)
{
	int s = TLS_WANT_READ, c = TLS_WANT_READ, n;
	char octet;

	for (n = 0; n < 100 && (s < TLS_DONE || c < TLS_DONE); n++) {
		if (c < TLS_DONE && c != TLS_FAILED && (c = tls_handshake(client)) == TLS_FAILED)
			t->client_why = tls_why("server");
		if (s < TLS_DONE && s != TLS_FAILED && (s = tls_handshake(server)) == TLS_FAILED)
			t->server_why = tls_why("client");
	}
	/* with TLS 1.3 the client is done first, and then may hear that it is not let in, and the
	 * server what the client thinks */
	if (s == TLS_DONE && tls_write(server, "x", 1) == 1 && c == TLS_DONE && tls_read(client, &octet, 1) == 1 &&
	    tls_write(client, "y", 1) == 1)
		t->ok = tls_read(server, &octet, 1) == 1;
}

static void
try(struct try *t, const char *name)
{
	SSL_CTX *ctx = client_context(t);
	SSL *client = SSL_new(ctx), *server;
	const unsigned char *staple;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
	server = tls_server_new(fds[0], name, t->authorities);
	assert_non_null(server);
	SSL_set_fd(client, fds[1]);
	SSL_set_connect_state(client);
	if (t->sni != NULL)
		SSL_set_tlsext_host_name(client, t->sni);
	if (t->ask_status)
		SSL_set_tlsext_status_type(client, TLSEXT_STATUSTYPE_ocsp);
	if (t->session != NULL)
		SSL_set_session(client, t->session);
	SSL_SESSION_free(t->session);
	assert_string_equal(tls_name(server).s, "");
	pump(t, server, client);
	if (t->then != NULL)
		t->then(server, client);
	t->resumed = SSL_session_reused(server);
	keep(t->peer, sizeof(t->peer), client);
	if (SSL_get0_peer_certificate(client) != NULL)
		t->key_type = EVP_PKEY_get_base_id(X509_get0_pubkey(SSL_get0_peer_certificate(client)));
	t->stapled = SSL_get_tlsext_status_ocsp_resp(client, &staple) > 0;
	snprintf(t->tls, sizeof(t->tls), "%s", tls_name(server).s);
	t->client_name = tls_client_name(server);
	t->session = SSL_get1_session(client);
	tls_goodbye(server);
	tls_goodbye(client); /* else OpenSSL takes its session for a bad one */
	SSL_free(server);
	SSL_free(client);
	SSL_CTX_free(ctx);
	close(fds[0]);
	close(fds[1]);
}

static void
done(struct try *t)
{
	SSL_SESSION_free(t->session);
	free(t->server_why);
	free(t->client_why);
	free(t->client_name);
}

static void
test_certificate_by_name(void **state)
{
	static const struct {
		const char *sni, *want;
	} rows[] = { { NULL, "mx.example.org" }, { "mx.example.org", "mx.example.org" }, { "MX.Example.ORG", "mx.example.org" },
		{ "a.example.net", "other" }, { "other.example.com", "other" }, { "second", "other" },
		{ "example.net", "mx.example.org" }, { "nobody.example", "mx.example.org" },
		{ "a.b.example.net", "mx.example.org" } };
	size_t i;

	(void)state;
	load_usual();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct try t = { .sni = rows[i].sni };

		try(&t, "first");
		assert_true(t.ok);
		assert_string_equal(t.peer, rows[i].want);
		assert_string_equal(t.tls, "TLSv1.3 TLS_AES_256_GCM_SHA384");
		done(&t);
	}
	assert_null(tls_server_new(0, "third", NULL));
}

static void
test_kind_of_key(void **state)
{
	struct try rsa = { .sigalgs = "RSA-PSS+SHA256:RSA+SHA256" }, old_client = { .most = TLS1_2_VERSION };

	(void)state;
	load_usual();
	try(&rsa, "first");
	assert_int_equal(rsa.key_type, EVP_PKEY_RSA);
	done(&rsa);
	try(&old_client, "first");
	assert_int_equal(old_client.key_type, EVP_PKEY_EC);
	assert_string_equal(old_client.tls, "TLSv1.2 TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256");
	done(&old_client);
}

static void
test_verified_by_chain(void **state)
{
	struct try t = { .trust = &root, .sni = "mx.example.org" };

	(void)state;
	load_usual();
	try(&t, "first");
	assert_true(t.ok);
	done(&t);
}

static void
test_stapling(void **state)
{
	struct try good = { .ask_status = true }, rsa = { .ask_status = true, .sigalgs = "RSA-PSS+SHA256:RSA+SHA256" },
	    revoked = { .ask_status = true, .sni = "second" }, silent = { .sni = NULL };

	(void)state;
	load_usual();
	try(&good, "first");
	assert_true(good.stapled);
	done(&good);
	try(&rsa, "first"); /* it was about the other certificate */
	assert_true(rsa.ok && !rsa.stapled);
	done(&rsa);
	try(&revoked, "first");
	assert_true(revoked.ok && !revoked.stapled);
	done(&revoked);
	try(&silent, "first");
	assert_true(silent.ok && !silent.stapled);
	done(&silent);
}

static bool
resumes(struct try *t)
{
	t->ok = false;
	try(t, "first");
	assert_true(t->ok);
	return t->resumed;
}

static void
shift_tickets(uint8_t new)
{
	memmove(tickets[1], tickets[0], sizeof(tickets) - sizeof(tickets[0]));
	memset(tickets[0], new, sizeof(tickets[0]));
	load_usual();
}

/* A ticket is good wherever its key is known: after a reload, after one shift, not after two. */
static void
test_tickets(void **state)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	size_t i;

	(void)state;
	for (i = 0; i < 2; i++) {
		struct try t = { .least = versions[i], .most = versions[i] };
		SSL_SESSION *first;

		load_usual();
		assert_false(resumes(&t));
		first = t.session;
		SSL_SESSION_up_ref(first);
		load_usual();
		assert_true(resumes(&t));
		SSL_SESSION_free(t.session);
		shift_tickets((uint8_t)(1 + i * 4));
		SSL_SESSION_up_ref(first);
		t.session = first;
		assert_true(resumes(&t));
		shift_tickets((uint8_t)(2 + i * 4));
		SSL_SESSION_free(t.session);
		t.session = first;
		assert_false(resumes(&t));
		done(&t);
	}
}

/* Each ends a read, so that one who sends nothing but these has no more than his turn. */
static void
change_keys(SSL *server, SSL *client)
{
	char octet;
	int i;

	for (i = 0; i < 3; i++) {
		assert_int_equal(SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED), 1);
		assert_int_equal(SSL_do_handshake(client), 1);
	}
	assert_int_equal(tls_write(client, "z", 1), 1);
	for (i = 0; i < 3; i++)
		assert_int_equal(tls_read(server, &octet, 1), TLS_WANT_READ);
	assert_int_equal(tls_read(server, &octet, 1), 1);
	assert_int_equal(octet, 'z');
}

static void
test_key_updates(void **state)
{
	struct try t = { .least = TLS1_3_VERSION, .then = change_keys };

	(void)state;
	load_usual();
	try(&t, "first");
	assert_true(t.ok);
	done(&t);
}

static void
test_client_certificates(void **state)
{
	struct try asked = { .authorities = "/ca", .own = &alice }, not_asked = { .own = &alice },
	    none = { .authorities = "/ca" }, unknown = { .authorities = "/ca", .own = &stranger },
	    by_name = { .authorities = "/ca", .own = &alice, .sni = "second" };

	(void)state;
	load_usual();
	try(&asked, "first");
	assert_true(asked.ok);
	assert_string_equal(asked.client_name, "alice@example.org");
	done(&asked);
	try(&not_asked, "first");
	assert_true(not_asked.ok);
	assert_null(not_asked.client_name);
	done(&not_asked);
	try(&none, "first");
	assert_true(none.ok);
	assert_null(none.client_name);
	done(&none);
	try(&unknown, "first"); /* is let in, and has proved nothing */
	assert_true(unknown.ok);
	assert_null(unknown.client_name);
	done(&unknown);
	try(&by_name, "first"); /* who is asked does not depend on the name */
	assert_true(by_name.ok);
	assert_string_equal(by_name.client_name, "alice@example.org");
	done(&by_name);
}

/* A ticket remembers who the client was, and is nothing to a listener that trusts others. */
static void
test_tickets_and_client_certificates(void **state)
{
	struct try t = { .authorities = "/ca", .own = &alice };

	(void)state;
	load_usual();
	assert_false(resumes(&t));
	free(t.client_name);
	assert_true(resumes(&t));
	assert_string_equal(t.client_name, "alice@example.org");
	free(t.client_name);
	t.authorities = "/other-ca";
	assert_false(resumes(&t));
	assert_null(t.client_name);
	free(t.client_name);
	t.authorities = NULL;
	assert_false(resumes(&t));
	done(&t);
}

/* --- what fails --- */

static void
test_old_client(void **state)
{
	struct try t = { .least = TLS1_VERSION, .most = TLS1_1_VERSION };

	(void)state;
	load_usual();
	try(&t, "first");
	assert_false(t.ok);
	assert_string_equal(t.server_why, "the client speaks only TLS 1.1 or older; 1.2 is the least that we take");
	assert_string_equal(t.client_why, "the server has no version of TLS in common with us");
	done(&t);
}

static void
test_distrusting_client(void **state)
{
	struct try t = { .trust = &alice, .most = TLS1_2_VERSION };

	(void)state;
	load_usual();
	try(&t, "first");
	assert_false(t.ok);
	assert_string_equal(t.server_why, "the client does not know who signed our certificate (alert unknown_ca)");
	assert_string_equal(t.client_why, "the server has a certificate that cannot be verified");
	done(&t);
}

/* What a client sends instead of a ClientHello. */
static void
test_garbage(void **state)
{
	static const struct {
		const char *octets, *why;
	} rows[] = {
		{ "EHLO client.example\r\n", "the client sent something that is no TLS" },
		{ "GET / HTTP/1.0\r\n\r\n", "the client speaks HTTP, not TLS" },
		{ "\x16\x03\x01\x00\x02\x01", "the client left" },
		{ "", "the client left" },
	};
	size_t i;

	(void)state;
	load_usual();
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int fds[2], r;
		char *why;
		SSL *ssl;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		ssl = tls_server_new(fds[0], "first", NULL);
		assert_int_equal(tls_handshake(ssl), TLS_WANT_READ);
		assert_int_equal(write(fds[1], rows[i].octets, strlen(rows[i].octets)), strlen(rows[i].octets));
		shutdown(fds[1], SHUT_WR);
		while ((r = tls_handshake(ssl)) == TLS_WANT_READ)
			;
		assert_int_equal(r, TLS_FAILED);
		why = tls_why("client");
		assert_string_equal(why, rows[i].why);
		assert_int_equal(ERR_peek_error(), 0);
		free(why);
		SSL_free(ssl);
		close(fds[0]);
		close(fds[1]);
	}
}

static void
test_words(void **state)
{
	static const struct {
		unsigned long error;
		const char *words;
	} rows[] = {
		{ 0, "the server left" },
		{ ERR_PACK(ERR_LIB_SSL, 0, SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED),
		    "the server says our certificate has expired (alert certificate_expired)" },
		{ ERR_SYSTEM_FLAG | 104, "the connection to the server is lost: Connection reset by peer" },
	};
	size_t i;
	char *words;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		words = tls_error_words("server", rows[i].error);
		assert_string_equal(words, rows[i].words);
		free(words);
	}
	words = tls_error_words("server", ERR_PACK(ERR_LIB_SSL, 0, SSL_R_BAD_EXTENSION));
	assert_non_null(strstr(words, "TLS with the server failed: "));
	assert_non_null(strstr(words, "bad extension"));
	free(words);
}

/* Cut off anywhere, or with a pair that is none: what was served before goes on. */
static void
test_bad_bundles(void **state)
{
	struct buf b = { 0 };
	struct files f = files_of(&mx);
	struct tls_pair p = pair_of(&f);
	struct try t = { .sni = NULL };
	char *why;
	size_t n;

	(void)state;
	load_usual();
	tls_bundle_tickets(&b, tickets);
	add_site(&b, "first", &other, NULL, -1);
	n = b.len;
	add_authorities(&b, "/ca", &root);
	for (size_t i = 0; i < b.len; i += i < n ? 37 : 1) {
		if (i == n || i == sizeof(tickets))
			continue; /* whole ones */
		why = tls_server_load(b.data, i);
		if (why == NULL)
			fail_msg("%zu octets of %zu were taken", i, b.len);
		free(why);
	}
	buf_clear(&b);
	tls_bundle_tickets(&b, tickets);
	p.key_len /= 2;
	tls_bundle_certificate(&b, "first", &p, 1);
	why = tls_server_load(b.data, b.len);
	assert_non_null(why);
	free(why);
	try(&t, "first");
	assert_string_equal(t.peer, "mx.example.org");
	done(&t);
	free_files(&f);
	buf_wipe(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_ocsp_files),
		cmocka_unit_test(test_certificate_by_name),
		cmocka_unit_test(test_kind_of_key),
		cmocka_unit_test(test_verified_by_chain),
		cmocka_unit_test(test_stapling),
		cmocka_unit_test(test_tickets),
		cmocka_unit_test(test_key_updates),
		cmocka_unit_test(test_client_certificates),
		cmocka_unit_test(test_tickets_and_client_certificates),
		cmocka_unit_test(test_old_client),
		cmocka_unit_test(test_distrusting_client),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_bad_bundles),
	};

	return cmocka_run_group_tests(tests, make_all, free_all);
}
