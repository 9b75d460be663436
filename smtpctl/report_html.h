/*
 * smtpctl gate report html FILE.
 */
#ifndef SMTPCTL_REPORT_HTML_H
#define SMTPCTL_REPORT_HTML_H

/* WORDS behind "html": the file or "-", lang=, since=, until=.  Returns the exit code. */
int report_html(int n, char **words);

#endif
