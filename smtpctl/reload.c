/*
 * smtpctl reload and upgrade: the running server reads its configuration again, or becomes the binary that is installed
 * now.  What is wrong is told as the server found it; it goes on as before then.
 */
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

int
reload_ask(int n, char **words)
{
	return output_answer(OUTPUT_TABLE, n, words);
}
