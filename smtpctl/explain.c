/*
 * smtpctl gate explain: what the gate of the configuration would do with a caller, who is described by the words of the call
 * (explain_facts.c) or was here in a session (explain_session.c).
 */
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "smtpctl/explain.h"
#include "smtpctl/smtpctl.h"

int
gate_explain(int n, char **words)
{
	const struct conf *conf;
	struct caller caller = { 0 };
	char *why;
	int status = EXIT_DONE;

	if (strncmp(words[2], "session=", 8) == 0)
		return explain_session(n, words);
	conf = smtpctl_conf();
	if (conf == NULL)
		return EXIT_FAILED;
	why = caller_read(&caller, conf, n - 2, words + 2);
	if (why != NULL)
		status = smtpctl_usage("%s", why);
	else if (caller_ask_dns(&caller, conf, &why) < 0)
		status = smtpctl_failed("%s", why);
	free(why);
	if (status == EXIT_DONE) {
		caller_ask_ledger(&caller);
		explain_caller(&caller, conf);
	}
	caller_free(&caller);
	return status;
}
