/*
 * What the reader of a message's text must find, said a second time and the slow way: over the
 * whole text at once.  For its unit test and its fuzz target.
 */
#ifndef UNIT_DATA_REFERENCE_H
#define UNIT_DATA_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "smtpd/data.h"

struct data_reference {
	bool end;      /* CRLF "." CRLF was there, where the beginning counts as behind a CRLF */
	size_t used;   /* octets up to it, it included */
	unsigned defects;
	bool eight_bit;
	char *text;    /* what is stored, when there is an end and no defect; the caller frees */
	size_t size;
	unsigned received;
	bool in_body;
};

static inline unsigned
reference_defects(const char *s, size_t len)
{
	unsigned defects = 0;
	size_t i;

	for (i = 0; i < len; i++) {
		if (s[i] == '\0')
			defects |= CONTENT_NUL;
		if (s[i] == '\r' && (i + 1 == len || s[i + 1] != '\n'))
			defects |= CONTENT_BARE_CR;
		if (s[i] == '\n' && (i == 0 || s[i - 1] != '\r'))
			defects |= CONTENT_BARE_LF;
	}
	return defects;
}

/* Line by line; every one ends in CRLF. */
static inline void
reference_text(struct data_reference *r, const char *s, size_t len)
{
	const char *crlf;
	size_t n;

	r->text = malloc(len + 1);
	if (r->text == NULL)
		abort();
	for (; len > 0; s += n, len -= n) {
		crlf = memmem(s, len, "\r\n", 2);
		n = (size_t)(crlf - s) + 2;
		r->in_body |= n == 2 && !r->in_body;
		if (!r->in_body && n > 9 && strncasecmp(s + (*s == '.'), "received:", 9) == 0)
			r->received++;
		memcpy(r->text + r->size, s + (*s == '.'), n - (*s == '.'));
		r->size += n - (*s == '.');
	}
}

static inline struct data_reference
data_reference(const char *in, size_t len)
{
	struct data_reference r = { 0 };
	char *s = malloc(len + 2);
	const char *end;
	size_t i;

	if (s == NULL)
		abort();
	memcpy(s, "\r\n", 2);
	if (len > 0)
		memcpy(s + 2, in, len);
	end = memmem(s, len + 2, "\r\n.\r\n", 5);
	r.end = end != NULL;
	r.used = r.end ? (size_t)(end - s) + 3 : len;
	for (i = 0; i < r.used; i++)
		r.eight_bit |= (unsigned char)in[i] > 127;
	if (r.end) {
		r.defects = reference_defects(in, r.used);
		if (r.defects == 0)
			reference_text(&r, in, r.used - 3);
	}
	free(s);
	return r;
}

#endif
