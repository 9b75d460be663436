/*
 * The command table: which verb is whose, in which states it is legal, and what is wrong when it is not.  One row a verb, one file
 * a command.
 */
#ifndef SMTPD_COMMAND_H
#define SMTPD_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session;

enum command_flag {
	COMMAND_LAST = 1,     /* must end a group of pipelined commands (RFC 2920 3.1) */
	COMMAND_JUNK = 2,     /* brings no mail forward: counted against limit commands */
	COMMAND_NO_ARGUMENT = 4,
	COMMAND_ARGUMENT = 8  /* needs one */
};

struct command {
	const char *verb;
	/* ARG: what follows the verb and one space, without CRLF; "" for nothing.  No NUL, CR or LF in it. */
	void (*handle)(struct session *, const char *arg, size_t len);
	unsigned states;      /* STATE_BIT()s in which it is legal */
	const char *order;    /* what to do first, for 503 */
	unsigned flags;
	/* NULL: always; else 502 where it gives false, whatever the state. */
	_Bool (*offered)(const struct session *);
};

/* Handles one line, without its CRLF. */
void command_line(struct session *, const char *line, size_t len);
/* For smtpctl stats: how often each verb came. */
void command_each(void (*visit)(const char *verb, unsigned long count, void *), void *arg);

/* --- cmd_*.c --- */
void cmd_helo(struct session *, const char *, size_t);
void cmd_ehlo(struct session *, const char *, size_t);
void cmd_mail(struct session *, const char *, size_t);
void cmd_rcpt(struct session *, const char *, size_t);
void cmd_data(struct session *, const char *, size_t);
/* Text after 354; returns how many octets were used. */
size_t cmd_data_text(struct session *, const char *, size_t);
void cmd_bdat(struct session *, const char *, size_t);
/* Octets of a chunk; returns how many were used. */
size_t cmd_bdat_octets(struct session *, const char *, size_t);
/* The rest of a chunk will not come. */
void cmd_bdat_forget(struct session *);
void cmd_auth(struct session *, const char *, size_t);
/* A line of the client while it logs in (session->auth). */
void auth_line(struct session *, const char *, size_t);
/* Ends the dialogue, if there is one, without a word. */
void auth_forget(struct session *);
/* AUTH can be had on this listener; the mechanisms that EHLO names now (MECHANISM_BIT()s). */
bool auth_served(const struct session *);
uint32_t auth_offered(const struct session *);
void cmd_rset(struct session *, const char *, size_t);
void cmd_noop(struct session *, const char *, size_t);
void cmd_vrfy(struct session *, const char *, size_t);
void cmd_etrn(struct session *, const char *, size_t);
/* There are customers who could ask. */
_Bool etrn_served(const struct session *);
void cmd_quit(struct session *, const char *, size_t);
void cmd_starttls(struct session *, const char *, size_t);
void cmd_xclient(struct session *, const char *, size_t);
/* True when this client may use XCLIENT. */
_Bool xclient_allowed(const struct session *);

#endif
