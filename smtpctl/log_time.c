/*
 * Times and syslog's head of a line (log_line.h).
 *
 * Called for every line, so the day is worked out once for all lines that share its letters, and only
 * the time of the day is read each time.  Local times without a zone are taken for UTC: differences
 * count here, not the hour.
 */
#include <ctype.h>
#include <string.h>
#include <time.h>

#include "smtpctl/log_line.h"

#define DAY 86400
/* TAI64 labels begin at 2^62, ten seconds from UTC in 1970. */
#define TAI_BASE (((uint64_t)1 << 62) + 10)

static bool
digits(const char *s, size_t n, int *value)
{
	size_t i;

	for (*value = 0, i = 0; i < n; i++) {
		if (!isdigit((unsigned char)s[i]))
			return false;
		*value = *value * 10 + (s[i] - '0');
	}
	return true;
}

/* "10:00:00" */
static int64_t
time_of_day(const char *s)
{
	int hour, minute, second;

	if (!digits(s, 2, &hour) || s[2] != ':' || !digits(s + 3, 2, &minute) || s[5] != ':' ||
	    !digits(s + 6, 2, &second) || hour > 23 || minute > 59 || second > 60)
		return -1;
	return hour * 3600 + minute * 60 + second;
}

static void
advance(const char **s, size_t *len, size_t n)
{
	*s += n;
	*len -= n;
	if (*len > 0 && **s == ' ') {
		++*s;
		--*len;
	}
}

static bool
same_day(const struct log_clock *clock, const char *s, size_t len)
{
	return clock->day_len == len && memcmp(clock->day, s, len) == 0;
}

static int64_t
keep_day(struct log_clock *clock, const char *s, size_t len, int year, int month, int day)
{
	struct tm tm = { .tm_year = year - 1900, .tm_mon = month, .tm_mday = day };

	memcpy(clock->day, s, len);
	clock->day_len = len;
	return clock->day_start = timegm(&tm);
}

static int
month_of(const char *s)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int i;

	for (i = 0; i < 12; i++)
		if (memcmp(months + 3 * i, s, 3) == 0)
			return i;
	return -1;
}

/* "Jul  4 " */
static int64_t
day_without_year(struct log_clock *clock, const char *s)
{
	time_t reference = (time_t)clock->reference;
	int month = month_of(s), day;
	struct tm tm;
	int64_t start;

	if (month < 0 || s[3] != ' ' || !digits(s + 4 + (s[4] == ' '), s[4] == ' ' ? 1 : 2, &day) ||
	    day < 1 || day > 31 || gmtime_r(&reference, &tm) == NULL)
		return -1;
	start = keep_day(clock, s, 6, tm.tm_year + 1900, month, day);
	if (start > clock->reference + DAY)
		start = keep_day(clock, s, 6, tm.tm_year + 1899, month, day);
	return start;
}

int64_t
log_time_syslog(struct log_clock *clock, const char **s, size_t *len)
{
	int64_t day, seconds;

	if (*len < 15 || (*s)[6] != ' ')
		return -1;
	day = same_day(clock, *s, 6) ? clock->day_start : day_without_year(clock, *s);
	seconds = time_of_day(*s + 7);
	if (day < 0 || seconds < 0)
		return -1;
	advance(s, len, 15);
	return day + seconds;
}

/* "+02:00", "+0200", "Z" or nothing: seconds east, and how many octets. */
static int64_t
zone(const char *s, size_t len, size_t *used)
{
	int hour, minute;
	size_t colon;

	*used = 0;
	if (len > 0 && *s == 'Z')
		*used = 1;
	if (len < 5 || (*s != '+' && *s != '-'))
		return 0;
	colon = s[3] == ':';
	if (len < 5 + colon || !digits(s + 1, 2, &hour) || !digits(s + 3 + colon, 2, &minute))
		return 0;
	*used = 5 + colon;
	return (*s == '-' ? -1 : 1) * (int64_t)(hour * 3600 + minute * 60);
}

int64_t
log_time_iso(struct log_clock *clock, const char **s, size_t *len)
{
	int year, month, day;
	int64_t start, seconds, east;
	size_t n = 19, used;

	if (*len < 19 || (*s)[4] != '-' || (*s)[7] != '-' || ((*s)[10] != 'T' && (*s)[10] != ' '))
		return -1;
	seconds = time_of_day(*s + 11);
	if (same_day(clock, *s, 10))
		start = clock->day_start;
	else if (digits(*s, 4, &year) && digits(*s + 5, 2, &month) && digits(*s + 8, 2, &day) && month >= 1 &&
	    month <= 12 && day >= 1 && day <= 31 && year >= 1970)
		start = keep_day(clock, *s, 10, year, month - 1, day);
	else
		return -1;
	if (seconds < 0)
		return -1;
	if (n < *len && ((*s)[n] == '.' || (*s)[n] == ','))
		for (n++; n < *len && isdigit((unsigned char)(*s)[n]); n++)
			;
	/* Exim puts a blank before the zone, when there is one */
	if (n + 1 < *len && (*s)[n] == ' ' && ((*s)[n + 1] == '+' || (*s)[n + 1] == '-') &&
	    zone(*s + n + 1, *len - n - 1, &used) != 0 && used > 0)
		n++;
	east = zone(*s + n, *len - n, &used);
	advance(s, len, n + used);
	return start + seconds - east;
}

int64_t
log_time_tai(const char **s, size_t *len)
{
	uint64_t label = 0;
	size_t i;
	char c;

	if (*len < 25 || **s != '@')
		return -1;
	for (i = 1; i <= 16; i++) {
		c = (*s)[i];
		if (!isxdigit((unsigned char)c))
			return -1;
		label = label << 4 | (uint64_t)(isdigit((unsigned char)c) ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	if (label < TAI_BASE || label - TAI_BASE > (uint64_t)1 << 40)
		return -1;
	advance(s, len, 25);
	return (int64_t)(label - TAI_BASE);
}

int64_t
log_time_any(struct log_clock *clock, const char **s, size_t *len)
{
	if (*len == 0)
		return -1;
	if (**s == '@')
		return log_time_tai(s, len);
	if (isdigit((unsigned char)**s))
		return log_time_iso(clock, s, len);
	return log_time_syslog(clock, s, len);
}

bool
log_syslog(struct log_clock *clock, const char *s, size_t len, struct syslog_line *out)
{
	const char *end, *space, *bracket;

	out->time = log_time_any(clock, &s, &len);
	if (out->time < 0)
		return false;
	/* the host, which may be missing with some relays, never holds a colon or bracket */
	space = memchr(s, ' ', len);
	if (space == NULL)
		return false;
	end = memchr(s, ':', len);
	if (end == NULL)
		return false;
	if (space < end) {
		len -= (size_t)(space + 1 - s);
		s = space + 1;
		/* the colon of an address of a host was not the one behind the program */
		end = memchr(s, ':', len);
		if (end == NULL)
			return false;
	}
	bracket = memchr(s, '[', (size_t)(end - s));
	out->program = (struct slice){ s, (size_t)((bracket != NULL ? bracket : end) - s) };
	out->pid = (struct slice){ NULL, 0 };
	if (bracket != NULL && end[-1] == ']')
		out->pid = (struct slice){ bracket + 1, (size_t)(end - 1 - bracket - 1) };
	out->rest = end + 1;
	out->rest_len = len - (size_t)(end + 1 - s);
	while (out->rest_len > 0 && *out->rest == ' ') {
		out->rest++;
		out->rest_len--;
	}
	return memchr(out->program.s, ' ', out->program.len) == NULL;
}

/* --- slices --- */

bool
slice_is(struct slice a, const char *b)
{
	return a.len == strlen(b) && memcmp(a.s, b, a.len) == 0;
}

bool
slice_begins(struct slice a, const char *b)
{
	size_t len = strlen(b);

	return a.len >= len && memcmp(a.s, b, len) == 0;
}

bool
slice_ends(struct slice a, const char *b)
{
	size_t len = strlen(b);

	return a.len >= len && memcmp(a.s + a.len - len, b, len) == 0;
}

const char *
slice_find(struct slice a, const char *needle)
{
	return a.s == NULL ? NULL : memmem(a.s, a.len, needle, strlen(needle));
}

struct slice
slice_before(struct slice *s, char c)
{
	const char *end = s->len > 0 ? memchr(s->s, c, s->len) : NULL;
	struct slice first = { s->s, end != NULL ? (size_t)(end - s->s) : s->len };

	*s = end != NULL ? slice_from(*s, end + 1) : (struct slice){ s->s + s->len, 0 };
	return first;
}

struct slice
slice_from(struct slice a, const char *p)
{
	return (struct slice){ p, (size_t)(a.s + a.len - p) };
}

struct slice
slice_between(struct slice a, const char *open, const char *close)
{
	const char *start = slice_find(a, open), *end;
	struct slice rest;

	if (start == NULL)
		return (struct slice){ NULL, 0 };
	rest = slice_from(a, start + strlen(open));
	end = slice_find(rest, close);
	if (end != NULL)
		rest.len = (size_t)(end - rest.s);
	return rest;
}

struct slice
slice_bare(struct slice a)
{
	if (a.len >= 2 && a.s[0] == '<' && a.s[a.len - 1] == '>')
		return (struct slice){ a.s + 1, a.len - 2 };
	return a;
}

bool
slice_ip(struct slice a, struct ip *ip)
{
	char text[IP_TEXT_MAX];

	if (slice_begins(a, "IPv6:"))
		a = slice_from(a, a.s + 5);
	if (a.len == 0 || a.len >= sizeof(text))
		return false;
	memcpy(text, a.s, a.len);
	text[a.len] = '\0';
	text[strcspn(text, "/%")] = '\0';
	return ip_parse(text, ip);
}

int
slice_number(struct slice a)
{
	int n = 0;
	size_t i;

	for (i = 0; i < a.len && i < 9 && isdigit((unsigned char)a.s[i]); i++)
		n = n * 10 + (a.s[i] - '0');
	return n;
}
