/*
 * Hops as text and back.
 *
 * The lookup role writes the text, the queue groups recipients by it and hands it on, the relay
 * reads it.  It is words with a space between: "mx DOMAIN", or HOST:PORT, where an address stands
 * in brackets as ip_text writes it; behind either "tls LEVEL" or "implicit-tls LEVEL", and "login
 * FILE", "source ADDRESS", "as NAME".  No configuration can put a space into one of them, so the
 * words are what they were; what was damaged on the way is no destination.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/destination.h"
#include "deliver/lookup.h"
#include "lib/buf.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"

#define HOPS_MAX 64

static const char *const levels[] = {
	[HOP_TLS_MAY] = "may",
	[HOP_TLS_OFF] = "off",
	[HOP_TLS_REQUIRED] = "required",
	[HOP_TLS_VERIFY] = "verify",
};
#define LEVELS_N (sizeof(levels) / sizeof(levels[0]))

const char *
hop_tls_name(enum hop_tls tls)
{
	return levels[tls];
}

/* A recipient at an address literal has no MX: RFC 5321 5.1. */
static bool
domain_address(const char *domain, struct ip *ip)
{
	return domain[0] == '[' && ip_parse_literal(domain, strlen(domain), ip);
}

static void
add_hop(struct buf *out, const struct hop *hop, const char *domain)
{
	struct ip ip = hop->ip;
	unsigned port = hop->port != 0 ? hop->port : SMTP_PORT;

	if (out->len > 0)
		buf_addc(out, ' ');
	if (hop->mx && !domain_address(domain, &ip))
		buf_addf(out, "mx %s", domain);
	else if (ip.family != 0)
		buf_addf(out, "[%s]:%u", ip_text(&ip).s, port);
	else
		buf_addf(out, "%s:%u", hop->host, port);
	if (hop->tls != HOP_TLS_MAY || hop->implicit_tls)
		buf_addf(out, hop->implicit_tls ? " implicit-tls %s" : " tls %s",
		    levels[hop->tls]);
	if (hop->login != NULL)
		buf_addf(out, " login %s", hop->login);
	if (hop->source4.family != 0)
		buf_addf(out, " source %s", ip_text(&hop->source4).s);
	if (hop->source6.family != 0)
		buf_addf(out, " source %s", ip_text(&hop->source6).s);
	if (hop->helo != NULL)
		buf_addf(out, " as %s", hop->helo);
}

char *
destination_text(const struct hop *hops, unsigned n, const char *domain)
{
	struct buf out = { 0 };
	unsigned i;

	for (i = 0; i < n; i++)
		add_hop(&out, &hops[i], domain);
	return buf_take(&out);
}

static bool
parse_port(const char *s, uint16_t *port)
{
	size_t len = strspn(s, "0123456789");
	unsigned long value;

	if (len == 0 || len > 5 || s[len] != '\0')
		return false;
	value = strtoul(s, NULL, 10);
	*port = (uint16_t)value;
	return value >= 1 && value <= UINT16_MAX;
}

/* "[192.0.2.1]:25" or "mail.example.net:25". */
static bool
parse_host(const char *word, struct hop *hop)
{
	const char *colon = strrchr(word, ':');
	char *host;
	bool ok;

	if (colon == NULL || !parse_port(colon + 1, &hop->port))
		return false;
	host = xstrndup(word, (size_t)(colon - word));
	hop->host = host;
	if (host[0] != '[')
		return mailaddr_domain_ok(host, strlen(host), MAILADDR_UTF8);
	host = xstrndup(host + 1, strlen(host) - 1);
	ok = host[0] != '\0' && host[strlen(host) - 1] == ']';
	if (ok) {
		host[strlen(host) - 1] = '\0';
		ok = ip_parse(host, &hop->ip);
	}
	free(host);
	return ok;
}

static bool
parse_level(const char *word, enum hop_tls *tls)
{
	size_t i;

	for (i = 0; word != NULL && i < LEVELS_N; i++) {
		if (strcmp(word, levels[i]) == 0) {
			*tls = (enum hop_tls)i;
			return true;
		}
	}
	return false;
}

static bool
parse_source(const char *word, struct hop *hop)
{
	struct ip ip, *source;

	if (word == NULL || !ip_parse(word, &ip))
		return false;
	source = ip.family == AF_INET ? &hop->source4 : &hop->source6;
	if (source->family != 0)
		return false;
	*source = ip;
	return true;
}

static bool
parse_helo(const char *word, struct hop *hop)
{
	if (word == NULL || hop->helo != NULL || !mailaddr_domain_ok(word, strlen(word), 0))
		return false;
	hop->helo = xstrdup(word);
	return true;
}

/* What stands behind a hop: true when WORD begins it; *OK is false when it makes no sense. */
static bool
parse_option(char **rest, const char *word, struct hop *hop, bool *ok)
{
	bool implicit = strcmp(word, "implicit-tls") == 0;

	if (implicit || strcmp(word, "tls") == 0) {
		hop->implicit_tls = implicit;
		*ok = parse_level(strsep(rest, " "), &hop->tls);
		return true;
	}
	if (strcmp(word, "source") == 0) {
		*ok = parse_source(strsep(rest, " "), hop);
		return true;
	}
	if (strcmp(word, "as") == 0) {
		*ok = parse_helo(strsep(rest, " "), hop);
		return true;
	}
	if (strcmp(word, "login") != 0)
		return false;
	word = strsep(rest, " ");
	*ok = word != NULL && word[0] == '/' && hop->login == NULL;
	if (*ok)
		hop->login = xstrdup(word);
	return true;
}

/* WORD, or two of them for an mx. */
static bool
parse_word(char **rest, const char *word, struct hop *hop, char **domain)
{
	if (strcmp(word, "mx") != 0)
		return parse_host(word, hop);
	word = strsep(rest, " ");
	hop->mx = true;
	hop->port = SMTP_PORT;
	if (word == NULL || !mailaddr_domain_ok(word, strlen(word), MAILADDR_UTF8))
		return false;
	if (*domain == NULL)
		*domain = xstrdup(word);
	return strcmp(*domain, word) == 0;
}

int
destination_parse(const char *text, struct hop **hops, unsigned *n, char **domain)
{
	char *copy = xstrdup(text), *rest = copy, *word;
	bool ok = true;

	*hops = NULL;
	*n = 0;
	*domain = NULL;
	while (ok && (word = strsep(&rest, " ")) != NULL) {
		if (*n > 0 && parse_option(&rest, word, &(*hops)[*n - 1], &ok))
			continue;
		*hops = xreallocarray(*hops, *n + 1, sizeof(**hops));
		(*hops)[*n] = (struct hop){ .mx = false };
		ok = parse_word(&rest, word, &(*hops)[(*n)++], domain) && *n <= HOPS_MAX;
	}
	free(copy);
	if (ok)
		return 0;
	destination_free(*hops, *n, *domain);
	*hops = NULL;
	*n = 0;
	*domain = NULL;
	return -1;
}

void
destination_free(struct hop *hops, unsigned n, char *domain)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		free(hops[i].host);
		free(hops[i].login);
		free(hops[i].helo);
	}
	free(hops);
	free(domain);
}

char *
destination_named(const char *text)
{
	char *domain, *named = NULL, *with_port = xasprintf("%s:%d", text, SMTP_PORT);
	struct hop *hops;
	unsigned n;

	if (destination_parse(text, &hops, &n, &domain) == 0 ||
	    destination_parse(with_port, &hops, &n, &domain) == 0) {
		named = destination_text(hops, n, domain != NULL ? domain : "");
		destination_free(hops, n, domain);
	}
	free(with_port);
	return named;
}
