/*
 * One line for each decision that matters, to standard error or syslog, as text or as a JSON object.
 * Levels are syslog(3)'s.  Events are named "part.what", as in "gate.verdict" or "queue.accepted"; the fields
 * "session" and "message" carry the ids that tie the lines of one mail together.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

#include "lib/field.h"

struct log_conf {
	bool to_stderr; /* else syslog, facility mail */
	bool json;
	bool verbose; /* LOG_DEBUG too */
	const char *syslog_socket; /* NULL: /dev/log */
};

/* Opens what the sandbox will not let open later.  WHO is the role's name. */
void log_init(const struct log_conf *, const char *who);
/* After a fork: the same destination, another name and process id. */
void log_rename(const char *who);
/* Where log files are left to another program: true when the system's log was started anew and we are connected to
 * it again.  In the master, now and then. */
bool log_is_renewed(void);
/* The socket that is connected to the system's log, still ours, or -1: for those who cannot connect. */
int log_way(void);
/* In another process, whatever it did before: logs so from now on, to FD (taken over) when that is the system's log; -1: there is
 * no way to it now.  Its socket's name counts for nothing here. */
void log_take(const struct log_conf *, int fd);
/* From any thread.  Never blocks on syslog; a line that comes out longer than 8 KiB has its strings shortened and ends
 * with the field cut=true. */
void log_event(int level, const char *event, const struct field *);

#define log_info(event, ...) log_event(LOG_INFO, event, FIELDS(__VA_ARGS__))
#define log_notice(event, ...) log_event(LOG_NOTICE, event, FIELDS(__VA_ARGS__))
#define log_warning(event, ...) log_event(LOG_WARNING, event, FIELDS(__VA_ARGS__))
#define log_error(event, ...) log_event(LOG_ERR, event, FIELDS(__VA_ARGS__))
/* Arguments are not evaluated unless verbose. */
#define log_debug(event, ...)                                        \
	do {                                                         \
		if (log_is_verbose())                                \
			log_event(LOG_DEBUG, event, FIELDS(__VA_ARGS__)); \
	} while (0)
bool log_is_verbose(void);
/* For a line that strangers can cause as often as they like: true once a minute, with *HELD, how many were held back since.  One
 * struct, zero at first, for each such line. */
struct log_pace {
	uint64_t told_ms, held;
};
bool log_may_tell(struct log_pace *, uint64_t *held);

#endif
