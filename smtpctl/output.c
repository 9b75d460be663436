/*
 * What smtpctl prints (output.h).  Handlers hand records over; whether they become a table or JSON
 * is decided here only.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/columns.h"
#include "lib/mem.h"
#include "smtpctl/client.h"
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

struct output {
	enum output_form form;
	struct columns *columns;
	struct buf text;
	bool any;
};

struct output *
output_new(enum output_form form)
{
	struct output *o = xcalloc(1, sizeof(*o));

	o->form = form;
	o->columns = columns_new(clock_now());
	return o;
}

static void
print(struct output *o)
{
	if (o->text.len > 0)
		fwrite(o->text.data, 1, o->text.len, stdout);
	buf_clear(&o->text);
}

void
output_record(const struct field *fields, void *arg)
{
	struct output *o = arg;

	if (options.json) {
		field_json(&o->text, fields);
		buf_addc(&o->text, '\n');
	} else if (o->form == OUTPUT_TABLE) {
		columns_add(o->columns, fields, &o->text);
	} else {
		if (o->any)
			buf_addc(&o->text, '\n');
		columns_block(&o->text, fields, clock_now());
	}
	o->any = true;
	print(o);
}

void
output_note(struct output *o, const char *fmt, ...)
{
	va_list ap;
	char *line;

	if (options.json)
		return;
	va_start(ap, fmt);
	line = xvasprintf(fmt, ap);
	va_end(ap);
	columns_end(o->columns, &o->text);
	human_add_text(&o->text, line);
	buf_addc(&o->text, '\n');
	free(line);
	print(o);
}

void
output_end(struct output *o)
{
	columns_end(o->columns, &o->text);
	print(o);
	columns_free(o->columns);
	buf_free(&o->text);
	free(o);
}

/* Octets as they are. */
static void
put_raw(const void *p, size_t len, void *unused)
{
	(void)unused;
	if (len > 0)
		fwrite(p, 1, len, stdout);
}

int
output_answer_by(enum output_form form, int n, char **words, void (*record)(const struct field *, void *))
{
	struct output *o = output_new(form);
	struct request r = { .n = (unsigned)n, .words = (const char *const *)words,
		.record = record, .text = put_raw, .arg = o };
	char *why = NULL;
	int status = client_request(&r, false, &why);

	output_end(o);
	if (status != 0)
		status = smtpctl_refused(status, why);
	free(why);
	return status;
}

int
output_answer(enum output_form form, int n, char **words)
{
	return output_answer_by(form, n, words, output_record);
}
