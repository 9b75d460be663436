/*
 * The words of the report's page, in the languages that it speaks: one table, so that no language lacks a text.
 */
#ifndef SMTPCTL_REPORT_TEXT_H
#define SMTPCTL_REPORT_TEXT_H

#include <stdbool.h>
#include <stdint.h>

struct buf;

enum report_lang { LANG_EN, LANG_JA, LANG_COUNT };

/* What has "%s" in it is for report_text_add(). */
enum report_text {
	TEXT_TITLE,
	TEXT_PERIOD, /* from, to */
	TEXT_STOPPED,
	TEXT_DELAYED,
	TEXT_WAITING,
	TEXT_LET_IN,
	TEXT_AT_ONCE,
	TEXT_AFTER_WAITING,
	TEXT_WOULD_STOP,
	TEXT_WOULD_DELAY,
	TEXT_WOULD_LET_IN,
	TEXT_MEDIAN,
	TEXT_P90,
	TEXT_LONGEST,
	TEXT_BY_DAY,
	TEXT_BY_DAY_DESC,
	TEXT_BY_RULE,
	TEXT_RULE_DESC,
	TEXT_OBSERVED,
	TEXT_OBSERVED_NOTE,
	TEXT_WAITS,
	TEXT_WAITS_NOTE, /* messages, of these at once */
	TEXT_WAITS_NONE,
	TEXT_WAITS_DESC,
	TEXT_UP_TO, /* a time */
	TEXT_OVER,  /* a time */
	TEXT_MESSAGES,
	TEXT_DAY,
	TEXT_WAITED,
	TEXT_TABLE,
	TEXT_LINE, /* its number */
	TEXT_GONE,
	TEXT_PROPOSED,
	TEXT_PROPOSED_NOTE,
	TEXT_RESCUED,
	TEXT_RESCUED_NOTE,
	TEXT_FROM,
	TEXT_TO,
	TEXT_CALLER,
	TEXT_TRIES,
	TEXT_EVIDENCE,
	TEXT_COMMAND,
	TEXT_MORE, /* how many */
	TEXT_NOTHING,
	TEXT_COUNTING,
	TEXT_COUNTING_NOTE,
	TEXT_SECONDS, /* a number; likewise those below */
	TEXT_MINUTES,
	TEXT_HOURS,
	TEXT_DAYS,
	TEXT_COUNT
};

/* "en", "ja" */
const char *report_lang_code(enum report_lang);
bool report_lang_by_code(const char *, enum report_lang *);
/* That of the environment (LC_ALL, LC_MESSAGES, LANG), or English. */
enum report_lang report_lang_of_environment(void);
const char *report_text(enum report_lang, enum report_text);
/* With FIRST and SECOND in the places of the text's first and second "%s"; what is not asked for may be NULL. */
void report_text_add(struct buf *, enum report_lang, enum report_text, const char *first,
    const char *second);
/* "12,345" */
void report_number_add(struct buf *, uint64_t);
/* "5 min", "2 h" */
void report_time_add(struct buf *, enum report_lang, uint64_t seconds);

#endif
