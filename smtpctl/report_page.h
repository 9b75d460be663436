/*
 * The report as one page of HTML: nothing in it comes from elsewhere, so it can be put on any server, sent by mail or printed.
 */
#ifndef SMTPCTL_REPORT_PAGE_H
#define SMTPCTL_REPORT_PAGE_H

#include "smtpctl/report_data.h"
#include "smtpctl/report_text.h"

struct buf;

/* HOST: the server's name, or NULL.  DATA is finished. */
void report_page(struct buf *, enum report_lang, const char *host, const struct report_data *);

#endif
