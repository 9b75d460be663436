/*
 * A list of places and texts.
 *
 * The parser, the actions of the grammar and the checks add to it in the order in which they
 * notice; people read from the top of the file.  Nothing can fail; a file of nothing but mistakes
 * costs no more than COMPLAINTS_KEPT of them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "conf/complain.h"
#include "lib/buf.h"
#include "lib/mem.h"

#define COMPLAINTS_KEPT 1000

void
vcomplain(struct complaints *complaints, struct place place, const char *fmt, va_list ap)
{
	if (complaints->n == COMPLAINTS_KEPT)
		return;
	if (complaints->n == complaints->cap) {
		complaints->cap = complaints->cap == 0 ? 8 : complaints->cap * 2;
		complaints->list = xreallocarray(complaints->list, complaints->cap,
		    sizeof(complaints->list[0]));
	}
	complaints->list[complaints->n++] =
	    (struct complaint){ .place = place, .text = xvasprintf(fmt, ap) };
}

void
complain(struct complaints *complaints, struct place place, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vcomplain(complaints, place, fmt, ap);
	va_end(ap);
}

void
complain_placed(struct complaints *complaints, const char *text)
{
	struct place place = { 0, 0 };
	int used = 0;

	sscanf(text, "%u:%u: %n", &place.line, &place.column, &used);
	complain(complaints, place, "%s", text + used);
}

/* A stable insertion sort: the list is nearly in order already. */
static void
sort(struct complaints *complaints)
{
	struct complaint *list = complaints->list, moved;
	unsigned i, j;

	for (i = 1; i < complaints->n; i++) {
		moved = list[i];
		for (j = i; j > 0; j--) {
			if (list[j - 1].place.line < moved.place.line ||
			    (list[j - 1].place.line == moved.place.line &&
			    list[j - 1].place.column <= moved.place.column))
				break;
			list[j] = list[j - 1];
		}
		list[j] = moved;
	}
}

void
complaints_print(struct complaints *complaints, const char *path, struct buf *out)
{
	const struct complaint *complaint;
	unsigned i;

	sort(complaints);
	for (i = 0; i < complaints->n && i < COMPLAINTS_MAX; i++) {
		complaint = &complaints->list[i];
		buf_addf(out, "%s:%u:%u: %s\n", path, complaint->place.line,
		    complaint->place.column, complaint->text);
	}
	if (complaints->n > COMPLAINTS_MAX)
		buf_addf(out, "%s: there is more than these %d\n", path, COMPLAINTS_MAX);
}

void
complaints_free(struct complaints *complaints)
{
	unsigned i;

	for (i = 0; i < complaints->n; i++)
		free(complaints->list[i].text);
	free(complaints->list);
	*complaints = (struct complaints){ 0 };
}
