/*
 * Reading the file of a log (log_file.h).
 *
 * `gate replay` has one for each file.  Memory holds a piece of it, and a line that is longer than a
 * piece is none.  What can fail: the file, or the program that unpacks it; what it could not unpack is
 * an error, never the end of the log.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/clock.h"
#include "smtpctl/log_file.h"
#include "smtpctl/smtpctl.h"

#define PIECE (1024 * 1024)
#define MAGIC_MAX 5

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

/* The file becomes what UNPACKER makes of it. */
static int
unpack(struct log_file *f)
{
	char *argv[] = { (char *)(uintptr_t)f->unpacker, NULL };
	posix_spawn_file_actions_t actions;
	int ends[2], rc;

	if (pipe2(ends, O_CLOEXEC) == -1)
		return smtpctl_failed("%s: %s", f->path, strerror(errno));
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, f->fd, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	rc = posix_spawnp(&f->child, f->unpacker, &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(f->fd);
	close(ends[1]);
	f->fd = ends[0];
	if (rc == 0)
		return EXIT_DONE;
	f->child = 0;
	return smtpctl_failed("%s: is packed, and %s: %s", f->path, f->unpacker, strerror(rc));
}

static int
start(struct log_file *f)
{
	f->fd = strcmp(f->path, "-") == 0 ? STDIN_FILENO : open(f->path, O_RDONLY | O_CLOEXEC);
	if (f->fd == -1)
		return smtpctl_failed("%s: %s", f->path, strerror(errno));
	return f->unpacker != NULL ? unpack(f) : EXIT_DONE;
}

/* -1, or how its unpacker ended. */
static int
stop(struct log_file *f)
{
	int status = -1;

	if (f->fd > STDERR_FILENO)
		close(f->fd);
	f->fd = -1;
	if (f->child > 0 && waitpid(f->child, &status, 0) == -1)
		status = -1;
	f->child = 0;
	return status;
}

void
log_file_close(struct log_file *f)
{
	(void)stop(f);
	buf_free(&f->text);
}

/* More of the file behind what TEXT still holds. */
static int
read_piece(struct log_file *f)
{
	ssize_t n;
	int status;

	if (f->at > 0)
		memmove(f->text.data, f->text.data + f->at, f->text.len - f->at);
	f->text.len -= f->at;
	f->at = 0;
	n = read(f->fd, buf_reserve(&f->text, PIECE), PIECE);
	if (n == -1)
		return smtpctl_failed("%s: %s", f->path, strerror(errno));
	f->text.len += (size_t)n;
	f->done += (uint64_t)n;
	f->ended = n == 0;
	if (!f->ended)
		return EXIT_DONE;
	status = stop(f);
	return status > 0 ? smtpctl_failed("%s: %s could not unpack it", f->path, f->unpacker) : EXIT_DONE;
}

/* One line, whosever it is; *LEN is SIZE_MAX when there is none. */
static int
next_line(struct log_file *f, const char **line, size_t *len)
{
	const char *end;
	int status;

	for (;;) {
		*line = buf_str(&f->text) + f->at;
		*len = f->text.len - f->at;
		end = *len > 0 ? memchr(*line, '\n', *len) : NULL;
		if (end != NULL) {
			*len = (size_t)(end - *line);
			f->at += *len + 1;
			return EXIT_DONE;
		}
		/* the last one may have no end, and one that fills all is none */
		if (f->ended || *len > PIECE) {
			f->at += *len;
			if (*len == 0)
				*len = SIZE_MAX;
			return EXIT_DONE;
		}
		if ((status = read_piece(f)) != EXIT_DONE)
			return status;
	}
}

int
log_file_next(struct log_file *f)
{
	const char *line;
	size_t len;
	int status;

	f->more = false;
	for (;;) {
		if ((status = next_line(f, &line, &len)) != EXIT_DONE || len == SIZE_MAX)
			return status;
		f->lines++;
		if (!f->format->read(&f->clock, line, len, &f->line))
			continue;
		f->understood++;
		f->more = true;
		return EXIT_DONE;
	}
}

int
log_file_open(struct log_file *f, const struct log_format *format)
{
	int status = start(f);
	const char *program;

	if (status == EXIT_DONE)
		status = read_piece(f);
	if (status != EXIT_DONE || f->text.len == 0)
		return status;
	program = packed_by(f->text.data, f->text.len);
	if (program != NULL) /* only standard input was not looked at before */
		return smtpctl_failed("%s: is packed; %s | smtpctl gate replay -", f->path, program);
	f->format = format != NULL ? format : log_detect(f->text.data, f->text.len, f->clock.reference);
	if (f->format == NULL)
		return smtpctl_failed("%s: no log of Postfix, Sendmail, Exim, qmail, OpenSMTPD or postgrey; "
				      "format=NAME says whose it is", f->path);
	return log_file_next(f);
}

/* The time of the first line that has one. */
static int
find_beginning(struct log_file *f)
{
	struct log_file copy = { .path = f->path, .unpacker = f->unpacker };
	struct log_clock clock = f->clock;
	size_t len = 0;
	const char *s;
	int status = start(&copy);

	while (status == EXIT_DONE && f->begins == INT64_MAX && len != SIZE_MAX) {
		status = next_line(&copy, &s, &len);
		if (status == EXIT_DONE && len != SIZE_MAX && (f->begins = log_time_any(&clock, &s, &len)) < 0)
			f->begins = INT64_MAX;
	}
	log_file_close(&copy);
	return status;
}

int
log_file_look(struct log_file *f, const char *path)
{
	char magic[MAGIC_MAX] = "";
	struct stat st;
	ssize_t n = 0;
	int fd;

	*f = (struct log_file){ .path = path, .fd = -1, .begins = INT64_MAX, .clock.reference = clock_now() };
	if (strcmp(path, "-") == 0)
		return EXIT_DONE;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1 || fstat(fd, &st) == -1 || (S_ISREG(st.st_mode) && (n = read(fd, magic, sizeof(magic))) == -1)) {
		if (fd != -1)
			close(fd);
		return smtpctl_failed("%s: %s", path, strerror(errno));
	}
	close(fd);
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? smtpctl_failed("%s: %s", path, strerror(EISDIR)) : EXIT_DONE;
	f->clock.reference = st.st_mtime;
	f->unpacker = packed_by(magic, (size_t)n);
	if (f->unpacker == NULL)
		f->size = (uint64_t)st.st_size;
	return find_beginning(f);
}
