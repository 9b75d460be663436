/*
 * Fuzz target: senders to be rewritten, and return addresses from anywhere.  Beyond what the
 * sanitizers see: what we wrote comes back as what it was, and nothing else comes back at all.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/srs.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "regress/fuzz/target.h"

static const struct srs srs = { .secret = "0123456789abcdef", .len = 16 };
#define NOW 1800000000

/* SENDER is an address. */
static void
check_round(const char *sender)
{
	char *there = srs_forward(&srs, sender, "ours.example", NOW), *back;
	struct mailaddr parsed, was;
	const char *why;

	if (there == NULL)
		return;
	require(mailaddr_parse(there, strlen(there), MAILADDR_UTF8, &parsed, &why));
	require(strcmp(parsed.domain, "ours.example") == 0);
	require(mailaddr_parse(sender, strlen(sender), MAILADDR_UTF8, &was, &why));
	/* another's rewriting is kept in part only */
	if (strncasecmp(was.local, "SRS", 3) != 0) {
		require(srs_reverse(&srs, parsed.local, NOW, &back) == SRS_GOOD);
		require(strcasecmp(back, sender) == 0);
	} else {
		srs_reverse(&srs, parsed.local, NOW, &back);
	}
	free(back);
	free(there);
	mailaddr_free(&parsed);
	mailaddr_free(&was);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size), *back = NULL, *normal;
	struct mailaddr parsed;
	const char *why;
	enum srs_result result = srs_reverse(&srs, text, NOW, &back);

	/* nobody but a fuzzer with our secret can make one */
	require((result == SRS_GOOD) == (back != NULL));
	free(back);
	if (mailaddr_parse(text, strlen(text), MAILADDR_UTF8, &parsed, &why)) {
		normal = mailaddr_format(&parsed);
		check_round(normal);
		free(normal);
		mailaddr_free(&parsed);
	}
	free(text);
	return 0;
}
