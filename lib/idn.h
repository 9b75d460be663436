/*
 * Domains in UTF-8 (RFC 5890, 5891): the form in which the DNS knows them.
 */
#ifndef LIB_IDN_H
#define LIB_IDN_H

/* "例え.jp" as "xn--r8jz45g.jp"; the caller frees.  NULL when a label is no U-label, or the domain longer than any.  Signs that
 * no host name may have can be left in it: the caller looks (mailaddr_domain_ok). */
char *idn_to_ascii(const char *domain);

#endif
