/*
 * smtpctl pause and resume: taking mail in, sending it on, delivering it here; or all of it.
 */
#include <string.h>

#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

int
pause_ask(int n, char **words)
{
	static const char *const parts[] = { "in", "out", "local" };
	size_t i;

	for (i = 0; n > 1 && i < sizeof(parts) / sizeof(parts[0]); i++)
		if (strcmp(parts[i], words[1]) == 0)
			break;
	if (n > 1 && i == sizeof(parts) / sizeof(parts[0]))
		return smtpctl_usage("\"%s\" is none of in, out, local", words[1]);
	return output_answer(OUTPUT_TABLE, n, words);
}
