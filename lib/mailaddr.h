/*
 * The one parser of mail addresses (RFC 5321 4.1.2, with RFC 6531's UTF-8 where the caller allows it).  Syntax only:
 * pure functions over (pointer, length).  A parsed address is normalised once, here: the domain is lower case and ASCII
 * (RFC 5891: a U-label becomes its A-label), a trailing dot is an error, a quoted local part that needs no quotes loses them
 * ("a"@b and a@b are one address), the case of the local part is kept.
 */
#ifndef LIB_MAILADDR_H
#define LIB_MAILADDR_H

#include <stdbool.h>
#include <stddef.h>

/*
 * In octets.  RFC 5321 4.5.3.1 asks to take at least 64, 255 and 256, and more where it costs
 * nothing: a local part may fill its path, because forwarders (SRS) and lists (VERP) write longer
 * ones than 64 and their mail would be lost.
 */
#define MAILADDR_PATH_MAX 256 /* with the brackets and a source route */
#define MAILADDR_DOMAIN_MAX 255
#define MAILADDR_LOCAL_MAX (MAILADDR_PATH_MAX - 4) /* "<" "@x>" */

struct mailaddr {
	char *local;  /* unquoted content; "" for the null path */
	char *domain; /* lower case, ASCII; "[192.0.2.1]" or "[IPv6:...]" (ip_literal) for a literal; "" for
		       * the null path and for <postmaster> */
};

enum mailaddr_flags {
	MAILADDR_NULL = 1,       /* <> is allowed (reverse-path) */
	MAILADDR_POSTMASTER = 2, /* <postmaster> without domain is allowed, any case (forward-path) */
	MAILADDR_UTF8 = 4        /* RFC 6531: UTF-8 in local part and labels */
};

/*
 * A path in angle brackets at the start of S: "<a@b>", "<>", "<@x,@y:a@b>" (the source route is skipped, RFC 5321
 * appendix C).  On success returns the octets used, including both brackets, and fills OUT (free with
 * mailaddr_free).  On failure returns 0 and *WHY says what is wrong, in words for an SMTP reply.
 */
size_t mailaddr_parse_path(const char *s, size_t len, unsigned flags, struct mailaddr *out, const char **why);
/* A bare "a@b" that fills all of S; with the flags also "" and "postmaster". */
bool mailaddr_parse(const char *s, size_t len, unsigned flags, struct mailaddr *out, const char **why);
/* Domain or address literal that fills all of S, as in HELO (RFC 5321 4.1.2 Domain / address-literal). */
bool mailaddr_domain_ok(const char *s, size_t len, unsigned flags);
void mailaddr_free(struct mailaddr *);
/* "local@domain" with the local part quoted where it must be; "" for the null path, "local" without a domain.
 * The caller frees. */
char *mailaddr_format(const struct mailaddr *);
/* True when both are the same mailbox as far as syntax can tell: local parts to the letter, domains folded. */
bool mailaddr_equal(const struct mailaddr *, const struct mailaddr *);

#endif
