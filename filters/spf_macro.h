/*
 * The macros of SPF (RFC 7208 7): syntax and expansion, pure functions.  Text comes from strangers'
 * DNS; spf_macro_check judges it once, and what it accepted is visible ASCII (an explanation has
 * spaces too) that everything else here may take for well-formed.
 */
#ifndef FILTERS_SPF_MACRO_H
#define FILTERS_SPF_MACRO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct ip;

/* RFC 1035 2.3.4, as text without the last dot; RFC 7208 7.3 cuts names to it. */
#define SPF_NAME_MAX 253

enum spf_text {
	SPF_DOMAIN_SPEC,  /* of a mechanism, redirect=, exp=: ends in a macro or top-level label */
	SPF_MACRO_STRING, /* of a modifier that nobody knows */
	SPF_EXPLANATION /* what exp= leads to: spaces and the macros c, r, t are allowed besides */
};

/* NULL, or what is wrong in words without an end, at S + *AT. */
const char *spf_macro_check(const char *s, size_t len, enum spf_text, size_t *at);
/* Does S use the macro LETTER (given in lower case, either case meant)? */
bool spf_macro_uses(const char *s, char letter);
/* The letter, in lower case, of the macro that S ends in; '\0' when it ends otherwise. */
char spf_macro_last(const char *s);

struct spf_macro_values {
	const struct ip *client;   /* i, c, v */
	const char *local;	   /* l, s */
	const char *sender_domain; /* o, s */
	const char *domain;	   /* d */
	const char *helo;	   /* h */
	const char *validated;	   /* p: a name of the client, or "unknown" */
	const char *receiver;	   /* r */
	int64_t now;		   /* t: seconds since 1970 */
};

void spf_macro_expand(struct buf *, const char *s, const struct spf_macro_values *);
/* The name that a domain-spec leads to: expanded, without its last dot, labels on the left dropped
 * until SPF_NAME_MAX octets are left.  It may be one that DNS cannot hold.  The caller frees. */
char *spf_macro_target(const char *spec, const struct spf_macro_values *);

#endif
