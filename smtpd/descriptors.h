/*
 * How many descriptors a process may have: many for us, who have one for each connection, and as many as we were given for
 * those that we start.  A program that counts its descriptors, or closes them all, is slow with our number.
 */
#ifndef SMTPD_DESCRIPTORS_H
#define SMTPD_DESCRIPTORS_H

/* In the master, at its start: as many as we may have, and as root, who may have more than he was given, enough for
 * a session worker. */
void descriptors_raise(void);
/* The limit that we were started with, for this process and those that it starts.  Before the sandbox, which forbids it. */
void descriptors_restore(void);

#endif
