/*
 * What the report's page shows: the ledger's hours added up to days of the local calendar, rule by rule, and lists of who
 * came back.  It takes the records of `gate report by=hour`, `gate rescued` and `grey list state=proposed` as they
 * come.
 */
#ifndef SMTPCTL_REPORT_DATA_H
#define SMTPCTL_REPORT_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/field.h"

struct gate;

/* More days than the ledger keeps. */
#define REPORT_DAYS_MAX 70
/* Rows of a list that are kept; of the rest the number. */
#define REPORT_ROWS_MAX 100

struct report_cell {
	uint64_t stopped, delayed, waiting, let_in;
};

struct report_day {
	int year, month, day;
};

struct report_rule {
	unsigned rule, line;
	char *action;
	bool observe;
	char *label; /* as the configuration has it, or what is known */
	bool gone;   /* the configuration has no such rule */
	struct report_cell days[REPORT_DAYS_MAX];
};

struct report_row {
	char *from, *to, *caller, *evidence, *command;
	uint64_t tries, waited;
	int64_t time;
};

struct report_list {
	struct report_row *rows;
	unsigned n;
	uint64_t more;
};

/* Waits that belong together: up to so many seconds; the last one has no end. */
#define REPORT_BINS 9
extern const uint32_t report_bin_ends[REPORT_BINS - 1];

struct report_data {
	int64_t since, until;
	struct report_day days[REPORT_DAYS_MAX];
	unsigned days_n;
	struct report_rule *rules;
	unsigned rules_n;
	uint64_t messages[REPORT_DAYS_MAX]; /* let in */
	uint64_t messages_sum, at_once, after_waiting;
	uint64_t bins[REPORT_BINS];
	uint64_t median, p90, max; /* seconds */
	struct report_list proposed, rescued;
};

/* The days from SINCE to UNTIL, the last REPORT_DAYS_MAX of them. */
void report_data_init(struct report_data *, int64_t since, int64_t until);
void report_data_clear(struct report_data *);
/* The beginning of the day, here, that TIME is in. */
int64_t report_midnight(int64_t time);
/* As request.record (client.h) wants them. */
void report_data_record(const struct field *, void *data);
void report_data_proposed(const struct field *, void *data);
void report_data_rescued(const struct field *, void *data);
/* When all is there: sorts rules and rows, and labels the rules by GATE (NULL: by number and line). */
void report_data_finish(struct report_data *, const struct gate *);
/* All rules of a kind on that day; what a pause kept waiting is not counted: it is nearly everybody. */
struct report_cell report_data_day(const struct report_data *, unsigned day);
struct report_cell report_rule_sum(const struct report_rule *, unsigned days);

#endif
