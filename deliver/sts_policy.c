/*
 * Reading what domains publish for MTA-STS (sts_policy.h).
 *
 * The cache calls it for TXT records, for what was fetched and for what the ledger kept; all of it
 * comes from strangers.  Unknown fields are passed over, of a field that may stand once the first
 * counts, and what is no field makes the whole worthless, as RFC 8461 3.1 and 3.2 want it: half a
 * policy would be a guess.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/sts_policy.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"

#define MX_MAX 1000

struct kept {
	struct sts_policy policy; /* first: it is what others see */
	unsigned refs;
};

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ALPHA / DIGIT, then 31 of these and "_-." */
static bool
is_name(const char *s, size_t len)
{
	size_t i;

	if (len == 0 || len > 32 || !is_alnum(s[0]))
		return false;
	for (i = 1; i < len; i++) {
		if (!is_alnum(s[i]) && strchr("_-.", s[i]) == NULL)
			return false;
	}
	return true;
}

/* --- TXT (3.1) --- */

static bool
is_record_value(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] < 0x21 || s[i] > 0x7e || s[i] == '=' || s[i] == ';')
			return false;
	}
	return len > 0;
}

static bool
is_id(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!is_alnum(s[i]))
			return false;
	}
	return len > 0 && len <= STS_ID_MAX;
}

/* "id=20160831085700Z" or an extension. */
static bool
take_record_field(const char *s, size_t len, char id[STS_ID_MAX + 1])
{
	const char *equals = memchr(s, '=', len), *value;
	size_t name_len, value_len;

	if (equals == NULL)
		return false;
	name_len = (size_t)(equals - s);
	value = equals + 1;
	value_len = len - name_len - 1;
	if (!is_name(s, name_len) || !is_record_value(value, value_len))
		return false;
	if (name_len != 2 || memcmp(s, "id", 2) != 0)
		return true;
	if (!is_id(value, value_len))
		return false;
	if (id[0] == '\0') {
		memcpy(id, value, value_len);
		id[value_len] = '\0';
	}
	return true;
}

enum sts_record
sts_record_parse(const void *data, size_t len, char id[STS_ID_MAX + 1])
{
	static const char version[] = "v=STSv1;";
	const char *s = data;
	size_t at = strlen(version), to, next;

	id[0] = '\0';
	if (len < at || memcmp(s, version, at) != 0)
		return STS_RECORD_OTHER;
	for (; at < len; at = next + 1) {
		for (next = at; next < len && s[next] != ';'; next++)
			;
		while (at < next && is_blank(s[at]))
			at++;
		for (to = next; to > at && is_blank(s[to - 1]); to--)
			;
		if (at == len)
			break; /* behind the last delimiter */
		if (!take_record_field(s + at, to - at, id))
			return STS_RECORD_BROKEN;
	}
	return id[0] != '\0' ? STS_RECORD_OK : STS_RECORD_BROKEN;
}

/* --- policies (3.2) --- */

/* Which single fields were seen. */
struct reading {
	struct sts_policy *policy;
	bool version, mode, max_age;
};

static bool
is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(s, word, len) == 0;
}

static const char *
take_version(struct reading *r, const char *s, size_t len)
{
	if (!r->version && !is_word(s, len, "STSv1"))
		return "its version is not STSv1";
	r->version = true;
	return NULL;
}

static const char *
take_mode(struct reading *r, const char *s, size_t len)
{
	static const struct {
		const char *word;
		enum sts_mode mode;
	} modes[] = { { "enforce", STS_ENFORCE }, { "testing", STS_TESTING }, { "none", STS_NONE } };
	size_t i;

	if (r->mode)
		return NULL;
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (!is_word(s, len, modes[i].word))
			continue;
		r->policy->mode = modes[i].mode;
		r->mode = true;
		return NULL;
	}
	return "its mode is neither enforce nor testing nor none";
}

static const char *
take_max_age(struct reading *r, const char *s, size_t len)
{
	uint64_t seconds = 0;
	size_t i;

	if (r->max_age)
		return NULL;
	for (i = 0; i < len && s[i] >= '0' && s[i] <= '9' && i < 10; i++)
		seconds = seconds * 10 + (unsigned)(s[i] - '0');
	if (len == 0 || i < len)
		return "its max_age is no number of seconds";
	r->policy->max_age = seconds < STS_AGE_MAX ? (uint32_t)seconds : STS_AGE_MAX;
	r->max_age = true;
	return NULL;
}

static const char *
take_mx(struct reading *r, const char *s, size_t len)
{
	struct sts_policy *p = r->policy;
	size_t star = len > 2 && s[0] == '*' && s[1] == '.' ? 2 : 0, i;
	char *mx;

	if (len == star || s[star] == '[' || !mailaddr_domain_ok(s + star, len - star, 0))
		return "an mx is no name of servers";
	if (p->mx_n == MX_MAX)
		return "it has more than 1000 mx";
	mx = xstrndup(s, len);
	for (i = 0; i < len; i++)
		mx[i] = mx[i] >= 'A' && mx[i] <= 'Z' ? (char)(mx[i] - 'A' + 'a') : mx[i];
	p->mx = xreallocarray(p->mx, p->mx_n + 1, sizeof(*p->mx));
	p->mx[p->mx_n++] = mx;
	return NULL;
}

/* NULL, or what is wrong with "name: value". */
static const char *
take_field(struct reading *r, const char *s, size_t len)
{
	static const struct {
		const char *name;
		const char *(*take)(struct reading *, const char *, size_t);
	} fields[] = { { "version", take_version }, { "mode", take_mode },
		{ "max_age", take_max_age }, { "mx", take_mx } };
	const char *colon = memchr(s, ':', len), *value;
	size_t i, name_len;

	if (colon == NULL)
		return "a line has no colon";
	name_len = (size_t)(colon - s);
	if (!is_name(s, name_len))
		return "a line does not begin with the name of a field";
	for (value = colon + 1; value < s + len && is_blank(*value); value++)
		;
	len -= (size_t)(value - s);
	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (is_word(s, name_len, fields[i].name))
			return fields[i].take(r, value, len);
	}
	return NULL;
}

static const char *
take_lines(struct reading *r, const char *s, const char *end)
{
	const char *lf, *to, *wrong = NULL;

	for (; s < end && wrong == NULL; s = lf + (lf < end)) {
		lf = memchr(s, '\n', (size_t)(end - s));
		if (lf == NULL)
			lf = end;
		to = lf;
		if (to > s && to[-1] == '\r')
			to--;
		while (to > s && is_blank(to[-1]))
			to--;
		if (to > s)
			wrong = take_field(r, s, (size_t)(to - s));
	}
	if (wrong != NULL)
		return wrong;
	if (!r->version || !r->mode || !r->max_age)
		return "it lacks version, mode or max_age";
	return r->policy->mx_n == 0 && r->policy->mode != STS_NONE ? "it names no mx" : NULL;
}

struct sts_policy *
sts_policy_parse(const char *s, size_t len, const char **why)
{
	struct kept *kept;
	struct reading r;

	if (len > STS_TEXT_MAX || memchr(s, '\0', len) != NULL) {
		*why = len > STS_TEXT_MAX ? "it is longer than 64K" : "it has a NUL";
		return NULL;
	}
	kept = xcalloc(1, sizeof(*kept));
	kept->refs = 1;
	r = (struct reading){ .policy = &kept->policy };
	*why = take_lines(&r, s, s + len);
	if (*why == NULL)
		return &kept->policy;
	sts_policy_drop(&kept->policy);
	return NULL;
}

bool
sts_policy_names(const struct sts_policy *p, const char *host)
{
	const char *dot = strchr(host, '.');
	unsigned i;

	for (i = 0; i < p->mx_n; i++) {
		if (p->mx[i][0] == '*') {
			if (dot != NULL && dot != host && strcasecmp(dot, p->mx[i] + 1) == 0)
				return true;
		} else if (strcasecmp(host, p->mx[i]) == 0) {
			return true;
		}
	}
	return false;
}

const struct sts_policy *
sts_policy_keep(const struct sts_policy *p)
{
	if (p != NULL)
		((struct kept *)(uintptr_t)p)->refs++;
	return p;
}

void
sts_policy_drop(const struct sts_policy *p)
{
	struct kept *kept = (struct kept *)(uintptr_t)p;
	unsigned i;

	if (p == NULL || --kept->refs > 0)
		return;
	for (i = 0; i < p->mx_n; i++)
		free(p->mx[i]);
	free(p->mx);
	free(kept);
}
