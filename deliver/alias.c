/*
 * Alias values, as sendmail's aliases(5) has them, less what is not done yet.
 *
 * Called by the lookup role for every recipient that has an alias.  The values are the operator's,
 * the included files may be others' (the secretary keeps the list of members): so a file may name
 * addresses only, never a command, a file or another file; a line in it that is no address is
 * logged and left out, so that one slip does not stop the mail of all the others.  A file that
 * cannot be read, or is too long, is a reason to wait, never to bounce.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "deliver/alias.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/table.h"

static const char include_word[] = ":include:";

struct reader {
	const char *domain;
	bool read_files;
	struct alias_targets *targets;
	bool *later;
	const char *path; /* of the included file, or NULL */
	unsigned line;
};

void
alias_add(struct alias_targets *targets, const char *address)
{
	if (targets->seen == NULL)
		targets->seen = table_new("");
	if (!table_add(targets->seen, address, NULL))
		return;
	if (targets->n == targets->cap) {
		targets->cap = targets->cap == 0 ? 8 : targets->cap * 2;
		targets->addresses =
		    xreallocarray(targets->addresses, targets->cap, sizeof(char *));
	}
	targets->addresses[targets->n++] = xstrdup(address);
	targets->size += strlen(address);
}

void
alias_free(struct alias_targets *targets)
{
	size_t i;

	for (i = 0; i < targets->n; i++)
		free(targets->addresses[i]);
	free(targets->addresses);
	table_free(targets->seen);
	*targets = (struct alias_targets){ .n = 0 };
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next item up to a comma, without white space around it; false at the end. */
static bool
next_item(const char **at, const char **item, size_t *len)
{
	const char *s = *at, *end;

	while (*s == ',' || is_space(*s))
		s++;
	if (*s == '\0')
		return false;
	end = s + strcspn(s, ",");
	*at = end;
	while (end > s && is_space(end[-1]))
		end--;
	*item = s;
	*len = (size_t)(end - s);
	return true;
}

/* "name" is one of the domain's, with or without '\' for the mailbox itself. */
static char *
add_address(struct reader *r, const char *item, size_t len)
{
	size_t skip = item[0] == '\\' ? 1 : 0;
	char *text, *address;
	const char *why;
	struct mailaddr parsed;

	text = memchr(item, '@', len) != NULL
		   ? xstrndup(item + skip, len - skip)
		   : xasprintf("%.*s@%s", (int)(len - skip), item + skip, r->domain);
	if (!mailaddr_parse(text, strlen(text), MAILADDR_UTF8, &parsed, &why)) {
		free(text);
		return xasprintf("\"%.*s\" is no address: %s", (int)len, item, why);
	}
	free(text);
	address = mailaddr_format(&parsed);
	mailaddr_free(&parsed);
	if (skip > 0) {
		text = xasprintf("\\%s", address);
		free(address);
		address = text;
	}
	alias_add(r->targets, address);
	free(address);
	return NULL;
}

/* What one item asks for that is not done; NULL when it is an address or a file to include. */
static const char *
refusal(const char *item)
{
	const char *s = item[0] == '"' ? item + 1 : item;

	if (*s == '|')
		return "delivery to a command is not supported yet";
	if (*s == '/')
		return "delivery to a file is not supported yet";
	if (item[0] == '"')
		return "quoted names are not supported; write the address without quotes";
	if (item[0] == ':' && strncasecmp(item, include_word, sizeof(include_word) - 1) != 0)
		return "only \":include:/path\" may begin with a colon";
	return NULL;
}

static char *
read_whole(const char *path, struct buf *out)
{
	struct stat st;
	ssize_t n = 0;
	/* no waiting for the other end of a pipe that somebody put there */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int error = fd < 0 || fstat(fd, &st) < 0 ? errno : 0;

	if (error == 0 && !S_ISREG(st.st_mode))
		error = EINVAL;
	if (error == 0 && st.st_size > ALIAS_FILE_MAX)
		error = EFBIG;
	while (error == 0 && out->len <= ALIAS_FILE_MAX &&
	       (n = read(fd, buf_reserve(out, 16384), 16384)) != 0) {
		if (n > 0)
			out->len += (size_t)n;
		else if (errno != EINTR)
			error = errno;
	}
	if (fd >= 0)
		close(fd);
	if (error == 0 && memchr(buf_str(out), '\0', out->len) != NULL)
		error = EINVAL;
	if (error == EINVAL)
		return xasprintf("\":include:%s\" is not a text file", path);
	return error == 0 ? NULL
			  : xasprintf("cannot read \":include:%s\": %s", path, strerror(error));
}

static char *
check_limits(const struct reader *r)
{
	if (r->targets->n <= ALIAS_TARGETS_MAX && r->targets->size <= ALIAS_TARGETS_SIZE_MAX)
		return NULL;
	*r->later = true;
	return xasprintf("it stands for more than %d addresses or %d KiB of them",
	    ALIAS_TARGETS_MAX, ALIAS_TARGETS_SIZE_MAX / 1024);
}

/* One line of an included file: addresses, separated by commas; '#' begins a comment. */
static void
add_line(struct reader *r, char *line)
{
	const char *at = line, *item, *what;
	char *why;
	size_t len;

	line[strcspn(line, "#")] = '\0';
	while (next_item(&at, &item, &len)) {
		what = refusal(item);
		if (what == NULL && item[0] == ':')
			what = "an included file cannot include another";
		why = what != NULL ? xstrdup(what) : add_address(r, item, len);
		if (why != NULL)
			log_warning("lookup.include_item", F_STR("file", r->path),
			    F_U64("line", r->line), F_STR("why", why));
		free(why);
	}
}

static char *
add_file(struct reader *r, const char *path)
{
	struct buf text = { 0 };
	char *why, *line, *rest;

	*r->later = true;
	if (path[0] != '/')
		return xasprintf("\":include:%s\": the path must begin with \"/\"", path);
	why = read_whole(path, &text);
	r->path = path;
	r->line = 0;
	rest = text.data;
	while (why == NULL && (line = strsep(&rest, "\n")) != NULL) {
		r->line++;
		add_line(r, line);
		why = check_limits(r);
	}
	buf_free(&text);
	return why;
}

static char *
add_item(struct reader *r, const char *item, size_t len)
{
	const char *what = refusal(item);
	char *path, *why;

	*r->later = what == NULL;
	if (what != NULL)
		return xstrdup(what);
	if (item[0] != ':')
		return add_address(r, item, len);
	r->targets->includes = true;
	if (!r->read_files)
		return NULL;
	item += sizeof(include_word) - 1;
	len -= sizeof(include_word) - 1;
	for (; len > 0 && is_space(*item); item++)
		len--;
	path = xstrndup(item, len);
	why = add_file(r, path);
	free(path);
	return why;
}

char *
alias_parse(const char *value, const char *domain, bool read_files, struct alias_targets *targets,
    bool *later)
{
	struct reader r = {
		.domain = domain, .read_files = read_files, .targets = targets, .later = later
	};
	const char *item;
	char *why = NULL;
	size_t len;

	while (why == NULL && next_item(&value, &item, &len)) {
		why = add_item(&r, item, len);
		if (why == NULL)
			why = check_limits(&r);
	}
	if (why == NULL && targets->n == 0 && !(targets->includes && !read_files)) {
		*later = true;
		why = xstrdup("it stands for nobody");
	}
	return why;
}
