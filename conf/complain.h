/*
 * What is wrong with a configuration, collected while it is read and told at the end, in the order
 * of the file.
 */
#ifndef CONF_COMPLAIN_H
#define CONF_COMPLAIN_H

#include <stdarg.h>
#include <stdbool.h>

#include "filters/gate.h"

struct buf;

#define COMPLAINTS_MAX 20 /* what a person reads in one go */

struct complaints {
	struct complaint {
		struct place place;
		char *text;
	} *list;
	unsigned n, cap;
};

void complain(struct complaints *, struct place, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void vcomplain(struct complaints *, struct place, const char *fmt, va_list)
    __attribute__((format(printf, 3, 0)));
/* One of the form "14:9: text", as gate_check() has it. */
void complain_placed(struct complaints *, const char *);
/* Appends `PATH:LINE:COLUMN: text` lines, at most COMPLAINTS_MAX and then one that says so. */
void complaints_print(struct complaints *, const char *path, struct buf *);
void complaints_free(struct complaints *);

#endif
