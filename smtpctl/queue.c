/*
 * smtpctl queue: what waits, and what the operator does about it.
 *
 * The queue knows and judges selectors; here are the forms of the answers, and the export: every
 * message as plain files, which is the way to another mail server.  An export overwrites nothing
 * and follows no link; a message that cannot be written whole is not left behind in part.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

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

int
queue_act(int n, char **words)
{
	return output_answer(OUTPUT_TABLE, n, words);
}

int
queue_show(int n, char **words)
{
	return output_answer(OUTPUT_BLOCKS, n, words);
}

static void
gather(const void *p, size_t len, void *content)
{
	buf_add(content, p, len);
}

/* For programs: any octets, whole, as one line. */
static void
print_base64(const char *id, const struct buf *content)
{
	struct buf text = { 0 }, line = { 0 };

	unsigned char *room = (unsigned char *)buf_reserve(&text, content->len / 3 * 4 + 5);

	text.len = (size_t)EVP_EncodeBlock(room, (const unsigned char *)buf_str(content),
	    (int)content->len);
	field_json(&line, FIELDS(F_STR("message", id), F_U64("size", content->len),
	    F_STR("base64", buf_str(&text))));
	puts(buf_str(&line));
	buf_free(&line);
	buf_free(&text);
}

int
queue_cat(int n, char **words)
{
	struct buf content = { 0 };
	struct request r = { .n = (unsigned)n, .words = (const char *const *)words, .text = gather,
	    .arg = &content };
	char *why = NULL;
	int status;

	if (!options.json)
		return output_answer(OUTPUT_TABLE, n, words);
	status = client_request(&r, false, &why);
	if (status == EXIT_DONE && content.len > INT_MAX / 2)
		status = smtpctl_failed("%s is too large for one line", words[2]);
	else if (status == EXIT_DONE)
		print_base64(words[2], &content);
	else
		status = smtpctl_refused(status, why);
	free(why);
	buf_free(&content);
	return status;
}

/* --- export --- */

struct ids {
	uint64_t *list;
	size_t n, cap;
};

struct export {
	int folder;
	const char *name;     /* of the folder */
	struct id_text id;    /* of the message that is being written */
	int fd;               /* of the file that is being written */
	int error;            /* errno of the first write that failed, or 0 */
	struct buf records;   /* its envelope and recipients, a JSON object a line */
	struct buf envelope;  /* its sender and the recipients that wait, an address a line */
	uint64_t written, failed;
};

static void
note_id(const struct field *fields, void *arg)
{
	const char *text = field_get(fields, "message");
	struct ids *ids = arg;
	uint64_t id;

	if (text == NULL || !id_parse(text, &id))
		return;
	if (ids->n == ids->cap) {
		ids->cap = ids->cap == 0 ? 256 : ids->cap * 2;
		ids->list = xreallocarray(ids->list, ids->cap, sizeof(*ids->list));
	}
	ids->list[ids->n++] = id;
}

/* "queue export DIR SELECTOR ..." is about what "queue list SELECTOR ..." lists. */
static int
list_ids(int n, char **words, struct ids *ids)
{
	const char **asked = xcalloc((size_t)n, sizeof(*asked));
	struct request r = { .n = (unsigned)n - 1, .words = asked, .record = note_id, .arg = ids };
	char *why = NULL;
	int i, status;

	asked[0] = words[0];
	asked[1] = "list";
	for (i = 3; i < n; i++)
		asked[i - 1] = words[i];
	status = client_request(&r, false, &why);
	if (status != 0)
		status = smtpctl_refused(status, why);
	free(why);
	free(asked);
	return status;
}

static void
note_record(const struct field *fields, void *arg)
{
	struct export *x = arg;
	const char *sender = field_get(fields, "sender");
	const char *recipient = field_get(fields, "recipient");
	const char *state = field_get(fields, "state");

	field_json(&x->records, fields);
	buf_addc(&x->records, '\n');
	if (sender != NULL)
		buf_addf(&x->envelope, "%s\n", *sender != '\0' ? sender : "<>");
	else if (recipient != NULL && state != NULL && strcmp(state, "waiting") == 0)
		buf_addf(&x->envelope, "%s\n", recipient);
}

static void
write_text(const void *text, size_t len, void *arg)
{
	struct export *x = arg;
	const char *p = text;
	ssize_t n;

	for (; len > 0 && x->error == 0; p += n, len -= (size_t)n) {
		n = write(x->fd, p, len);
		if (n < 0 && errno != EINTR)
			x->error = errno;
		if (n < 0)
			n = 0;
	}
}

/* Asks one thing about the present message.  NULL, or what is wrong (caller frees). */
static char *
ask_about(struct export *x, const char *verb, void (*record)(const struct field *, void *),
    void (*text)(const void *, size_t, void *))
{
	const char *words[] = { "queue", verb, x->id.s };
	struct request r = { .n = 3, .words = words, .record = record, .text = text, .arg = x };
	char *why = NULL;

	if (client_request(&r, true, &why) != 0)
		return why;
	free(why);
	return NULL;
}

static char *
fill_content(struct export *x)
{
	return ask_about(x, "cat", NULL, write_text);
}

static char *
fill_records(struct export *x)
{
	write_text(x->records.data, x->records.len, x);
	return NULL;
}

static char *
fill_envelope(struct export *x)
{
	write_text(x->envelope.data, x->envelope.len, x);
	return NULL;
}

/* The envelope last: where it is, all of the message is. */
static const struct part {
	const char *suffix;
	char *(*fill)(struct export *);
} export_parts[] = {
	{ "eml", fill_content },
	{ "json", fill_records },
	{ "envelope", fill_envelope },
};
#define EXPORT_PARTS (sizeof(export_parts) / sizeof(export_parts[0]))

/* A new file, never an old one nor where a link leads.  NULL, or what is wrong (caller frees): then
 * it is not there. */
static char *
make_file(struct export *x, const char *file, const struct part *part)
{
	char *why;

	x->error = 0;
	x->fd = openat(x->folder, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (x->fd < 0)
		return xasprintf("%s/%s: %s", x->name, file, strerror(errno));
	why = part->fill(x);
	if (close(x->fd) < 0 && x->error == 0)
		x->error = errno;
	if (why == NULL && x->error != 0)
		why = xasprintf("%s/%s: %s", x->name, file, strerror(x->error));
	if (why != NULL)
		(void)unlinkat(x->folder, file, 0);
	return why;
}

/* All parts of it or none. */
static char *
make_files(struct export *x)
{
	char *files[EXPORT_PARTS], *why = NULL;
	size_t made, i;

	for (i = 0; i < EXPORT_PARTS; i++)
		files[i] = xasprintf("%s.%s", x->id.s, export_parts[i].suffix);
	for (made = 0; made < EXPORT_PARTS && why == NULL; made++)
		why = make_file(x, files[made], &export_parts[made]);
	for (i = 0; why != NULL && i + 1 < made; i++)
		(void)unlinkat(x->folder, files[i], 0);
	for (i = 0; i < EXPORT_PARTS; i++)
		free(files[i]);
	return why;
}

static void
export_one(struct export *x)
{
	char *why, *gone;

	buf_clear(&x->records);
	buf_clear(&x->envelope);
	why = ask_about(x, "show", note_record, NULL);
	if (why == NULL)
		why = make_files(x);
	if (why == NULL) {
		x->written++;
		return;
	}
	/* it may have been delivered meanwhile: then there is nothing to write */
	gone = ask_about(x, "show", NULL, NULL);
	if (gone == NULL || strcmp(gone, why) != 0) {
		(void)smtpctl_failed("%s: %s", x->id.s, why);
		x->failed++;
	}
	free(gone);
	free(why);
}

static int
export_all(struct export *x, const struct ids *ids)
{
	size_t i;

	for (i = 0; i < ids->n; i++) {
		x->id = id_text(ids->list[i]);
		export_one(x);
	}
	/* one flush of the file system for all, not three for each: we print after it */
	if (syncfs(x->folder) < 0) {
		(void)smtpctl_failed("%s: %s", x->name, strerror(errno));
		x->failed++;
	}
	if (options.json)
		printf("{\"messages\":%" PRIu64 ",\"failed\":%" PRIu64 "}\n", x->written,
		    x->failed);
	else
		printf("%" PRIu64 " messages written to %s\n", x->written, x->name);
	return x->failed > 0 ? EXIT_FAILED : EXIT_DONE;
}

int
queue_export(int n, char **words)
{
	struct export x = { .name = words[2] };
	struct ids ids = { 0 };
	int status;

	if (mkdir(x.name, 0700) < 0 && errno != EEXIST)
		return smtpctl_failed("%s: %s", x.name, strerror(errno));
	x.folder = open(x.name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x.folder < 0)
		return smtpctl_failed("%s: %s", x.name, strerror(errno));
	status = list_ids(n, words, &ids);
	if (status == EXIT_DONE)
		status = export_all(&x, &ids);
	close(x.folder);
	free(ids.list);
	buf_free(&x.records);
	buf_free(&x.envelope);
	return status;
}
