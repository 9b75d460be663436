/*
 * What every handler may need: the options, the configuration, and the ways to say that something went wrong.
 *
 * Nothing is kept but what the command line said, and the configuration, which is read once.
 */
#include <stdarg.h>
#include <stdio.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "smtpctl/smtpctl.h"

struct options options = { .conf_path = CONF_PATH };

static struct {
	const char *object, *verb, *words;
} called; /* whose usage is told */

void
smtpctl_called(const char *object, const char *verb, const char *words)
{
	called.object = object;
	called.verb = verb;
	called.words = words;
}

int
smtpctl_failed(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("smtpctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_FAILED;
}

int
smtpctl_usage(const char *fmt, ...)
{
	va_list ap;

	fputs("smtpctl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	if (called.object != NULL)
		fprintf(stderr, "usage: smtpctl %s%s%s %s\n", called.object, called.verb != NULL ? " " : "",
		    called.verb != NULL ? called.verb : "", called.words);
	return EXIT_USAGE;
}

int
smtpctl_refused(int status, const char *why)
{
	return status == EXIT_USAGE ? smtpctl_usage("%s", why) : smtpctl_failed("%s", why);
}

const struct conf *
smtpctl_conf(void)
{
	static const struct conf *conf;
	struct buf errors = { 0 }, warnings = { 0 };

	if (conf == NULL) {
		conf = conf_load(options.conf_path, &errors, &warnings);
		fputs(buf_str(&errors), stderr);
	}
	buf_free(&errors);
	buf_free(&warnings);
	return conf;
}
