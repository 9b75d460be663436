/*
 * Which processes the master makes for deliveries, when the queue asks for one.
 */
#ifndef SMTPD_DELIVERER_H
#define SMTPD_DELIVERER_H

#include <stdbool.h>
#include <sys/types.h>

#include "deliver/domain.h"

struct lookup_conf;

/* What the queue wants a process for. */
struct wanted {
	uid_t uid;
	gid_t gid;
	enum mailbox_method method;
	const char *account, *root;
};

/* Does the configuration explain a delivery of this kind with these ids below that root? */
bool deliverer_explained(const struct lookup_conf *, const struct wanted *);
/* The home of the account that the process is to run as; NULL: it has none.  Lives until the next
 * call. */
const char *deliverer_home(const struct wanted *);

#endif
