/*
 * smtpctl queue: what waits, and what the operator does about it.
 *
 * The queue knows and judges selectors; here are the forms of the answers, and the export: every message as two plain
 * files, which is the way to another mail server.  An export overwrites nothing and follows no link; a message that cannot
 * be written whole is not left behind in part.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/id.h"
#include "lib/mem.h"
#include "smtpctl/client.h"
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

int
queue_ask(int n, char **words)
{
	return output_answer(OUTPUT_TABLE, n, words);
}

/* "-n" as the manual has it, "dry-run" as the queue does. */
int
queue_act(int n, char **words)
{
	static char dry_run[] = "dry-run";
	int i;

	for (i = 2; i < n; i++)
		if (strcmp(words[i], "-n") == 0)
			words[i] = dry_run;
	return output_answer(OUTPUT_TABLE, n, words);
}

int
queue_show(int n, char **words)
{
	return output_answer(OUTPUT_BLOCKS, n, words);
}

int
queue_cat(int n, char **words)
{
	return output_answer(OUTPUT_TABLE, n, words);
}

/* --- export --- */

/*
 * The queue sends a record {id, envelope, content} for each message, and then so many octets of text: first the
 * envelope, then the content.
 */
struct export {
	int folder;
	const char *name;        /* of the folder */
	struct id_text id;       /* of the message that is being written */
	struct buf envelope;     /* it is small; its file is made last */
	uint64_t envelope_left, content_left;
	int fd;                  /* of the content, or -1: nothing is being written, or it failed */
	uint64_t written, failed;
};

static void
fail(struct export *x, const char *file)
{
	(void)smtpctl_failed("%s/%s: %s", x->name, file, errno != 0 ? strerror(errno) : "incomplete");
	x->failed++;
}

/* A new file, never an old one nor where a link leads. */
static int
create(const struct export *x, const char *file)
{
	return openat(x->folder, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
}

static int
write_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	for (; len > 0; p += n, len -= (size_t)n) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			n = 0;
		if (n < 0)
			return -1;
	}
	return 0;
}

/* Gives the message up that is being written: no part of it stays. */
static void
give_up(struct export *x, const char *file)
{
	char *content = xasprintf("%s.eml", x->id.s);

	fail(x, file);
	(void)unlinkat(x->folder, content, 0);
	if (x->fd >= 0)
		close(x->fd);
	x->fd = -1;
	free(content);
}

/* Where there is an envelope, all of the message is. */
static void
finish(struct export *x)
{
	char *file = xasprintf("%s.envelope", x->id.s);
	int fd;

	if (fsync(x->fd) < 0 || (fd = create(x, file)) < 0) {
		give_up(x, file);
		free(file);
		return;
	}
	if (write_all(fd, x->envelope.data, x->envelope.len) < 0 || fsync(fd) < 0) {
		(void)unlinkat(x->folder, file, 0);
		give_up(x, file);
	} else {
		close(x->fd);
		x->fd = -1;
		x->written++;
	}
	close(fd);
	free(file);
}

static void
on_message(const struct field *fields, void *arg)
{
	struct export *x = arg;
	const char *text = field_get(fields, "id");
	uint64_t id;
	char *file;

	x->fd = -1;
	if (text == NULL || !id_parse(text, &id))
		return;
	x->id = id_text(id);
	buf_clear(&x->envelope);
	for (; fields->type != FIELD_END; fields++) {
		if (fields->type == FIELD_U64 && strcmp(fields->key, "envelope") == 0)
			x->envelope_left = fields->u64;
		if (fields->type == FIELD_U64 && strcmp(fields->key, "content") == 0)
			x->content_left = fields->u64;
	}
	file = xasprintf("%s.eml", x->id.s);
	x->fd = create(x, file);
	if (x->fd < 0)
		fail(x, file);
	free(file);
}

static void
on_text(const void *text, size_t len, void *arg)
{
	struct export *x = arg;
	const char *p = text;
	size_t n = len < x->envelope_left ? len : (size_t)x->envelope_left;

	buf_add(&x->envelope, p, n);
	x->envelope_left -= n;
	p += n;
	len -= n;
	n = len < x->content_left ? len : (size_t)x->content_left;
	x->content_left -= n;
	if (x->fd >= 0 && write_all(x->fd, p, n) < 0)
		give_up(x, x->id.s);
	if (x->fd >= 0 && x->envelope_left == 0 && x->content_left == 0)
		finish(x);
}

/* "queue export DIR SELECTOR ...": the folder is ours, the rest is the queue's. */
static int
export_to(struct export *x, int n, char **words)
{
	const char **asked = xcalloc((size_t)n, sizeof(*asked));
	struct request r = { .n = (unsigned)n - 1, .words = asked, .record = on_message, .text = on_text, .arg = x };
	char *why = NULL;
	int i, status;

	asked[0] = words[0];
	asked[1] = words[1];
	for (i = 3; i < n; i++)
		asked[i - 1] = words[i];
	status = client_request(&r, false, &why);
	errno = 0;
	if (x->fd >= 0)
		give_up(x, x->id.s);
	if (status != 0)
		status = status == EXIT_USAGE ? smtpctl_usage("%s", why) : smtpctl_failed("%s", why);
	free(why);
	free(asked);
	return status != 0 ? status : x->failed > 0 ? EXIT_FAILED : EXIT_DONE;
}

int
queue_export(int n, char **words)
{
	struct export x = { .name = words[2], .fd = -1 };
	int status;

	if (mkdir(x.name, 0700) < 0 && errno != EEXIST)
		return smtpctl_failed("%s: %s", x.name, strerror(errno));
	x.folder = open(x.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x.folder < 0)
		return smtpctl_failed("%s: %s", x.name, strerror(errno));
	status = export_to(&x, n, words);
	if (fsync(x.folder) < 0)
		status = smtpctl_failed("%s: %s", x.name, strerror(errno));
	if (options.json)
		printf("{\"messages\":%" PRIu64 ",\"failed\":%" PRIu64 "}\n", x.written, x.failed);
	else
		printf("%" PRIu64 " messages written to %s\n", x.written, x.name);
	close(x.folder);
	buf_free(&x.envelope);
	return status;
}
