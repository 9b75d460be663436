/*
 * DNS for commands that need no server: an engine and a loop in this process, as the
 * configuration's `resolver` says. While it is there, everything that asks by lib/resolver.h works.
 */
#ifndef SMTPCTL_LOOKUPS_H
#define SMTPCTL_LOOKUPS_H

struct conf;
struct dns_table;
struct event_base;

/* The loop to run; NULL and *WHY (caller frees) when there is none to be had. */
struct event_base *lookups_begin(const struct conf *, char **why);
/* From now on these records are asked instead of the world; NULL: the world again.  Not between begin and end. */
void lookups_use_table(struct dns_table *);
/* No question may be under way. */
void lookups_end(void);

#endif
