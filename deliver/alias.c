/*
 * Alias values, as sendmail's aliases(5) has them, and .forward files.
 *
 * The lookup role asks for every recipient that has an alias, the delivery process of a user for his
 * .forward.  The values are the operator's or the user's, the included files may be others' (the
 * secretary keeps the list of members): so an included file names programs and files only when it
 * belongs to root or to the account that would run them, and nobody else may write to it.  A line in
 * it that is no address is logged and left out, so that one slip does not stop the mail of all the
 * others.  A file that cannot be read, or is too long, is a reason to wait, never to bounce.
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
#include "deliver/alias_item.h"
#include "deliver/target.h"
#include "lib/buf.h"
#include "lib/log.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/table.h"

#define INCLUDE_DEPTH 8
#define NULL_FILE "/dev/null"

struct reader {
	const struct alias_of *of;
	struct alias_targets *targets;
	const char *path;   /* of the included file, or NULL */
	unsigned line;
	unsigned depth;     /* files that include each other */
	bool may_run;       /* programs and files count here */
};

/* --- what was found --- */

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
alias_mark_self(struct alias_targets *targets, const char *address)
{
	char *marked;
	size_t i;

	for (i = 0; i < targets->n; i++) {
		if (strcasecmp(targets->addresses[i], address) != 0)
			continue;
		marked = xasprintf("\\%s", targets->addresses[i]);
		free(targets->addresses[i]);
		targets->addresses[i] = marked;
	}
}

bool
alias_has(const struct alias_targets *targets, const char *target)
{
	size_t i;

	for (i = 0; i < targets->n; i++)
		if (strcmp(targets->addresses[i], target) == 0)
			return true;
	return false;
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

/* --- files --- */

int
alias_read_file(const char *path, struct buf *out, struct stat *st)
{
	ssize_t n = 0;
	/* no waiting for the other end of a pipe that somebody put there */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int error = fd < 0 || fstat(fd, st) < 0 ? errno : 0;

	if (error == 0 && !S_ISREG(st->st_mode))
		error = EINVAL;
	if (error == 0 && st->st_size > ALIAS_FILE_MAX)
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
	return error;
}

/* What is wrong with a file that says who gets mail: who else may write to it, or into its folder.
 * NULL, or words (a constant) that fit behind its name. */
static const char *
file_fault(const char *path, const struct stat *st)
{
	const char *slash = strrchr(path, '/');
	struct stat folder;
	char *name;
	bool open;

	if (st->st_mode & S_IWOTH)
		return "everybody may write to it; chmod o-w";
	if (slash == NULL)
		return NULL;
	name = slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
	open = stat(name, &folder) == 0 && (folder.st_mode & S_IWOTH) && !(folder.st_mode & S_ISVTX);
	free(name);
	return open ? "everybody may write to its folder; chmod o-w" : NULL;
}

static char *
check_limits(const struct reader *r)
{
	if (r->targets->n <= ALIAS_TARGETS_MAX && r->targets->size <= ALIAS_TARGETS_SIZE_MAX)
		return NULL;
	return xasprintf("it stands for more than %d addresses or %d KiB of them",
	    ALIAS_TARGETS_MAX, ALIAS_TARGETS_SIZE_MAX / 1024);
}

static char *take_item(struct reader *, const struct alias_item *);

/* One line of an included file: items, separated by commas; '#' begins a comment. */
static void
add_line(struct reader *r, char *line)
{
	const char *at = line;
	struct alias_item item;
	char *why;
	int got;

	line[strcspn(line, "#")] = '\0';
	while ((got = alias_item_next(&at, &item, &why)) != 0) {
		if (got > 0)
			why = take_item(r, &item);
		if (why != NULL)
			log_warning("lookup.include_item", F_STR("file", r->path),
			    F_U64("line", r->line), F_STR("why", why));
		free(why);
		free(item.text);
	}
}

static bool
belongs(const struct stat *st, uid_t account)
{
	return (st->st_uid == 0 || st->st_uid == account) && !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static char *
add_include(struct reader *r, const char *path)
{
	struct reader inner = *r;
	struct buf text = { 0 };
	struct stat st;
	const char *fault;
	char *why = NULL, *line, *rest;
	int error;

	if (r->depth == INCLUDE_DEPTH)
		return xasprintf("\":include:%s\": files include each other, more than %d deep",
		    path, INCLUDE_DEPTH);
	error = alias_read_file(path, &text, &st);
	if (error == EINVAL)
		why = xasprintf("\":include:%s\" is not a text file", path);
	else if (error != 0)
		why = xasprintf("cannot read \":include:%s\": %s", path, strerror(error));
	else if ((fault = file_fault(path, &st)) != NULL)
		why = xasprintf("\":include:%s\": %s", path, fault);
	inner.path = path;
	inner.line = 0;
	inner.depth++;
	inner.may_run = why == NULL && r->may_run && belongs(&st, r->of->account);
	rest = text.data;
	while (why == NULL && (line = strsep(&rest, "\n")) != NULL) {
		inner.line++;
		add_line(&inner, line);
		why = check_limits(r);
	}
	buf_free(&text);
	return why;
}

/* --- items --- */

/* "name" is one of the domain's. */
static char *
add_address(struct reader *r, const char *text, bool mailbox)
{
	struct mailaddr parsed;
	const char *why;
	char *whole, *address;
	bool has_domain = strrchr(text, '@') != NULL && text[strlen(text) - 1] != '"';

	whole = has_domain ? xstrdup(text) : xasprintf("%s@%s", text, r->of->domain);
	if (!mailaddr_parse(whole, strlen(whole), MAILADDR_UTF8, &parsed, &why)) {
		free(whole);
		return xasprintf("\"%s\" is no address: %s", text, why);
	}
	free(whole);
	address = mailaddr_format(&parsed);
	mailaddr_free(&parsed);
	if (mailbox) {
		whole = xasprintf("\\%s", address);
		free(address);
		address = whole;
	}
	alias_add(r->targets, address);
	free(address);
	return NULL;
}

static char *
add_domain(struct reader *r, const char *at_domain)
{
	struct mailaddr new = { .local = (char *)(uintptr_t)r->of->local,
		.domain = (char *)(uintptr_t)(at_domain + 1) };
	char *text, *why;

	if (!mailaddr_domain_ok(at_domain + 1, strlen(at_domain + 1), MAILADDR_UTF8))
		return xasprintf("\"%s\" is no domain", at_domain + 1);
	text = mailaddr_format(&new);
	why = add_address(r, text, false);
	free(text);
	return why;
}

static char *
not_trusted(const char *item)
{
	return xasprintf("\"%s\": an included file names programs and files only when it is root's, or "
			 "theirs who run them, and nobody else writes to it", item);
}

/* A program or a file. */
static char *
add_own(struct reader *r, const char *item)
{
	char *text;

	if (!r->may_run && strcmp(item, NULL_FILE) != 0)
		return not_trusted(item);
	text = xasprintf("\\%s%s", r->of->self, item);
	alias_add(r->targets, text);
	free(text);
	return NULL;
}

static char *
take_item(struct reader *r, const struct alias_item *item)
{
	switch (item->kind) {
	case ITEM_ADDRESS:
	case ITEM_MAILBOX:
		return add_address(r, item->text, item->kind == ITEM_MAILBOX);
	case ITEM_DOMAIN:
		return add_domain(r, item->text);
	case ITEM_PROGRAM:
	case ITEM_FILE:
		return add_own(r, item->text);
	case ITEM_INCLUDE:
		r->targets->includes = true;
		if (!r->may_run)
			return not_trusted(item->text);
		return r->of->read_files ? add_include(r, item->text) : NULL;
	}
	return NULL;
}

static char *
add_value(struct reader *r, const char *value)
{
	struct alias_item item;
	char *why = NULL;
	int got = 1;

	while (why == NULL && (got = alias_item_next(&value, &item, &why)) != 0) {
		if (got > 0)
			why = take_item(r, &item);
		if (why == NULL)
			why = check_limits(r);
		free(item.text);
	}
	return why;
}

char *
alias_parse(const char *value, const struct alias_of *of, struct alias_targets *targets)
{
	struct reader r = { .of = of, .targets = targets, .may_run = true };
	char *why = add_value(&r, value);

	if (why == NULL && targets->n == 0 && !(targets->includes && !of->read_files))
		why = xstrdup("it stands for nobody");
	return why;
}

char *
alias_parse_text(char *text, const struct alias_of *of, struct alias_targets *targets)
{
	struct reader r = { .of = of, .targets = targets, .may_run = true };
	char *line, *why = NULL, *whole;

	while (why == NULL && (line = strsep(&text, "\n")) != NULL) {
		r.line++;
		if (line[strspn(line, " \t")] != '#')
			why = add_value(&r, line);
	}
	if (why == NULL)
		return NULL;
	whole = xasprintf("line %u: %s", r.line, why);
	free(why);
	return whole;
}

/* --- looking only --- */

char *
alias_check(const char *key, const char *value)
{
	struct alias_targets targets = { .n = 0 };
	struct alias_of of = {
		.self = "a@a.invalid", .local = "a", .domain = "a.invalid", .account = (uid_t)-1
	};
	char *why;

	(void)key;
	/* a group of a pattern stands for some letters */
	if (strchr(value, '$') != NULL)
		return NULL;
	why = alias_parse(value, &of, &targets);
	alias_free(&targets);
	return why;
}

bool
alias_is_domain(const char *value)
{
	return value[0] == '@' && strchr(value, ',') == NULL;
}

bool
alias_needs_account(const char *value)
{
	struct alias_item item;
	bool needs = false;
	char *why;
	int got;

	while ((got = alias_item_next(&value, &item, &why)) != 0) {
		needs |= got > 0 && (item.kind == ITEM_PROGRAM ||
					(item.kind == ITEM_FILE && strcmp(item.text, NULL_FILE) != 0));
		free(item.text);
		free(why);
	}
	return needs;
}
