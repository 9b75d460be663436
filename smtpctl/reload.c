/*
 * smtpctl reload and upgrade: the running server reads its configuration again, or becomes the binary that is installed
 * now.  What is wrong is told as the server found it; it goes on as before then.
 */
#include <stdlib.h>
#include <unistd.h>

#include "lib/field.h"
#include "smtpctl/client.h"
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

#define UPGRADE_SECONDS 60 /* sessions have five, the roles behind them their own */
#define LOOKS_A_SECOND 10

int
reload_ask(int n, char **words)
{
	return output_answer(OUTPUT_TABLE, n, words);
}

static void
note_pid(const struct field *fields, void *arg)
{
	*(uint64_t *)arg = field_u64(fields, "pid");
}

/* The process that answers; 0 when none does. */
static uint64_t
who_answers(void)
{
	static const char *const words[] = { "version" };
	uint64_t pid = 0;
	struct request r = { .n = 1, .words = words, .record = note_pid, .arg = &pid };
	char *why = NULL;

	(void)client_request(&r, true, &why);
	free(why);
	return pid;
}

/* Whoever calls smtpctl next finds the new server there. */
int
upgrade_ask(int n, char **words)
{
	uint64_t before = who_answers(), now;
	int status = output_answer(OUTPUT_TABLE, n, words);
	unsigned looks;

	for (looks = 0; status == EXIT_DONE && looks < UPGRADE_SECONDS * LOOKS_A_SECOND; looks++) {
		now = who_answers();
		if (now != 0 && now != before)
			return EXIT_DONE;
		usleep(1000000 / LOOKS_A_SECOND);
	}
	return status != EXIT_DONE ? status :
	    smtpctl_failed("the new server does not answer after %d seconds; its log says why", UPGRADE_SECONDS);
}
