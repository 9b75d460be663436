/*
 * Mailbox formats: "%{home}/Maildir" and an address become the path of one mailbox.
 *
 * The configuration checks formats once (mailbox_check), the lookup role fills them in for each
 * recipient (mailbox_expand).  The values are local parts and domains that strangers chose, so what
 * must never happen is that one of them is more than one component of a path: a value with '/', or
 * one that is "." or "..", makes the whole fail. Values are put in as they are and never read for
 * fields again.  The home comes from the host's accounts and is a path by nature.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/domain.h"
#include "lib/buf.h"
#include "lib/mem.h"

/* Where the value of a field is, and what it may be. */
struct field_spec {
	const char *name;
	size_t offset;
	bool may_be_path;
	bool may_be_empty;
};

static const struct field_spec specs[] = {
	{ "user", offsetof(struct mailbox_fields, user), false, false },
	{ "domain", offsetof(struct mailbox_fields, domain), false, false },
	{ "home", offsetof(struct mailbox_fields, home), true, false },
	{ "address", offsetof(struct mailbox_fields, address), false, false },
	{ "extension", offsetof(struct mailbox_fields, extension), false, true },
};
#define SPECS_N (sizeof(specs) / sizeof(specs[0]))

static const struct field_spec *
find_field(const char *name, size_t len)
{
	size_t i;

	for (i = 0; i < SPECS_N; i++) {
		if (strlen(specs[i].name) == len && memcmp(specs[i].name, name, len) == 0)
			return &specs[i];
	}
	return NULL;
}

/* The value, or NULL when it may not become part of a path. */
static const char *
value_of(const struct field_spec *spec, const struct mailbox_fields *fields)
{
	const char *value;

	memcpy(&value, (const char *)fields + spec->offset, sizeof(value));
	if (value == NULL)
		return spec->may_be_empty ? "" : NULL;
	if (*value == '\0')
		return spec->may_be_empty ? value : NULL;
	if (spec->may_be_path)
		return value;
	if (strchr(value, '/') != NULL || strcmp(value, ".") == 0 || strcmp(value, "..") == 0)
		return NULL;
	return value;
}

char *
mailbox_expand(const char *format, const struct mailbox_fields *fields)
{
	const struct field_spec *spec;
	const char *open, *close, *value;
	struct buf out = { 0 };

	while ((open = strstr(format, "%{")) != NULL) {
		close = strchr(open, '}');
		spec = close == NULL ? NULL : find_field(open + 2, (size_t)(close - open - 2));
		value = spec == NULL ? NULL : value_of(spec, fields);
		if (value == NULL) {
			buf_free(&out);
			return NULL;
		}
		buf_add(&out, format, (size_t)(open - format));
		buf_adds(&out, value);
		format = close + 1;
	}
	buf_adds(&out, format);
	return buf_take(&out);
}

/* "%{user}, %{domain} and so on" */
static void
add_field_names(struct buf *out)
{
	size_t i;

	for (i = 0; i < SPECS_N; i++)
		buf_addf(out, "%s%%{%s}", i > 0 ? ", " : "", specs[i].name);
}

char *
mailbox_check(const char *format)
{
	const char *open, *close;
	struct buf why = { 0 };

	for (open = format; (open = strstr(open, "%{")) != NULL; open = close + 1) {
		close = strchr(open, '}');
		if (close != NULL && find_field(open + 2, (size_t)(close - open - 2)) != NULL)
			continue;
		if (close == NULL)
			buf_addf(&why, "\"%s\" has no closing \"}\"; fields are ", open);
		else
			buf_addf(&why, "unknown field \"%.*s\"; fields are ",
			    (int)(close - open + 1), open);
		add_field_names(&why);
		return buf_take(&why);
	}
	return NULL;
}
