/*
 * Text that goes into a page: whatever it holds, it is text there and nothing else.
 */
#ifndef SMTPCTL_HTML_H
#define SMTPCTL_HTML_H

struct buf;

/* For the content of elements and for quoted attributes: markup characters as references, controls and what is no UTF-8 as
 * U+FFFD. */
void html_add(struct buf *, const char *);

#endif
