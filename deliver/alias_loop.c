/*
 * The search for an alias that leads back to itself.
 *
 * The lookup role asks before it answers with an alias's addresses, since each of those is looked
 * up again when its turn comes, and nobody there would notice.  The walk goes through all that the
 * alias reaches, each address once, so it ends whatever the tables say; a loop that the start is no
 * part of is found when one of its own addresses is asked for.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/alias_loop.h"
#include "deliver/book.h"
#include "deliver/target.h"
#include "lib/mem.h"
#include "lib/table.h"

#define WALK_MAX (2 * ALIAS_TARGETS_MAX)

struct step {
	char *address;
	size_t from; /* index of the step that led here */
};

struct walk {
	const struct lookup_conf *conf;
	bool read_files;
	const char *start;
	struct step *steps;
	size_t n, cap;
	struct table *seen;
};

static void
walk_add(struct walk *walk, const char *address, size_t from)
{
	if (walk->n >= WALK_MAX || !table_add(walk->seen, address, NULL))
		return;
	if (walk->n == walk->cap) {
		walk->cap = walk->cap == 0 ? 16 : walk->cap * 2;
		walk->steps = xreallocarray(walk->steps, walk->cap, sizeof(*walk->steps));
	}
	walk->steps[walk->n++] = (struct step){ xstrdup(address), from };
}

/* What ADDRESS stands for. */
static void
targets_of(const struct walk *walk, const struct book_name *name, struct alias_targets *targets)
{
	struct book_entry entry;
	struct alias_of of;

	book_find(walk->conf, name, true, &entry);
	if (entry.kind == BOOK_ALIAS) {
		of = (struct alias_of){ .self = name->address,
			.local = name->local,
			.domain = name->ours->name,
			.read_files = walk->read_files,
			.account = (uid_t)-1 };
		free(alias_parse(entry.value, &of, targets));
	} else if (entry.kind == BOOK_MOVED)
		alias_add(targets, entry.moved);
	book_entry_free(&entry);
}

/* Adds where step AT leads; true when one of those is the start. */
static bool
walk_step(struct walk *walk, size_t at)
{
	struct alias_targets targets = { .n = 0 };
	struct book_name name;
	const char *why;
	bool back = false;
	size_t i;

	/* a program or file leads nowhere */
	if (*target_address_end(walk->steps[at].address) != '\0')
		return false;
	if (!book_name_parse(walk->conf, walk->steps[at].address, &name, &why))
		return false;
	targets_of(walk, &name, &targets);
	for (i = 0; i < targets.n && !back; i++) {
		back = strcasecmp(targets.addresses[i], walk->start) == 0;
		/* an alias that names itself means its mailbox, and nothing leads on from there */
		if (!back && strcasecmp(targets.addresses[i], name.address) != 0)
			walk_add(walk, targets.addresses[i], at);
	}
	alias_free(&targets);
	book_name_free(&name);
	return back;
}

/* "a -> b -> a", from the step that leads back to the start. */
static char *
walk_path(const struct walk *walk, size_t at)
{
	char *path = xstrdup(walk->start), *longer;

	for (; at != SIZE_MAX; at = walk->steps[at].from) {
		longer = xasprintf("%s -> %s", walk->steps[at].address, path);
		free(path);
		path = longer;
	}
	longer = xasprintf("%s -> %s", walk->start, path);
	free(path);
	return longer;
}

char *
alias_find_loop(const struct lookup_conf *conf, const char *start,
    const struct alias_targets *targets, bool read_files)
{
	struct walk walk = {
		.conf = conf, .read_files = read_files, .start = start, .seen = table_new("")
	};
	char *path = NULL;
	size_t i;

	for (i = 0; i < targets->n; i++)
		walk_add(&walk, targets->addresses[i], SIZE_MAX);
	for (i = 0; i < walk.n && path == NULL; i++) {
		if (walk_step(&walk, i))
			path = walk_path(&walk, i);
	}
	for (i = 0; i < walk.n; i++)
		free(walk.steps[i].address);
	free(walk.steps);
	table_free(walk.seen);
	return path;
}
