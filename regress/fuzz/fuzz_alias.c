/*
 * Fuzz target: right sides of aliases and .forward files, the command lines in them, and texts of
 * recipients.  Beyond what the sanitizers see: what is refused has a reason, the reader always moves
 * on, a program is one that can be run without a shell, what is named can be taken apart again, and
 * no text of a stranger's address is ever more than an address.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/alias.h"
#include "deliver/alias_item.h"
#include "deliver/command_line.h"
#include "deliver/target.h"
#include "lib/mem.h"
#include "regress/fuzz/target.h"

static void
check_program(const char *item)
{
	char **argv, *why = command_split(item + 1, &argv);

	require(item[0] == '|' && why == NULL && argv[0][0] == '/');
	command_argv_free(argv);
}

static void
check_items(const char *text)
{
	const char *at = text, *before;
	struct alias_item item;
	char *why;
	int got;

	for (;;) {
		before = at;
		got = alias_item_next(&at, &item, &why);
		if (got == 0)
			break;
		require(at > before && at <= text + strlen(text));
		require((got > 0) == (item.text != NULL) && (got < 0) == (why != NULL));
		if (got > 0 && item.kind == ITEM_PROGRAM)
			check_program(item.text);
		if (got > 0 && (item.kind == ITEM_FILE || item.kind == ITEM_INCLUDE))
			require(item.text[0] == '/');
		free(item.text);
		free(why);
	}
}

static void
check_targets(char *text)
{
	struct alias_of of = { .self = "me@ours.example", .local = "me", .domain = "ours.example",
		.account = (uid_t)-1 };
	struct alias_targets targets = { .n = 0 };
	char *why = alias_parse_text(text, &of, &targets);
	struct target target;
	size_t i;

	for (i = 0; i < targets.n; i++) {
		require(strlen(targets.addresses[i]) <= TARGET_MAX);
		target_parse(targets.addresses[i], &target);
		if (target.item != NULL)
			require(strcmp(target.address, of.self) == 0);
		else
			require(strchr(target.address, '@') != NULL);
		target_free(&target);
	}
	alias_free(&targets);
	free(why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = xstrndup((const char *)data, size);
	struct target target;

	check_items(text);
	target_parse(text, &target);
	require(text[0] == '\\' || (target.kind == TARGET_ADDRESS && target.item == NULL));
	target_free(&target);
	check_targets(text);
	free(text);
	return 0;
}
