/*
 * Addresses of servers that just failed: for a minute they are tried after all others.
 */
#ifndef DELIVER_BAD_ADDRESS_H
#define DELIVER_BAD_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/ip.h"

/* NOW is clock_ms(). */
void bad_address_add(const struct ip *, uint16_t port, uint64_t now);
void bad_address_remove(const struct ip *, uint16_t port);
bool bad_address_is(const struct ip *, uint16_t port, uint64_t now);

#endif
