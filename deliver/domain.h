/*
 * What the configuration says about addresses: the domains that are ours, how mail for them is delivered, and which way
 * everything else goes.  Built by conf/, read by the lookup, local and relay roles.
 */
#ifndef DELIVER_DOMAIN_H
#define DELIVER_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ip.h"

struct table;

/* What the configuration says of TLS with the next server. */
enum hop_tls {
	HOP_TLS_MAY,      /* nothing: what the destination publishes (DANE, MTA-STS), else if the server can */
	HOP_TLS_OFF,      /* never */
	HOP_TLS_REQUIRED, /* encrypted, whoever it is; more if the destination publishes more */
	HOP_TLS_VERIFY    /* encrypted, and the certificate is that server's */
};

/* The next server: "[127.0.0.1]:2526", "mail.example.net:587" (its addresses, not its MX), or `mx`. */
struct hop {
	bool mx;           /* look up the MX of the recipient's domain */
	char *host;        /* name, or address literal with brackets; NULL when mx */
	struct ip ip;      /* family 0 when HOST is a name */
	uint16_t port;     /* 25 unless given */
	enum hop_tls tls;
	bool implicit_tls; /* from the first octet (RFC 8314 3.3), not by STARTTLS */
	char *login;       /* the file with our account there, or NULL: none */
	struct ip source4, source6; /* what we call from, by family; none: the system chooses */
	char *helo;        /* our name there, or NULL: as everywhere */
};

enum domain_kind {
	DOMAIN_LOCAL, /* users with mailboxes here */
	DOMAIN_LISTS, /* mailing lists */
	DOMAIN_RELAY  /* another server's; we are its door */
};

enum mailbox_method {
	MAILBOX_MAILDIR,
	MAILBOX_MBOX,
	MAILBOX_LMTP,
	MAILBOX_PIPE,
	/* no choice of a domain's: a program or file that an alias names, and whatever a .forward says */
	MAILBOX_ALIAS,
	MAILBOX_FORWARD
};
#define MAILBOX_METHODS (MAILBOX_FORWARD + 1)

struct mailbox {
	enum mailbox_method method;
	char *path;   /* with %{...} fields: Maildir, mbox file, LMTP socket, program */
	char **argv;  /* pipe: NULL-terminated, path not included; else NULL */
};

struct domain {
	char *name;                  /* lower case */
	enum domain_kind kind;
	const struct table *aliases; /* NULL: none */
	char *aliases_as;            /* the account that their programs run as; NULL: their file's owner */
	char *delimiter;             /* signs between a name and its extension; "": none; NULL: "+" */
	bool users_system;           /* accounts of the host */
	const struct table *users;   /* else these; NULL: only aliases */
	struct mailbox mailbox;
	struct hop *hops;            /* DOMAIN_RELAY: in order */
	unsigned hops_n;
};

struct route { /* relay { route "*.example" to ... }: first match in the file's order */
	char *pattern; /* "*", "example.net", "*.example.net" */
	struct hop *hops;
	unsigned hops_n;
	bool by_sender; /* PATTERN is of the sender's domain, or all of his address; else of the recipient's domain */
};

/*
 * %{user} %{domain} %{home} %{address} %{extension} in a path or argument.  A value is never read again for fields; one that
 * holds '/' or NUL, or is "." or "..", makes the whole NULL (except home).  The caller frees.
 */
struct mailbox_fields {
	const char *user, *domain, *home, *address, *extension;
};
char *mailbox_expand(const char *format, const struct mailbox_fields *);
/* NULL, or what is wrong with the format: `unknown field "%{hme}"; fields are ...` (caller frees). */
char *mailbox_check(const char *format);

#endif
