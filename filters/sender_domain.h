/*
 * Could the sender's domain take an answer?  Its MX, else its addresses (RFC 5321 5.1), and whether
 * it says that it takes no mail at all (RFC 7505).
 */
#ifndef FILTERS_SENDER_DOMAIN_H
#define FILTERS_SENDER_DOMAIN_H

enum sender_domain {
	SENDER_DOMAIN_RESOLVES, /* also the null sender and an address in brackets */
	SENDER_DOMAIN_NONE,     /* neither MX nor address: no answer could be delivered */
	SENDER_DOMAIN_NULLMX,   /* "I take no mail"; then it sends none either, as a rule */
	SENDER_DOMAIN_TEMPERROR /* DNS gave no answer */
};

/* "resolves", "none", "nullmx", "temperror" */
const char *sender_domain_name(enum sender_domain);

struct sender_domain_query;
/* SENDER is an address as mailaddr_format() gives it, "" for the null sender.  The callback comes
 * once, from the loop. */
struct sender_domain_query *sender_domain_ask(
    const char *sender, void (*)(enum sender_domain, void *), void *arg);
void sender_domain_cancel(struct sender_domain_query *);

#endif
