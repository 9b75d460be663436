/*
 * A configuration under construction: what the actions of the grammar call, statement by statement.
 * Names are resolved as the text goes by, because a table or certificate that is used before it is
 * defined exists from its first mention; conf/check.c looks afterwards for those that never were.
 *
 * Strings, tables, conditions and hops that are passed in belong to the function they are passed
 * to, whether it can use them or not.  Mistakes are added to ERRORS; nothing else can fail.
 */
#ifndef CONF_BUILD_H
#define CONF_BUILD_H

#include "conf/complain.h"
#include "conf/conf.h"
#include "lib/quantity.h"
#include "lib/table.h"

/* In a struct place that says where something was given: nowhere. */
#define IS_GIVEN(place) ((place).line > 0)

struct table_draft {
	struct table *table;
	struct place defined, used;
};

struct certificate_draft {
	struct certificate certificate;
	struct place defined, used;
};

struct listener_draft {
	struct listener listener;
	char *certificate; /* name, or NULL */
	struct place place, tls, client_ca, submission, xclient, proxy, normalize, gate;
};

struct domain_draft {
	struct domain domain;
	struct place place, aliases, delimiter, users, deliver, lists, relay;
};

struct route_draft {
	struct route route;
	struct place place;
};

struct limit_value {
	struct place place;
	enum quantity kind; /* what it is written as */
	bool off;
	uint64_t number;
};

struct hops {
	struct hop *list;
	unsigned n;
	bool tls_given;
};

struct strings {
	char **list; /* NULL-terminated as soon as there is one */
	unsigned n;
};

struct build {
	struct complaints errors, warnings;

	char *host, *postmaster, *spool, *anchor_path, *trust_path;
	struct log_conf log;
	struct dns_server *servers;
	unsigned servers_n;
	bool no_validation;
	char **anchors;
	uint64_t limits[LIMIT_COUNT];
	struct gate gate;
	const struct table *relay_from, *providers, *rewrite;
	struct vault_conf vault;
	const struct table *senders;
	struct table_draft *tables;
	unsigned tables_n;
	struct certificate_draft *certificates;
	unsigned certificates_n, certificate; /* the one whose statement is read */
	struct listener_draft *listeners;
	unsigned listeners_n;
	struct domain_draft *domains;
	unsigned domains_n;
	struct route_draft *routes;
	unsigned routes_n;

	/* where each was given */
	struct place host_at, postmaster_at, rewrite_at, spool_at, anchor_at, log_at, gate_at, relay_at, relay_from_at,
	    trust_at, providers_at, accounts_at;
	struct place limit_at[LIMIT_COUNT];

	unsigned questions; /* and operators, in the condition that is being read */
};

/* The control socket below it has a name of at most 107 octets (unix(7)). */
#define SPOOL_MAX 80

/* False in fuzzing: table and anchor files are named, never opened. */
extern bool build_reads_files;

/* False, and an error at PLACE, when WHAT was given before, at *FIRST, which else becomes PLACE. */
bool build_once(struct build *, struct place *first, struct place, const char *what);

/* False, and an error, when PATH is not absolute; WHAT would be there: "the spool". */
bool build_is_path(struct build *, struct place, const char *path, const char *what);
void strings_add(struct strings *, char *);
bool build_address(struct build *, struct place, const char *text, struct ip *);
void build_certificate_used(struct build *, struct place, const char *name);

/* --- statements (build.c) --- */
void build_host(struct build *, struct place, char *name);
void build_spool(struct build *, struct place, char *path);
void build_postmaster(struct build *, struct place, char *address);
void build_rewrite(struct build *, struct place, struct table *);
void build_log(struct build *, struct place, bool to_stderr, bool json);
void build_server(struct build *, struct place, char *address, uint64_t port);
/* PATH NULL: none. */
void build_anchor(struct build *, struct place, char *path);
void build_certificate(struct build *, struct place, char *name);
/* of the last certificate statement */
void build_key_pair(struct build *, struct place, char *chain, struct place key_at, char *key);
/* of the last pair */
void build_ocsp(struct build *, struct place, char *path);
void build_limit(struct build *, struct place, char *name, struct limit_value);
/* CONTENT is the list read in place, or NULL and PATH is its file. */
void build_table(struct build *, struct place, char *name, enum table_kind,
    struct table *content, char *path);
struct table *build_table_used(struct build *, struct place, char *name);
/* An element of a list: KEY, and VALUE or NULL. */
void build_element(struct build *, struct place, struct table *, char *key, char *value);

/* --- mail (build_mail.c) --- */
void build_listener(struct build *, struct place, char *address, uint64_t port);
/* of the last listener */
void build_listener_tls(struct build *, struct place, char *certificate, bool implicit);
void build_listener_client_ca(struct build *, struct place, char *path);
void build_listener_submission(struct build *, struct place);
void build_listener_gate(struct build *, struct place);
void build_listener_xclient(struct build *, struct place, struct table *from);
void build_listener_proxy(struct build *, struct place, struct table *from);
void build_listener_normalize(struct build *, struct place, struct table *from);
/* Ports not given are filled in when the listener's options are known. */
void build_listener_end(struct build *);
void build_domain(struct build *, struct place, char *name);
/* of the last domain */
/* ACCOUNT: whose programs and files they name, or NULL. */
void build_domain_aliases(struct build *, struct place, struct table *, char *account);
void build_domain_delimiter(struct build *, struct place, char *signs);
void build_domain_users(struct build *, struct place, struct table *); /* NULL: the system's */
void build_domain_deliver(
    struct build *, struct place, enum mailbox_method, char *path, struct strings arguments);
void build_domain_lists(struct build *, struct place);
void build_domain_relay(struct build *, struct place, struct hops);
/* Who may log in; a path that is NULL is the usual one. */
void build_accounts(struct build *, struct place, enum accounts, struct place path_at, char *path);
void build_accounts_table(struct build *, struct place, struct table *);
/* As whom they may send besides. */
void build_senders(struct build *, struct place, struct table *);
void build_relay_from(struct build *, struct place, struct table *);
void build_relay_trust(struct build *, struct place, char *path);
void build_relay_providers(struct build *, struct place, struct table *);
/* PATTERN is of recipients' domains, or BY_SENDER of who sends. */
void build_route(struct build *, struct place, char *pattern, bool by_sender, struct hops);
void build_hop(struct build *, struct place, struct hops *, char *text);
/* Of all servers of the list, each once. */
void build_hops_tls(struct build *, struct place, struct hops *, int tls, bool implicit);
void build_hops_login(struct build *, struct place, struct hops *, char *path);
/* What we call these servers from, and our name there. */
void build_hops_source(struct build *, struct place, struct hops *, char *address);
void build_hops_as(struct build *, struct place, struct hops *, char *name);

/* --- the gate (build_gate.c) --- */
void build_rule(struct build *, struct rule);
/* The word that begins a gate, and that no rules follow it. */
void build_gate(struct build *, struct place, bool observe);
void build_gate_alone(struct build *);
/* When a rule could not be read to its end. */
void build_rule_skipped(struct build *);
struct condition *build_test(struct build *, struct test);
/* `time 22:00-06:00`; TEXT is what stands behind "time", at its own place. */
struct condition *build_daytime(struct build *, struct place, struct place text_at, char *text);
void build_greylist_time(
    struct build *, struct place, uint32_t *member, const char *name, uint64_t seconds);
void build_greylist_text(struct build *, struct place, struct rule *, char *text);
/* Both, once in a rule. */
void build_greylist_by(struct build *, struct place, struct rule *, enum grey_by);
uint32_t build_rescue(struct build *, struct place, uint64_t seconds);
void build_greylist_trust(struct build *, struct place, struct rule *, uint64_t triplets);
struct condition *build_operator(
    struct build *, int op, struct condition *left, struct condition *right);

/* --- afterwards (check.c) --- */
/* What only the whole can show. */
void build_check(struct build *);

/* --- freeing (build_free.c) --- */
void build_free(struct build *);
void strings_free(struct strings *);
/* What hangs on them, tables in place included; not the structs themselves. */
void rule_free_parts(struct rule *);
void certificate_free_parts(struct certificate *);
void listener_free_parts(struct listener *);
void mailbox_free_parts(struct mailbox *);
void domain_free_parts(struct domain *);
void route_free_parts(struct route *);

#endif
