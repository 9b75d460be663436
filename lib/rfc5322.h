/*
 * The header of a message as RFC 5322 writes it: its fields, the address lists in them, and dates.
 * Syntax only: pure functions over (pointer, length), lenient as readers of real mail must be (RFC
 * 5322 4), for sendmail and whoever else looks into a header.
 */
#ifndef LIB_RFC5322_H
#define LIB_RFC5322_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* One field, as it stands in the message. */
struct header_field {
	const char *name;
	size_t name_len;
	const char *value; /* behind the colon, folds included, without the last line's end */
	size_t value_len;
};

/* The field at the start of S.  Lines end in CRLF or LF.  Returns the octets used, its line ends
 * included; 0 when what stands there is no field. */
size_t header_field_read(const char *s, size_t len, struct header_field *);
/* Letter case ignored. */
bool header_field_is(const struct header_field *, const char *name);

/* One address of a list. */
struct header_address {
	const char *text; /* local part as it was quoted, "@", domain; no comments, no folds */
	bool qualified;   /* has a domain */
	size_t begin;     /* offset of its first octet in the value */
	size_t end;       /* and behind its last one, where "@domain" belongs if it has none */
};

/*
 * Calls VISIT for every mailbox in an address list (RFC 5322 3.4 and 4.4): with or without display
 * name and angle brackets, in groups, with comments, quoted strings, source routes and empty
 * elements.  TEXT is valid during the call and is not checked beyond its tokens (mailaddr.h does).
 * On false *WHY says what is wrong and *AT where; those before it were visited.
 */
bool header_addresses(const char *value, size_t len,
    void (*visit)(const struct header_address *, void *arg), void *arg,
    const char **why, size_t *at);

/* The field, as it is but with "@HOST" behind every address that has no domain, and CRLF at its end.  A list that cannot be
 * read stays as it is: it is the writer's, and not what the message is sent by. */
void header_add_qualified(struct buf *, const struct header_field *, const char *host);
/* The same, and then whatever CHANGE makes of each address (NULL: nothing; what it returns is freed).
 * HOST may be NULL. */
void header_add_changed(struct buf *, const struct header_field *, const char *host,
    char *(*change)(const char *address, const void *arg), const void *arg);
/* A display name: as it is when it is words of atoms, quoted when it must be, encoded (RFC 2047,
 * UTF-8) when it is not ASCII.  Controls become spaces. */
void header_add_phrase(struct buf *, const char *name);
/* "Fri, 22 Nov 2019 04:16:00 +0900" (RFC 5322 3.3): local time, and UTC. */
void header_add_date(struct buf *, int64_t seconds);
void header_add_date_utc(struct buf *, int64_t seconds);

#endif
