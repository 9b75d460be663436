/*
 * DNS messages as bytes (RFC 1035 4): the answer packet read into a struct dns_answer, and a
 * question written.  Pure functions over (pointer, length): nothing is asked, nothing is
 * remembered.
 */
#ifndef LIB_DNS_WIRE_H
#define LIB_DNS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/dns.h"

/* RFC 1035 2.3.4: 255 octets on the wire; each may need "\255" in text. */
#define DNS_NAME_WIRE_MAX 255
#define DNS_NAME_TEXT_MAX 1024
/* Header, one question, nothing else. */
#define DNS_QUESTION_MAX (12 + DNS_NAME_WIRE_MAX + 4)
/* Records kept of one answer: more than an honest name has, and it bounds what an answer costs
 * every role it reaches. */
#define DNS_RECORDS_MAX 500

/*
 * Reads PACKET, the answer to the question for NAME (as dns_name_normalize leaves it) and TYPE.  A
 * CNAME chain in the answer section is followed, at most 16 steps.  Gives an answer that the caller
 * frees with dns_answer_free(); a packet that is cut short, loops or is otherwise no answer gives
 * DNS_TEMP, and why.  SECURE and BOGUS are left false: a packet does not know.  Names come out in
 * lower case, with octets other than printable ASCII, dot and backslash within a label as \DDD.
 */
struct dns_answer *dns_wire_parse(
    const uint8_t *packet, size_t len, const char *name, uint16_t type);
/* A DNS_TEMP answer.  WHY is copied. */
struct dns_answer *dns_answer_temp(const char *why);
void dns_answer_free(struct dns_answer *);

/* Lower case, without the last dot, "" for the root.  Octets that are no visible ASCII, dots and
 * backslashes within a label are written \DDD, and come out so.  False when DNS cannot hold that
 * name, or it is not written so.  OUT has DNS_NAME_TEXT_MAX octets. */
bool dns_name_normalize(const char *name, char *out);

/* Writes a recursive question for NAME (normalised) of class IN; returns its length.  OUT has
 * DNS_QUESTION_MAX octets. */
size_t dns_wire_question(uint8_t *out, uint16_t id, const char *name, uint16_t type);
/* True when PACKET is a response with that id. */
bool dns_wire_is_response(const uint8_t *packet, size_t len, uint16_t id);

#endif
