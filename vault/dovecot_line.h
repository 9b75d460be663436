/*
 * Lines of Dovecot's authentication protocol, version 1 (doc/auth-protocol.txt there): fields parted by tabs, octets that a
 * field cannot hold escaped.  Pure.
 */
#ifndef VAULT_DOVECOT_LINE_H
#define VAULT_DOVECOT_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

enum dovecot_word {
	DOVECOT_OTHER,   /* nothing that matters to us */
	DOVECOT_VERSION, /* ID: the major version */
	DOVECOT_MECH,    /* TEXT: its name */
	DOVECOT_DONE,    /* of the greeting */
	DOVECOT_OK,      /* of request ID; USER */
	DOVECOT_FAIL,    /* TEMP: it is their fault */
	DOVECOT_CONT     /* TEXT: the challenge, base 64 */
};

struct dovecot_line {
	enum dovecot_word word;
	uint32_t id;
	char *text;
	char *user; /* or NULL */
	bool temp;
};

/* LINE without its end.  False: it makes no sense; nothing to free. */
bool dovecot_line_parse(const char *line, size_t len, struct dovecot_line *);
void dovecot_line_free(struct dovecot_line *);
/* A value of a field, escaped. */
void dovecot_add_value(struct buf *, const char *);

#endif
