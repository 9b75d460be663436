/*
 * One program connected to the control socket: the inside of the control role, shared by control.c
 * (who calls, and may he), control_forward.c (requests that other roles answer), control_submit.c
 * (mail handed in) and control_client.c (answers).
 */
#ifndef SMTPD_CONTROL_CLIENT_H
#define SMTPD_CONTROL_CLIENT_H

#include <sys/queue.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <event2/event_struct.h>

#include "lib/field.h"

struct channel;
struct conf;
struct cursor;
struct forward;
struct local_submit;

enum client_state {
	CLIENT_IDLE,      /* may ask */
	CLIENT_FORWARDED, /* other roles answer */
	CLIENT_SUBMITS,   /* sends content */
	CLIENT_COMMITS,   /* waits for the queue's word on it */
	CLIENT_REFUSED    /* was answered, and sends the rest of a content */
};

struct client {
	TAILQ_ENTRY(client) entry;
	struct channel *channel;
	struct event timer;
	uint32_t uid;
	bool trusted;      /* the server's own user, or root: may do everything */
	enum client_state state;
	uint64_t id;       /* of the request */
	struct forward *forward;
	struct local_submit *submit;
	void (*pause)(struct client *, bool); /* who answers is to wait, or to go on */
	bool paused;       /* he is told to wait */
	bool slow;         /* reads too slowly: on its way out */
	bool held;         /* nothing is read */
};

/* --- control_client.c --- */
void control_set_conf(const struct conf *);
const struct conf *control_conf(void);
void client_record(struct client *, const struct field *);
/* A message of that type with this payload, as it came from a role. */
void client_pass(struct client *, uint16_t type, const void *payload, size_t);
/* Ends the answer.  Afterwards the request is over and its forward or submit forgotten. */
void client_end(struct client *, int status, const char *why);
/* While true no content is read from the client. */
void client_hold(struct client *, bool);
/* It is the client's turn, for so long as a silence may last. */
void client_await(struct client *);

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
