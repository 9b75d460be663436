/*
 * A record for people and programs: a list of named values.  Log lines and smtpctl's answers are such lists; they are
 * printed as text or as one JSON object, by the same two functions everywhere.
 */
#ifndef LIB_FIELD_H
#define LIB_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct cursor;

enum field_type { FIELD_END, FIELD_STR, FIELD_U64, FIELD_I64, FIELD_BOOL };

struct field {
	const char *key;
	enum field_type type;
	union {
		const char *str; /* NULL: the field is left out */
		uint64_t u64;
		int64_t i64;
		bool b;
	};
};

#define F_STR(k, v) ((struct field){ .key = (k), .type = FIELD_STR, .str = (v) })
#define F_U64(k, v) ((struct field){ .key = (k), .type = FIELD_U64, .u64 = (v) })
#define F_I64(k, v) ((struct field){ .key = (k), .type = FIELD_I64, .i64 = (v) })
#define F_BOOL(k, v) ((struct field){ .key = (k), .type = FIELD_BOOL, .b = (v) })
#define F_END ((struct field){ .key = NULL, .type = FIELD_END })
/* FIELDS(F_STR("a", x), F_U64("b", n)): a list for one call; FIELDS() is the empty one */
#define FIELDS(...) ((const struct field[]){ __VA_ARGS__ __VA_OPT__(, ) F_END })

/* "key=value key=value"; a value with spaces, quotes, controls or nothing in it is quoted and escaped. */
void field_text(struct buf *, const struct field *);
/* {"key":"value",...}; bytes that are no UTF-8 become U+FFFD. */
void field_json(struct buf *, const struct field *);
/* A quoted, escaped JSON string. */
void field_json_str(struct buf *, const char *);

/* For the way between roles.  field_decode() gives a list that the caller frees with field_free() (keys and strings
 * point into the decoded bytes), or NULL and a bad cursor. */
void field_encode(struct buf *, const struct field *);
struct field *field_decode(struct cursor *);
void field_free(struct field *);
/* The value of the string field KEY; NULL when there is none or it is no string. */
const char *field_get(const struct field *, const char *key);
/* The value of the number field KEY, a signed one as its bits; 0 when there is none or it is no number. */
uint64_t field_u64(const struct field *, const char *key);

#endif
