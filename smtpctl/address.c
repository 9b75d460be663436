/*
 * smtpctl address: where mail for an address goes, as a tree.  Needs no server: it asks the same
 * functions as the lookup role, with the caller's own rights.
 *
 * Aliases may lead back to themselves; a branch that does is shown as a loop and not followed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/conf.h"
#include "deliver/lookup.h"
#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "smtpctl/smtpctl.h"

#define DEPTH_MOST 50

struct tree {
	const struct conf *conf;
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
print_node(const struct tree *t, const char *address, const char *kind, const char *what,
    const struct field *more)
{
	struct buf line = { 0 };
	struct field f[12];
	size_t n = 0;

	address += *address == '\\'; /* past all aliases: how the lookup marks it */
	if (!options.json) {
		buf_addf(&line, "%*s", (int)(t->depth - 1) * 2, "");
		human_add_text(&line, address);
		buf_addf(&line, "  %s%s", kind, what != NULL ? " " : "");
		human_add_text(&line, what != NULL ? what : "");
		puts(buf_str(&line));
		buf_free(&line);
		return;
	}
	f[n++] = F_U64("depth", t->depth - 1);
	f[n++] = F_STR("address", address);
	f[n++] = F_STR("parent", t->depth > 1 ? t->path[t->depth - 2] : NULL);
	f[n++] = F_STR("route", kind);
	for (; more->type != FIELD_END && n < 11; more++)
		f[n++] = *more;
	f[n] = F_END;
	field_json(&line, f);
	puts(buf_str(&line));
	buf_free(&line);
}

static void walk(struct tree *, const char *address);

static void
print_local(const struct tree *t, const char *address, const struct route_answer *a)
{
	const char *account = a->account != NULL ? a->account : "?";
	char *what = xasprintf("%s as %s (uid %u)", a->path, account, (unsigned)a->uid);

	print_node(t, address, methods[a->method], what,
	    FIELDS(F_STR("path", a->path), F_STR("account", a->account),
	    F_U64("uid", a->uid), F_U64("gid", a->gid), F_STR("root", a->root)));
	free(what);
}

static void
on_route(const struct route_answer *a, void *arg)
{
	struct tree *t = arg;
	const char *address = t->path[t->depth - 1];
	unsigned i;

	switch (a->kind) {
	case ROUTE_LOCAL:
		print_local(t, address, a);
		break;
	case ROUTE_RELAY:
		print_node(t, address, "relay", a->destination,
		    FIELDS(F_STR("destination", a->destination)));
		break;
	case ROUTE_EXPAND:
		print_node(t, address, "stands for", NULL, FIELDS(F_U64("targets", a->targets_n)));
		for (i = 0; i < a->targets_n; i++)
			walk(t, a->targets[i]);
		break;
	case ROUTE_DISCARD:
		print_node(t, address, "discarded", NULL, FIELDS(F_END));
		break;
	case ROUTE_FAIL:
	case ROUTE_DEFER:
		t->failed = true;
		print_node(t, address, a->kind == ROUTE_FAIL ? "fails" : "waits", a->why,
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
	struct route_question question = { .address = address, .sender = "" };
	bool loop = is_above(t, address);

	if (t->depth == DEPTH_MOST) {
		t->failed = true;
		return;
	}
	t->path[t->depth++] = address;
	if (loop) {
		t->failed = true;
		print_node(t, address, "loop", "stands above already",
		    FIELDS(F_STR("why", "stands above already")));
	} else {
		lookup_route_now(&t->conf->lookup, &question, on_route, t);
	}
	t->depth--;
}

int
address_show(int n, char **words)
{
	struct tree t = { .conf = smtpctl_conf() };
	struct mailaddr a;
	const char *why;
	char *address;

	(void)n;
	if (t.conf == NULL)
		return EXIT_FAILED;
	if (strchr(words[1], '@') == NULL)
		address = xasprintf("%s@%s", words[1], t.conf->host);
	else
		address = xstrdup(words[1]);
	if (!mailaddr_parse(address, strlen(address), 0, &a, &why)) {
		free(address);
		return smtpctl_usage("\"%s\" is no address: %s", words[1], why);
	}
	free(address);
	address = mailaddr_format(&a);
	mailaddr_free(&a);
	walk(&t, address);
	free(address);
	return t.failed ? EXIT_FAILED : EXIT_DONE;
}
