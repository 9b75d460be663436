/*
 * The inside of the SMTP client, shared by its files, from below: the connection (smtp_wire.c); the
 * greeting (smtp_greeting.c), TLS (smtp_tls.c), login (smtp_login.c), messages and transactions
 * (smtp_transaction.c); and who hands them the replies (smtp_client.c).  Nobody else includes this.
 */
#ifndef DELIVER_SMTP_INSIDE_H
#define DELIVER_SMTP_INSIDE_H

#include <event2/event_struct.h>

#include "deliver/smtp_client.h"
#include "deliver/smtp_content.h"
#include "deliver/smtp_form.h"
#include "deliver/smtp_reply.h"
#include "lib/tls.h"

struct bufferevent;
struct smtp_login;
struct ssl_st;

/* RFC 5321 4.5.3.1.8: what every server takes in one transaction. */
#define TRANSACTION_MAX 100

enum step {
	STEP_CONNECT,
	STEP_BANNER,
	STEP_EHLO,
	STEP_HELO,
	STEP_STARTTLS,
	STEP_HANDSHAKE,
	STEP_AUTH,
	STEP_MAIL,
	STEP_RCPT,
	STEP_DATA,
	STEP_CONTENT,
	STEP_DOT,
	STEP_RSET,
	STEP_IDLE,
	STEP_QUIT,
	STEP_COUNT
};

/* What the server takes (RFC 9422), or what we give it; 0: not said. */
struct smtp_limits {
	unsigned mails;	     /* transactions of a session */
	unsigned recipients; /* of a transaction */
	unsigned domains;    /* of them */
};

enum recipient_step {
	TO_SEND,  /* not in any transaction yet, or to be sent again */
	SENT,	  /* in this one */
	ACCEPTED, /* by its reply to RCPT */
	AGAIN,	  /* there were too many in this one */
	REPORTED
};

struct smtp_transaction {
	unsigned batch[TRANSACTION_MAX]; /* its recipients */
	unsigned batch_n;
	unsigned sent; /* commands of it: MAIL, the recipients, DATA */
	unsigned accepted;
	bool opened;  /* MAIL was accepted, and neither the data nor RSET has ended it */
	bool refused; /* MAIL was not */
};

struct awaited {
	enum step step;
	unsigned recipient;
};

struct smtp_client {
	struct event_base *base;
	const struct smtp_client_conf *conf;
	const struct smtp_client_ops *ops; /* NULL: nobody listens any more */
	void *arg;
	struct bufferevent *bev;
	struct smtp_client_security security;
	const struct ip *source; /* or NULL */
	const char *helo;	 /* or NULL */
	struct ssl_st *ssl;	/* BEV's; set from the beginning of the handshake */
	bool secure;		/* and the handshake is done */
	bool in_clear;		/* the server was asked for TLS, and goes on without */
	struct tls_text tls;
	struct event timer, turn;
	bool over;     /* nothing is read or sent any more */
	bool finished; /* the message is done, and READY to be called */
	char *refusal; /* of the message, by ourselves: to be reported */
	struct smtp_client_end end;
	char *end_text;
	/* what the server said */
	struct smtp_reply reply;
	unsigned offers;
	uint64_t size_most; /* 0: not said */
	int64_t by_least;   /* seconds that DELIVERBY asks for; 0: not said */
	struct smtp_limits limits, ours;
	unsigned mails; /* transactions begun */
	char *mechanisms;   /* behind AUTH */
	/* login */
	struct smtp_login *login; /* under way */
	bool logged_in;
	/* replies to come */
	struct awaited *awaited;
	unsigned awaited_n, awaited_cap;
	/* the message */
	const struct smtp_client_message *message;
	bool answered;
	struct smtp_form form;
	enum recipient_step *steps; /* of each recipient */
	struct smtp_transaction now;
	bool streaming; /* the content is being sent */
	bool committed; /* all of it is out, and its reply is not here */
	struct smtp_content content;
	struct smtp_transaction next; /* its commands are out behind that content; without recipients:
				       * there is none */
	size_t behind;		      /* octets of them */
};

/* --- smtp_wire.c: the connection --- */
/* The one way in which it ends: the text is what recipients without a result are told. */
void smtp_end(struct smtp_client *, enum delivery_status, bool try_elsewhere, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* In the words of a reply, for a server that turns the session away. */
void smtp_end_by_reply(struct smtp_client *, const struct smtp_reply *, bool try_elsewhere);
/* Sends a line, and awaits its reply. */
void smtp_command(struct smtp_client *, enum step, unsigned recipient, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void smtp_await(struct smtp_client *, enum step, unsigned recipient);
/* The first of those awaited; there is one. */
struct awaited smtp_take_awaited(struct smtp_client *);
enum step smtp_present_step(const struct smtp_client *);
/* For a text: "the reply to MAIL". */
const char *smtp_waits_for(const struct smtp_client *);
/* Sets the time-out of the present step anew. */
void smtp_arm(struct smtp_client *);

/* --- smtp_tls.c --- */
/* Begins TLS over the connection that is there: awaits the handshake. */
void smtp_tls_begin(struct smtp_client *);
void smtp_tls_done(struct smtp_client *);
/* TLS did not come about: ends the connection. */
void smtp_tls_failed(struct smtp_client *, const char *why);
/* After EHLO or HELO: true when STARTTLS is out, or the connection was ended for lack of it. */
bool smtp_tls_wanted(struct smtp_client *);
void smtp_on_starttls(struct smtp_client *, const struct smtp_reply *, unsigned);

/* --- smtp_login.c --- */
/* After EHLO: true when AUTH is out, or the connection was ended for lack of it. */
bool smtp_login_wanted(struct smtp_client *);
void smtp_on_auth(struct smtp_client *, const struct smtp_reply *, unsigned);
void smtp_login_free(struct smtp_client *);

/* --- smtp_greeting.c --- */
/* Forgets all that the server said (RFC 3207 4.2), and greets it. */
void smtp_say_ehlo(struct smtp_client *);
void smtp_on_banner(struct smtp_client *, const struct smtp_reply *, unsigned);
void smtp_on_ehlo(struct smtp_client *, const struct smtp_reply *, unsigned);
void smtp_on_helo(struct smtp_client *, const struct smtp_reply *, unsigned);

/* --- smtp_transaction.c: replies --- */
void smtp_on_mail(struct smtp_client *, const struct smtp_reply *, unsigned);
void smtp_on_rcpt(struct smtp_client *, const struct smtp_reply *, unsigned recipient);
void smtp_on_data(struct smtp_client *, const struct smtp_reply *, unsigned);
void smtp_on_dot(struct smtp_client *, const struct smtp_reply *, unsigned);
void smtp_on_rset(struct smtp_client *, const struct smtp_reply *, unsigned);
/* --- and what moves it on --- */
/* Nothing is awaited any more: the next command, the next transaction, or the end of the message.
 */
void smtp_advance(struct smtp_client *);
/* With the recipients that are to be sent; without any the message is finished. */
void smtp_begin_transaction(struct smtp_client *);
/* A piece of it, as much as may stand in the output. */
void smtp_send_content(struct smtp_client *);
/* What stands in the output goes at once, as far as the socket takes it; only the rest waits for the
 * loop, which asks the kernel three times for each write.  Whoever has written calls it, once for all.
 * Under TLS the bufferevent writes. */
void smtp_write_now(struct smtp_client *);
/* Somebody is not reported yet who has no part in the present transaction. */
bool smtp_has_others(const struct smtp_client *);
/* All recipients of the message that are at STEP. */
void smtp_report_all(
    struct smtp_client *, enum recipient_step, enum delivery_status, const char *text);

#endif
