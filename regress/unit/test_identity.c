/*
 * The two keys of the greylist: providers' pools are one caller, home lines and strangers are not;
 * senders that differ by a number, a tag or an extension are one sender.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "filters/identity.h"
#include "lib/ip.h"
#include "regress/unit/corpus.h"

static void
test_identity(void **state)
{
	static const struct {
		const char *client;
		const char *name;
		const char *spf;
		const char *identity;
	} cases[] = {
		/* SPF first */
		{ "192.0.2.1", "a.b.example.org", "Example.ORG", "spf:example.org" },
		{ "192.0.2.1", NULL, "example.org", "spf:example.org" },
		{ "192.0.2.1", NULL, "", "net:192.0.2.0/24" },
		/* a pool */
		{ "209.85.223.178", "mail-io0-f178.google.com", NULL, "name:google.com" },
		{ "209.85.223.179", "mail-io0-f179.Google.COM", NULL, "name:google.com" },
		{ "54.240.10.219", "a10-219.smtp-out.amazonses.com", NULL,
		    "name:smtp-out.amazonses.com" },
		{ "40.107.1.51", "mail-eopbgr10051.outbound.protection.outlook.com", NULL,
		    "name:outbound.protection.outlook.com" },
		{ "192.0.2.1", "mx1.example.org.", NULL, "name:example.org" },
		{ "2001:db8:1:2::3", "mx1.example.org", NULL, "name:example.org" },
		{ "192.0.2.1", "mout.web.de", NULL, "name:web.de" },
		{ "192.0.2.1", "mout.gmx.de", NULL, "name:gmx.de" },
		{ "192.0.2.1", "mx.hp.com", NULL, "name:hp.com" },
		{ "192.0.2.1", "mx.example.co.jp", NULL, "name:example.co.jp" },
		/* a home line */
		{ "132.255.37.205", "132-255-37-205.starman.net.br", NULL, "net:132.255.37.0/24" },
		{ "132.255.37.205", "host-37-206.starman.net.br", NULL, "name:starman.net.br" },
		/* without its address, by S25R's rules 3, 4 and 6 */
		{ "132.255.37.205", "132-255-37-206.starman.net.br", NULL, "net:132.255.37.0/24" },
		{ "192.0.2.1", "wbar9.chi1-4-11-085-222.dsl-verizon.example", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "ADSL-44.access.example", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "ppp7.access.example", "sender.example", "spf:sender.example" },
		{ "2001:db8:1:2:3:4:5:6", "2001-db8-1-2-3-4-5-6.example.net", NULL,
		    "net:2001:db8:1:2::/64" },
		/* names of strangers: too short, or only a registry is left */
		{ "192.0.2.1", "example.org", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "example.org.", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "localhost", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "unknown", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "example.co.jp", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "example.CO.JP", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "example.com.br", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "example.net.br", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "example.ac.uk", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "example.asso.fr", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "example.k12.tr", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "example.x.se", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", ".", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "..", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "...", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", ".a.b", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.1", "a..b", NULL, "net:192.0.2.0/24" },
		{ "192.0.2.77", NULL, NULL, "net:192.0.2.0/24" },
		{ "::ffff:192.0.2.77", NULL, NULL, "net:192.0.2.0/24" },
		{ "2001:db8:1:2:3:4:5:6", NULL, NULL, "net:2001:db8:1:2::/64" },
	};
	struct ip client;
	char *identity;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(ip_parse(cases[i].client, &client));
		identity = identity_of(&client, cases[i].name, cases[i].spf);
		if (strcmp(identity, cases[i].identity) != 0)
			fail_msg("%s %s: %s", cases[i].client,
			    cases[i].name != NULL ? cases[i].name : "", identity);
		free(identity);
	}
}

static void
test_sender(void **state)
{
	static const struct {
		const char *address;
		const char *sender;
	} cases[] = {
		{ "", "" },
		{ "Alice@Example.ORG", "alice@example.org" },
		{ "alice+Lists@example.org", "alice@example.org" },
		{ "alice+a+b@example.org", "alice@example.org" },
		{ "+alice@example.org", "@example.org" },
		{ "postmaster", "postmaster" },
		/* VERP */
		{ "bounce-12345@example.org", "bounce-#@example.org" },
		{ "bounce-1-22-333@example.org", "bounce-#-#-#@example.org" },
		{ "bounce.2026.08=bob=example.net@example.org",
		    "bounce.#.#=bob=example.net@example.org" },
		{ "12345@example.org", "#@example.org" },
		{ "1@example.org", "#@example.org" },
		{ "list-owner-7@example.org", "list-owner-#@example.org" },
		/* numbers that belong to a word */
		{ "bob7@example.org", "bob7@example.org" },
		{ "7bob@example.org", "7bob@example.org" },
		{ "b7b-8@example.org", "b7b-#@example.org" },
		{ "bounce_123@example.org", "bounce_123@example.org" },
		{ "123_bounce@example.org", "123_bounce@example.org" },
		{ "\xc3\xa9" "7@example.org", "\xc3\xa9" "7@example.org" },
		/* not in the domain */
		{ "a-1@host-1.example.org", "a-#@host-1.example.org" },
		{ "a@[192.0.2.1]", "a@[192.0.2.1]" },
		/* BATV, both spellings; the tag may be all digits */
		{ "prvs=0123456789=alice@example.org", "alice@example.org" },
		{ "prvs=4567abcdef=alice@example.org", "alice@example.org" },
		{ "PRVS=4567ABCDEF=Alice@example.org", "alice@example.org" },
		{ "prvs=alice=4567abcdef@example.org", "alice@example.org" },
		{ "prvs=4567abcdef=bounce-12+x@example.org", "bounce-#@example.org" },
		{ "prvs=4567abcdef=a=b@example.org", "a=b@example.org" },
		{ "prvs=4567abcde=alice@example.org", "prvs=4567abcde=alice@example.org" },
		{ "prvs=4567abcdef@example.org", "prvs=4567abcdef@example.org" },
		{ "prvs=@example.org", "prvs=@example.org" },
		{ "prvs@example.org", "prvs@example.org" },
		{ "prvs=4567abcdef=@example.org", "@example.org" },
		/* quoted: the last '@' divides */
		{ "\"A@1\"@example.org", "\"a@#\"@example.org" },
	};
	char *sender;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sender = identity_sender(cases[i].address);
		if (strcmp(sender, cases[i].sender) != 0)
			fail_msg("%s: %s", cases[i].address, sender);
		free(sender);
	}
}

/*
 * The registries of two labels below a country in the public suffix list, each as the rest of a
 * server's name: most must be known by their form (those that are not are mostly town names).
 */
static void
test_corpus_registries(void **state)
{
	FILE *f = corpus_open("psl/public_suffix_list.dat");
	struct ip client = { AF_INET, { 192, 0, 2, 1 } };
	char line[512], name[520], *dot, *identity;
	int shared = 0, all = 0;

	(void)state;
	while (fgets(line, sizeof(line), f) != NULL && strstr(line, "END ICANN") == NULL) {
		line[strcspn(line, "\n")] = '\0';
		dot = strchr(line, '.');
		if (line[0] == '/' || line[0] == '*' || dot == NULL || strlen(dot) != 3 ||
		    dot - line > 4)
			continue;
		snprintf(name, sizeof(name), "example.%s", line);
		identity = identity_of(&client, name, NULL);
		all++;
		shared += strncmp(identity, "name:", 5) == 0;
		free(identity);
	}
	fclose(f);
	print_message("%d of %d registries taken for a pool\n", shared, all);
	assert_true(all > 1000 && shared * 4 < all);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity),
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_corpus_registries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
