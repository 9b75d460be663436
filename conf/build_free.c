/*
 * What is freed of a configuration: under construction (build.h), and the parts that outlive it.
 */
#include <stdlib.h>

#include "conf/build.h"
#include "deliver/destination.h"

void
strings_free(struct strings *strings)
{
	unsigned i;

	for (i = 0; i < strings->n; i++)
		free(strings->list[i]);
	free(strings->list);
	*strings = (struct strings){ NULL, 0 };
}

void
rule_free_parts(struct rule *rule)
{
	condition_free(rule->when);
	free(rule->text);
	free(rule->name);
}

void
certificate_free_parts(struct certificate *certificate)
{
	unsigned i;

	for (i = 0; i < certificate->pairs_n; i++) {
		free(certificate->pairs[i].chain);
		free(certificate->pairs[i].key);
		free(certificate->pairs[i].ocsp);
	}
	free(certificate->pairs);
	free(certificate->name);
}

void
mailbox_free_parts(struct mailbox *mailbox)
{
	struct strings arguments = { .list = mailbox->argv, .n = 0 };

	while (mailbox->argv != NULL && mailbox->argv[arguments.n] != NULL)
		arguments.n++;
	strings_free(&arguments);
	free(mailbox->path);
	*mailbox = (struct mailbox){ .path = NULL };
}

void
domain_free_parts(struct domain *domain)
{
	free(domain->name);
	table_free_in_place(domain->aliases);
	free(domain->aliases_as);
	free(domain->delimiter);
	table_free_in_place(domain->users);
	mailbox_free_parts(&domain->mailbox);
	destination_free(domain->hops, domain->hops_n, NULL);
}

void
route_free_parts(struct route *route)
{
	free(route->pattern);
	destination_free(route->hops, route->hops_n, NULL);
}

void
listener_free_parts(struct listener *listener)
{
	table_free_in_place(listener->xclient_from);
	table_free_in_place(listener->proxy_from);
	table_free_in_place(listener->normalize_from);
	free(listener->client_ca);
}

void
build_free(struct build *build)
{
	unsigned i;

	for (i = 0; i < build->listeners_n; i++) {
		free(build->listeners[i].certificate);
		listener_free_parts(&build->listeners[i].listener);
	}
	for (i = 0; i < build->domains_n; i++)
		domain_free_parts(&build->domains[i].domain);
	for (i = 0; i < build->routes_n; i++)
		route_free_parts(&build->routes[i].route);
	free(build->listeners);
	free(build->domains);
	free(build->routes);
	table_free_in_place(build->relay_from);
	table_free_in_place(build->providers);
	table_free_in_place(build->vault.table);
	table_free_in_place(build->senders);
	free(build->vault.path);
	table_free_in_place(build->rewrite);
	gate_free(&build->gate);
	for (i = 0; i < build->certificates_n; i++)
		certificate_free_parts(&build->certificates[i].certificate);
	free(build->certificates);
	for (i = 0; i < build->tables_n; i++)
		table_free(build->tables[i].table);
	free(build->tables);
	for (i = 0; build->anchors != NULL && build->anchors[i] != NULL; i++)
		free(build->anchors[i]);
	free(build->anchors);
	free(build->servers);
	free(build->host);
	free(build->postmaster);
	free(build->spool);
	free(build->anchor_path);
	free(build->trust_path);
	complaints_free(&build->errors);
	complaints_free(&build->warnings);
	*build = (struct build){ .host = NULL };
}
