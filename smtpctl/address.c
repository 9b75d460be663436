/*
 * smtpctl address: where mail for an address goes, as a tree, with the reason of every step.  Needs no
 * server: it asks the same functions as the lookup role and the delivery processes, with the
 * caller's own rights.  A .forward that he may not read is shown as such.
 *
 * Aliases may lead back to themselves; a branch that does is shown as a loop and not followed.
 */
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/conf.h"
#include "deliver/alias.h"
#include "deliver/command.h"
#include "deliver/forward.h"
#include "deliver/lookup.h"
#include "deliver/srs.h"
#include "deliver/target.h"
#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "smtpctl/smtpctl.h"

#define DEPTH_MOST 50

struct tree {
	const struct conf *conf;
	const char *sender;
	const char *path[DEPTH_MOST]; /* from the root to here */
	unsigned depth;
	bool failed;                  /* some branch leads nowhere */
};

static const char *const methods[] = {
	[MAILBOX_MAILDIR] = "maildir",
	[MAILBOX_MBOX] = "mbox",
	[MAILBOX_LMTP] = "lmtp",
	[MAILBOX_PIPE] = "pipe",
};

/* One line of the tree. */
static void
print_node(const struct tree *t, const char *kind, const char *what, const char *because,
    const struct field *more)
{
	const char *address = target_words(t->path[t->depth - 1]);
	struct buf line = { 0 };
	struct field f[14];
	size_t n = 0;

	if (!options.json) {
		buf_addf(&line, "%*s", (int)(t->depth - 1) * 2, "");
		human_add_text(&line, address);
		buf_addf(&line, "  %s%s", kind, what != NULL ? " " : "");
		human_add_text(&line, what != NULL ? what : "");
		if (because != NULL) {
			buf_adds(&line, "  (");
			human_add_text(&line, because);
			buf_adds(&line, ")");
		}
		puts(buf_str(&line));
		buf_free(&line);
		return;
	}
	f[n++] = F_U64("depth", t->depth - 1);
	f[n++] = F_STR("address", address);
	f[n++] = F_STR("parent", t->depth > 1 ? target_words(t->path[t->depth - 2]) : NULL);
	f[n++] = F_STR("route", kind);
	f[n++] = F_STR("because", because);
	for (; more->type != FIELD_END && n < 13; more++)
		f[n++] = *more;
	f[n] = F_END;
	field_json(&line, f);
	puts(buf_str(&line));
	buf_free(&line);
}

static void walk(struct tree *, const char *address);

/* --- mailboxes, and the .forward before them --- */

/* A program with its arguments, which travels as a text for programs. */
static char *
words_of(const char *encoded)
{
	struct command command;
	struct buf words = { 0 };
	unsigned i;

	if (!command_decode(encoded, &command))
		return xstrdup(encoded);
	for (i = 0; i < command.argv_n; i++)
		buf_addf(&words, "%s%s", i > 0 ? " " : "", command.argv[i]);
	command_free(&command);
	return buf_take(&words);
}

static void
print_local(const struct tree *t, const struct route_answer *a, const char *note)
{
	bool item = a->method == MAILBOX_ALIAS || a->method == MAILBOX_FORWARD;
	char *path = a->method == MAILBOX_PIPE ? words_of(a->path) : xstrdup(a->path);
	char *what = xasprintf("%s as %s (uid %u)", path + (item && path[0] == '|'), a->account,
	    (unsigned)a->uid);
	char *because = xasprintf("%s%s%s", a->because != NULL ? a->because : "",
	    note != NULL && a->because != NULL ? "; " : "", note != NULL ? note : "");

	print_node(t, item ? path[0] == '|' ? "runs" : "writes" : methods[a->method], what,
	    because[0] != '\0' ? because : NULL,
	    FIELDS(F_STR("path", path), F_STR("account", a->account), F_U64("uid", a->uid),
	    F_U64("gid", a->gid), F_STR("root", item ? NULL : a->root)));
	free(because);
	free(what);
	free(path);
}

static void
print_forward(struct tree *t, const struct alias_targets *targets, const char *file)
{
	size_t i;

	print_node(t, "forwards", NULL, file, FIELDS(F_U64("targets", targets->n)));
	for (i = 0; i < targets->n; i++)
		walk(t, targets->addresses[i]);
}

/* By LMTP the mailbox is a second step. */
static void
print_mailbox(struct tree *t, const struct route_answer *a, const char *note)
{
	char *mailbox;

	if (a->method != MAILBOX_FORWARD) {
		print_local(t, a, note);
		return;
	}
	print_node(t, "has a mailbox", NULL, note, FIELDS(F_STR("account", a->account)));
	mailbox = xasprintf("\\%s", t->path[t->depth - 1]);
	walk(t, mailbox);
	free(mailbox);
}

static void
show_forward(struct tree *t, const struct route_answer *a)
{
	const struct passwd *pw = getpwnam(a->account);
	struct alias_targets targets = { .n = 0 };
	struct forward_of who = { .account = a->account,
		.uid = a->uid,
		.address = t->path[t->depth - 1] };
	char *file, *why;

	if (pw == NULL) {
		print_mailbox(t, a, NULL);
		return;
	}
	who.home = pw->pw_dir;
	switch (forward_read(&who, &targets, &file, &why)) {
	case FORWARD_TARGETS:
		print_forward(t, &targets, file);
		break;
	case FORWARD_NONE:
		print_mailbox(t, a, why != NULL ? why : "there is no .forward");
		break;
	case FORWARD_LATER:
		t->failed = true;
		print_node(t, "waits", why, a->because, FIELDS(F_STR("why", why)));
		break;
	}
	alias_free(&targets);
	free(why);
	free(file);
}

/* --- steps --- */

static void
print_relay(const struct tree *t, const struct route_answer *a)
{
	char *what = a->sender == NULL ? xstrdup(a->destination)
				       : xasprintf("%s from %s", a->destination, a->sender);

	print_node(t, "relay", what, a->because,
	    FIELDS(F_STR("destination", a->destination), F_STR("sender", a->sender)));
	free(what);
}

static void
print_targets(struct tree *t, const struct route_answer *a)
{
	const char *sender = t->sender;
	unsigned i;

	print_node(t, "stands for", NULL, a->because,
	    FIELDS(F_U64("targets", a->targets_n), F_STR("owner", a->owner)));
	if (a->owner != NULL && sender[0] != '\0')
		t->sender = a->owner;
	for (i = 0; i < a->targets_n; i++)
		walk(t, a->targets[i]);
	t->sender = sender;
}

/* An account was asked about, not its mailbox alone, and the address book has looked. */
static bool
has_no_forward(const struct tree *t, const struct route_answer *a)
{
	return t->path[t->depth - 1][0] != '\\' && a->because != NULL &&
	       strncmp(a->because, "account ", strlen("account ")) == 0;
}

static void
on_route(const struct route_answer *a, void *arg)
{
	struct tree *t = arg;

	switch (a->kind) {
	case ROUTE_LOCAL:
		if (a->forward || (a->method == MAILBOX_FORWARD && a->path[0] == '\0'))
			show_forward(t, a);
		else
			print_local(t, a, has_no_forward(t, a) ? "there is no .forward" : NULL);
		break;
	case ROUTE_RELAY:
		print_relay(t, a);
		break;
	case ROUTE_EXPAND:
		print_targets(t, a);
		break;
	case ROUTE_DISCARD:
		print_node(t, "discarded", NULL, a->because, FIELDS(F_END));
		break;
	case ROUTE_FAIL:
	case ROUTE_DEFER:
		t->failed = true;
		print_node(t, a->kind == ROUTE_FAIL ? "fails" : "waits", a->why, a->because,
		    FIELDS(F_STR("why", a->why)));
		break;
	}
}

static bool
is_above(const struct tree *t, const char *address)
{
	unsigned i;

	for (i = 0; i < t->depth; i++)
		if (strcasecmp(t->path[i], address) == 0)
			return true;
	return false;
}

static void
walk(struct tree *t, const char *address)
{
	struct route_question question = { .address = address, .sender = t->sender };
	bool loop = is_above(t, address);

	if (t->depth == DEPTH_MOST) {
		t->failed = true;
		return;
	}
	question.via = t->depth > 0 ? t->path[0] : NULL;
	t->path[t->depth++] = address;
	if (loop) {
		t->failed = true;
		print_node(t, "loop", "stands above already", NULL,
		    FIELDS(F_STR("why", "stands above already")));
	} else {
		lookup_route_now(&t->conf->lookup, &question, on_route, t);
	}
	t->depth--;
}

/* TEXT as an address, normalised; NULL: it is none, and that was said.  The caller frees. */
static char *
read_address(const char *text, unsigned flags, int *status)
{
	struct mailaddr a;
	const char *why;
	char *address;

	if (!mailaddr_parse(text, strlen(text), flags, &a, &why)) {
		*status = smtpctl_usage("\"%s\" is no address: %s", text, why);
		return NULL;
	}
	address = mailaddr_format(&a);
	mailaddr_free(&a);
	return address;
}

/* Only for showing; the server makes it. */
static void
load_secret(const struct conf *conf)
{
	char *path = xasprintf("%s/%s", conf->spool, SRS_FILE);

	free(srs_load(conf->lookup.srs, path, false));
	free(path);
}

int
address_show(int n, char **words)
{
	struct tree t = { .conf = smtpctl_conf() };
	char *address, *whole, *sender = NULL;
	int status = EXIT_DONE;

	if (t.conf == NULL)
		return EXIT_FAILED;
	if (n > 2 && strncmp(words[2], "from=", 5) != 0)
		return smtpctl_usage("\"%s\" is not from=SENDER", words[2]);
	whole = strchr(words[1], '@') == NULL ? xasprintf("%s@%s", words[1], t.conf->host)
					      : xstrdup(words[1]);
	address = read_address(whole, MAILADDR_UTF8, &status);
	if (address != NULL && n > 2)
		sender = read_address(words[2] + 5, MAILADDR_UTF8 | MAILADDR_NULL, &status);
	if (address != NULL && status == EXIT_DONE) {
		t.sender = sender != NULL ? sender : "";
		load_secret(t.conf);
		walk(&t, address);
		status = t.failed ? EXIT_FAILED : EXIT_DONE;
	}
	free(whole);
	free(address);
	free(sender);
	return status;
}
