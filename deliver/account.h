/*
 * Accounts of the host, remembered for a while: name services can be slow, and a list's recipients
 * are asked for one after the other.
 */
#ifndef DELIVER_ACCOUNT_H
#define DELIVER_ACCOUNT_H

#include <sys/types.h>

struct account {
	const char *name;
	const char *home;
	uid_t uid;
	gid_t gid;
};

enum account_status {
	ACCOUNT_FOUND,
	ACCOUNT_NONE,
	ACCOUNT_ERROR /* cannot be told now */
};

/* FOUND fills OUT; its strings live until the next call.  ERROR sets *WHY, which lives as long.
 * NAME may come from anybody: what no account can be called is not asked for. */
enum account_status account_by_name(const char *name, struct account *out, const char **why);
/* For an id without an entry the name is "#ID", the home "/", and the group the id itself. */
enum account_status account_by_uid(uid_t, struct account *out, const char **why);
/* Before the sandbox: lets the C library load its name services. */
void account_prepare(void);
/* Forgets what was remembered (tests). */
void account_forget(void);

#endif
