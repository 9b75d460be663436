/* For tests with a directory of their own: takes it away with all that is in it. */
#ifndef REGRESS_UNIT_TREE_H
#define REGRESS_UNIT_TREE_H

#include <ftw.h>
#include <stdio.h>

static inline int
tree_remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

/* 0, or -1 with errno. */
static inline int
tree_remove(const char *dir)
{
	return nftw(dir, tree_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
