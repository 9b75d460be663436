/*
 * Fuzz target: field lists as another process could send them.  Beyond what the sanitizers see,
 * whatever decodes must print as one line without control characters, as JSON whose strings are
 * closed, and come back the same when encoded and decoded once more.
 */
#include <string.h>

#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/field.h"
#include "regress/fuzz/target.h"

/* One line: no control characters, quotes pair up, backslashes stand only inside them. */
static void
check_line(const struct buf *b)
{
	const char *s;
	bool quoted = false;

	for (s = buf_str(b); *s != '\0'; s++) {
		require((unsigned char)*s >= 0x20 && *s != 0x7f);
		if (*s == '"')
			quoted = !quoted;
		if (*s == '\\') {
			require(quoted && s[1] != '\0');
			s++;
		}
	}
	require(!quoted);
	require(strlen(buf_str(b)) == b->len);
}

static void
check_list(const struct field *list)
{
	struct buf once = { 0 }, again = { 0 }, line = { 0 };
	struct field *back;
	struct cursor c;

	field_text(&line, list);
	check_line(&line);
	buf_clear(&line);
	field_json(&line, list);
	check_line(&line);

	field_encode(&once, list);
	c = cursor_init(once.data, once.len);
	back = field_decode(&c);
	require(back != NULL && cursor_done(&c));
	field_encode(&again, back);
	require(again.len == once.len && memcmp(again.data, once.data, once.len) == 0);

	(void)field_get(list, "id");
	field_free(back);
	buf_free(&once);
	buf_free(&again);
	buf_free(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct field *list;
	struct cursor c;

	c = cursor_init(data, size);
	list = field_decode(&c);
	require((list == NULL) == c.bad);
	if (list != NULL)
		check_list(list);
	field_free(list);
	return 0;
}
