/*
 * sendmail -bs: SMTP on standard input and output, for programs that know no other way.
 */
#ifndef SMTPCTL_SENDMAIL_SPEAK_H
#define SMTPCTL_SENDMAIL_SPEAK_H

/* Until QUIT or the end of input; a code of sysexits.h. */
int sendmail_speak(void);

#endif
