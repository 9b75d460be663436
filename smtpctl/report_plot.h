/*
 * Plots of the report's page: inline SVG with a title and a description, and the same figures as a table.
 */
#ifndef SMTPCTL_REPORT_PLOT_H
#define SMTPCTL_REPORT_PLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "smtpctl/report_data.h"
#include "smtpctl/report_text.h"

struct buf;

/* The parts of a bar, from below. */
enum plot_part { PART_LET_IN, PART_DELAYED, PART_WAITING, PART_STOPPED, PART_COUNT };

struct plot {
	enum report_lang lang;
	unsigned id; /* each of a page its own */
	const char *title; /* plain text */
	enum report_text description;
	enum report_text parts[PART_COUNT];
	const struct report_day *days;
	const struct report_cell *cells; /* one a day */
	unsigned n;
	bool small;
};

uint64_t plot_part_of(const struct report_cell *, enum plot_part);
/* The class that colours a part: "in", "delay", "wait", "stop". */
const char *plot_part_class(enum plot_part);
/* Bars by day. */
void plot_days(struct buf *, const struct plot *);
/* The table behind it, folded. */
void plot_days_table(struct buf *, const struct plot *);
/* Bars for waits, and their table. */
void plot_waits(struct buf *, enum report_lang, unsigned id, const uint64_t bins[REPORT_BINS]);
void plot_waits_table(struct buf *, enum report_lang, const uint64_t bins[REPORT_BINS]);
/* The round number at or above MOST that an axis ends with, at least 1; above 2 its quarters are round as well. */
uint64_t plot_axis_end(uint64_t most);

#endif
