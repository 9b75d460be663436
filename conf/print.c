/*
 * The effective configuration as text, one function a statement.
 *
 * `smtpctl config show` prints it.  Everything is written out, defaults too, so that what is
 * printed parses to the same configuration wherever it is read, and prints to the same text
 * (regress/unit/test_conf.c).  Cannot fail.
 */
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "deliver/destination.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "lib/quote.h"
#include "lib/table.h"

#define DNS_PORT 53
#define COMMENT_COLUMN 40

static void
print_string(struct buf *out, const char *before, const char *s, const char *after)
{
	buf_adds(out, before);
	quote_add(out, s);
	buf_adds(out, after);
}

static void
print_anchor(struct buf *out, const struct conf *conf)
{
	if (!conf->dns.validate)
		buf_adds(out, " anchor none");
	else if (conf->anchor_path != NULL)
		print_string(out, " anchor ", conf->anchor_path, "");
}

static void
print_resolver(struct buf *out, const struct conf *conf)
{
	const struct dns_server *server;
	unsigned i;

	if (conf->dns.servers_n == 0) {
		if (!conf->dns.validate || conf->anchor_path != NULL) {
			buf_adds(out, "resolver");
			print_anchor(out, conf);
			buf_addc(out, '\n');
		}
		return;
	}
	for (i = 0; i < conf->dns.servers_n; i++) {
		server = &conf->dns.servers[i];
		buf_addf(out, "resolver %s port %u", ip_text(&server->ip).s, server->port);
		if (i == 0)
			print_anchor(out, conf);
		buf_addc(out, '\n');
	}
}

static void
print_certificate(struct buf *out, const struct certificate *certificate)
{
	unsigned i;

	print_string(out, "certificate ", certificate->name, "");
	for (i = 0; i < certificate->pairs_n; i++) {
		print_string(out, " chain ", certificate->pairs[i].chain, "");
		print_string(out, " key ", certificate->pairs[i].key, "");
		if (certificate->pairs[i].ocsp != NULL)
			print_string(out, " ocsp ", certificate->pairs[i].ocsp, "");
	}
	buf_addc(out, '\n');
}

static void
print_tables(struct buf *out, const struct conf *conf)
{
	unsigned i;

	for (i = 0; i < conf->certificates_n; i++)
		print_certificate(out, &conf->certificates[i]);
	for (i = 0; i < conf->tables_n; i++) {
		print_string(out, "table ", table_name(conf->tables[i]), " ");
		table_print_content(out, conf->tables[i]);
		buf_addc(out, '\n');
	}
}

static void
print_listener(struct buf *out, const struct listener *listener)
{
	buf_addf(out, "listen on %s port %u", ip_text(&listener->ip).s, listener->port);
	if (listener->submission)
		buf_adds(out, " submission");
	if (listener->certificate != NULL)
		print_string(out, listener->implicit_tls ? " implicit-tls " : " tls ",
		    listener->certificate->name, "");
	if (listener->client_ca != NULL)
		print_string(out, " client-ca ", listener->client_ca, "");
	if (listener->gate)
		buf_adds(out, " gate");
	if (listener->xclient_from != NULL) {
		buf_adds(out, " xclient from ");
		table_print(out, listener->xclient_from);
	}
	if (listener->proxy_from != NULL) {
		buf_adds(out, " proxy from ");
		table_print(out, listener->proxy_from);
	}
	if (listener->normalize_from != NULL) {
		buf_adds(out, " normalize from ");
		table_print(out, listener->normalize_from);
	}
	buf_addc(out, '\n');
}

static void
print_accounts(struct buf *out, const struct conf *conf)
{
	static const char *const words[] = {
		[ACCOUNTS_FILE] = "file ",
		[ACCOUNTS_SASLDB] = "sasldb ",
		[ACCOUNTS_SASLAUTHD] = "saslauthd ",
		[ACCOUNTS_DOVECOT] = "dovecot ",
	};

	if (conf->vault.accounts == ACCOUNTS_NONE)
		return;
	buf_adds(out, "accounts ");
	if (conf->vault.accounts == ACCOUNTS_TABLE)
		table_print(out, conf->vault.table);
	else
		print_string(out, words[conf->vault.accounts], conf->vault.path, "");
	if (conf->lookup.senders != NULL) {
		buf_adds(out, " senders ");
		table_print(out, conf->lookup.senders);
	}
	buf_addc(out, '\n');
}

static void
print_limit(struct buf *out, const struct conf *conf, enum limit limit)
{
	const struct limit_spec *spec = &limit_specs[limit];
	uint64_t value = conf->limits[limit];
	size_t start = out->len;

	buf_addf(out, "limit %s ", spec->name);
	if (value == UINT64_MAX)
		buf_adds(out, "off");
	else if (spec->unit == UNIT_TIME)
		quantity_add_time(out, value);
	else if (spec->unit == UNIT_SIZE)
		quantity_add_size(out, value);
	else
		buf_addf(out, "%llu", (unsigned long long)value);
	do
		buf_addc(out, ' ');
	while (out->len - start < COMMENT_COLUMN);
	buf_addf(out, "# %s\n", spec->meaning);
}

/* LINE after LINE, each behind a tab. */
static void
print_indented(struct buf *out, const char *text)
{
	size_t len;

	while (*text != '\0') {
		len = strcspn(text, "\n");
		if (len > 0)
			buf_addc(out, '\t');
		buf_add(out, text, len);
		buf_addc(out, '\n');
		text += len + (text[len] == '\n');
	}
}

static void
print_rules(struct buf *out, const struct gate *gate)
{
	struct rule rule;
	unsigned i;

	for (i = 0; i < gate->n; i++) {
		rule = gate->rules[i];
		rule.observe = rule.observe && !gate->observe; /* said once, of the gate */
		rule_print(out, &rule);
		buf_addc(out, '\n');
	}
}

/* Whether GATE says what the built-in one says, wherever it comes from: then its reasons are
 * worth printing. */
static bool
is_default_gate(const struct gate *gate)
{
	static char *known; /* the rules of the built-in gate, printed; kept for good */
	struct buf errors = { 0 }, text = { 0 };
	struct conf *conf;
	char *file;
	bool same;

	if (known == NULL) {
		file = xasprintf("host localhost\ngate {\n%s}\n", gate_default_text());
		conf = conf_parse("", file, strlen(file), &errors, &errors);
		if (conf != NULL)
			print_rules(&text, &conf->gate);
		known = buf_take(&text);
		conf_free(conf);
		free(file);
	}
	print_rules(&text, gate);
	same = strcmp(buf_str(&text), known) == 0;
	buf_free(&text);
	buf_free(&errors);
	return same;
}

static void
print_gate(struct buf *out, const struct gate *gate)
{
	struct buf rules = { 0 };

	buf_addf(out, "gate %s{\n", gate->observe ? "observe " : "");
	if (is_default_gate(gate)) {
		print_indented(out, gate_default_text());
	} else {
		print_rules(&rules, gate);
		print_indented(out, buf_str(&rules));
	}
	buf_adds(out, "}\n");
	buf_free(&rules);
}

/* They are the same of all servers in a list; port 465 says by itself that TLS is implicit. */
static void
print_hop_options(struct buf *out, const struct hop *hops, unsigned n)
{
	bool implicit = false;
	unsigned i;

	for (i = 0; i < n; i++)
		implicit |= hops[i].implicit_tls && hops[i].port != SMTPS_PORT;
	if (n > 0 && hops[0].tls != HOP_TLS_MAY)
		buf_addf(out, " %s %s", implicit ? "implicit-tls" : "tls", hop_tls_name(hops[0].tls));
	if (n > 0 && hops[0].login != NULL)
		print_string(out, " login ", hops[0].login, "");
	if (n > 0 && hops[0].source4.family != 0)
		print_string(out, " source ", ip_text(&hops[0].source4).s, "");
	if (n > 0 && hops[0].source6.family != 0)
		print_string(out, " source ", ip_text(&hops[0].source6).s, "");
	if (n > 0 && hops[0].helo != NULL)
		print_string(out, " as ", hops[0].helo, "");
}

static void
print_hops(struct buf *out, const struct hop *hops, unsigned n)
{
	struct buf hop = { 0 };
	unsigned i;

	for (i = 0; i < n; i++) {
		buf_adds(out, i == 0 ? " to " : ", ");
		if (hops[i].mx) {
			buf_adds(out, "mx");
			continue;
		}
		buf_clear(&hop);
		buf_adds(&hop, hops[i].host);
		if (hops[i].port != SMTP_PORT)
			buf_addf(&hop, ":%u", hops[i].port);
		quote_add(out, buf_str(&hop));
	}
	print_hop_options(out, hops, n);
	buf_addc(out, '\n');
	buf_free(&hop);
}

static void
print_mailbox(struct buf *out, const struct mailbox *mailbox)
{
	static const char *const methods[] = {
		[MAILBOX_MAILDIR] = "maildir",
		[MAILBOX_MBOX] = "mbox",
		[MAILBOX_LMTP] = "lmtp",
		[MAILBOX_PIPE] = "pipe",
	};
	char **argument;

	buf_addf(out, "\tdeliver %s ", methods[mailbox->method]);
	quote_add(out, mailbox->path);
	for (argument = mailbox->argv; argument != NULL && *argument != NULL; argument++)
		print_string(out, " ", *argument, "");
	buf_addc(out, '\n');
}

static void
print_local_domain(struct buf *out, const struct domain *domain)
{
	if (domain->aliases != NULL) {
		buf_adds(out, "\taliases ");
		table_print(out, domain->aliases);
		if (domain->aliases_as != NULL)
			print_string(out, " as ", domain->aliases_as, "");
		buf_addc(out, '\n');
	}
	if (domain->delimiter[0] != '\0')
		print_string(out, "\tdelimiter ", domain->delimiter, "\n");
	else
		buf_adds(out, "\tdelimiter off\n");
	if (domain->users_system || domain->users != NULL) {
		buf_adds(out, "\tusers ");
		if (domain->users_system)
			buf_adds(out, "system");
		else
			table_print(out, domain->users);
		buf_addc(out, '\n');
	}
	print_mailbox(out, &domain->mailbox);
}

static void
print_domain(struct buf *out, const struct domain *domain)
{
	print_string(out, "domain ", domain->name, " {\n");
	switch (domain->kind) {
	case DOMAIN_LOCAL:
		print_local_domain(out, domain);
		break;
	case DOMAIN_LISTS:
		buf_adds(out, "\tlists\n");
		break;
	case DOMAIN_RELAY:
		buf_adds(out, "\trelay");
		print_hops(out, domain->hops, domain->hops_n);
		break;
	}
	buf_adds(out, "}\n");
}

static void
print_relay(struct buf *out, const struct conf *conf)
{
	unsigned i;

	buf_adds(out, "relay {\n\tfrom ");
	table_print(out, conf->relay_from);
	buf_addc(out, '\n');
	if (conf->relay.trust != NULL)
		print_string(out, "\ttrust ", conf->relay.trust, "\n");
	if (conf->providers != NULL) {
		buf_adds(out, "\tproviders ");
		table_print(out, conf->providers);
		buf_addc(out, '\n');
	}
	for (i = 0; i < conf->lookup.routes_n; i++) {
		print_string(out, conf->lookup.routes[i].by_sender ? "\troute from " : "\troute ",
		    conf->lookup.routes[i].pattern, "");
		print_hops(out, conf->lookup.routes[i].hops, conf->lookup.routes[i].hops_n);
	}
	buf_adds(out, "}\n");
}

void
conf_print(struct buf *out, const struct conf *conf)
{
	unsigned i;

	print_string(out, "host ", conf->host, "\n");
	print_string(out, "spool ", conf->spool, "\n");
	if (conf->postmaster != NULL)
		print_string(out, "postmaster ", conf->postmaster, "\n");
	buf_addf(out, "log %s%s\n", conf->log.to_stderr ? "stderr" : "syslog",
	    conf->log.json ? " json" : "");
	print_resolver(out, conf);
	print_tables(out, conf);
	if (conf->rewrite != NULL) {
		buf_adds(out, "rewrite ");
		table_print(out, conf->rewrite);
		buf_addc(out, '\n');
	}
	for (i = 0; i < conf->listeners_n; i++)
		print_listener(out, &conf->listeners[i]);
	print_accounts(out, conf);
	for (i = 0; i < LIMIT_COUNT; i++)
		print_limit(out, conf, i);
	print_gate(out, &conf->gate);
	for (i = 0; i < conf->lookup.domains_n; i++)
		print_domain(out, &conf->lookup.domains[i]);
	print_relay(out, conf);
}
