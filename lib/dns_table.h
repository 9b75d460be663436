/*
 * A DNS that is a list of records: what `smtpctl gate simulate` asks instead of the world, and tests
 * as well.  What it does not know does not exist.
 */
#ifndef LIB_DNS_TABLE_H
#define LIB_DNS_TABLE_H

#include "lib/dns.h"

struct dns_table;

struct dns_table *dns_table_new(void);
void dns_table_free(struct dns_table *);

/*
 * A record as a zone file has it, or a name that does not answer:
 *
 *	mail.example.org A 192.0.2.7
 *	mail.example.org 3600 IN AAAA 2001:db8::7
 *	7.2.0.192.in-addr.arpa PTR mail.example.org
 *	example.org MX 10 mail.example.org
 *	example.org TXT "v=spf1 mx -all"
 *	www.example.org CNAME mail.example.org
 *	slow.example.org SERVFAIL
 *	*.dead.example A 192.0.2.1
 *
 * Types are A AAAA PTR MX TXT CNAME NS; names are absolute, with or without a last dot.  NULL, or what
 * is wrong (the caller frees).
 */
char *dns_table_add(struct dns_table *, const char *record);

/* Follows CNAMEs.  ANSWER points into the table and is valid until the next call or addition. */
void dns_table_answer(struct dns_table *, const char *name, uint16_t type, struct dns_answer *answer);

#endif
