/*
 * How long a client may take for what he does next, and who has to go when there is no room: against clients that hold a
 * connection with an octet now and then, and against floods of those that only hold one.
 */
#ifndef SMTPD_PATIENCE_H
#define SMTPD_PATIENCE_H

#include <stdbool.h>
#include <stdint.h>

struct session;

/* It is the client's turn: so long until he has said it all, a command or the first octets of a text. */
void patience_turn(struct session *);
/* N octets of a text came.  They buy time, at `limit data-rate`, but no more than a turn's: whoever is slower uses up what he has. */
void patience_text(struct session *, uint64_t n);
/* There are ALL connections, too many.  True: the newcomer may stay, because another had to go, or soon will. */
bool patience_make_room(const struct session *newcomer, uint64_t all);

#endif
