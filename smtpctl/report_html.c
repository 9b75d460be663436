/*
 * smtpctl gate report html (report_html.h): asks the server for the figures and the lists, and writes the page.
 *
 * The page takes its file's place when it is whole, so that whoever reads it meanwhile has the old one or the new one.
 * Without a configuration that can be read, rules are named by their numbers.  What can fail is the server and the
 * file; both are told, and then there is no file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "smtpctl/client.h"
#include "smtpctl/report_html.h"
#include "smtpctl/report_page.h"
#include "smtpctl/smtpctl.h"
#include "smtpctl/words.h"

#define SINCE_DEFAULT (13 * 86400)

struct wishes {
	const char *file;
	enum report_lang lang;
	int64_t now, since, until;
};

static bool
read_time(const char *value, int64_t now, int64_t *time)
{
	uint64_t seconds;

	if (quantity_parse(value, strlen(value), &seconds) != QUANTITY_TIME || (int64_t)seconds >= now)
		return false;
	*time = now - (int64_t)seconds;
	return true;
}

static bool
read_word(struct wishes *w, const char *word)
{
	const char *value;

	if ((value = word_value(word, "lang=")) != NULL)
		return report_lang_by_code(value, &w->lang);
	if ((value = word_value(word, "since=")) != NULL)
		return read_time(value, w->now, &w->since);
	if ((value = word_value(word, "until=")) != NULL)
		return read_time(value, w->now, &w->until);
	if (w->file != NULL || strchr(word, '=') != NULL)
		return false;
	w->file = word;
	return true;
}

static int
ask(unsigned n, const char *const *words, void (*record)(const struct field *, void *), void *arg)
{
	struct request r = { .n = n, .words = words, .record = record, .arg = arg };
	char *why = NULL;
	int status = client_request(&r, false, &why);

	if (status != 0)
		status = smtpctl_refused(status, why);
	free(why);
	return status;
}

static int
gather(const struct wishes *w, struct report_data *d)
{
	char *since = xasprintf("since=%llds", (long long)(w->now - w->since));
	char *until = xasprintf("until=%llds", (long long)(w->now - w->until));
	const char *const report[] = { "gate", "report", "by=hour", since, until };
	const char *const rescued[] = { "gate", "rescued", since };
	const char *const proposed[] = { "grey", "list", "state=proposed" };
	int status;

	status = ask(5, report, report_data_record, d);
	if (status == EXIT_DONE)
		status = ask(3, rescued, report_data_rescued, d);
	if (status == EXIT_DONE)
		status = ask(3, proposed, report_data_proposed, d);
	free(since);
	free(until);
	return status;
}

static int
write_file(const char *file, const struct buf *page)
{
	char *new = xasprintf("%s.new", file);
	FILE *f = fopen(new, "we");
	bool done = false;
	int status;

	if (f != NULL) {
		done = fwrite(page->data, 1, page->len, f) == page->len;
		done = fclose(f) == 0 && done;
	}
	if (done && rename(new, file) == 0) {
		status = EXIT_DONE;
	} else {
		status = smtpctl_failed("%s: %s", file, strerror(errno));
		(void)unlink(new);
	}
	free(new);
	return status;
}

static int
write_page(const struct wishes *w, const struct report_data *d, const struct conf *conf)
{
	struct buf page = { 0 };
	int status = EXIT_DONE;

	report_page(&page, w->lang, conf != NULL ? conf->host : NULL, d);
	if (strcmp(w->file, "-") == 0)
		(void)fwrite(page.data, 1, page.len, stdout);
	else
		status = write_file(w->file, &page);
	buf_free(&page);
	return status;
}

int
report_html(int n, char **words)
{
	struct wishes w = { .now = clock_now(), .lang = report_lang_of_environment() };
	struct report_data *d;
	const struct conf *conf;
	int i, status;

	w.until = w.now;
	w.since = w.now - SINCE_DEFAULT;
	for (i = 0; i < n; i++)
		if (!read_word(&w, words[i]))
			return smtpctl_usage("%s: lang=en, lang=ja, since=14d, until=7d or one file are expected", words[i]);
	if (w.file == NULL || w.since > w.until)
		return smtpctl_usage(w.file == NULL ? "say which file, or - for standard output" :
						      "since= is longer ago than until=");
	w.since = report_midnight(w.since);
	d = xcalloc(1, sizeof(*d));
	report_data_init(d, w.since, w.until);
	status = gather(&w, d);
	if (status == EXIT_DONE) {
		conf = smtpctl_conf();
		report_data_finish(d, conf != NULL ? &conf->gate : NULL);
		status = write_page(&w, d, conf);
	}
	report_data_clear(d);
	free(d);
	return status;
}
