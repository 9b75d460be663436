/*
 * A table in memory from keys of any octets to values of one size, for programs that count or
 * remember millions of things and forget them all at once.  Entries stay where they are: what
 * dict_put() gave is valid until dict_free().
 */
#ifndef LIB_DICT_H
#define LIB_DICT_H

#include <stddef.h>
#include <stdint.h>

struct dict;

struct dict *dict_new(size_t value_size);
void dict_free(struct dict *);
/* NULL: not there. */
void *dict_get(const struct dict *, const void *key, size_t len);
/* The value of KEY, zero when it is new.  A key has at most UINT32_MAX octets. */
void *dict_put(struct dict *, const void *key, size_t len);
size_t dict_count(const struct dict *);
/* In no order. */
void dict_each(const struct dict *, void (*visit)(const void *key, size_t len, void *value, void *arg), void *arg);

#endif
