/*
 * The one small growing byte string.  Zero-initialised is empty and valid.  DATA always has a NUL behind LEN, so it
 * can be read as a C string when the caller knows that it holds none itself.
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *data; /* NULL while nothing was ever added */
	size_t len;
	size_t cap;
};

void buf_add(struct buf *, const void *, size_t);
void buf_adds(struct buf *, const char *);
void buf_addc(struct buf *, char);
void buf_addf(struct buf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_addv(struct buf *, const char *fmt, va_list) __attribute__((format(printf, 2, 0)));
/* In decimal. */
void buf_addu(struct buf *, uint64_t);
/* Room for N more bytes; returns where they begin; the caller then adds what it used to LEN. */
char *buf_reserve(struct buf *, size_t n);
/* Forgets the content, keeps the memory. */
void buf_clear(struct buf *);
/* Frees and zeroes. */
void buf_free(struct buf *);
/* The same of secrets: what was in it is overwritten. */
void buf_wipe(struct buf *);
/* Hands the string (never NULL, NUL-terminated) to the caller, who frees it; BUF is empty after. */
char *buf_take(struct buf *);
/* "" instead of NULL. */
const char *buf_str(const struct buf *);

/* Fixed-width integers, little endian, as on disk and between roles. */
void buf_add_u8(struct buf *, uint8_t);
void buf_add_u16(struct buf *, uint16_t);
void buf_add_u32(struct buf *, uint32_t);
void buf_add_u64(struct buf *, uint64_t);
/* u32 length, the bytes, a NUL that the length does not count.  S may be NULL: the same as "". */
void buf_add_str(struct buf *, const char *s);
/* u32 length, the bytes. */
void buf_add_blob(struct buf *, const void *, size_t);

#endif
