/*
 * Replies of the SMTP server (RFC 5321 4.2) with enhanced status codes (RFC 2034, RFC 3463).
 */
#ifndef SMTPD_REPLY_H
#define SMTPD_REPLY_H

#include <stdarg.h>

struct buf;

/* Appends "CODE STATUS TEXT" CRLF; STATUS ("2.1.0") may be NULL.  TEXT is formatted; octets that do not belong in a reply
 * become '?', and a reply longer than 512 octets goes out as several lines (RFC 5321 4.5.3.1.5). */
void reply_format(struct buf *out, int code, const char *status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void reply_formatv(struct buf *out, int code, const char *status, const char *fmt, va_list)
    __attribute__((format(printf, 4, 0)));

#endif
