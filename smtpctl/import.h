/*
 * Other servers' tables, said in the words of smtpd.conf: what `smtpctl config import` prints.  Pure:
 * the text of a file in, lines of a configuration out.  What cannot be said stands among them as a
 * comment with the number of its line, so that nothing is lost in silence.
 */
#ifndef SMTPCTL_IMPORT_H
#define SMTPCTL_IMPORT_H

#include <stdbool.h>
#include <stddef.h>

struct buf;

/* postgrey's whitelist_clients and whitelist_recipients. */
void import_postgrey_clients(struct buf *out, const char *text, size_t len);
void import_postgrey_recipients(struct buf *out, const char *text, size_t len);
/* Sendmail's access map, as text, with GreetPause, ClientRate and ClientConn. */
void import_access(struct buf *out, const char *text, size_t len);
/* A regexp or pcre table of Postfix for smtpd_client_restrictions, as S25R comes. */
void import_regexp(struct buf *out, const char *text, size_t len);

/* --- what they share (import_list.c) --- */

/* Elements of a table, in the order in which they were added, each once. */
struct import_list {
	char **items;
	size_t n;
};
void import_list_add(struct import_list *, const char *element);
void import_list_clear(struct import_list *);
/* `{ 192.0.2.0/24, "example.org" }`; over several lines when there are many. */
void import_list_print(struct buf *, const struct import_list *);

/* The next line, without blanks around it and without its end; false at the end of the text. */
struct import_lines {
	const char *pos, *end;
	unsigned number; /* of the line that was read last */
};
bool import_next_line(struct import_lines *, const char **line, size_t *len);

/* The name or address that an expression matches, when it is no more than that: "/\.google\.com$/"
 * is "google.com", "/^192\.0\.2\./" is "192.0.2.0/24".  Without the slashes.  NULL: it is more; the
 * caller frees. */
char *import_name_of_regex(const char *regex, size_t len);
/* The domain at the end of an expression that is more than a name: what a person might write instead,
 * though it takes in more.  NULL: there is none; the caller frees. */
char *import_domain_of_regex(const char *regex, size_t len);
/* An address, or its first octets: "192.0.2" is "192.0.2.0/24".  NULL: it is none. */
char *import_network_of_prefix(const char *text);
/* A reply text without what SMTP cannot carry, quoted, with a blank before it; nothing for "". */
void import_print_text(struct buf *, const char *text);

#endif
