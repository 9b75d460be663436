/*
 * newaliases: what an administrator calls when he has changed his aliases.
 */
#ifndef SMTPCTL_NEWALIASES_H
#define SMTPCTL_NEWALIASES_H

#include <stdbool.h>

/* A code of sysexits.h. */
int newaliases(bool verbose);

#endif
