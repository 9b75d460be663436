/*
 * The cache of MTA-STS policies and the fetch under the sanitizers: DNS from a table, and a web server in this process at
 * port 443 of an address of loopback, which only root may have.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/http.h>

#include <setjmp.h>
#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "deliver/sts.h"
#include "deliver/sts_fetch.h"
#include "deliver/tls_client.h"
#include "lib/dns_table.h"
#include "lib/peer.h"
#include "lib/resolver.h"

#define ADDRESS "127.0.8.41"
#define POLICY "version: STSv1\nmode: enforce\nmax_age: 86400\nmx: mx.a.example\n"

static SSL_CTX *ctx;
static struct dns_table *table;
static struct web {
	int status;
	const char *type, *body;
	size_t body_len;
	unsigned requests;
} web;

/* --- the web server --- */

static struct bufferevent *
make_stream(struct event_base *base, void *arg)
{
	(void)arg;
	return bufferevent_openssl_socket_new(
	    base, -1, SSL_new(ctx), BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
}

static void
on_request(struct evhttp_request *request, void *arg)
{
	struct evbuffer *body = evbuffer_new();

	(void)arg;
	web.requests++;
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", web.type);
	evbuffer_add(body, web.body, web.body_len);
	evhttp_send_reply(request, web.status, "x", body);
	evbuffer_free(body);
}

static void
add_names(X509 *certificate)
{
	X509_EXTENSION *names = X509V3_EXT_conf_nid(
	    NULL, NULL, NID_subject_alt_name, "DNS:mta-sts.a.example,DNS:mta-sts.b.example");

	assert_int_equal(X509_add_ext(certificate, names, -1), 1);
	X509_EXTENSION_free(names);
}

/* One that is its own authority; PATH gets it. */
static void
make_certificate(const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();
	X509_NAME *name = X509_get_subject_name(certificate);
	FILE *file = fopen(path, "w");

	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"web", -1, -1, 0);
	X509_set_issuer_name(certificate, name);
	X509_set_pubkey(certificate, key);
	add_names(certificate);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	fclose(file);
	ctx = SSL_CTX_new(TLS_server_method());
	assert_int_equal(SSL_CTX_use_certificate(ctx, certificate), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

/* --- asking --- */

static unsigned answers;
static char found[200];

static void
on_text(const char *text, size_t len, const char *why, void *arg)
{
	(void)arg;
	answers++;
	snprintf(found, sizeof(found), "%.*s", text != NULL ? (int)len : 150, text != NULL ? text : why);
}

static void
on_policy(const struct sts_policy *policy, uint32_t ttl, void *arg)
{
	(void)ttl;
	(void)arg;
	answers++;
	snprintf(found, sizeof(found), "%s", policy != NULL ? policy->mx[0] : "none");
}

static void
await(unsigned n)
{
	while (answers < n)
		event_base_loop(peer_base(), EVLOOP_ONCE);
}

static void
serve(int status, const char *type, const char *body)
{
	web = (struct web){ .status = status, .type = type, .body = body, .body_len = strlen(body) };
}

static void
fetch(const char *domain, const char *expected)
{
	answers = 0;
	(void)sts_fetch(domain, on_text, NULL);
	await(1);
	if (strstr(found, expected) == NULL)
		fail_msg("%s: %s", domain, found);
}

static void
test_fetch(void **state)
{
	char *large = calloc(1, STS_TEXT_MAX + 2);
	struct sts_fetch *f;
	unsigned i;

	(void)state;
	serve(200, "text/plain; charset=utf-8", POLICY);
	fetch("a.example", POLICY);
	fetch("other.example", "hostname mismatch");
	fetch("nowhere.example", "mta-sts.nowhere.example has no address");
	fetch("closed.example", "does not answer over HTTPS");
	serve(404, "text/plain", "x");
	fetch("a.example", "the web server answers 404");
	serve(301, "text/plain", "x");
	fetch("a.example", "the web server answers 301");
	serve(200, "text/html", POLICY);
	fetch("a.example", "not text/plain");
	serve(200, "text/plainer", POLICY);
	fetch("a.example", "not text/plain");
	memset(large, 'x', STS_TEXT_MAX + 1);
	serve(200, "text/plain", large);
	answers = 0;
	(void)sts_fetch("a.example", on_text, NULL);
	await(1);
	assert_int_not_equal(found[0], 'x');
	free(large);
	/* given up at every stage */
	serve(200, "text/plain", POLICY);
	answers = 0;
	for (i = 0; i < 12; i++) {
		unsigned k;

		f = sts_fetch("a.example", on_text, NULL);
		for (k = 0; k < i && answers == 0; k++)
			event_base_loop(peer_base(), EVLOOP_ONCE);
		if (answers == 0)
			sts_fetch_cancel(f);
		answers = 0;
	}
	sts_fetch_cancel(NULL);
}

static void
find(const char *domain, const char *expected)
{
	answers = 0;
	(void)sts_find(domain, on_policy, NULL);
	assert_int_equal(answers, 0);
	await(1);
	if (strcmp(found, expected) != 0)
		fail_msg("%s: %s", domain, found);
}

static void
test_cache(void **state)
{
	struct sts_query *q;
	unsigned i;

	(void)state;
	serve(200, "text/plain", POLICY);
	answers = 0;
	for (i = 0; i < 5; i++)
		(void)sts_find("A.example", on_policy, NULL);
	q = sts_find("a.example", on_policy, NULL);
	sts_cancel(q);
	sts_cancel(NULL);
	await(5);
	assert_string_equal(found, "mx.a.example");
	assert_int_equal(web.requests, 1);
	serve(404, "text/plain", "x");
	find("a.example", "mx.a.example");
	assert_int_equal(web.requests, 0);
	/* a fetch that fails is not repeated */
	find("b.example", "none");
	find("b.example", "none");
	assert_int_equal(web.requests, 1);
	/* two records; none; one that is broken */
	find("two.example", "none");
	find("nothing.example", "none");
	find("broken.example", "none");
	assert_int_equal(web.requests, 1);
}

static int
setup(void **state)
{
	static const char *const records[] = { "mta-sts.a.example A " ADDRESS, "mta-sts.b.example A " ADDRESS,
		"mta-sts.other.example A " ADDRESS, "mta-sts.closed.example A 127.0.8.42",
		"_mta-sts.a.example TXT \"v=STSv1; id=1;\"", "_mta-sts.a.example TXT \"something else\"",
		"_mta-sts.b.example TXT \"v=STSv1; id=1;\"", "_mta-sts.two.example TXT \"v=STSv1; id=1;\"",
		"_mta-sts.two.example TXT \"v=STSv1; id=2;\"", "_mta-sts.broken.example TXT \"v=STSv1; id=;\"" };
	char path[] = "/tmp/test_sts.XXXXXX", *why = NULL;
	struct evhttp *http;
	size_t i;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	close(mkstemp(path));
	make_certificate(path);
	assert_int_equal(tls_client_prepare(path, &why), 0);
	unlink(path);
	peer_set_base(event_base_new());
	table = dns_table_new();
	for (i = 0; i < sizeof(records) / sizeof(records[0]); i++)
		assert_null(dns_table_add(table, records[i]));
	resolver_use_table(table);
	http = evhttp_new(peer_base());
	evhttp_set_bevcb(http, make_stream, NULL);
	evhttp_set_gencb(http, on_request, NULL);
	return evhttp_bind_socket(http, ADDRESS, 443);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_cache),
	};

	if (geteuid() != 0) {
		puts("skipped: only root may have port 443");
		return 0;
	}
	return cmocka_run_group_tests(tests, setup, NULL);
}
