/*
 * Fuzz target: host names as the owner of a reverse zone could make them.  The first 17 bytes are
 * the client's address.  The expressions must say what the C library says of the same text, the
 * first rule must be the first that matches, and the keys of the greylist must be whole lines.
 */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "filters/identity.h"
#include "filters/s25r.h"
#include "lib/ip.h"
#include "regress/fuzz/target.h"

#define ADDRESS_BYTES 17
#define NAME_OCTETS 255

static void
check_rules(const char *name)
{
	static regex_t posix[S25R_RULES + 1];
	static bool compiled;
	int rule, first = S25R_PASS;

	for (rule = 1; !compiled && rule <= S25R_RULES; rule++)
		require(regcomp(&posix[rule], s25r_expression(rule),
			    REG_EXTENDED | REG_ICASE | REG_NOSUB) == 0);
	compiled = true;
	for (rule = S25R_RULES; rule >= 0; rule--) {
		if (s25r_matches_rule(name, rule))
			first = rule;
		if (rule > 0)
			require(s25r_matches_rule(name, rule) ==
			    (regexec(&posix[rule], name, 0, NULL, 0) == 0));
	}
	require(s25r_match(name) == first);
}

static void
check_identity(const struct ip *client, const char *name)
{
	char *identity = identity_of(client, name, NULL), *sender = identity_sender(name);

	require(strncmp(identity, "name:", 5) == 0 || strncmp(identity, "net:", 4) == 0);
	if (s25r_own_address(name, client))
		require(strncmp(identity, "net:", 4) == 0);
	require(strlen(sender) <= strlen(name));
	free(identity);
	free(sender);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ip client = { .family = AF_INET };
	char *name;
	size_t len;

	if (size < ADDRESS_BYTES)
		return 0;
	if (data[0] & 1)
		client.family = AF_INET6;
	memcpy(client.bytes, data + 1, client.family == AF_INET6 ? 16 : 4);
	name = strndup((const char *)data + ADDRESS_BYTES, size - ADDRESS_BYTES);
	require(name != NULL);
	check_identity(&client, name);
	s25r_match(name);
	/* what the C library is asked for is what counts: no root, and no more than a name has */
	len = strlen(name);
	if (len > NAME_OCTETS)
		name[NAME_OCTETS] = '\0';
	if (len > 0 && len <= NAME_OCTETS && name[len - 1] != '.')
		check_rules(name);
	free(name);
	return 0;
}
