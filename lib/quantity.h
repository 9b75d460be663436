/*
 * Numbers with a unit, as people write them: "20s" "2m" "4h" "2d" are times in seconds, "256K"
 * "50M" "2G" are sizes in octets (powers of 1,024), "50" is a count.  Used by the configuration and
 * by smtpctl's selectors.
 */
#ifndef LIB_QUANTITY_H
#define LIB_QUANTITY_H

#include <stddef.h>
#include <stdint.h>

struct buf;

enum quantity {
	QUANTITY_NONE,      /* it is no number with a unit */
	QUANTITY_COUNT,
	QUANTITY_SIZE,
	QUANTITY_TIME,
	QUANTITY_TOO_LARGE, /* it is one above UINT32_MAX seconds, or INT64_MAX octets or things */
};

/* All LEN octets of S; *VALUE is set for a count, a size and a time. */
enum quantity quantity_parse(const char *s, size_t len, uint64_t *value);
/* In the largest unit that loses nothing: "90s", "2m", "0s"; "50M", "1000". */
void quantity_add_time(struct buf *, uint64_t seconds);
void quantity_add_size(struct buf *, uint64_t octets);

#endif
