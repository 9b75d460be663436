/*
 * smtpctl queue export and import: messages as plain files, the way to another mail server and back.
 *
 *   ID.eml       the content, as RFC 5322 has it
 *   ID.json      all that is known: what `queue show` tells, a JSON object a line
 *   ID.restore   what `queue import` hands in: the words of a submission, one a line, where octets
 *                that could end a line, and the backslash, are \HH
 *   ID.envelope  the sender ("<>" is the null one) and then the recipients that wait, one a line
 *
 * The envelope is written last: where it is, all of the message is.  An export overwrites nothing
 * and follows no link.  The queue sends all messages in one answer, and goes on with the mail
 * meanwhile; here one is in memory at a time, but for its content.  An import takes messages with or
 * without a .restore, and calls the envelope of one that is durably in the queue ID.imported: so it
 * can be broken off and begun again.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/field.h"
#include "lib/mem.h"
#include "smtpctl/client.h"
#include "smtpctl/smtpctl.h"

#define PROGRESS_EACH 1000
/* Of one submission: a message with more recipients becomes several.  Octets that they take in an
 * envelope (queue/submit_wire.h) are those of their words and at most so many for each. */
#define RECIPIENTS_SIZE (750 * 1024)
#define RECIPIENT_SIZE 40
#define IMPORTED "imported"

/* On long work a person sees that it goes on. */
static void
progress(uint64_t done, const char *what)
{
	if (done % PROGRESS_EACH == 0 && isatty(STDERR_FILENO))
		fprintf(stderr, "\r%" PRIu64 " messages %s ", done, what);
}

static int
told_all(uint64_t done, uint64_t failed, const char *what, const char *folder)
{
	if (isatty(STDERR_FILENO) && done >= PROGRESS_EACH)
		fputc('\n', stderr);
	if (options.json)
		printf("{\"messages\":%" PRIu64 ",\"failed\":%" PRIu64 "}\n", done, failed);
	else
		printf("%" PRIu64 " messages %s %s\n", done, what, folder);
	return failed > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int
open_folder(const char *name)
{
	return open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* --- export --- */

struct export {
	int folder;
	const char *name;     /* of the folder */
	char *id;             /* of the message that is being written, or NULL */
	int fd;               /* of its content, or -1 */
	char *why;            /* what went wrong with it, or NULL */
	uint64_t size, got;   /* octets of content: promised, come */
	struct buf records, envelope, restore;
	uint64_t written, failed;
};

static char *
file_error(const struct export *x, const char *file)
{
	return xasprintf("%s/%s: %s", x->name, file, strerror(errno));
}

/* A new file, never an old one nor where a link leads. */
static int
create_file(struct export *x, const char *suffix)
{
	char *file = xasprintf("%s.%s", x->id, suffix);
	int fd = openat(
	    x->folder, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 && x->why == NULL)
		x->why = file_error(x, file);
	free(file);
	return fd;
}

static void
write_all(struct export *x, int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	for (; len > 0 && x->why == NULL; p += n, len -= (size_t)n) {
		n = write(fd, p, len);
		if (n < 0 && errno != EINTR)
			x->why = file_error(x, x->id);
		if (n < 0)
			n = 0;
	}
}

static void
close_file(struct export *x, int fd)
{
	if (close(fd) < 0 && x->why == NULL)
		x->why = file_error(x, x->id);
}

static void
remove_file(struct export *x, const char *suffix)
{
	char *file = xasprintf("%s.%s", x->id, suffix);

	(void)unlinkat(x->folder, file, 0);
	free(file);
}

/* The files beside the content; all or none. */
static void
write_beside(struct export *x)
{
	const struct {
		const char *suffix;
		const struct buf *text;
	} parts[] = { { "json", &x->records }, { "restore", &x->restore }, { "envelope", &x->envelope } };
	size_t i, made;
	int fd;

	for (made = 0; made < 3 && x->why == NULL; made++) {
		if ((fd = create_file(x, parts[made].suffix)) < 0)
			break;
		write_all(x, fd, parts[made].text->data, parts[made].text->len);
		close_file(x, fd);
	}
	for (i = 0; x->why != NULL && i < made; i++)
		remove_file(x, parts[i].suffix);
}

/* The message before is complete. */
static void
end_message(struct export *x)
{
	bool had_file = x->fd >= 0;

	if (x->id == NULL)
		return;
	if (had_file)
		close_file(x, x->fd);
	x->fd = -1;
	if (x->why == NULL && x->got != x->size)
		x->why = xasprintf("its content could not be read; see the log");
	if (x->why == NULL)
		write_beside(x);
	if (x->why != NULL) {
		(void)smtpctl_failed("%s: %s", x->id, x->why);
		if (had_file)
			remove_file(x, "eml");
		x->failed++;
	} else {
		progress(++x->written, "written");
	}
	free(x->why);
	free(x->id);
	x->why = x->id = NULL;
}

static void
add_word(struct buf *b, const char *key, const char *value)
{
	if (value == NULL)
		return;
	buf_addf(b, "%s=", key);
	for (; *value != '\0'; value++) {
		if ((unsigned char)*value < ' ' || *value == 0x7f || *value == '\\')
			buf_addf(b, "\\%02X", (unsigned char)*value);
		else
			buf_addc(b, *value);
	}
	buf_addc(b, '\n');
}

static void
add_number(struct buf *b, const struct field *fields, const char *key)
{
	for (; fields->type != FIELD_END; fields++)
		if (fields->type == FIELD_I64 && strcmp(fields->key, key) == 0)
			buf_addf(b, "%s=%" PRId64 "\n", key, fields->i64);
}

static void
add_yes(struct buf *b, const struct field *fields, const char *key)
{
	for (; fields->type != FIELD_END; fields++)
		if (fields->type == FIELD_BOOL && strcmp(fields->key, key) == 0 && fields->b)
			buf_addf(b, "%s=yes\n", key);
}

static void
begin_message(struct export *x, const struct field *fields)
{
	const char *sender = field_get(fields, "sender"), *state = field_get(fields, "state");

	x->id = xstrdup(field_get(fields, "message"));
	x->size = x->got = 0;
	for (; fields->type != FIELD_END; fields++)
		if (fields->type == FIELD_U64 && strcmp(fields->key, "size") == 0)
			x->size = fields->u64;
	buf_clear(&x->records);
	buf_clear(&x->envelope);
	buf_clear(&x->restore);
	x->fd = create_file(x, "eml");
	buf_addf(&x->envelope, "%s\n", sender != NULL && *sender != '\0' ? sender : "<>");
	add_word(&x->restore, "from", sender != NULL ? sender : "");
	if (state != NULL && strcmp(state, "held") == 0)
		add_word(&x->restore, "held", "yes");
}

static void
on_record(const struct field *fields, void *arg)
{
	struct export *x = arg;
	const char *recipient = field_get(fields, "recipient"), *state = field_get(fields, "state");
	const char *unreadable = field_get(fields, "unreadable");

	if (unreadable != NULL || field_get(fields, "message") != NULL)
		end_message(x);
	if (unreadable != NULL) {
		(void)smtpctl_failed("%s: its content could not be read; see the log", unreadable);
		x->failed++;
		return;
	}
	if (field_get(fields, "message") != NULL) {
		begin_message(x, fields);
		add_number(&x->restore, fields, "time");
		add_number(&x->restore, fields, "expires");
		add_yes(&x->restore, fields, "smtputf8");
		add_yes(&x->restore, fields, "requiretls");
		add_word(&x->restore, "body", field_get(fields, "body"));
		add_number(&x->restore, fields, "release");
		add_word(&x->restore, "hold", field_get(fields, "hold"));
		add_number(&x->restore, fields, "deliver_by");
		add_word(&x->restore, "by", field_get(fields, "by"));
		add_word(&x->restore, "envid", field_get(fields, "envid"));
		add_word(&x->restore, "ret", field_get(fields, "ret"));
		add_word(&x->restore, "verp", field_get(fields, "verp"));
	}
	field_json(&x->records, fields);
	buf_addc(&x->records, '\n');
	if (recipient == NULL || state == NULL || strcmp(state, "waiting") != 0)
		return;
	buf_addf(&x->envelope, "%s\n", recipient);
	add_word(&x->restore, "to", recipient);
	add_word(&x->restore, "orcpt", field_get(fields, "original"));
	add_word(&x->restore, "to-notify", field_get(fields, "notify"));
}

static void
on_text(const void *text, size_t len, void *arg)
{
	struct export *x = arg;

	x->got += len;
	if (x->fd >= 0)
		write_all(x, x->fd, text, len);
}

static int
export_to(struct export *x, int n, char **words)
{
	const char **asked = xcalloc((size_t)n, sizeof(*asked));
	struct request r = { .n = (unsigned)n - 1, .words = asked, .record = on_record,
		.text = on_text, .arg = x };
	char *why = NULL;
	int i, status;

	asked[0] = words[0];
	asked[1] = words[1];
	for (i = 3; i < n; i++)
		asked[i - 1] = words[i];
	status = client_request(&r, false, &why);
	end_message(x);
	/* one flush of the file system for all, not four for each: we print after it */
	if (syncfs(x->folder) < 0) {
		(void)smtpctl_failed("%s: %s", x->name, strerror(errno));
		x->failed++;
	}
	if (status != 0)
		status = smtpctl_refused(status, why);
	else
		status = told_all(x->written, x->failed, "written to", x->name);
	free(why);
	free(asked);
	return status;
}

int
queue_export(int n, char **words)
{
	struct export x = { .name = words[2], .fd = -1 };
	int status;

	if (mkdir(x.name, 0700) < 0 && errno != EEXIST)
		return smtpctl_failed("%s: %s", x.name, strerror(errno));
	x.folder = open_folder(x.name);
	if (x.folder < 0)
		return smtpctl_failed("%s: %s", x.name, strerror(errno));
	status = export_to(&x, n, words);
	close(x.folder);
	buf_free(&x.records);
	buf_free(&x.envelope);
	buf_free(&x.restore);
	return status;
}

/* --- import --- */

struct import {
	const char *name;
	int folder;
	bool dry_run;
	char *id;
	char **head, **recipients; /* words: of the message; each "to=" with what follows it */
	unsigned head_n, recipients_n;
	char *content;
	size_t content_len;
	uint64_t done, failed;
};

/* All of a file, mapped; LEN 0: there is none, or it is empty.  The caller unmaps. */
static char *
map_file(const struct import *m, const char *suffix, size_t *len)
{
	char *file = xasprintf("%s.%s", m->id, suffix), *p = MAP_FAILED;
	int fd = openat(m->folder, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	*len = 0;
	free(file);
	if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
		p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p != MAP_FAILED)
		*len = (size_t)st.st_size;
	if (fd >= 0)
		close(fd);
	return p != MAP_FAILED ? p : NULL;
}

static void
keep_word(char ***words, unsigned *n, char *word)
{
	*words = xreallocarray(*words, *n + 1, sizeof(**words));
	(*words)[(*n)++] = word;
}

static char *
unescape(const char *line, size_t len)
{
	struct buf b = { 0 };
	unsigned octet;
	char hex[3] = "";
	size_t i;

	for (i = 0; i < len; i++) {
		if (line[i] != '\\' || i + 2 >= len) {
			buf_addc(&b, line[i]);
			continue;
		}
		memcpy(hex, line + i + 1, 2);
		octet = (unsigned)strtoul(hex, NULL, 16);
		buf_addc(&b, (char)octet);
		i += 2;
	}
	return buf_take(&b);
}

/* A line of .restore is a word; of .envelope the sender, or a recipient. */
static void
take_line(struct import *m, const char *line, size_t len, bool plain, bool first)
{
	char *word;
	bool of_recipient;

	if (!plain)
		word = unescape(line, len);
	else if (first)
		word = len == 2 && memcmp(line, "<>", 2) == 0 ? xstrdup("from=") :
								  xasprintf("from=%.*s", (int)len, line);
	else
		word = xasprintf("to=%.*s", (int)len, line);
	of_recipient = strncmp(word, "to=", 3) == 0 || strncmp(word, "orcpt=", 6) == 0 ||
	    strncmp(word, "to-notify=", 10) == 0;
	if (of_recipient)
		keep_word(&m->recipients, &m->recipients_n, word);
	else
		keep_word(&m->head, &m->head_n, word);
}

static bool
take_lines(struct import *m, const char *suffix, bool plain)
{
	size_t len, at, n;
	char *text = map_file(m, suffix, &len);

	if (text == NULL)
		return false;
	for (at = 0; at < len; at += n + 1) {
		const char *end = memchr(text + at, '\n', len - at);

		n = end != NULL ? (size_t)(end - (text + at)) : len - at;
		if (n > 0)
			take_line(m, text + at, n, plain, at == 0);
	}
	munmap(text, len);
	return true;
}

/* As many recipients as one submission takes, from FROM on; returns where the next begins. */
static unsigned
fill_words(const struct import *m, const char **words, unsigned *n, unsigned from)
{
	size_t size = 0;
	unsigned i;

	*n = 0;
	words[(*n)++] = "submit";
	for (i = 0; i < m->head_n; i++)
		words[(*n)++] = m->head[i];
	for (i = from; i < m->recipients_n; i++) {
		if (strncmp(m->recipients[i], "to=", 3) == 0) {
			if (size > RECIPIENTS_SIZE)
				break;
			size += RECIPIENT_SIZE;
		}
		size += strlen(m->recipients[i]);
		words[(*n)++] = m->recipients[i];
	}
	return i;
}

/* NULL, or what is wrong (caller frees). */
static char *
hand_in(const struct import *m)
{
	const char **words = xcalloc(1 + m->head_n + m->recipients_n, sizeof(*words));
	struct request r = { .words = words, .content = m->content, .content_len = m->content_len };
	char *why = NULL;
	unsigned at = 0;
	int status = 0;

	while (status == 0 && at < m->recipients_n) {
		free(why);
		why = NULL;
		at = fill_words(m, words, &r.n, at);
		status = client_request(&r, true, &why);
	}
	free(words);
	if (status != 0)
		return why != NULL ? why : xstrdup("the server did not take it");
	free(why);
	return NULL;
}

/* It is in the queue: not a second time. */
static char *
mark(const struct import *m)
{
	char *from = xasprintf("%s.envelope", m->id), *to = xasprintf("%s." IMPORTED, m->id), *why = NULL;

	if (renameat(m->folder, from, m->folder, to) < 0)
		why = xasprintf("it is in the queue, but cannot be called %s/%s: %s", m->name, to,
		    strerror(errno));
	free(from);
	free(to);
	return why;
}

static void
import_one(struct import *m)
{
	char *why = NULL;
	unsigned i;

	if (!take_lines(m, "restore", false) && !take_lines(m, "envelope", true))
		why = xstrdup("its envelope cannot be read");
	m->content = map_file(m, "eml", &m->content_len);
	if (why == NULL && m->content == NULL)
		why = xstrdup("it has no content");
	if (why == NULL && m->recipients_n == 0)
		why = xstrdup("nobody waits for it");
	if (why == NULL && !m->dry_run)
		why = hand_in(m);
	if (why == NULL && !m->dry_run)
		why = mark(m);
	if (why != NULL) {
		(void)smtpctl_failed("%s: %s", m->id, why);
		m->failed++;
	} else
		progress(++m->done, m->dry_run ? "found" : "taken in");
	free(why);
	if (m->content != NULL)
		munmap(m->content, m->content_len);
	for (i = 0; i < m->head_n; i++)
		free(m->head[i]);
	for (i = 0; i < m->recipients_n; i++)
		free(m->recipients[i]);
	free(m->head);
	free(m->recipients);
	m->head = m->recipients = NULL;
	m->head_n = m->recipients_n = 0;
}

/* Names in their order, which is that of age: the oldest first. */
static int
is_envelope(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return len > 9 && strcmp(e->d_name + len - 9, ".envelope") == 0;
}

int
queue_import(int n, char **words)
{
	struct import m = { .name = words[n - 1], .dry_run = n > 3 };
	struct dirent **names;
	int count, i;

	if (m.dry_run && strcmp(words[2], "-n") != 0)
		return smtpctl_usage("one directory");
	m.folder = open_folder(m.name);
	if (m.folder < 0 || (count = scandir(m.name, &names, is_envelope, alphasort)) < 0)
		return smtpctl_failed("%s: %s", m.name, strerror(errno));
	for (i = 0; i < count; i++) {
		m.id = xstrndup(names[i]->d_name, strlen(names[i]->d_name) - 9);
		import_one(&m);
		free(m.id);
		free(names[i]);
	}
	free(names);
	close(m.folder);
	return told_all(m.done, m.failed, m.dry_run ? "to be taken in from" : "taken in from", m.name);
}
