/*
 * Reads what buf_add_*() wrote.  Every step is checked; after the first step that does not fit the cursor is BAD and
 * all further steps give zero, "" or NULL, so that a decoder reads straight through and asks once at the end.
 * Pointers that come back point into the bytes that the cursor was made for.
 */
#ifndef LIB_CURSOR_H
#define LIB_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cursor {
	const uint8_t *pos;
	const uint8_t *end;
	bool bad;
};

struct cursor cursor_init(const void *, size_t);
uint8_t cursor_u8(struct cursor *);
uint16_t cursor_u16(struct cursor *);
uint32_t cursor_u32(struct cursor *);
uint64_t cursor_u64(struct cursor *);
/* An octet; what is neither 0 nor 1 makes the cursor bad. */
bool cursor_bool(struct cursor *);
/* Seconds since 1970, of a time that may have been written: above 2^40, where sums might overflow, the cursor is bad. */
int64_t cursor_time(struct cursor *);
/* NUL-terminated in place; a NUL inside the counted bytes makes the cursor bad. */
const char *cursor_str(struct cursor *);
const void *cursor_blob(struct cursor *, size_t *len);
/* LEN raw bytes, no count in front. */
const void *cursor_bytes(struct cursor *, size_t len);
/* True when nothing was bad and nothing is left. */
bool cursor_done(const struct cursor *);

#endif
