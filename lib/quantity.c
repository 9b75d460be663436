/*
 * Reading and writing of numbers with units, over one table.
 *
 * Pure functions.  Reading can fail, which the result says; what must never happen is a number that
 * wraps around, so that "limit size 99999999999999G" becomes a small one.
 */
#include <stdbool.h>

#include "lib/buf.h"
#include "lib/quantity.h"

static const struct unit {
	char letter;
	enum quantity kind;
	uint64_t factor;
} units[] = {
	/* largest first within a kind: the writer takes the first that divides */
	{ 'd', QUANTITY_TIME, 86400 },
	{ 'h', QUANTITY_TIME, 3600 },
	{ 'm', QUANTITY_TIME, 60 },
	{ 's', QUANTITY_TIME, 1 },
	{ 'G', QUANTITY_SIZE, 1 << 30 },
	{ 'M', QUANTITY_SIZE, 1 << 20 },
	{ 'K', QUANTITY_SIZE, 1 << 10 },
};
#define UNITS (sizeof(units) / sizeof(units[0]))

static const struct unit *
unit_by_letter(char letter)
{
	size_t i;

	for (i = 0; i < UNITS; i++) {
		if (units[i].letter == letter)
			return &units[i];
	}
	return NULL;
}

enum quantity
quantity_parse(const char *s, size_t len, uint64_t *value)
{
	const struct unit *unit = NULL;
	enum quantity kind = QUANTITY_COUNT;
	uint64_t number = 0, most = INT64_MAX;
	bool fits = true;
	size_t i;

	for (i = 0; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
		fits = fits && !__builtin_mul_overflow(number, 10, &number) &&
		    !__builtin_add_overflow(number, (uint64_t)(s[i] - '0'), &number);
	}
	if (i == 0)
		return QUANTITY_NONE;
	if (i < len) {
		unit = unit_by_letter(s[i]);
		if (unit == NULL || i + 1 != len)
			return QUANTITY_NONE;
		kind = unit->kind;
		fits = fits && !__builtin_mul_overflow(number, unit->factor, &number);
	}
	if (kind == QUANTITY_TIME)
		most = UINT32_MAX;
	if (!fits || number > most)
		return QUANTITY_TOO_LARGE;
	*value = number;
	return kind;
}

static void
add(struct buf *out, uint64_t value, enum quantity kind)
{
	size_t i;

	for (i = 0; i < UNITS && value > 0; i++) {
		if (units[i].kind == kind && value % units[i].factor == 0) {
			buf_addf(out, "%llu%c", (unsigned long long)(value / units[i].factor),
			    units[i].letter);
			return;
		}
	}
	buf_addf(out, kind == QUANTITY_TIME ? "%llus" : "%llu", (unsigned long long)value);
}

void
quantity_add_time(struct buf *out, uint64_t seconds)
{
	add(out, seconds, QUANTITY_TIME);
}

void
quantity_add_size(struct buf *out, uint64_t octets)
{
	add(out, octets, QUANTITY_SIZE);
}
