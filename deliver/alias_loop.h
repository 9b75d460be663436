/*
 * Aliases that lead back to themselves.
 */
#ifndef DELIVER_ALIAS_LOOP_H
#define DELIVER_ALIAS_LOOP_H

#include "deliver/alias.h"
#include "deliver/lookup.h"

/* NULL, or the way by which START, whose alias stands for TARGETS, comes back to itself: "a@x ->
 * b@x -> a@x" (caller frees).  Included files are read when READ_FILES. */
char *alias_find_loop(const struct lookup_conf *, const char *start,
    const struct alias_targets *targets, bool read_files);

#endif
