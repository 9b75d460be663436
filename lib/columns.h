/*
 * Records (field.h) as text for people: aligned columns, or one field a line; times, sizes and
 * durations in human units. What a key means is known by its name, so smtpctl shows the records of
 * every role by the same functions.
 */
#ifndef LIB_COLUMNS_H
#define LIB_COLUMNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/field.h"

struct buf;
struct columns;

/* "0s" to "119s", "2m" to "119m", "2h" to "47h", "2d" ... */
void human_add_seconds(struct buf *, uint64_t seconds);
/* "812", "4.0K", "12M": powers of 1,024, two digits that count. */
void human_add_size(struct buf *, uint64_t octets);
/* "5m ago", "in 3h", "now". */
void human_add_when(struct buf *, int64_t time, int64_t now);
/* Controls as '?', so that no value moves the cursor or begins a line. */
void human_add_text(struct buf *, const char *);

/* NOW: for times. */
struct columns *columns_new(int64_t now);
void columns_free(struct columns *);
/* A row.  A record whose first key differs from that of the row before begins a table of its own.
 * Rows may be printed to OUT at once, when there are enough of them to know how wide the columns
 * are. */
void columns_add(struct columns *, const struct field *, struct buf *out);
/* The rows that are left. */
void columns_end(struct columns *, struct buf *out);

/* One field a line, "key: value", times in full. */
void columns_block(struct buf *out, const struct field *, int64_t now);

#endif
