/*
 * smtpctl gate replay: what this gate would have done with the callers of an old log.
 *
 *	smtpctl gate replay /var/log/mail.log.1 /var/log/mail.log
 *	zcat /var/log/mail.log.*.gz | smtpctl gate replay format=postfix -
 *
 * Files are read once, in pieces, oldest first; whose log each is shows in its first lines.  On a
 * terminal the progress is told, and elsewhere when it takes long.  Nothing is asked of anybody unless
 * `lookup` says so, and nothing is changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filters/ledger_fields.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "smtpctl/output.h"
#include "smtpctl/replay.h"
#include "smtpctl/smtpctl.h"
#include "smtpctl/words.h"

#define PIECE (1024 * 1024)
#define TELL_LINES 65536
#define TELL_MS 1000
#define TELL_MS_QUIETLY 10000
#define LIMIT_DEFAULT 20

struct file {
	const char *path; /* "-": standard input */
	int64_t begins, changed;
	uint64_t size;
	const struct log_format *format;
};

struct run {
	struct replay replay;
	struct replay_names *names; /* with `lookup`, else NULL */
	struct logbook *book;
	const struct log_format *format; /* given; or NULL */
	struct output *out;
	bool terminal;
	uint64_t told_ms, done, lines, read_lines;
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
tell_progress(struct run *run, const struct file *f)
{
	uint64_t now = clock_ms();
	char percent[16] = "";

	if (now - run->told_ms < (run->terminal ? TELL_MS : TELL_MS_QUIETLY))
		return;
	run->told_ms = now;
	if (f->size > 0)
		snprintf(percent, sizeof(percent), "%u %%, ", (unsigned)(run->done * 100 / f->size));
	fprintf(stderr, "%s%s: %s%llu lines, %llu recipients%s", run->terminal ? "\r" : "", f->path, percent,
	    (unsigned long long)run->lines, (unsigned long long)run->replay.attempts, run->terminal ? "\033[K" : "\n");
}

static void
end_progress(const struct run *run)
{
	if (run->terminal)
		fprintf(stderr, "\r\033[K");
}

/* --- files --- */

/* NULL, or the program that unpacks it. */
static const char *
packed_by(const char *text, size_t len)
{
	static const struct {
		const char *magic, *program;
		size_t len;
	} kinds[] = {
		{ "\x1f\x8b", "zcat", 2 },
		{ "BZh", "bzcat", 3 },
		{ "\xfd""7zXZ", "xzcat", 5 },
		{ "\x28\xb5\x2f\xfd", "zstdcat", 4 },
	};
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (len >= kinds[i].len && memcmp(text, kinds[i].magic, kinds[i].len) == 0)
			return kinds[i].program;
	return NULL;
}

static void
take_lines(struct run *run, struct file *f, struct log_clock *clock, const char *text, size_t len)
{
	const char *end = text + len, *next;
	struct log_line line;

	for (; text < end; text = next + 1) {
		next = memchr(text, '\n', (size_t)(end - text));
		if (next == NULL)
			next = end;
		run->lines++;
		if (f->format->read(clock, text, (size_t)(next - text), &line)) {
			run->read_lines++;
			logbook_line(run->book, &line);
		}
		if (run->lines % TELL_LINES == 0)
			tell_progress(run, f);
	}
}

static int
find_format(struct run *run, struct file *f, const struct buf *text)
{
	const char *program = packed_by(buf_str(text), text->len);

	if (program != NULL)
		return smtpctl_failed("%s: is packed; %s %s | smtpctl gate replay -", f->path, program, f->path);
	f->format = run->format != NULL ? run->format : log_detect(buf_str(text), text->len, f->changed);
	if (f->format == NULL && text->len > 0)
		return smtpctl_failed("%s: no log of Postfix, Sendmail, Exim, qmail, OpenSMTPD or postgrey; "
				      "format=NAME says whose it is",
		    f->path);
	return EXIT_DONE;
}

/* The whole lines of TEXT; what is left of the last one stays in it. */
static void
consume(struct run *run, struct file *f, struct log_clock *clock, struct buf *text, bool end)
{
	const char *last = text->len > 0 ? memrchr(text->data, '\n', text->len) : NULL;
	size_t whole = last != NULL ? (size_t)(last + 1 - text->data) : 0;

	/* a line that fills all is none */
	if (end || (whole == 0 && text->len > PIECE))
		whole = text->len;
	take_lines(run, f, clock, buf_str(text), whole);
	if (whole > 0)
		memmove(text->data, text->data + whole, text->len - whole);
	text->len -= whole;
}

static int
read_log(struct run *run, struct file *f, int fd)
{
	struct log_clock clock = { .reference = f->changed };
	struct buf text = { 0 };
	int status = EXIT_DONE;
	ssize_t n;

	run->done = 0;
	run->lines = run->read_lines = 0;
	do {
		n = read(fd, buf_reserve(&text, PIECE), PIECE);
		if (n > 0) {
			text.len += (size_t)n;
			run->done += (uint64_t)n;
		}
		if (f->format == NULL)
			status = find_format(run, f, &text);
		if (status == EXIT_DONE && f->format != NULL)
			consume(run, f, &clock, &text, n <= 0);
	} while (n > 0 && status == EXIT_DONE);
	if (n < 0)
		status = smtpctl_failed("%s: %s", f->path, strerror(errno));
	buf_free(&text);
	return status;
}

static void
tell_file(struct run *run, const struct file *f)
{
	const char *title = f->format != NULL ? f->format->title : "empty";

	end_progress(run);
	if (options.json)
		output_record(FIELDS(F_STR("part", "file"), F_STR("file", f->path), F_STR("format", title),
				  F_U64("lines", run->lines), F_U64("understood", run->read_lines)), run->out);
	output_note(run->out, "%s: %s, %llu lines, %llu of them the mail server's", f->path, title,
	    (unsigned long long)run->lines, (unsigned long long)run->read_lines);
}

static int
read_file(struct run *run, struct file *f)
{
	int fd = strcmp(f->path, "-") == 0 ? STDIN_FILENO : open(f->path, O_RDONLY | O_CLOEXEC), status;

	if (fd < 0)
		return smtpctl_failed("%s: %s", f->path, strerror(errno));
	status = read_log(run, f, fd);
	if (fd != STDIN_FILENO)
		close(fd);
	if (status == EXIT_DONE)
		tell_file(run, f);
	return status;
}

/* --- their order --- */

/* The time of the first line that has one. */
static int64_t
first_time(const char *path, int64_t reference)
{
	struct log_clock clock = { .reference = reference };
	FILE *in = fopen(path, "r");
	char *line = NULL;
	size_t size = 0, len;
	int64_t time = -1;
	const char *s;
	ssize_t n;

	while (in != NULL && time < 0 && (n = getline(&line, &size, in)) > 0) {
		s = line;
		len = (size_t)n;
		time = log_time_any(&clock, &s, &len);
	}
	free(line);
	if (in != NULL)
		fclose(in);
	return time;
}

static int
look_at(struct file *f, const char *path)
{
	struct stat st;

	*f = (struct file){ .path = path, .begins = INT64_MAX, .changed = clock_now() };
	if (strcmp(path, "-") == 0)
		return EXIT_DONE;
	if (stat(path, &st) == -1)
		return smtpctl_failed("%s: %s", path, strerror(errno));
	if (S_ISREG(st.st_mode)) {
		f->size = (uint64_t)st.st_size;
		f->changed = st.st_mtime;
		f->begins = first_time(path, st.st_mtime);
	}
	return EXIT_DONE;
}

static int
older(const void *a, const void *b)
{
	const struct file *x = a, *y = b;

	return x->begins < y->begins ? -1 : x->begins > y->begins;
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
replay_files(struct run *run, struct file *files, unsigned n, bool lookup, unsigned limit)
{
	int status = EXIT_DONE;
	char *why = NULL;
	unsigned i;

	qsort(files, n, sizeof(*files), older);
	if (lookup && (run->names = replay_names_new(&run->replay, &why)) == NULL)
		status = smtpctl_failed("%s", why);
	free(why);
	for (i = 0; i < n && status == EXIT_DONE; i++)
		status = read_file(run, &files[i]);
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
read_words(struct run *run, int n, char **words, struct file *files, unsigned *files_n, bool *lookup, unsigned *limit)
{
	const char *value;
	int i;

	for (i = 0; i < n; i++) {
		if (strcmp(words[i], "lookup") == 0) {
			*lookup = true;
		} else if ((value = word_value(words[i], "limit=")) != NULL) {
			*limit = (unsigned)strtoul(value, NULL, 10);
		} else if ((value = word_value(words[i], "format=")) != NULL) {
			run->format = log_format_by_name(value);
			if (run->format == NULL)
				return smtpctl_usage("format=%s: there are postfix, sendmail, exim, opensmtpd, qmail, postgrey",
				    value);
		} else if (look_at(&files[(*files_n)++], words[i]) != EXIT_DONE) {
			return EXIT_FAILED;
		}
	}
	return *files_n > 0 ? EXIT_DONE : smtpctl_usage("which log?");
}

int
gate_replay(int n, char **words)
{
	struct run run = { .terminal = isatty(STDERR_FILENO), .told_ms = clock_ms() };
	struct file *files = xcalloc((size_t)n, sizeof(*files));
	const struct conf *conf = smtpctl_conf();
	unsigned files_n = 0, limit = LIMIT_DEFAULT;
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
	free(files);
	return status;
}
