/*
 * What large providers want of those who send to them: rows of the table of `relay { providers
 * <NAME> }`.
 *
 *	google.com	concurrency 20 pause 30m "4.7.28" "unusual rate"
 *	googlemail.com	as google.com
 *
 * The key is a name below which all servers of a provider are called, so that the domains of its
 * customers are meant as well; or a domain, with those below it, that recipients are in.  Parsing
 * is pure.
 */
#ifndef DELIVER_PROVIDER_H
#define DELIVER_PROVIDER_H

#include <stdint.h>

struct table;

/* A reply that asks to be left alone for so long. */
struct provider_pause {
	uint32_t seconds;
	char *text; /* in the reply; case does not matter */
};

struct provider {
	char *name; /* the key of the row with its rules: the same for all its names */
	char *as;   /* has the rules of that row, and none of its own; or NULL */
	/* 0: not said */
	uint32_t concurrency; /* messages under way at once */
	uint32_t recipients;  /* of one transaction */
	uint32_t messages;    /* of one connection */
	unsigned pauses_n;
	struct provider_pause *pauses;
};

/* NULL, with *WHY (caller frees), when the row makes no sense. */
struct provider *provider_parse(const char *key, const char *value, char **why);
void provider_free(struct provider *);
/* For table_set_check. */
char *provider_check(const char *key, const char *value);
/* What one row cannot see: every `as` leads to rules.  NULL, or "/etc/x:12: ..." (caller frees). */
char *provider_check_all(const struct table *);
/* Whose rules hold where all of these servers take the mail of DOMAIN (NULL: of many); NULL:
 * nobody's.  TABLE may be NULL. */
struct provider *provider_find(
    const struct table *, const char *const *servers, unsigned n, const char *domain);
/* Seconds that a reply of 4xx asks for, or 0; PROVIDER may be NULL. */
uint32_t provider_pause(const struct provider *, const char *reply);

#endif
