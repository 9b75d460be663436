/*
 * smtpctl gate replay: what this gate would have done with the callers of an old log.
 *
 *	smtpctl gate replay /var/log/mail.log*
 *	zcat old.gz | smtpctl gate replay format=postfix -
 *
 * Files are read once, in pieces, oldest first; whose log each is shows in its first lines.  On a
 * terminal the progress is told, and elsewhere when it takes long.  Nothing is asked of anybody unless
 * `lookup` says so, and nothing is changed.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "filters/ledger_fields.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "smtpctl/log_file.h"
#include "smtpctl/output.h"
#include "smtpctl/replay.h"
#include "smtpctl/smtpctl.h"
#include "smtpctl/words.h"

#define TELL_LINES 65536
#define TELL_MS 1000
#define TELL_MS_QUIETLY 10000
#define LIMIT_DEFAULT 20

struct run {
	struct replay replay;
	struct replay_names *names; /* with `lookup`, else NULL */
	struct logbook *book;
	const struct log_format *format; /* given; or NULL */
	struct output *out;
	bool terminal;
	uint64_t told_ms, lines;
};

static void
on_attempt(const struct attempt *a, void *arg)
{
	struct run *run = arg;

	if (run->names != NULL)
		replay_names_attempt(run->names, a);
	else
		replay_attempt(&run->replay, a, NULL);
}

/* --- progress --- */

static void
tell_progress(struct run *run, const struct log_file *f)
{
	uint64_t now = clock_ms();
	char percent[16] = "";

	if (now - run->told_ms < (run->terminal ? TELL_MS : TELL_MS_QUIETLY))
		return;
	run->told_ms = now;
	if (f->size > 0)
		snprintf(percent, sizeof(percent), "%u %%, ", (unsigned)(f->done * 100 / f->size));
	fprintf(stderr, "%s%s: %s%llu lines, %llu recipients%s", run->terminal ? "\r" : "", f->path, percent,
	    (unsigned long long)f->lines, (unsigned long long)run->replay.attempts, run->terminal ? "\033[K" : "\n");
}

static void
end_progress(const struct run *run)
{
	if (run->terminal)
		fprintf(stderr, "\r\033[K");
}

/* --- files --- */

static void
tell_file(struct run *run, const struct log_file *f)
{
	const char *title = f->format != NULL ? f->format->title : "empty";

	end_progress(run);
	if (options.json)
		output_record(FIELDS(F_STR("part", "file"), F_STR("file", f->path), F_STR("format", title),
				  F_U64("lines", f->lines), F_U64("understood", f->understood)), run->out);
	output_note(run->out, "%s: %s, %llu lines, %llu of them the mail server's", f->path, title,
	    (unsigned long long)f->lines, (unsigned long long)f->understood);
}

static int
older(const void *a, const void *b)
{
	const struct log_file *x = a, *y = b;

	return x->begins < y->begins ? -1 : x->begins > y->begins;
}

/* The one of those that are open whose line is the oldest; NULL: none has a line. */
static struct log_file *
oldest(struct log_file *files, unsigned n)
{
	struct log_file *best = NULL;
	unsigned i;

	for (i = 0; i < n; i++)
		if (files[i].more && (best == NULL || files[i].line.time < best->line.time))
			best = &files[i];
	return best;
}

static int
take_line(struct run *run, struct log_file *f)
{
	int status;

	logbook_line(run->book, &f->line);
	status = log_file_next(f);
	if (++run->lines % TELL_LINES == 0)
		tell_progress(run, f);
	if (status == EXIT_DONE && !f->more) {
		tell_file(run, f);
		log_file_close(f);
	}
	return status;
}

/* Line by line, the oldest first: rotated files follow each other so, and qmail's two logs go side by side.  Files are
 * opened when it is their time. */
static int
read_files(struct run *run, struct log_file *files, unsigned n)
{
	unsigned opened = 0, done = 0;
	int status = EXIT_DONE;
	struct log_file *f;

	qsort(files, n, sizeof(*files), older);
	while (status == EXIT_DONE) {
		for (; done < opened && !files[done].more; done++)
			;
		f = oldest(files + done, opened - done);
		if (opened < n && (f == NULL || files[opened].begins <= f->line.time)) {
			f = &files[opened++];
			status = log_file_open(f, run->format);
			if (status == EXIT_DONE && !f->more)
				tell_file(run, f);
		} else if (f != NULL) {
			status = take_line(run, f);
		} else {
			break;
		}
	}
	return status;
}

/* --- the command --- */

static void
tell_period(const struct run *run)
{
	const struct replay *r = &run->replay;
	struct ledger_time_text from = ledger_time_text(r->first), until = ledger_time_text(r->last);

	if (options.json)
		output_record(FIELDS(F_STR("part", "period"), F_I64("since", r->first), F_I64("until", r->last),
				  F_U64("recipients", r->attempts)), run->out);
	else if (r->first != 0)
		output_note(run->out, "%llu recipients, from %s to %s", (unsigned long long)r->attempts, from.s,
		    until.s);
	output_note(run->out, "%s", "");
}

static int
replay_files(struct run *run, struct log_file *files, unsigned n, bool lookup, unsigned limit)
{
	int status = EXIT_DONE;
	char *why = NULL;

	if (lookup && (run->names = replay_names_new(&run->replay, &why)) == NULL)
		status = smtpctl_failed("%s", why);
	free(why);
	if (status == EXIT_DONE)
		status = read_files(run, files, n);
	if (status == EXIT_DONE)
		logbook_end(run->book);
	if (run->names != NULL)
		replay_names_end(run->names);
	if (status == EXIT_DONE) {
		replay_finish(&run->replay);
		tell_period(run);
		replay_show(&run->replay, run->out, limit);
	}
	return status;
}

static int
read_words(struct run *run, int n, char **words, struct log_file *files, unsigned *files_n,
    bool *lookup, unsigned *limit)
{
	const char *value;
	uint64_t number;
	int i;

	for (i = 0; i < n; i++) {
		if (strcmp(words[i], "lookup") == 0) {
			*lookup = true;
		} else if ((value = word_value(words[i], "limit=")) != NULL) {
			if (quantity_parse(value, strlen(value), &number) != QUANTITY_COUNT || number > UINT_MAX)
				return smtpctl_usage("%s: a number is expected, 0 for all", words[i]);
			*limit = (unsigned)number;
		} else if ((value = word_value(words[i], "format=")) != NULL) {
			run->format = log_format_by_name(value);
			if (run->format == NULL)
				return smtpctl_usage("format=%s: there are postfix, sendmail, exim, opensmtpd, qmail, postgrey",
				    value);
		} else if (log_file_look(&files[(*files_n)++], words[i]) != EXIT_DONE) {
			return EXIT_FAILED;
		}
	}
	return *files_n > 0 ? EXIT_DONE : smtpctl_usage("which log?");
}

int
gate_replay(int n, char **words)
{
	struct run run = { .terminal = isatty(STDERR_FILENO), .told_ms = clock_ms() };
	struct log_file *files = xcalloc((size_t)n, sizeof(*files));
	const struct conf *conf = smtpctl_conf();
	unsigned files_n = 0, limit = LIMIT_DEFAULT, i;
	bool lookup = false;
	int status;

	if (conf == NULL) {
		free(files);
		return EXIT_FAILED;
	}
	status = read_words(&run, n - 2, words + 2, files, &files_n, &lookup, &limit);
	if (status == EXIT_DONE) {
		replay_init(&run.replay, conf);
		run.book = logbook_new(on_attempt, &run);
		run.out = output_new(OUTPUT_TABLE);
		status = replay_files(&run, files, files_n, lookup, limit);
		output_end(run.out);
		logbook_free(run.book);
		replay_clear(&run.replay);
	}
	for (i = 0; i < files_n; i++)
		log_file_close(&files[i]);
	free(files);
	return status;
}
