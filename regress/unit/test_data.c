/*
 * The reader of a message's text: every published way to hide an end of data, cut at every octet;
 * what counts as a header; and any octets against a second, slower reading of the same rules
 * (data_reference.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <event2/buffer.h>

#include "lib/buf.h"
#include "regress/unit/corpus.h"
#include "regress/unit/data_reference.h"
#include "smtpd/data.h"

#define SMUGGLED                                                       \
	"MAIL FROM:<smuggled@attacker.example>\r\nRCPT TO:<victim@ours.example>\r\n" \
	"DATA\r\nSubject: smuggled\r\n\r\nhidden"
#define END "\r\n.\r\n"

/* --- reading in pieces --- */

struct reading {
	struct data_reader r;
	struct evbuffer *out;
	size_t used;
	bool end;
};

static void
reading_begin(struct reading *x)
{
	data_init(&x->r);
	x->out = evbuffer_new();
	x->used = 0;
	x->end = false;
}

static void
reading_feed(struct reading *x, const char *in, size_t len)
{
	char *piece = malloc(len > 0 ? len : 1); /* of its own, so that a step past it is seen */
	size_t used;

	if (len > 0)
		memcpy(piece, in, len);
	if (!x->end) {
		x->end = data_read(&x->r, piece, len, x->out, &used);
		assert_true(used <= len && (x->end || used == len));
		x->used += used;
	}
	free(piece);
}

static void
reading_end(struct reading *x)
{
	evbuffer_free(x->out);
}

/* Is it what the reference finds? */
static bool
agrees(struct reading *x, const struct data_reference *want)
{
	bool ok = x->end == want->end && x->used == want->used && x->r.eight_bit == want->eight_bit;

	if (!ok || !want->end)
		return ok;
	if (x->r.defects != want->defects)
		return false;
	if (want->defects != 0)
		return true;
	return x->r.size == want->size && evbuffer_get_length(x->out) == want->size &&
	    x->r.received == want->received && x->r.in_body == want->in_body &&
	    (want->size == 0 || memcmp(evbuffer_pullup(x->out, -1), want->text, want->size) == 0);
}

static bool
agrees_cut_at(const struct buf *in, size_t cut, const struct data_reference *want)
{
	struct reading x;
	bool ok;

	reading_begin(&x);
	reading_feed(&x, buf_str(in), cut);
	reading_feed(&x, buf_str(in) + cut, in->len - cut);
	ok = agrees(&x, want);
	reading_end(&x);
	return ok;
}

/* --- the published sequences --- */

static unsigned
hex_octet(const char **p)
{
	char digits[3] = { (*p)[0], (*p)[1], '\0' };

	*p += 2;
	return (unsigned)strtoul(digits, NULL, 16);
}

/* \r \n \t \0 \\ \xHH */
static void
add_unescaped(struct buf *out, const char *p)
{
	static const char names[] = "rnt0\\", values[] = "\r\n\t\0\\";
	const char *found;

	while (*p != '\0') {
		if (*p != '\\') {
			buf_addc(out, *p++);
			continue;
		}
		p++;
		if (*p == 'x') {
			p++;
			buf_addc(out, (char)hex_octet(&p));
			continue;
		}
		found = strchr(names, *p++);
		assert_non_null(found);
		buf_addc(out, values[found - names]);
	}
}

/* What must come of it: where the one end is, and whether the text is refused. */
static void
check_sequence(const char *name, const char *bytes, const char *expected)
{
	struct buf in = { 0 };
	struct data_reference want;
	struct reading x;
	size_t behind, cut;
	bool at_sequence;

	buf_adds(&in, "Subject: first\r\n\r\ntext");
	add_unescaped(&in, bytes);
	behind = in.len;
	buf_adds(&in, SMUGGLED END);
	want = data_reference(in.data, in.len);
	for (cut = 0; cut <= in.len; cut++)
		if (!agrees_cut_at(&in, cut, &want))
			fail_msg("%s, cut at %zu", name, cut);
	reading_begin(&x);
	reading_feed(&x, in.data, in.len);
	at_sequence = x.used == behind;
	assert_true(x.end);
	if (!at_sequence && x.used != in.len)
		fail_msg("%s: the end is at %zu", name, x.used);
	if (strcmp(expected, "end") == 0)
		assert_true(at_sequence && x.r.defects == 0);
	else if (strcmp(expected, "literal") == 0)
		assert_true(!at_sequence && x.r.defects == 0);
	else if (strcmp(expected, "reject-or-literal") == 0)
		assert_true(!at_sequence && x.r.defects != 0);
	else if (strcmp(expected, "end-or-reject") == 0)
		assert_true(x.r.defects != 0);
	else
		fail_msg("%s expects \"%s\"", name, expected);
	reading_end(&x);
	free(want.text);
	buf_free(&in);
}

static void
test_smuggling_corpus(void **state)
{
	FILE *f = corpus_open("smuggling/sequences.tsv");
	char line[1024], *column[4];
	unsigned n = 0;

	(void)state;
	for (; corpus_columns(f, line, sizeof(line), column, 4) >= 4; n++)
		check_sequence(column[0], column[1], column[3]);
	fclose(f);
	assert_true(n >= 45);
}

/* The same, for who has no corpus. */
static void
test_smuggling(void **state)
{
	static const char *const rows[][2] = {
		{ "\\r\\n.\\r\\n", "end" },
		{ "\\n.\\r\\n", "reject-or-literal" },
		{ "\\r\\n.\\n", "reject-or-literal" },
		{ "\\n.\\n", "reject-or-literal" },
		{ "\\r.\\r", "reject-or-literal" },
		{ "\\r.\\r\\n", "reject-or-literal" },
		{ "\\r\\n.\\r", "reject-or-literal" },
		{ "\\r\\n.\\r\\r\\n", "reject-or-literal" },
		{ "\\r\\r\\n.\\r\\n", "end-or-reject" },
		{ "\\r\\n\\0.\\r\\n", "reject-or-literal" },
		{ "\\r\\n.\\0\\r\\n", "reject-or-literal" },
		{ "\\r\\n..\\r\\n", "literal" },
		{ "\\r\\n. \\r\\n", "literal" },
		{ "\\x85.\\x85", "literal" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_sequence(rows[i][0], rows[i][0], rows[i][1]);
}

/* --- one row a rule --- */

static const struct {
	const char *in;      /* with escapes, without the end */
	const char *text;    /* what is stored; NULL: a defect */
	unsigned defects;
	unsigned received;
	bool in_body;
} rows[] = {
	{ "", "", 0, 0, false },
	{ "\\r\\n", "\\r\\n", 0, 0, true },
	{ "A: b\\r\\n\\r\\nbody\\r\\n", "A: b\\r\\n\\r\\nbody\\r\\n", 0, 0, true },
	/* RFC 5321 4.5.2: one dot goes */
	{ "..\\r\\n", ".\\r\\n", 0, 0, false },
	{ "...\\r\\n", "..\\r\\n", 0, 0, false },
	{ ".text\\r\\n", "text\\r\\n", 0, 0, false },
	{ "a..b\\r\\n..c\\r\\n", "a..b\\r\\n.c\\r\\n", 0, 0, false },
	{ "..\\r\\n..\\r\\n", ".\\r\\n.\\r\\n", 0, 0, false },
	/* Received fields, RFC 5321 6.3: folded, in any case, only in the header, only whole names */
	{ "Received: a\\r\\n\\tb\\r\\nRECEIVED:c\\r\\nrecEiVed:\\r\\n\\r\\nReceived: d\\r\\n",
	    "Received: a\\r\\n\\tb\\r\\nRECEIVED:c\\r\\nrecEiVed:\\r\\n\\r\\nReceived: d\\r\\n", 0, 3, true },
	{ "X-Received: a\\r\\nReceived-SPF: b\\r\\n Received: c\\r\\nReceive: d\\r\\nReceivedd: e\\r\\n",
	    "X-Received: a\\r\\nReceived-SPF: b\\r\\n Received: c\\r\\nReceive: d\\r\\nReceivedd: e\\r\\n", 0, 0,
	    false },
	{ "Received: a\\r\\n.\\tb\\r\\n", "Received: a\\r\\n\\tb\\r\\n", 0, 1, false },
	{ ".Received: a\\r\\n", "Received: a\\r\\n", 0, 1, false },
	/* a line of white space is no empty line; a dot that is taken away leaves none */
	{ "A: b\\r\\n \\r\\nReceived: c\\r\\n", "A: b\\r\\n \\r\\nReceived: c\\r\\n", 0, 1, false },
	{ "x\\r\\nReceived: c\\r\\n", "x\\r\\nReceived: c\\r\\n", 0, 1, false },
	/* octets above 127 are text */
	{ "A: \\xc3\\xa9\\r\\n", "A: \\xc3\\xa9\\r\\n", 0, 0, false },
	{ "a\\rb\\r\\n", NULL, CONTENT_BARE_CR, 0, false },
	{ "a\\nb\\r\\n", NULL, CONTENT_BARE_LF, 0, false },
	{ "a\\0b\\r\\n", NULL, CONTENT_NUL, 0, false },
	{ "\\r\\r\\n", NULL, CONTENT_BARE_CR, 0, false },
	{ "\\n\\r\\n", NULL, CONTENT_BARE_LF, 0, false },
	{ "\\r\\n\\n\\r\\n", NULL, CONTENT_BARE_LF, 0, false },
	{ "a\\n\\0\\rb\\r\\n", NULL, CONTENT_BARE_CR | CONTENT_BARE_LF | CONTENT_NUL, 0, false },
};

static void
test_rows(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf in = { 0 }, text = { 0 };
		struct reading x;

		add_unescaped(&in, rows[i].in);
		buf_adds(&in, ".\r\n");
		reading_begin(&x);
		reading_feed(&x, in.data, in.len);
		assert_true(x.end);
		if (x.r.defects != rows[i].defects)
			fail_msg("%s: defects %u", rows[i].in, x.r.defects);
		if (rows[i].text != NULL) {
			add_unescaped(&text, rows[i].text);
			if (x.r.received != rows[i].received || x.r.in_body != rows[i].in_body)
				fail_msg("%s: %u Received, body %d", rows[i].in, x.r.received, x.r.in_body);
			assert_int_equal(x.r.size, text.len);
			assert_int_equal(evbuffer_get_length(x.out), text.len);
			if (text.len > 0)
				assert_memory_equal(evbuffer_pullup(x.out, -1), text.data, text.len);
		}
		reading_end(&x);
		buf_free(&in);
		buf_free(&text);
	}
}

/* What is behind the end is the next command, and is left alone. */
static void
test_end_is_the_end(void **state)
{
	static const char in[] = "A: b\r\n.\r\nMAIL FROM:<x@y.example>\r\n.\r\n";
	struct data_reader r;
	size_t used;

	(void)state;
	data_init(&r);
	assert_true(data_read(&r, in, sizeof(in) - 1, NULL, &used)); /* to nowhere: only counted */
	assert_int_equal(used, 9);
	assert_int_equal(r.size, 6);
}

/* Once defective nothing more is stored, however much comes; the end is found all the same. */
static void
test_defective_is_not_stored(void **state)
{
	char many[8192];
	struct reading x;
	unsigned i;

	(void)state;
	memset(many, 'a', sizeof(many));
	reading_begin(&x);
	reading_feed(&x, "\r\na\nb", 5);
	for (i = 0; i < 100; i++)
		reading_feed(&x, many, sizeof(many));
	assert_true(evbuffer_get_length(x.out) < 5);
	assert_true(x.r.size > 100 * sizeof(many)); /* but counted, for the limit */
	reading_feed(&x, "\r\n.\r\n", 5);
	assert_true(x.end);
	assert_int_equal(x.r.defects, CONTENT_BARE_LF);
	reading_end(&x);
}

/* --- any octets, in any pieces --- */

static uint64_t
next_random(void)
{
	static uint64_t x = 88172645463325252u; /* always the same, xorshift64 */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Mostly of the octets that matter. */
static void
make_text(struct buf *b)
{
	static const char *const parts[] = { "\r\n", "\r", "\n", ".", "\r\n.", "Received:", "rEceived: x", "a", "text",
		" ", "\x80", "\r\n\r\n", "\r\n.\r\n" };
	size_t i, n = next_random() % 24;

	for (i = 0; i < n; i++) {
		size_t pick = next_random() % (sizeof(parts) / sizeof(parts[0]) + 1);

		/* half of the texts without what makes them defective */
		if ((n & 1) && (pick == 1 || pick == 2))
			continue;
		if (pick == sizeof(parts) / sizeof(parts[0]))
			buf_add(b, "\0", n & 1 ? 0 : 1);
		else
			buf_adds(b, parts[pick]);
	}
}

static void
test_any_pieces(void **state)
{
	unsigned i, ends = 0, clean = 0;

	(void)state;
	for (i = 0; i < 20000; i++) {
		struct buf in = { 0 };
		struct data_reference want;
		struct reading x;
		size_t at = 0, n;

		make_text(&in);
		want = data_reference(buf_str(&in), in.len);
		ends += want.end;
		clean += want.end && want.defects == 0;
		reading_begin(&x);
		for (; at < in.len; at += n) {
			n = 1 + next_random() % (i % 3 == 0 ? 1 : 8);
			n = n < in.len - at ? n : in.len - at;
			reading_feed(&x, in.data + at, n);
		}
		if (!agrees(&x, &want) || !agrees_cut_at(&in, in.len, &want))
			fail_msg("text %u of %zu octets", i, in.len);
		reading_end(&x);
		free(want.text);
		buf_free(&in);
	}
	assert_true(ends > 5000 && clean > 2000); /* it is no test of nothing */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_smuggling_corpus),
		cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_end_is_the_end),
		cmocka_unit_test(test_defective_is_not_stored),
		cmocka_unit_test(test_any_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
