/*
 * One SMTP connection: its socket, what was read and not yet understood, what waits to be sent, and where it stands.
 * Commands live in cmd_*.c and see a session through this header; the gate is the doorman's (doorman.h); a mail
 * transaction is transaction.h's.
 *
 * Commands are worked off one after the other.  One that must wait (for DNS, the ledger, the address book, the queue)
 * makes the session busy; what the client sends meanwhile stays in the buffer, so replies leave in order (RFC 2920).
 * While it waits for its banner a session is this struct and one timer.
 */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "lib/buf.h"
#include "lib/ip.h"
#include "smtpd/doorman.h"

struct chunk;
struct ssl_st;
struct conf;
struct listener;
struct transaction;

enum session_state {
	STATE_PROXY,   /* a proxy's header comes first */
	STATE_DOOR,    /* no banner yet */
	STATE_HELLO,   /* banner sent; no HELO yet */
	STATE_READY,   /* no transaction */
	STATE_MAIL,    /* reverse-path given */
	STATE_RCPT,    /* and at least one recipient accepted */
	STATE_DATA,    /* reading the text */
	STATE_BDAT,    /* the first chunk of the text was allowed, the last is not here */
	STATE_REFUSED, /* the banner said no: only QUIT and harmless commands */
	STATE_CLOSING  /* goes when its last words are sent */
};
#define STATE_BIT(s) (1u << (s))

struct session {
	TAILQ_ENTRY(session) entry;
	uint64_t id;
	int fd;
	struct event event;         /* readable */
	struct event timer;         /* the one timer; by itself, as a timeout of EVENT would cost two system calls */
	struct event *writable;     /* while the socket is full, else NULL */
	struct ssl_st *tls;         /* NULL: in the clear */
	TAILQ_ENTRY(session) turn;  /* in a handshake, while it waits for the processor (session_tls.c) */
	const struct listener *listener;
	uint16_t port;              /* the client's */
	uint8_t state;              /* enum session_state; changed by session_state() only */
	bool esmtp;
	bool busy;                  /* a command is waiting for its answer */
	bool running;               /* commands are being worked off further up the stack */
	bool eof;                   /* the client sends no more */
	bool reading;               /* EVENT asks for readability */
	bool upgrading;             /* TLS begins when what was said in the clear is out */
	bool handshaking;           /* TLS is being agreed on */
	bool queued;                /* TURN is used: in the line, */
	bool half;                  /* or among the handshakes that wait for their clients */
	bool skipping;              /* the rest of a line that was refused is thrown away */
	bool relay_client;          /* one of relay { from } */
	bool counted;               /* in the census */
	bool brief;                 /* it closes when all is said, and does not wait for the client to hear it */
	const char *why;            /* it is closing */
	const char *leaving;        /* what 421 tells him when his text has its answer; NULL: he may stay */
	bool lingering;             /* our last words are out; what comes is thrown away */
	bool stuck;                 /* output waits for a client that does not read; his time for it runs */
	bool early_data;            /* octets came when none were due */
	uint64_t deadline_ms;       /* of the timer; 0: none */
	struct ip ip;               /* the client, as XCLIENT says if it does */
	struct ip peer;             /* the address that the connection comes from */
	char *helo;
	char *login;                /* the account, by AUTH or XCLIENT LOGIN; or NULL */
	struct auth *auth;          /* logging in: lines are responses (cmd_auth.c); else NULL */
	struct doorman door;
	struct buf in, out;
	size_t rest;                /* octets behind the command that is being handled: 0 when the client waits */
	struct transaction *tx;     /* from MAIL on, else NULL */
	struct chunk *chunk;        /* BDAT's, whose octets come next; NULL: lines come */
	uint16_t errors, junk, messages, accepted;
	uint32_t idle;              /* seconds allowed for what the client does next */
};

/* What a session's parts have its driver do. */
struct session_ops {
	void (*go_on)(struct session *);      /* works off what the client has sent */
	void (*await)(struct session *, int want);
	void (*finished)(struct session *);   /* it is STATE_CLOSING from now on */
	void (*dropped)(struct session *);    /* its descriptor is about to be closed */
};

/* For all sessions of this process. */
const struct conf *session_conf(void);
/* Before the first. */
void session_use(const struct conf *, const struct session_ops *);
/* A new one. */
struct session *session_add(int fd, const struct ip *, uint16_t port, const struct listener *);
unsigned session_count(void);
/* The one that came after S, the oldest for NULL; or NULL. */
struct session *session_next(const struct session *);
/* VISIT must not end any. */
void session_each(void (*visit)(struct session *));

/* The one place where the state changes; a transition that the table does not know is a broken invariant. */
void session_state(struct session *, enum session_state);
const char *session_state_name(unsigned);

/* The next reply; sent at the end of the turn of this session. */
void session_reply(struct session *, int code, const char *status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* A line of reply of its own making ("250-SIZE 1000"). */
void session_raw(struct session *, const char *line);
/* Counts a client's mistake; false when it was one too many and the session is closing. */
bool session_error(struct session *);
/* The doorman lets the banner be sent, or refuses it with CODE (0: 220). */
void session_greet(struct session *, int code, const char *status, const char *text);

/* The command goes on later: nothing else is handled until session_resume. */
void session_wait(struct session *);
void session_resume(struct session *);
/* One timer for what the doorman waits for; milliseconds; then door_timer(). */
void session_set_timer(struct session *, uint64_t ms);
/* Waits for the deadline, if there is one. */
void session_arm(struct session *);
/* Waits until the socket can be read (TLS_WANT_READ) or written (TLS_WANT_WRITE) again; 0: for neither. */
void session_await(struct session *, int want);
/* The client listens for TLS and for nothing else: words of ours would be noise to it. */
bool session_awaits_tls(const struct session *);

/* Closes when what is to be said is said.  WHY, for the log, is kept. */
void session_finish(struct session *, const char *why);
/* The same with 421 and TEXT. */
void session_turn_out(struct session *, const char *text, const char *why);
/* Closes now. */
void session_drop(struct session *, const char *why);

/* "mail.example.org[192.0.2.1]" or "unknown[192.0.2.1]"; the caller frees. */
char *session_client_text(const struct session *);
/* The address is the one that the client reached us at. */
bool session_reached(const struct session *, const struct ip *);

#endif
