/*
 * The pairs in a Berkeley DB btree file, read without the library: it may have been written by
 * another version of it, on another machine, by a program that is not to be disturbed.  Also the
 * text that db_dump writes of one.  Pure: octets in, pairs out.
 *
 * The file's format is documented in the library's own headers (db_page.h) and was checked against
 * files of version 5.3; btree versions 8 to 10 do not differ in what is read here.
 */
#ifndef SMTPCTL_BTREE_FILE_H
#define SMTPCTL_BTREE_FILE_H

#include <stdbool.h>
#include <stddef.h>

struct btree_visitor {
	void (*pair)(const void *key, size_t key_len, const void *value, size_t len, void *arg);
	void *arg;
};

/* True when it is a btree or a dump of one, to tell it from other files. */
bool btree_file_is(const void *file, size_t len);
/* Every pair in the order of the pages, not of the keys.  NULL, or what is wrong (the caller
 * frees); pairs may have been visited before it was found. */
char *btree_file_read(const void *file, size_t len, const struct btree_visitor *);

#endif
