/*
 * The client's side of LMTP (RFC 2033): one server, one connection that is kept from message to
 * message.  What the server does not take as it is goes in another form (smtp_form.h).  Blocking: for
 * the process that delivers.
 */
#ifndef DELIVER_LMTP_H
#define DELIVER_LMTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "deliver/final.h"
#include "lib/ip.h"

struct lmtp;
struct smtp_client_message;

struct lmtp_timeouts { /* milliseconds */
	uint32_t connect, reply, data; /* DATA: for the replies after the dot */
};
extern const struct lmtp_timeouts lmtp_timeouts; /* RFC 5321 4.5.3.2 */

struct lmtp_recipient {
	const char *address;
	struct final_result result; /* final_result_free */
};

/* "/run/dovecot/lmtp" or "[127.0.0.1]:24", "[::1]:24".  False: it is neither; *IP has family 0 for
 * a path. */
bool lmtp_parse(const char *server, struct ip *, uint16_t *port);

/* SERVER as above; HOST is our name. */
struct lmtp *lmtp_new(const char *server, const char *host, const struct lmtp_timeouts *);
/* Says QUIT and does not wait. */
void lmtp_free(struct lmtp *);
/* Every recipient has its result when this returns: what the server said of it, or why it could
 * not be asked, which is always DELIVERY_TEMP.  Of the message, recipients do not count. */
void lmtp_deliver(
    struct lmtp *, const struct smtp_client_message *, struct lmtp_recipient *, unsigned n);

#endif
