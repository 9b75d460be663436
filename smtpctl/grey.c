/*
 * smtpctl grey: what the ledger remembers of callers, and the operator's own word about them.
 */
#include <string.h>

#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

int
grey_ask(int n, char **words)
{
	bool show = strcmp(words[1], "show") == 0;

	return output_answer(show ? OUTPUT_BLOCKS : OUTPUT_TABLE, n, words);
}
