/*
 * Fuzz target: addresses as a client could send them.  The first byte is the flags.  Beyond what
 * the sanitizers see: what is refused has a reason; what is taken holds no control character and
 * prints as an address that is the same mailbox when it is read again.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mailaddr.h"
#include "regress/fuzz/target.h"

static void
check_text(const char *s, bool domain)
{
	for (; *s != '\0'; s++) {
		require((uint8_t)*s >= ' ' && *s != 0x7f);
		require(!domain || *s < 'A' || *s > 'Z' || *s == 'I' || *s == 'P');
	}
}

static void
check_taken(struct mailaddr *addr, unsigned flags)
{
	char *text = mailaddr_format(addr);
	const char *why = NULL;
	struct mailaddr again;

	check_text(addr->local, false);
	check_text(addr->domain, true);
	require(strlen(addr->local) <= MAILADDR_LOCAL_MAX);
	require(strlen(addr->domain) <= MAILADDR_DOMAIN_MAX);
	require(addr->domain[0] == '\0' ||
	    mailaddr_domain_ok(addr->domain, strlen(addr->domain), flags));
	/* a quoted address can only get shorter, but a literal may grow: [IPv6:1::1.2.3.4] */
	if (mailaddr_parse(text, strlen(text), flags, &again, &why)) {
		require(mailaddr_equal(addr, &again));
		mailaddr_free(&again);
	} else {
		require(strlen(text) + 2 > MAILADDR_PATH_MAX);
	}
	free(text);
	mailaddr_free(addr);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct mailaddr addr;
	const char *why = NULL, *s;
	unsigned flags;
	size_t used;

	if (size == 0)
		return 0;
	flags = data[0] & (MAILADDR_NULL | MAILADDR_POSTMASTER | MAILADDR_UTF8);
	s = (const char *)data + 1;
	size--;
	used = mailaddr_parse_path(s, size, flags, &addr, &why);
	if (used == 0) {
		require(why != NULL);
	} else {
		require(used <= size && used <= MAILADDR_PATH_MAX && s[used - 1] == '>');
		check_taken(&addr, flags);
	}
	why = NULL;
	if (mailaddr_parse(s, size, flags, &addr, &why))
		check_taken(&addr, flags);
	else
		require(why != NULL);
	mailaddr_domain_ok(s, size, flags);
	return 0;
}
