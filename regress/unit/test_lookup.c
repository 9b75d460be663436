/*
 * The address book: who exists and where each address leads, over one configuration with every kind of domain; alias
 * values, included files, loops; destinations as text; answers as bytes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "deliver/account.h"
#include "deliver/alias.h"
#include "deliver/destination.h"
#include "deliver/lookup.h"
#include "deliver/lookup_message.h"
#include "deliver/srs.h"
#include "lib/mem.h"
#include "lib/table.h"

static char dir[] = "/tmp/test_lookup.XXXXXX";
static char *team_file, *bad_file, *loop_file;

/* %s is DIR. */
static const char *const alias_rows[][2] = {
	{ "Sales", "alice, bob@other.example" },
	{ "info@ours.example", "alice" },
	{ "self", "self, alice" },
	{ "selfuser", "\\alice, \\selfuser" },
	{ "plus+tag", "bob" },
	{ "base", "alice+from-base" },
	{ "team", ":include:%s/team, bob" },
	{ "teams", ":include:%s/bad" },
	{ "nofile", ":include:%s/none" },
	{ "relfile", ":include:team" },
	{ "twice", "alice, bob, Alice, alice@ours.example" },
	{ "odd", ", alice ,, bob ," },
	{ "command", "|/usr/bin/procmail" },
	{ "qcommand", "\"|/usr/bin/procmail -a, b\"" },
	{ "file", "/var/log/mail" },
	{ "null", "/dev/null" },
	{ "shell", "\"|/bin/cat > /tmp/x\"" },
	{ "list", "alice" },
	{ "owner-list", "bob" },
	{ "quoted", "\"alice\"" },
	{ "colon", ":fail: gone" },
	{ "typo", "alice, not an address" },
	{ "typo2", "a@b@c" },
	{ "empty", "" },
	{ "one", "two" },
	{ "two", "three, alice" },
	{ "three", "one@ours.example" },
	{ "lasso", "one" },
	{ "inloop", ":include:%s/loop" },
	{ "via", "bob, inloop" },
	{ "host", "postmaster@mx.host.example" },
	{ "utf", "\xc3\xa9@other.example" },
};
#define ROWS_N (sizeof(alias_rows) / sizeof(alias_rows[0]))

static const char *const user_rows[][2] = {
	{ "alice", "" }, { "bob", "/srv/bob" }, { "selfuser", "" }, { "carol@virtual.example", "" },
	{ "with+plus", "" },
};

enum { OURS, VIRTUAL, CATCH, SYSTEM, DOOR, LISTS, BARE, MBOX, LMTP, PROGRAM, HOMES, MISSING, MOVED, MIXED, DASH, PLAIN, DOMAINS };
static struct domain domains[DOMAINS];
static struct hop door_hops[] = {
	{ .host = (char *)(uintptr_t)"[192.0.2.9]", .ip = { .family = AF_INET, .bytes = { 192, 0, 2, 9 } }, .port = 2525 },
	{ .host = (char *)(uintptr_t)"backup.example", .port = 25 },
};
static struct hop mx_hop[] = { { .mx = true, .port = 25 } };
static struct hop v6_hop[] = {
	{ .ip = { .family = AF_INET6, .bytes = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } }, .port = 25 },
};
static struct route routes[] = {
	{ (char *)(uintptr_t)"partner.example", door_hops, 1, false },
	{ (char *)(uintptr_t)"*.partner.example", v6_hop, 1, false },
	{ (char *)(uintptr_t)"*.example", mx_hop, 1, false },
};
static struct srs srs;
static struct lookup_conf conf = { .srs = &srs, .host = "mx.host.example", .domains = domains, .domains_n = DOMAINS,
	.routes = routes, .routes_n = 3 };

static char *
text(const char *s)
{
	return (char *)(uintptr_t)s;
}

static char *
write_file(const char *name, const char *content)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(content, f);
	fclose(f);
	return path;
}

static struct table *
make_table(const char *const (*rows)[2], size_t n)
{
	struct table *table = table_new("");
	char value[256];
	size_t i;

	for (i = 0; i < n; i++) {
		const char *at = strstr(rows[i][1], "%s");

		snprintf(value, sizeof(value), "%.*s%s%s", at ? (int)(at - rows[i][1]) : (int)strlen(rows[i][1]),
		    rows[i][1], at ? dir : "", at ? at + 2 : "");
		assert_true(table_add(table, rows[i][0], value));
	}
	return table;
}

static struct table *aliases, *users, *catch_all, *no_root, *root_alias, *moved, *mixed;

static int
setup(void **state)
{
	static const char *const catch_rows[][2] = { { "@catch.example", "alice@ours.example, self@catch.example" },
		{ "user@catch.example", "x@other.example" } };
	bool made_dir = mkdtemp(dir) != NULL; /* before its name is used */
	static const char *const moved_rows[][2] = { { "*", "@ours.example" } };
	static const char *const mixed_rows[][2] = { { "fwd", "bob@other.example, alice@ours.example" },
		{ "box@mixed.example", "/srv/box" }, { "@mixed.example", "alice@ours.example" } };
	static const char *const root_rows[][2] = { { "root", "postmaster@system.example" } };
	const struct domain made[] = {
		[OURS] = { .name = text("ours.example"), .aliases = aliases, .users = users,
			.mailbox = { MAILBOX_MAILDIR, xasprintf("%s/mail/%%{domain}/%%{user}", dir), NULL } },
		[VIRTUAL] = { .name = text("virtual.example"), .users = users,
			.mailbox = { MAILBOX_MAILDIR, xasprintf("%s/mail/%%{user}/.%%{extension}", dir), NULL } },
		[CATCH] = { .name = text("catch.example"), .users = users,
			.mailbox = { MAILBOX_MAILDIR, xasprintf("%s/mail/%%{user}", dir), NULL } },
		[SYSTEM] = { .name = text("system.example"), .users_system = true,
			.mailbox = { MAILBOX_MAILDIR, text("%{home}/Maildir"), NULL } },
		[DOOR] = { .name = text("door.example"), .kind = DOMAIN_RELAY, .hops = door_hops, .hops_n = 2 },
		[LISTS] = { .name = text("lists.example"), .kind = DOMAIN_LISTS },
		[BARE] = { .name = text("bare.example") },
		[MBOX] = { .name = text("mbox.example"), .users = users,
			.mailbox = { MAILBOX_MBOX, xasprintf("%s/spool/%%{user}", dir), NULL } },
		[LMTP] = { .name = text("lmtp.example"), .users = users,
			.mailbox = { MAILBOX_LMTP, text("[127.0.0.1]:24"), NULL } },
		[PROGRAM] = { .name = text("program.example"), .users = users,
			.mailbox = { MAILBOX_PIPE, text("/bin/sh"), NULL } },
		[HOMES] = { .name = text("homes.example"), .users = users,
			.mailbox = { MAILBOX_MAILDIR, text("%{home}/Maildir"), NULL } },
		[MISSING] = { .name = text("missing.example"), .users = users,
			.mailbox = { MAILBOX_MAILDIR, text("/no-such-genkan-folder/%{user}"), NULL } },
		[MOVED] = { .name = text("moved.example") },
		[MIXED] = { .name = text("mixed.example"),
			.mailbox = { MAILBOX_MAILDIR, xasprintf("%s/mail/%%{user}", dir), NULL } },
		[DASH] = { .name = text("dash.example"), .delimiter = text("-+"),
			.mailbox = { MAILBOX_MAILDIR, xasprintf("%s/mail/%%{user}", dir), NULL } },
		[PLAIN] = { .name = text("plain.example"), .delimiter = text(""),
			.mailbox = { MAILBOX_MAILDIR, xasprintf("%s/mail/%%{user}", dir), NULL } },
	};

	(void)state;
	assert_true(made_dir);
	chmod(dir, 0755);
	team_file = write_file("team", "# the team\ncarol@other.example, alice # and her\r\n\n\\bob\n");
	bad_file = write_file("bad", "carol@other.example\n|/bin/sh\n/etc/passwd\n:include:/etc/passwd\nx y z\n\"q\"\n");
	loop_file = write_file("loop", "alice\nvia\n");
	memcpy(domains, made, sizeof(made));
	domains[OURS].aliases = aliases = make_table(alias_rows, ROWS_N);
	users = make_table(user_rows, sizeof(user_rows) / sizeof(user_rows[0]));
	domains[OURS].users = domains[VIRTUAL].users = domains[CATCH].users = domains[MBOX].users = users;
	domains[LMTP].users = domains[PROGRAM].users = users;
	domains[HOMES].users = domains[MISSING].users = users;
	domains[DASH].users = domains[PLAIN].users = users;
	domains[MOVED].aliases = moved = make_table(moved_rows, 1);
	domains[MIXED].users = mixed = make_table(mixed_rows, 3);
	chmod(bad_file, 0664); /* and so nobody's in particular */
	domains[CATCH].aliases = catch_all = make_table(catch_rows, 2);
	no_root = table_new("");
	root_alias = make_table(root_rows, 1);
	domains[SYSTEM].aliases = no_root;
	return 0;
}

static int
teardown(void **state)
{
	char *mail = xasprintf("%s/mail", dir);

	(void)state;
	unlink(team_file);
	unlink(bad_file);
	unlink(loop_file);
	rmdir(mail);
	rmdir(dir);
	free(mail);
	free(team_file);
	free(bad_file);
	free(loop_file);
	free(domains[OURS].mailbox.path);
	free(domains[VIRTUAL].mailbox.path);
	free(domains[CATCH].mailbox.path);
	table_free(aliases);
	table_free(users);
	table_free(catch_all);
	table_free(no_root);
	table_free(root_alias);
	table_free(moved);
	table_free(mixed);
	free(domains[MIXED].mailbox.path);
	free(domains[DASH].mailbox.path);
	free(domains[PLAIN].mailbox.path);
	account_forget();
	return 0;
}

/* An answer as one line; %s in what is expected is DIR. */
static void
describe(const struct route_answer *a, void *arg)
{
	struct buf *out = arg;
	unsigned i;

	switch (a->kind) {
	case ROUTE_LOCAL:
		buf_addf(out, "local %s root %s", a->path, a->root);
		break;
	case ROUTE_RELAY:
		buf_addf(out, "relay %s", a->destination);
		break;
	case ROUTE_DISCARD:
		buf_adds(out, "discard");
		break;
	case ROUTE_EXPAND:
		buf_adds(out, "expand");
		for (i = 0; i < a->targets_n; i++)
			buf_addf(out, " %s", a->targets[i]);
		if (a->owner != NULL)
			buf_addf(out, " owner %s", a->owner);
		break;
	case ROUTE_FAIL:
		buf_addf(out, "fail %s", a->why);
		break;
	case ROUTE_DEFER:
		buf_addf(out, "defer %s", a->why);
		break;
	}
}

static void
expect_route(const char *address, const char *expected)
{
	struct buf got = { 0 };
	char wanted[1024];
	const char *at;
	size_t used = 0;

	for (at = expected; *at != '\0' && used + sizeof(dir) < sizeof(wanted);) {
		if (strncmp(at, "%s", 2) == 0) {
			used += (size_t)snprintf(wanted + used, sizeof(wanted) - used, "%s", dir);
			at += 2;
		} else {
			wanted[used++] = *at++;
		}
	}
	wanted[used] = '\0';
	lookup_route_now(&conf, &(struct route_question){ .address = address, .sender = "" }, describe, &got);
	if (strcmp(buf_str(&got), wanted) != 0)
		fail_msg("%s\n got: %s\nnot: %s", address, buf_str(&got), wanted);
	buf_free(&got);
}

#define UNKNOWN "fail 550 5.1.1 there is no such user here"
#define MISTAKE "defer 451 4.3.5 alias \""
#define NO_ACCOUNT                                                                                 \
	"defer 451 4.3.5 no program is run and no file is written as root, who may own the "        \
	"configuration; say whom instead: aliases ... as \"nobody\", in domain \"ours.example\""

static const struct {
	const char *address, *route;
} routed[] = {
	/* users of a table */
	{ "alice@ours.example", "local %s/mail/ours.example/alice root %s" },
	{ "ALICE@ours.example", "local %s/mail/ours.example/alice root %s" },
	{ "alice+x@ours.example", "local %s/mail/ours.example/alice root %s" },
	{ "with+plus@ours.example", "local %s/mail/ours.example/with+plus root %s" },
	{ "nobody@ours.example", UNKNOWN },
	{ "+alice@ours.example", UNKNOWN },
	{ "carol@virtual.example", "local %s/mail/carol/. root %s" },
	{ "carol@ours.example", UNKNOWN },
	{ "alice+lists@virtual.example", "local %s/mail/alice/.lists root %s" },
	{ "alice+a/b@virtual.example", UNKNOWN },
	{ "bob@homes.example", "defer 451 4.3.5 there is no directory /srv/bob; make it, and give it to who "
	    "owns the mailboxes" },
	{ "alice@homes.example", "defer 451 4.3.5 user alice of homes.example has no home directory" },
	/* other ways to deliver */
	{ "alice@mbox.example", "local %s/spool/alice root %s" },
	{ "alice@program.example", "defer 451 4.3.5 /bin/sh belongs to root, and no program is run as root; give it "
	    "to the account that shall run it" },
	{ "alice@lmtp.example", "local [127.0.0.1]:24 root [127.0.0.1]:24" },
	{ "alice@missing.example", "defer 451 4.3.5 there is no directory /no-such-genkan-folder; make it, "
	    "and give it to who owns the mailboxes" },
	/* aliases */
	{ "sales@ours.example", "expand alice@ours.example bob@other.example" },
	{ "sales+x@ours.example", "expand alice@ours.example bob@other.example" },
	{ "info@ours.example", "expand alice@ours.example" },
	{ "self@ours.example", "expand \\self@ours.example alice@ours.example" },
	{ "\\self@ours.example", UNKNOWN },
	{ "selfuser@ours.example", "expand \\alice@ours.example \\selfuser@ours.example" },
	{ "\\selfuser@ours.example", "local %s/mail/ours.example/selfuser root %s" },
	{ "plus+tag@ours.example", "expand bob@ours.example" },
	{ "plus@ours.example", UNKNOWN },
	{ "base@ours.example", "expand alice+from-base@ours.example" },
	{ "twice@ours.example", "expand alice@ours.example bob@ours.example" },
	{ "odd@ours.example", "expand alice@ours.example bob@ours.example" },
	{ "utf@ours.example", "expand \xc3\xa9@other.example" },
	{ "team@ours.example", "expand carol@other.example alice@ours.example \\bob@ours.example "
	    "bob@ours.example" },
	/* a file that others may write names addresses only */
	{ "teams@ours.example", "expand carol@other.example q@ours.example" },
	{ "nofile@ours.example", MISTAKE "nofile@ours.example\": cannot read \":include:%s/none\": No such "
	    "file or directory" },
	{ "relfile@ours.example", MISTAKE "relfile@ours.example\": \":include:team\": the path must begin "
	    "with \"/\"" },
	/* programs and files are named by their alias, and believed as long as it names them */
	{ "command@ours.example", "expand \\command@ours.example|/usr/bin/procmail" },
	{ "qcommand@ours.example", "expand \\qcommand@ours.example|/usr/bin/procmail -a, b" },
	{ "file@ours.example", "expand \\file@ours.example/var/log/mail" },
	{ "quoted@ours.example", "expand alice@ours.example" },
	{ "\\command@ours.example|/usr/bin/procmail", NO_ACCOUNT },
	{ "\\file@ours.example/var/log/mail", NO_ACCOUNT },
	{ "\\command@ours.example|/bin/sh", "expand \\command@ours.example|/usr/bin/procmail" },
	{ "\\alice@ours.example|/bin/sh", UNKNOWN },
	{ "\\sales@ours.example/etc/passwd", "expand alice@ours.example bob@other.example" },
	{ "null@ours.example", "expand \\null@ours.example/dev/null" },
	{ "\\null@ours.example/dev/null", "discard" },
	{ "shell@ours.example", MISTAKE "shell@ours.example\": '>' would need a shell, and none is run; name "
	    "the program alone, and put the rest into a script" },
	{ "list@ours.example", "expand alice@ours.example owner owner-list@ours.example" },
	{ "list+x@ours.example", "expand alice@ours.example owner owner-list@ours.example" },
	/* domains written anew */
	{ "who@moved.example", "expand who@ours.example" },
	{ "who+x@moved.example", "expand who+x@ours.example" },
	/* rows of users that are addresses, and the row for everybody */
	{ "fwd@mixed.example", "expand bob@other.example alice@ours.example" },
	{ "box@mixed.example", "local %s/mail/box root %s" },
	{ "anybody@mixed.example", "expand alice@ours.example" },
	/* another delimiter, and none */
	{ "alice-x@dash.example", "local %s/mail/alice root %s" },
	{ "alice+x@dash.example", "local %s/mail/alice root %s" },
	{ "alice+x@plain.example", UNKNOWN },
	{ "colon@ours.example", MISTAKE "colon@ours.example\": only \":include:/path\" may begin with a "
	    "colon" },
	{ "typo@ours.example", MISTAKE "typo@ours.example\": \"not an address\" is no address: the part "
	    "before '@' has a character that is only allowed in quotes" },
	{ "typo2@ours.example", MISTAKE "typo2@ours.example\": \"a@b@c\" is no address: the address has a "
	    "second '@'" },
	{ "empty@ours.example", MISTAKE "empty@ours.example\": it stands for nobody" },
	/* loops, wherever one comes in */
	{ "one@ours.example", "fail 554 5.4.6 alias loop: one@ours.example -> two@ours.example -> "
	    "three@ours.example -> one@ours.example" },
	{ "three@ours.example", "fail 554 5.4.6 alias loop: three@ours.example -> one@ours.example -> "
	    "two@ours.example -> three@ours.example" },
	{ "lasso@ours.example", "expand one@ours.example" },
	{ "inloop@ours.example", "fail 554 5.4.6 alias loop: inloop@ours.example -> via@ours.example -> "
	    "inloop@ours.example" },
	/* reserved names */
	{ "postmaster@ours.example", "local %s/mail/ours.example/postmaster root %s" },
	{ "Abuse@ours.example", "local %s/mail/ours.example/abuse root %s" },
	{ "MAILER-DAEMON@ours.example", "local %s/mail/ours.example/mailer-daemon root %s" },
	{ "postmaster", "expand postmaster@ours.example" },
	{ "Postmaster@mx.host.example", "expand Postmaster@ours.example" },
	{ "host@ours.example", "expand postmaster@mx.host.example" },
	{ "postmaster@bare.example", "expand postmaster@ours.example" },
	{ "x@bare.example", UNKNOWN },
	/* everybody else */
	{ "user@catch.example", "expand x@other.example" },
	{ "alice@catch.example", "local %s/mail/alice root %s" },
	{ "who@catch.example", "expand alice@ours.example self@catch.example" },
	{ "postmaster@catch.example", "expand alice@ours.example self@catch.example" },
	{ "self@catch.example", "expand alice@ours.example \\self@catch.example" },
	{ "\\self@catch.example", UNKNOWN },
	/* other servers' */
	{ "x@door.example", "relay [192.0.2.9]:2525 backup.example:25" },
	{ "x@partner.example", "relay [192.0.2.9]:2525" },
	{ "x@a.partner.example", "relay [2001:db8::1]:25" },
	{ "x@apartner.example", "relay mx apartner.example" },
	{ "x@elsewhere.test", "relay mx elsewhere.test" },
	{ "x@mx.host.example", "expand x@ours.example" },
	{ "alice+x@LOCALHOST", "expand alice+x@ours.example" },
	{ "x@localhost.localdomain", "expand x@ours.example" },
	{ "x@sub.mx.host.example", "relay mx sub.mx.host.example" },
	{ "x@[192.0.2.1]", "relay [192.0.2.1]:25" },
	{ "x@[IPv6:2001:db8::2]", "relay [2001:db8::2]:25" },
	{ "x@lists.example", "defer 451 4.3.5 mailing lists of lists.example are not served yet" },
	/* no addresses */
	{ "", "fail 553 5.1.3 the address is empty" },
	{ "alice", "fail 553 5.1.3 the address has no '@' and domain" },
	{ "\\", "fail 553 5.1.3 the address is empty" },
};

static void
test_routes(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(routed) / sizeof(routed[0]); i++)
		expect_route(routed[i].address, routed[i].route);
}

static void
test_verdicts(void **state)
{
	static const struct {
		const char *address;
		enum recipient_verdict verdict;
		const char *why;
	} cases[] = {
		{ "alice@ours.example", RECIPIENT_OURS, "" },
		{ "sales@ours.example", RECIPIENT_OURS, "" },
		{ "team@ours.example", RECIPIENT_OURS, "" },
		{ "postmaster", RECIPIENT_OURS, "" },
		{ "x@door.example", RECIPIENT_OURS, "" },
		{ "x@elsewhere.test", RECIPIENT_FOREIGN, "" },
		{ "x@[192.0.2.1]", RECIPIENT_FOREIGN, "" },
		{ "nobody@ours.example", RECIPIENT_UNKNOWN, "there is no such user here" },
		/* the relay of old: '%' and '!' mean nothing */
		{ "x%elsewhere.test@ours.example", RECIPIENT_UNKNOWN, "there is no such user here" },
		{ "elsewhere.test!x@ours.example", RECIPIENT_UNKNOWN, "there is no such user here" },
		/* what the operator must put right is not held against the sender */
		{ "colon@ours.example", RECIPIENT_TEMP,
		    "alias \"colon@ours.example\": only \":include:/path\" may begin with a colon" },
		{ "command@ours.example", RECIPIENT_OURS, "" },
		/* who does not exist at the new domain does not exist at the old one */
		{ "alice@moved.example", RECIPIENT_OURS, "" },
		{ "who@moved.example", RECIPIENT_UNKNOWN, "there is no such user here" },
		{ "lasso@ours.example", RECIPIENT_OURS, "" },
		{ "one@ours.example", RECIPIENT_TEMP, "alias loop: one@ours.example -> two@ours.example -> "
		    "three@ours.example -> one@ours.example" },
		/* files are not read for an answer at RCPT */
		{ "nofile@ours.example", RECIPIENT_OURS, "" },
		{ "alice@missing.example", RECIPIENT_TEMP, "there is no directory /no-such-genkan-folder; make it, and "
		    "give it to who owns the mailboxes" },
		{ "x@lists.example", RECIPIENT_TEMP, "mailing lists of lists.example are not served yet" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *why;
		enum recipient_verdict verdict = lookup_recipient_now(&conf, cases[i].address, &why);

		if (verdict != cases[i].verdict || strcmp(why, cases[i].why) != 0)
			fail_msg("%s: %d \"%s\"", cases[i].address, verdict, why);
		free(why);
	}
}

/* A file with slips of the pen: whom a line is about waits, whom none may be about is told so, the others are served. */
static void
test_bad_lines(void **state)
{
	static const struct {
		const char *content, *address;
		enum recipient_verdict verdict;
		const char *route; /* %s is DIR */
	} cases[] = {
		{ "bob: carol@other.example\nfine: alice\nBob: x@other.example\n", "bob@bad.example", RECIPIENT_TEMP,
		    "defer 451 4.3.0 %s/bad-lines: \"Bob\" has different values in lines 1 and 3" },
		{ "bob: carol@other.example\nfine: alice\nbob: x@other.example\n", "fine@bad.example", RECIPIENT_OURS,
		    "expand alice@bad.example" },
		{ "bob: carol@other.example\nbob: x@other.example\n", "bob+tag@bad.example", RECIPIENT_TEMP,
		    "defer 451 4.3.0 %s/bad-lines: \"bob\" has different values in lines 1 and 2" },
		/* nobody else may have it meanwhile */
		{ "bob: carol@other.example\nbob: x@other.example\n*: alice\n", "bob@bad.example", RECIPIENT_TEMP,
		    "defer 451 4.3.0 %s/bad-lines: \"bob\" has different values in lines 1 and 2" },
		{ "bob@bad.example: carol@other.example\nbob@bad.example: x@other.example\nbob: alice\n", "bob@bad.example",
		    RECIPIENT_TEMP, "defer 451 4.3.0 %s/bad-lines: \"bob@bad.example\" has different values in lines 1 and 2" },
		{ "bob: x@other.example\nbob: x@other.example\n", "bob@bad.example", RECIPIENT_OURS, "expand x@other.example" },
		{ "bob: x@other.example\nfine: alice\n", "who@bad.example", RECIPIENT_UNKNOWN,
		    "fail 550 5.1.1 there is no such user here" },
		{ "\"bob: x@other.example\nfine: alice\n", "fine@bad.example", RECIPIENT_OURS, "expand alice@bad.example" },
		{ "\"bob: x@other.example\nfine: alice\n", "who@bad.example", RECIPIENT_TEMP,
		    "defer 451 4.3.0 %s/bad-lines:1: the string is not closed on its line" },
		{ "\"bob: x@other.example\n*: alice\n", "who@bad.example", RECIPIENT_TEMP,
		    "defer 451 4.3.0 %s/bad-lines:1: the string is not closed on its line" },
		{ "who: \"|/bin/cat\n", "who@bad.example", RECIPIENT_TEMP,
		    "defer 451 4.3.5 alias \"who@bad.example\": a quote (\") is not closed" },
		{ "list: alice\nowner-list: a@x.example\nowner-list: b@x.example\n", "list@bad.example", RECIPIENT_OURS,
		    "expand alice@bad.example owner owner-list@bad.example" },
	};
	struct table *table = table_new("bad");
	struct domain bad = { .name = text("bad.example"), .aliases = table, .users = users,
		.mailbox = { MAILBOX_MAILDIR, text("/srv/%{user}"), NULL } };
	struct lookup_conf only = { .host = "mx.host.example", .domains = &bad, .domains_n = 1 };
	struct lookup_conf before = conf;
	char *path = NULL, *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		free(path);
		path = write_file("bad-lines", cases[i].content);
		assert_null(table_load_file(table, path));
		if (lookup_recipient_now(&only, cases[i].address, &why) != cases[i].verdict)
			fail_msg("%s: \"%s\"", cases[i].address, why);
		free(why);
		conf = only;
		expect_route(cases[i].address, cases[i].route);
		conf = before;
	}
	free(path);
	table_free(table);
}

#define NOBODY_FOR_ROOT                                                                            \
	"defer 451 4.3.0 nobody is named for the mail of root; write an alias for root, or "       \
	"postmaster \"somebody@example.net\" into the configuration"

static void
test_system_users(void **state)
{
	(void)state;
	/* nothing is delivered as root */
	expect_route("root@system.example", NOBODY_FOR_ROOT);
	expect_route("ROOT+x@system.example", NOBODY_FOR_ROOT);
	expect_route("postmaster@system.example", NOBODY_FOR_ROOT);
	conf.postmaster = "alice@ours.example";
	expect_route("root@system.example", "expand alice@ours.example");
	expect_route("postmaster@system.example", "expand alice@ours.example");
	expect_route("abuse@ours.example", "expand alice@ours.example");
	expect_route("alice@ours.example", "local %s/mail/ours.example/alice root %s");
	conf.postmaster = NULL;
	expect_route("genkan-nobody@system.example", UNKNOWN);
	expect_route("../root@system.example", "fail 553 5.1.3 the part before '@' has a dot at its start or two in a row");
	expect_route("a/b@system.example", UNKNOWN);
	/* root is somebody else's business here, and that loops */
	domains[SYSTEM].aliases = root_alias;
	expect_route("abuse@system.example", "expand root@system.example");
	expect_route("root@system.example", "fail 554 5.4.6 alias loop: root@system.example -> "
	    "postmaster@system.example -> root@system.example");
	domains[SYSTEM].aliases = no_root;
}

static void
check_owner(const struct route_answer *a, void *arg)
{
	const struct stat *st = arg;

	assert_int_equal(a->kind, ROUTE_LOCAL);
	assert_int_equal(a->uid, st->st_uid);
	assert_int_equal(a->gid, st->st_gid);
	assert_int_equal(a->method, MAILBOX_MAILDIR);
}

/* Who writes virtual mailboxes is who owns the directory that they are in. */
static void
test_virtual_owner(void **state)
{
	char *mail = xasprintf("%s/mail", dir);
	struct stat st;

	(void)state;
	assert_int_equal(mkdir(mail, 0755), 0);
	if (geteuid() == 0)
		assert_int_equal(chown(mail, 12345, 23456), 0);
	assert_int_equal(stat(mail, &st), 0);
	lookup_route_now(&conf, &(struct route_question){ .address = "alice@ours.example", .sender = "" }, check_owner, &st);
	expect_route("alice@ours.example", "local %s/mail/ours.example/alice root %s/mail");
	rmdir(mail);
	free(mail);
	/* what everybody may write to is nobody's to make mailboxes in */
	chmod(dir, 01777);
	mail = xasprintf("defer 451 4.3.5 there is no directory %s/mail, and %s is everybody's; make it", dir, dir);
	expect_route("alice@ours.example", mail);
	chmod(dir, 0755);
	free(mail);
}

static void
test_include_limits(void **state)
{
	struct alias_targets targets = { .n = 0 };
	char *path = xasprintf("%s/many", dir), *value = xasprintf(":include:%s", path), *why;
	FILE *f = fopen(path, "w");
	const struct alias_of of = { .self = "many@ours.example", .local = "many",
		.domain = "ours.example", .read_files = true };
	int i;

	(void)state;
	for (i = 0; i <= ALIAS_TARGETS_MAX; i++)
		fprintf(f, "u%d@other.example\n", i);
	fclose(f);
	why = alias_parse(value, &of, &targets);
	assert_non_null(why);
	assert_non_null(strstr(why, "more than 20000 addresses"));
	free(why);
	alias_free(&targets);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	why = alias_parse(value, &of, &targets);
	assert_non_null(strstr(why, "is not a text file"));
	free(why);
	alias_free(&targets);
	rmdir(path);
	free(value);
	free(path);
}

static void
test_destination(void **state)
{
	static const struct {
		const char *text;
		unsigned n; /* 0: no destination */
	} cases[] = {
		{ "mx example.net", 1 }, { "[192.0.2.1]:25", 1 }, { "[2001:db8::1]:2525 mail.example.net:587", 2 },
		{ "mx example.net relay.example.net:25", 2 }, { "", 0 }, { "mx", 0 }, { "mx ", 0 },
		{ "mx a.example mx b.example", 0 }, { "example.net", 0 }, { "example.net:", 0 }, { "example.net:0", 0 },
		{ "example.net:65536", 0 }, { "example.net:25x", 0 }, { "[192.0.2.1:25", 0 }, { "[]:25", 0 },
		{ "[192.0.2.300]:25", 0 }, { "exa mple:25", 0 }, { ":25", 0 }, { "a:25  b:25", 0 },
		{ "mx example.net tls verify", 1 }, { "a:25 tls off b:465 implicit-tls may", 2 },
		{ "a:587 implicit-tls verify login /etc/x b:587 login /etc/x", 2 }, { "tls off", 0 },
		{ "a:25 tls", 0 }, { "a:25 tls on", 0 }, { "a:25 login", 0 }, { "a:25 login x", 0 },
		{ "a:25 login /x login /y", 0 },
		{ "mx a.example source 192.0.2.7 source 2001:db8::7 as x.example", 1 }, { "a:25 as", 0 }, { "a:25 source x", 0 },
		{ "a:25 source 192.0.2.7 source 192.0.2.8", 0 }, { "a:25 as x as y", 0 },
	};
	struct hop *hops;
	unsigned n;
	char *domain, *again;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int r = destination_parse(cases[i].text, &hops, &n, &domain);

		if ((r == 0) != (cases[i].n > 0) || n != cases[i].n)
			fail_msg("\"%s\": %d, %u hops", cases[i].text, r, n);
		if (r != 0)
			continue;
		again = destination_text(hops, n, domain);
		assert_string_equal(again, cases[i].text);
		free(again);
		destination_free(hops, n, domain);
	}
}

static void
test_answer_bytes(void **state)
{
	static const char *const targets[] = { "a@b.example", "c@d.example" };
	static const struct route_answer answers[] = {
		{ .kind = ROUTE_LOCAL, .uid = 1000, .gid = 100, .account = "alice", .root = "/home/alice",
			.method = MAILBOX_LMTP, .path = "/home/alice/Maildir" },
		{ .kind = ROUTE_RELAY, .destination = "mx example.net" },
		{ .kind = ROUTE_EXPAND, .targets_n = 2, .targets = targets },
		{ .kind = ROUTE_EXPAND, .targets_n = 2, .targets = targets, .owner = "owner-x@b.example" },
		{ .kind = ROUTE_DISCARD },
		{ .kind = ROUTE_FAIL, .why = "550 5.1.1 no" },
		{ .kind = ROUTE_DEFER, .why = "451 4.3.0 later" },
	};
	struct route_answer out;
	struct cursor c;
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct buf bytes = { 0 }, before = { 0 }, after = { 0 };

		lookup_answer_encode(&bytes, &answers[i]);
		for (len = 0; len < bytes.len; len++) {
			c = cursor_init(bytes.data, len);
			assert_false(lookup_answer_decode(&c, &out));
		}
		c = cursor_init(bytes.data, bytes.len);
		assert_true(lookup_answer_decode(&c, &out));
		describe(&answers[i], &before);
		describe(&out, &after);
		assert_string_equal(buf_str(&before), buf_str(&after));
		assert_int_equal(out.uid, answers[i].uid);
		assert_int_equal(out.gid, answers[i].gid);
		assert_int_equal(out.method, answers[i].method);
		lookup_answer_free(&out);
		bytes.data[0] = ROUTE_DEFER + 1;
		c = cursor_init(bytes.data, bytes.len);
		assert_false(lookup_answer_decode(&c, &out));
		buf_free(&bytes);
		buf_free(&before);
		buf_free(&after);
	}
	/* a count of targets without targets */
	c = cursor_init("\x02\xff\xff\xff\xff", 5);
	assert_false(lookup_answer_decode(&c, &out));
	/* a sender that is there twice over, or is said not to be there */
	c = cursor_init("\x01\0\0\0\0\0\x02\0\0\0\0\0", 12);
	assert_false(lookup_answer_decode(&c, &out));
	c = cursor_init("\x01\0\0\0\0\0\0\x01\0\0\0x\0", 13);
	assert_false(lookup_answer_decode(&c, &out));
	c = cursor_init("\x01\0\0\0\0\0\x01\x01\0\0\0x\0", 13);
	assert_true(lookup_answer_decode(&c, &out));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_system_users),
		cmocka_unit_test(test_virtual_owner),
		cmocka_unit_test(test_include_limits),
		cmocka_unit_test(test_destination),
		cmocka_unit_test(test_answer_bytes),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
