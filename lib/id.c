/*
 * Ids of sessions and messages.
 *
 * 64 bits are 13 digits of 5 bits with one bit to spare, so the first digit is never above F;
 * id_parse() holds input to that, or two texts would name one id.  The random half makes a
 * collision within one second improbable and not impossible (one in 2^32 for each pair): whoever
 * uses an id as a key looks whether it is taken.  Nothing fails but getrandom(2), which cannot once
 * the kernel has booted, and that is fatal.
 */
#include <sys/random.h>
#include <sys/types.h>

#include "lib/clock.h"
#include "lib/id.h"
#include "lib/log.h"

/* No I, L, O and U: <https://www.crockford.com/base32.html> */
static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/* 0-31, or -1 for a character that is no digit. */
static int
digit_value(char c)
{
	int i;

	if (c >= 'a' && c <= 'z')
		c -= 'a' - 'A';
	if (c == 'I' || c == 'L')
		c = '1';
	if (c == 'O')
		c = '0';
	for (i = 0; i < 32; i++)
		if (digits[i] == c)
			return i;
	return -1;
}

uint64_t
id_new(void)
{
	uint64_t id;
	uint32_t random;

	do {
		if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
			fatal("getrandom: %m");
		id = (uint64_t)(uint32_t)clock_now() << 32 | random;
	} while (id == 0);
	return id;
}

struct id_text
id_text(uint64_t id)
{
	struct id_text text;
	int i;

	for (i = ID_LEN - 1; i >= 0; i--) {
		text.s[i] = digits[id & 31];
		id >>= 5;
	}
	text.s[ID_LEN] = '\0';
	return text;
}

bool
id_parse(const char *s, uint64_t *out)
{
	uint64_t id = 0;
	int i, value;

	for (i = 0; i < ID_LEN; i++) {
		value = digit_value(s[i]);
		if (value < 0 || (i == 0 && value > 15))
			return false;
		id = id << 5 | (uint64_t)value;
	}
	if (s[ID_LEN] != '\0' || id == 0)
		return false;
	*out = id;
	return true;
}
