/*
 * The HTTPS client for MTA-STS (sts_fetch.h): libevent's evhttp over its TLS stream.
 *
 * The policy cache calls it.  The host's addresses are asked of our resolver and tried one after
 * the other; evhttp gets them as numbers, so that it never asks a name server itself, which would
 * block.  Nothing is ended from inside evhttp's callbacks: what they say is noted, and the next
 * turn of the loop acts on it.  Whatever goes wrong is a reason in words and no policy.
 */
#include <sys/socket.h>

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/http.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "deliver/sts_fetch.h"
#include "deliver/sts_policy.h"
#include "deliver/tls_client.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"

#define HTTPS_PORT 443
#define PATH "/.well-known/mta-sts.txt"
#define SECONDS 60 /* in all */
#define HEADERS_MAX (16 * 1024)
#define ADDRESSES_MAX 8

enum { FAMILY_V6, FAMILY_V4, FAMILIES };

struct sts_fetch {
	void (*callback)(const char *, size_t, const char *, void *);
	void *arg;
	char *host; /* mta-sts.DOMAIN */
	struct resolver_query *asked[FAMILIES];
	struct ip ips[FAMILIES][ADDRESSES_MAX / 2];
	unsigned ips_n[FAMILIES];
	struct ip order[ADDRESSES_MAX];
	unsigned order_n, next;
	struct evhttp_connection *connection;
	struct bufferevent *bev;
	struct event timer, turn;
	bool answered;
	struct buf text;
	char *why; /* NULL when ANSWERED: there is a text */
};

static void
release(struct sts_fetch *f)
{
	unsigned i;

	for (i = 0; i < FAMILIES; i++) {
		if (f->asked[i] != NULL)
			resolver_cancel(f->asked[i]);
	}
	event_del(&f->timer);
	event_del(&f->turn);
	if (f->connection != NULL)
		evhttp_connection_free(f->connection);
	buf_free(&f->text);
	free(f->why);
	free(f->host);
	free(f);
}

void
sts_fetch_cancel(struct sts_fetch *f)
{
	if (f != NULL)
		release(f);
}

static void __attribute__((format(printf, 2, 3)))
fail(struct sts_fetch *f, const char *fmt, ...)
{
	va_list ap;

	free(f->why);
	va_start(ap, fmt);
	f->why = xvasprintf(fmt, ap);
	va_end(ap);
}

/* --- the answer --- */

/* RFC 8461 3.2: text/plain, whatever parameters it has. */
static bool
is_plain_text(struct evhttp_request *request)
{
	const char *type = evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");
	size_t len = strlen("text/plain");

	return type != NULL && strncasecmp(type, "text/plain", len) == 0 &&
	       (type[len] == '\0' || strchr("; \t", type[len]) != NULL);
}

/* No answer at all: of TLS we know why. */
static void
note_failure(struct sts_fetch *f)
{
	SSL *ssl = bufferevent_openssl_get_ssl(f->bev);
	unsigned long error = bufferevent_get_openssl_error(f->bev);
	char *why;

	if (ERR_GET_LIB(error) == 0 && SSL_get_verify_result(ssl) == X509_V_OK) {
		fail(f, "%s does not answer over HTTPS", ip_text(&f->order[f->next - 1]).s);
		return;
	}
	why = tls_client_why(ssl, error);
	fail(f, "%s: %s", ip_text(&f->order[f->next - 1]).s, why);
	free(why);
}

static void
on_response(struct evhttp_request *request, void *arg)
{
	struct sts_fetch *f = arg;
	int code = request != NULL ? evhttp_request_get_response_code(request) : 0;
	struct evbuffer *body;

	event_active(&f->turn, 0, 0);
	if (code == 0) {
		note_failure(f);
		return;
	}
	f->answered = true;
	free(f->why); /* of another address */
	f->why = NULL;
	body = evhttp_request_get_input_buffer(request);
	if (code != HTTP_OK)
		fail(f, "the web server answers %d", code);
	else if (!is_plain_text(request))
		fail(f, "the answer is not text/plain");
	else if (evbuffer_get_length(body) > STS_TEXT_MAX)
		fail(f, "the answer is longer than 64K");
	else
		buf_add(&f->text, evbuffer_pullup(body, -1), evbuffer_get_length(body));
}

/* --- asking --- */

static bool
connect_to(struct sts_fetch *f, const struct ip *ip)
{
	const struct tls_target target = { .need = TLS_PKIX, .name = f->host };
	struct evhttp_request *request;
	struct evkeyvalq *headers;
	struct ssl_st *ssl;
	char *why;

	ssl = tls_client_new(&target, &why);
	if (ssl == NULL) {
		fail(f, "%s", why);
		free(why);
		return false;
	}
	f->bev = bufferevent_openssl_socket_new(peer_base(), -1, ssl, BUFFEREVENT_SSL_CONNECTING,
	    BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	bufferevent_openssl_set_allow_dirty_shutdown(f->bev, 1);
	f->connection = evhttp_connection_base_bufferevent_new(
	    peer_base(), NULL, f->bev, ip_text(ip).s, HTTPS_PORT);
	evhttp_connection_set_max_body_size(f->connection, STS_TEXT_MAX);
	evhttp_connection_set_max_headers_size(f->connection, HEADERS_MAX);
	evhttp_connection_set_timeout(f->connection, SECONDS);
	request = evhttp_request_new(on_response, f);
	headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Host", f->host);
	evhttp_add_header(headers, "Connection", "close");
	return evhttp_make_request(f->connection, request, EVHTTP_REQ_GET, PATH) == 0;
}

/* The next address; false: none is left. */
static bool
try_next(struct sts_fetch *f)
{
	if (f->connection != NULL)
		evhttp_connection_free(f->connection);
	f->connection = NULL;
	while (f->next < f->order_n) {
		if (connect_to(f, &f->order[f->next++]))
			return true;
		if (f->connection != NULL)
			evhttp_connection_free(f->connection);
		f->connection = NULL;
	}
	return false;
}

static void
finish(struct sts_fetch *f)
{
	if (f->why == NULL && !f->answered)
		fail(f, "there is no answer");
	if (f->why != NULL)
		f->callback(NULL, 0, f->why, f->arg);
	else
		f->callback(buf_str(&f->text), f->text.len, NULL, f->arg);
	release(f);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct sts_fetch *f = arg;

	(void)fd;
	(void)what;
	if (f->answered || !try_next(f))
		finish(f);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct sts_fetch *f = arg;

	(void)fd;
	(void)what;
	fail(f, "there is no answer within a minute");
	f->answered = true;
	finish(f);
}

/* --- addresses --- */

static void
answered(struct sts_fetch *f, unsigned family, const struct dns_answer *answer)
{
	unsigned i, k;

	f->asked[family] = NULL;
	for (i = 0; i < answer->records_n && f->ips_n[family] < ADDRESSES_MAX / 2; i++)
		f->ips[family][f->ips_n[family]++] = answer->records[i].ip;
	if (f->asked[FAMILY_V6] != NULL || f->asked[FAMILY_V4] != NULL)
		return;
	for (i = 0; i < FAMILIES; i++) {
		for (k = 0; k < f->ips_n[i]; k++)
			f->order[f->order_n++] = f->ips[i][k];
	}
	if (f->order_n == 0)
		fail(f, "%s has no address", f->host);
	event_active(&f->turn, 0, 0);
}

static void
on_aaaa(const struct dns_answer *answer, void *arg)
{
	answered(arg, FAMILY_V6, answer);
}

static void
on_a(const struct dns_answer *answer, void *arg)
{
	answered(arg, FAMILY_V4, answer);
}

struct sts_fetch *
sts_fetch(const char *domain, void (*callback)(const char *, size_t, const char *, void *),
    void *arg)
{
	struct sts_fetch *f = xcalloc(1, sizeof(*f));

	f->callback = callback;
	f->arg = arg;
	f->host = xasprintf("mta-sts.%s", domain);
	event_assign(&f->turn, peer_base(), -1, 0, on_turn, f);
	evtimer_assign(&f->timer, peer_base(), on_timer, f);
	event_add(&f->timer, &(struct timeval){ SECONDS, 0 });
	f->asked[FAMILY_V6] = resolver_ask(f->host, DNS_AAAA, on_aaaa, f);
	f->asked[FAMILY_V4] = resolver_ask(f->host, DNS_A, on_a, f);
	return f;
}
