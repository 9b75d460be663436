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
#include <unistd.h>
#include <sys/types.h>

#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/id.h"

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

/*
 * The lower half: 12 bits of the process, which differ between roles that live at one time, and 20 that count from a
 * random start.  So two ids are the same only if a process makes a million in one second.
 */
uint64_t
id_new(void)
{
	static uint32_t counter;
	static pid_t counts_for;
	pid_t pid = getpid();
	uint64_t id;

	if (counts_for != pid) {
		if (getrandom(&counter, sizeof(counter), 0) != (ssize_t)sizeof(counter))
			fatal("getrandom: %m");
		counts_for = pid;
	}
	do {
		id = (uint64_t)(uint32_t)clock_now() << 32 | ((uint32_t)pid & 0xfff) << 20 | (counter++ & 0xfffff);
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
