/*
 * One program connected to the control socket: the inside of the control role, shared by control.c
 * (who calls, and may he), control_forward.c (requests that other roles answer) and
 * control_submit.c (mail handed in).
 */
#ifndef SMTPD_CONTROL_CLIENT_H
#define SMTPD_CONTROL_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/field.h"

struct client;
struct conf;
struct cursor;
struct forward;
struct local_submit;

/* --- control.c --- */
const struct conf *control_conf(void);
uint32_t client_uid(const struct client *);
/* The server's own user, or root: may do everything. */
bool client_is_trusted(const struct client *);
void client_record(struct client *, const struct field *);
/* A message of that type with this payload, as it came from a role. */
void client_pass(struct client *, uint16_t type, const void *payload, size_t);
/* Ends the answer.  Afterwards the request is over and its forward or submit forgotten. */
void client_end(struct client *, int status, const char *why);
/* While true no content is read from the client. */
void client_hold(struct client *, bool);

/* --- control_forward.c --- */
void forward_init(void);
/* Sends the request where it belongs, and answers it; NULL: it was answered already (nobody there,
 * no such request). */
struct forward *forward_begin(struct client *, unsigned n, const char *const *words);
/* The client reads too slowly, or fast enough again. */
void forward_pause(struct forward *, bool);
/* The client is gone. */
void forward_cancel(struct forward *);

/* --- control_submit.c --- */
/* NULL: it was answered already. */
struct local_submit *local_submit_open(struct client *, unsigned n, const char *const *words);
/* A piece of content.  What is wrong with it is answered at the end of it. */
void local_submit_content(struct local_submit *, const void *, size_t);
void local_submit_end(struct local_submit *);
/* The client is gone: a message that is whole is delivered all the same. */
void local_submit_cancel(struct local_submit *);

#endif
