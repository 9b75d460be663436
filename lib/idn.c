/* The one call of libidn2 (idn.h), with its memory made ours. */
#include <idn2.h>

#include "lib/idn.h"
#include "lib/mem.h"

/* Not IDN2_USE_STD3_ASCII_RULES, which throws away what no host name may have: "exam＠ple.org" would be "example.org". */
#define IDN_FLAGS (IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL)

char *
idn_to_ascii(const char *domain)
{
	uint8_t *ascii = NULL;
	char *copy;

	/* as browsers and other mail servers map them: capitals and wide letters are folded first */
	if (idn2_lookup_u8((const uint8_t *)domain, &ascii, IDN_FLAGS) != IDN2_OK)
		return NULL;
	copy = xstrdup((const char *)ascii);
	idn2_free(ascii);
	return copy;
}
