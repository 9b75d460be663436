/*
 * The meaning of a gate, one row a case: rules as they stand in the file, what is known of a
 * caller, and what the gate says at a phase, in words.  The rules go through the configuration's
 * own parser, so a row reads as an operator would write it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "filters/gate.h"
#include "lib/buf.h"
#include "lib/ip.h"

#define HEAD                                                             \
	"host \"mx.example.org\"\n"                                      \
	"listen on 127.0.0.1 port 2525\n"                                \
	"table friends { 192.0.2.0/24, 2001:db8::/32, \"friend.example\" }\n" \
	"table nets { 192.0.2.0/24 }\n"                                  \
	"table zones { \"a.example\" = \"1\", \"b.example\" = \"2\" }\n"          \
	"table people { \"alice@ours.example\", \"@list.example\", \"<>\" }\n" \
	"gate {\n"
#define TAIL                                                             \
	"\n}\n"                                                          \
	/* so that every table is used */                                \
	"relay { from <nets>\n route \"a.example\" to mx\n }\n"

#define K(name) FACT_BIT(FACT_##name)
#define NAMED(n) .known = K(CLIENT) | K(RDNS) | K(S25R), .rdns = RDNS_PASS, .name = (n)
#define NAMELESS(status) .known = K(CLIENT) | K(RDNS) | K(S25R), .rdns = (status)
/* as the doorman fills it in: an answer to `rdns`, and none to what needs a name */
#define NO_DNS NAMELESS(RDNS_TEMPERROR), .failed = K(S25R)
#define HOME_LINE "p192-0-2-1.dsl.home.example"

struct row {
	const char *rules;
	enum phase at;
	struct facts facts;
	const char *client; /* NULL: 203.0.113.9 */
	const char *want;   /* "verdict wait=... observed=1,2 marks=... traps=... missing=...", only what there is */
};

static const struct row order[] = {
	{ "", PHASE_RCPT, { 0 }, NULL, "" },
	{ "reject at rcpt\n", PHASE_RCPT, { 0 }, NULL, "reject#1" },
	{ "reject at rcpt\n", PHASE_MAIL, { 0 }, NULL, "" },
	{ "reject at rcpt\n", PHASE_DATA, { 0 }, NULL, "" },
	{ "reject\n tempfail\n", PHASE_RCPT, { 0 }, NULL, "reject#1" },
	{ "tempfail\n reject\n", PHASE_RCPT, { 0 }, NULL, "tempfail#1" },
	{ "reject when trapped\n drop\n", PHASE_RCPT, { .known = K(TRAPPED) }, NULL, "drop#2" },
	{ "reject when trapped\n drop\n", PHASE_RCPT, { .known = K(TRAPPED), .trapped = true }, NULL, "reject#1" },
	{ "greylist\n", PHASE_RCPT, { 0 }, NULL, "greylist#1" },
	{ "trust when client in <nets>\n reject at connect\n", PHASE_CONNECT, { .known = K(CLIENT) }, "192.0.2.7",
	    "trust#1" },
	{ "trust when client in <nets>\n reject at connect\n", PHASE_CONNECT, { .known = K(CLIENT) }, "192.0.3.7",
	    "reject#2" },
	/* each phase has its own rules */
	{ "drop at connect\n reject at helo\n tempfail at mail\n", PHASE_HELO, { 0 }, NULL, "reject#2" },
	{ "drop at connect\n reject at helo\n tempfail at mail\n", PHASE_MAIL, { 0 }, NULL, "tempfail#3" },
	{ "reject at data\n drop at message\n", PHASE_MESSAGE, { 0 }, NULL, "drop#2" },
	/* what stands below a verdict of the same phase says nothing */
	{ "reject\n mark \"X-A\" \"b\"\n observe drop\n", PHASE_RCPT, { 0 }, NULL, "reject#1" },
	{ "mark \"X-A\" \"b\"\n observe drop\n reject\n", PHASE_RCPT, { 0 }, NULL, "reject#3 observed=2 marks=1" },
};

/* "missing" asks for all that is needed together, and for nothing that cannot matter. */
static const struct row missing[] = {
	{ "reject when trapped\n", PHASE_RCPT, { 0 }, NULL, "missing=trapped" },
	{ "reject when trapped and s25r\n", PHASE_RCPT, { 0 }, NULL, "missing=s25r,trapped" },
	{ "reject when trapped or s25r\n", PHASE_RCPT, { 0 }, NULL, "missing=s25r,trapped" },
	{ "reject when not (trapped or not s25r)\n", PHASE_RCPT, { 0 }, NULL, "missing=s25r,trapped" },
	{ "reject when trapped\n tempfail when rdns none\n greylist when s25r\n", PHASE_RCPT, { 0 }, NULL,
	    "missing=rdns,s25r,trapped" },
	/* one side decides: the other is not asked for */
	{ "reject when trapped and s25r\n", PHASE_RCPT, { .known = K(TRAPPED) }, NULL, "" },
	{ "reject when s25r and trapped\n", PHASE_RCPT, { .known = K(TRAPPED) }, NULL, "" },
	{ "reject when trapped or s25r\n", PHASE_RCPT, { .known = K(TRAPPED), .trapped = true }, NULL, "reject#1" },
	{ "reject when s25r or trapped\n", PHASE_RCPT, { .known = K(TRAPPED), .trapped = true }, NULL, "reject#1" },
	{ "reject when trapped and s25r\n", PHASE_RCPT, { .known = K(TRAPPED), .trapped = true }, NULL,
	    "missing=s25r" },
	{ "reject when (s25r or trapped) and rdns none\n", PHASE_RCPT, { .known = K(TRAPPED), .trapped = true }, NULL,
	    "missing=rdns" },
	/* a rule that could decide is open: those below may not, but rules of other phases ask for nothing */
	{ "reject when trapped\n tempfail\n", PHASE_RCPT, { 0 }, NULL, "missing=trapped" },
	{ "reject when trapped\n tempfail\n drop when s25r\n", PHASE_RCPT, { 0 }, NULL, "missing=trapped" },
	{ "tempfail\n reject when trapped\n", PHASE_RCPT, { 0 }, NULL, "tempfail#1" },
	{ "tempfail at mail when trapped\n reject\n", PHASE_RCPT, { 0 }, NULL, "reject#2" },
	{ "greylist when s25r\n pause 4s\n", PHASE_GREETING, { 0 }, NULL, "wait=pause#2" },
	/* nobody can have sent a recipient at connect; then the rule is a later one */
	{ "reject when recipient in <people>\n", PHASE_CONNECT, { 0 }, NULL, "" },
};

/* Trouble of our own: no rule matches it, also not under `not`, and what does not need it is decided without it. */
#define FAILED(name) .known = K(name), .failed = K(name)
static const struct row failed[] = {
	{ "reject when trapped\n", PHASE_RCPT, { FAILED(TRAPPED) }, NULL, "" },
	{ "reject when not trapped\n", PHASE_RCPT, { FAILED(TRAPPED) }, NULL, "" },
	{ "reject when not not trapped\n", PHASE_RCPT, { FAILED(TRAPPED) }, NULL, "" },
	{ "reject when trapped or early-talker\n", PHASE_RCPT,
	    { .known = K(TRAPPED) | K(EARLY_TALKER), .failed = K(TRAPPED), .early_talker = true }, NULL, "reject#1" },
	{ "reject when early-talker or trapped\n", PHASE_RCPT,
	    { .known = K(TRAPPED) | K(EARLY_TALKER), .failed = K(TRAPPED), .early_talker = true }, NULL, "reject#1" },
	{ "reject when trapped or early-talker\n", PHASE_RCPT,
	    { .known = K(TRAPPED) | K(EARLY_TALKER), .failed = K(TRAPPED) }, NULL, "" },
	{ "reject when not (trapped or early-talker)\n", PHASE_RCPT,
	    { .known = K(TRAPPED) | K(EARLY_TALKER), .failed = K(TRAPPED) }, NULL, "" },
	{ "reject when trapped and early-talker\n", PHASE_RCPT,
	    { .known = K(TRAPPED) | K(EARLY_TALKER), .failed = K(TRAPPED), .early_talker = true }, NULL, "" },
	{ "reject when not (trapped and early-talker)\n", PHASE_RCPT,
	    { .known = K(TRAPPED) | K(EARLY_TALKER), .failed = K(TRAPPED), .early_talker = true }, NULL, "" },
	/* false without the ledger's word */
	{ "reject when not (trapped and early-talker)\n", PHASE_RCPT,
	    { .known = K(TRAPPED) | K(EARLY_TALKER), .failed = K(TRAPPED) }, NULL, "reject#1" },
	{ "reject when not (trapped or early-talker)\n", PHASE_RCPT,
	    { .known = K(TRAPPED) | K(EARLY_TALKER), .failed = K(TRAPPED), .early_talker = true }, NULL, "" },
	/* failed here, missing there: the answer may still decide */
	{ "reject when trapped or early-talker\n", PHASE_RCPT, { FAILED(TRAPPED) }, NULL, "missing=early-talker" },
	{ "reject when trapped and early-talker\n", PHASE_RCPT, { FAILED(TRAPPED) }, NULL, "missing=early-talker" },
	/* the resolver was away, and nobody is judged by that */
	{ "reject when spf fail\n", PHASE_RCPT, { FAILED(SPF) }, NULL, "" },
	{ "reject when not spf pass\n", PHASE_RCPT, { FAILED(SPF) }, NULL, "" },
	{ "greylist when s25r and not spf pass\n", PHASE_RCPT, { FAILED(SPF) }, NULL, "missing=s25r" },
	/* a failing resolver: "temperror" is an answer, and a name that nobody could be asked about is none */
	{ "tempfail when rdns temperror\n", PHASE_RCPT, { NO_DNS }, NULL, "tempfail#1" },
	{ "greylist when s25r or not rdns pass\n", PHASE_RCPT, { NO_DNS }, NULL, "greylist#1" },
	{ "reject when s25r\n", PHASE_RCPT, { NO_DNS }, NULL, "" },
	{ "reject when not s25r\n", PHASE_RCPT, { NO_DNS }, NULL, "" },
	{ "reject when not rdns in <friends>\n", PHASE_RCPT, { NO_DNS }, NULL, "" },
	{ "reject when not client in <friends>\n", PHASE_RCPT, { NO_DNS }, NULL, "" },
	{ "reject when not client in <friends>\n", PHASE_RCPT,
	    { .known = K(CLIENT) | K(RDNS), .failed = K(RDNS) }, NULL, "" },
	/* never a 5xx for it (design, 3): the caller is asked to come again */
	{ "reject when not rdns pass\n", PHASE_RCPT, { NO_DNS }, NULL, "reject#1 softened" },
	{ "reject when rdns temperror\n", PHASE_RCPT, { NO_DNS }, NULL, "reject#1 softened" },
	{ "reject when not (trapped and rdns pass)\n", PHASE_RCPT, { NO_DNS }, NULL, "reject#1 softened" },
	{ "reject when not spf pass\n", PHASE_RCPT, { .known = K(SPF), .spf = AUTH_TEMPERROR }, NULL,
	    "reject#1 softened" },
	{ "reject when spf fail\n", PHASE_RCPT, { .known = K(SPF), .spf = AUTH_TEMPERROR }, NULL, "" },
	{ "reject when trapped\n", PHASE_RCPT,
	    { .known = K(SPF) | K(TRAPPED), .spf = AUTH_TEMPERROR, .trapped = true }, NULL, "reject#1" },
	{ "reject when sender-domain temperror\n", PHASE_RCPT,
	    { .known = K(SENDER_DOMAIN), .sender_domain = SENDER_DOMAIN_TEMPERROR }, NULL,
	    "reject#1 softened" },
	{ "greylist when not rdns pass\n", PHASE_RCPT, { NO_DNS }, NULL, "greylist#1" },
	{ "reject when not rdns pass\n", PHASE_RCPT, { NAMELESS(RDNS_NONE) }, NULL, "reject#1" },
	{ "reject when early-talker\n", PHASE_RCPT,
	    { .known = K(EARLY_TALKER) | K(RDNS), .rdns = RDNS_TEMPERROR, .early_talker = true }, NULL, "reject#1" },
};

static const struct row others[] = {
	/* observe: noted, and the next rule decides */
	{ "observe reject\n greylist\n", PHASE_RCPT, { 0 }, NULL, "greylist#2 observed=1" },
	{ "observe trust\n observe pause 20s\n pause 4s\n", PHASE_GREETING, { 0 }, NULL, "wait=pause#3 observed=2" },
	{ "observe tarpit 90s\n observe mark \"X-A\" \"b\"\n observe trap 1d\n", PHASE_RCPT, { 0 }, NULL,
	    "observed=1,2,3" },
	{ "observe reject when trapped\n", PHASE_RCPT, { .known = K(TRAPPED) }, NULL, "" },
	{ "observe reject when trapped\n", PHASE_RCPT, { 0 }, NULL, "missing=trapped" },
	/* the longest pause or tarpit; the first of equals */
	{ "pause 4s\n pause 20s when trapped\n", PHASE_GREETING, { .known = K(TRAPPED), .trapped = true }, NULL,
	    "wait=pause#2" },
	{ "pause 20s\n pause 4s\n", PHASE_GREETING, { 0 }, NULL, "wait=pause#1" },
	{ "pause 20s when trapped\n pause 4s\n", PHASE_GREETING, { .known = K(TRAPPED) }, NULL, "wait=pause#2" },
	{ "pause 9s\n pause 9s\n", PHASE_GREETING, { 0 }, NULL, "wait=pause#1" },
	{ "tarpit 30s\n tarpit 65s\n tarpit 5s\n", PHASE_RCPT, { 0 }, NULL, "wait=tarpit#2" },
	/* who has the choice is told apart from who must */
	{ "tarpit 30s\n tarpit 65s else greylist\n tarpit 5s else greylist\n", PHASE_RCPT, { 0 }, NULL,
	    "wait=tarpit#1 else=tarpit#2" },
	{ "observe tarpit 65s else greylist\n", PHASE_RCPT, { 0 }, NULL, "observed=1" },
	{ "tarpit 65s at data\n", PHASE_RCPT, { 0 }, NULL, "" },
	{ "tarpit 65s at data\n", PHASE_DATA, { 0 }, NULL, "wait=tarpit#1" },
	{ "tarpit 30s\n reject\n tarpit 65s\n", PHASE_RCPT, { 0 }, NULL, "reject#2 wait=tarpit#1" },
	{ "pause 4s\n reject at greeting when early-talker\n", PHASE_GREETING,
	    { .known = K(EARLY_TALKER), .early_talker = true }, NULL, "reject#2 wait=pause#1" },
	/* marks and traps: all that apply */
	{ "mark \"X-A\" \"b\"\n mark \"X-C\" \"d\"\n trap 1d\n mark \"X-E\" \"f\" at data\n", PHASE_RCPT, { 0 }, NULL,
	    "marks=1,2 traps=3" },
	{ "trap 1d when unknown-recipients > 3\n", PHASE_RCPT,
	    { .known = K(UNKNOWN_RECIPIENTS), .meters = { 3 } }, NULL, "" },
	{ "trap 1d when unknown-recipients > 3\n", PHASE_RCPT,
	    { .known = K(UNKNOWN_RECIPIENTS), .meters = { 4 } }, NULL, "traps=1" },
};

static const struct row clients[] = {
	/* networks need no name */
	{ "trust when client in <friends>\n", PHASE_CONNECT, { .known = K(CLIENT) }, "192.0.2.200", "trust#1" },
	{ "trust when client in <friends>\n", PHASE_CONNECT, { .known = K(CLIENT) }, "2001:db8:1::5", "trust#1" },
	{ "trust when client in <nets>\n", PHASE_CONNECT, { .known = K(CLIENT) }, NULL, "" },
	{ "trust when not client in <nets>\n", PHASE_CONNECT, { .known = K(CLIENT) }, NULL, "trust#1" },
	/* names do */
	{ "trust when client in <friends>\n", PHASE_CONNECT, { .known = K(CLIENT) }, NULL, "missing=rdns" },
	{ "trust when client in <friends>\n", PHASE_CONNECT, { NAMED("mail.friend.example") }, NULL, "trust#1" },
	{ "trust when client in <friends>\n", PHASE_CONNECT, { NAMED("FRIEND.example") }, NULL, "trust#1" },
	{ "trust when client in <friends>\n", PHASE_CONNECT, { NAMED("notfriend.example") }, NULL, "" },
	{ "trust when client in <friends>\n", PHASE_CONNECT,
	    { NAMELESS(RDNS_MISMATCH), .claimed = "mail.friend.example" }, NULL, "" },
	{ "trust when client in { \"a.example\" }\n reject at connect\n", PHASE_CONNECT, { .known = K(CLIENT) }, NULL,
	    "missing=rdns" },
	/* addresses of senders and recipients */
	{ "reject when sender in <people>\n", PHASE_RCPT, { .known = K(SENDER), .sender = "Alice@ours.example" }, NULL,
	    "reject#1" },
	{ "reject when sender in <people>\n", PHASE_RCPT, { .known = K(SENDER), .sender = "bob@ours.example" }, NULL,
	    "" },
	{ "reject when sender in <people>\n", PHASE_RCPT, { .known = K(SENDER), .sender = "" }, NULL, "reject#1" },
	{ "reject when recipient in <people>\n", PHASE_RCPT,
	    { .known = K(RECIPIENT), .recipient = "any@list.example" }, NULL, "reject#1" },
	{ "reject when helo in { \"bad.example\" }\n", PHASE_RCPT, { .known = K(HELO), .helo = "x.bad.example" }, NULL,
	    "reject#1" },
	{ "reject when not helo in { \"bad.example\" }\n", PHASE_RCPT, { .known = K(HELO), .helo = "good.example" },
	    NULL, "reject#1" },
};

static const struct row names[] = {
	{ "reject when rdns pass\n", PHASE_RCPT, { NAMED("mail.example.net") }, NULL, "reject#1" },
	{ "reject when not rdns pass\n", PHASE_RCPT, { NAMED("mail.example.net") }, NULL, "" },
	{ "reject when rdns none\n", PHASE_RCPT, { NAMELESS(RDNS_NONE) }, NULL, "reject#1" },
	{ "reject when rdns mismatch\n", PHASE_RCPT, { NAMELESS(RDNS_NONE) }, NULL, "" },
	{ "reject when rdns mismatch\n", PHASE_RCPT, { NAMELESS(RDNS_MISMATCH) }, NULL, "reject#1" },
	{ "reject when rdns in { \"example.net\" }\n", PHASE_RCPT, { NAMED("mail.example.net") }, NULL, "reject#1" },
	{ "reject when rdns in { \"example.net\" }\n", PHASE_RCPT, { NAMELESS(RDNS_NONE) }, NULL, "" },
	/* a country is the last label of the verified name */
	{ "reject when rdns in { \"cn\", \"br\" }\n", PHASE_RCPT, { NAMED("a.example.CN") }, NULL, "reject#1" },
	{ "reject when rdns in { \"cn\", \"br\" }\n", PHASE_RCPT, { NAMED("cn.example.net") }, NULL, "" },
	/* S25R's rule 0 is the missing name */
	{ "reject when s25r\n", PHASE_RCPT, { NAMELESS(RDNS_NONE) }, NULL, "reject#1" },
	{ "reject when s25r 0\n", PHASE_RCPT, { NAMELESS(RDNS_MISMATCH) }, NULL, "reject#1" },
	{ "reject when s25r 1\n", PHASE_RCPT, { NAMELESS(RDNS_NONE) }, NULL, "" },
	{ "reject when s25r\n", PHASE_RCPT, { NAMED("mail.example.net") }, NULL, "" },
	{ "reject when s25r\n", PHASE_RCPT, { NAMED(HOME_LINE) }, NULL, "reject#1" },
	{ "reject when s25r 1\n", PHASE_RCPT, { NAMED(HOME_LINE) }, NULL, "reject#1" },
	{ "reject when s25r 6\n", PHASE_RCPT, { NAMED(HOME_LINE) }, NULL, "" },
	{ "reject when s25r 6\n", PHASE_RCPT, { NAMED("ppp17.home.example") }, NULL, "reject#1" },
	{ "reject when s25r 0\n", PHASE_RCPT, { NAMED(HOME_LINE) }, NULL, "" },
	{ "reject when s25r own-address\n", PHASE_RCPT, { NAMED(HOME_LINE) }, "192.0.2.1", "reject#1" },
	{ "reject when s25r own-address\n", PHASE_RCPT, { NAMED(HOME_LINE) }, "203.0.113.9", "" },
	{ "reject when s25r own-address\n", PHASE_RCPT, { NAMELESS(RDNS_NONE) }, "192.0.2.1", "" },
};

#define RATES                                                   \
	"reject when rate > 5 per 1m\n"                         \
	"tempfail when rate from network > 5 per 1m\n"          \
	"drop when rate > 5 per 1h\n"                           \
	"greylist when rate > 2 per 60s\n"                      \
	"reject when unknown-recipients > 5 per 1d\n"

/* The other facts, each yes and no. */
static const struct row plain[] = {
	{ "reject when known-correspondent\n", PHASE_RCPT,
	    { .known = K(KNOWN_CORRESPONDENT), .known_correspondent = true }, NULL, "reject#1" },
	{ "reject when list-member\n", PHASE_RCPT, { .known = K(LIST_MEMBER), .list_member = true }, NULL, "reject#1" },
	{ "reject when authenticated\n", PHASE_RCPT, { .known = K(AUTHENTICATED), .authenticated = true }, NULL,
	    "reject#1" },
	{ "reject when not tls\n", PHASE_RCPT, { .known = K(TLS) }, NULL, "reject#1" },
	{ "reject when not tls\n", PHASE_RCPT, { .known = K(TLS), .tls = true }, NULL, "" },
	{ "reject when pipelining\n", PHASE_DATA, { .known = K(PIPELINING), .pipelining = true }, NULL, "reject#1" },
	{ "reject when connections > 10\n", PHASE_RCPT, { .known = K(CONNECTIONS), .connections = 10 }, NULL, "" },
	{ "reject when connections > 10\n", PHASE_RCPT, { .known = K(CONNECTIONS), .connections = 11 }, NULL,
	    "reject#1" },
	{ "reject when connections from network > 10\n", PHASE_RCPT,
	    { .known = K(CONNECTIONS), .connections = 11, .network_connections = 10 }, NULL, "" },
	{ "reject when connections from network > 10\n", PHASE_RCPT,
	    { .known = K(CONNECTIONS), .network_connections = 11 }, NULL, "reject#1" },
	{ "reject when rate > 5 per 1m\n", PHASE_RCPT, { .known = K(RATE), .meters = { 5 } }, NULL, "" },
	{ "reject when rate > 5 per 1m\n", PHASE_RCPT, { .known = K(RATE), .meters = { 6 } }, NULL, "reject#1" },
	/* what is counted differently has a meter of its own, what is counted alike shares one */
	{ RATES, PHASE_RCPT, { .known = K(RATE), .meters = { 0, 6 } }, NULL, "tempfail#2" },
	{ RATES, PHASE_RCPT, { .known = K(RATE), .meters = { 0, 0, 6 } }, NULL, "drop#3" },
	{ RATES, PHASE_RCPT, { .known = K(RATE), .meters = { 3 } }, NULL, "greylist#4" },
	{ RATES, PHASE_RCPT, { .known = K(RATE) | K(UNKNOWN_RECIPIENTS), .meters = { 0, 0, 0, 6 } }, NULL,
	    "reject#5" },
	{ "reject when unknown-recipients > 0\n", PHASE_RCPT, { .known = K(UNKNOWN_RECIPIENTS), .meters = { 1 } },
	    NULL, "reject#1" },
	/* the time of day: from the first minute to before the last */
	{ "reject when time 09:00-17:30\n", PHASE_RCPT, { .known = K(TIME), .minute = 9 * 60 - 1 }, NULL, "" },
	{ "reject when time 09:00-17:30\n", PHASE_RCPT, { .known = K(TIME), .minute = 9 * 60 }, NULL, "reject#1" },
	{ "reject when time 09:00-17:30\n", PHASE_RCPT, { .known = K(TIME), .minute = 17 * 60 + 29 }, NULL,
	    "reject#1" },
	{ "reject when time 09:00-17:30\n", PHASE_RCPT, { .known = K(TIME), .minute = 17 * 60 + 30 }, NULL, "" },
	{ "reject when time 22:00-06:00\n", PHASE_RCPT, { .known = K(TIME), .minute = 23 * 60 }, NULL, "reject#1" },
	{ "reject when time 22:00-06:00\n", PHASE_RCPT, { .known = K(TIME), .minute = 0 }, NULL, "reject#1" },
	{ "reject when time 22:00-06:00\n", PHASE_RCPT, { .known = K(TIME), .minute = 6 * 60 }, NULL, "" },
	{ "reject when time 18:00-24:00\n", PHASE_RCPT, { .known = K(TIME), .minute = 24 * 60 - 1 }, NULL,
	    "reject#1" },
	{ "reject when time 18:00-24:00\n", PHASE_RCPT, { .known = K(TIME), .minute = 0 }, NULL, "" },
	/* what the client calls itself */
	{ "reject when helo literal\n", PHASE_RCPT, { .known = K(HELO), .helo = "[192.0.2.1]" }, NULL, "reject#1" },
	{ "reject when helo literal\n", PHASE_RCPT, { .known = K(HELO), .helo = "a.example" }, NULL, "" },
	{ "reject when helo invalid\n", PHASE_RCPT, { .known = K(HELO), .helo = "localhost" }, NULL, "reject#1" },
	{ "reject when helo invalid\n", PHASE_RCPT, { .known = K(HELO), .helo = "a.example" }, NULL, "" },
	{ "reject when helo own-name\n", PHASE_RCPT, { .known = K(HELO), .helo = "mx.example.org", .helo_own = true },
	    NULL, "reject#1" },
	{ "reject when helo own-name\n", PHASE_RCPT, { .known = K(HELO), .helo = "a.example" }, NULL, "" },
	{ "reject when not helo resolves-to-client\n", PHASE_RCPT, { .known = K(HELO_RESOLVES) }, NULL, "reject#1" },
	{ "reject when not helo resolves-to-client\n", PHASE_RCPT, { .known = K(HELO_RESOLVES), .helo_resolves = true },
	    NULL, "" },
	/* the sender's domain; DNS that fails is an answer to its own question only */
	{ "reject when sender-domain none\n", PHASE_RCPT,
	    { .known = K(SENDER_DOMAIN), .sender_domain = SENDER_DOMAIN_NONE }, NULL, "reject#1" },
	{ "reject when sender-domain none\n", PHASE_RCPT,
	    { .known = K(SENDER_DOMAIN), .sender_domain = SENDER_DOMAIN_NULLMX }, NULL, "" },
	{ "reject when not sender-domain resolves\n", PHASE_RCPT,
	    { .known = K(SENDER_DOMAIN), .sender_domain = SENDER_DOMAIN_NULLMX }, NULL, "reject#1" },
	{ "reject when not sender-domain resolves\n", PHASE_RCPT,
	    { .known = K(SENDER_DOMAIN), .sender_domain = SENDER_DOMAIN_TEMPERROR }, NULL, "" },
	{ "tempfail when sender-domain temperror\n", PHASE_RCPT,
	    { .known = K(SENDER_DOMAIN), .sender_domain = SENDER_DOMAIN_TEMPERROR }, NULL, "tempfail#1" },
	{ "reject when size > 10M\n", PHASE_MESSAGE, { .known = K(SIZE), .size = 10 << 20 }, NULL, "" },
	{ "reject when size > 10M\n", PHASE_MESSAGE, { .known = K(SIZE), .size = (10 << 20) + 1 }, NULL, "reject#1" },
	{ "reject when spf fail\n", PHASE_RCPT, { .known = K(SPF), .spf = AUTH_FAIL }, NULL, "reject#1" },
	{ "reject when spf fail\n", PHASE_RCPT, { .known = K(SPF), .spf = AUTH_SOFTFAIL }, NULL, "" },
	/* a pass that nearly everybody would have says nothing */
	{ "pass when spf pass\n reject when spf neutral\n", PHASE_RCPT, { .known = K(SPF), .spf = AUTH_PASS }, NULL,
	    "pass#1" },
	{ "pass when spf pass\n reject when spf neutral\n", PHASE_RCPT,
	    { .known = K(SPF), .spf = AUTH_PASS, .spf_blanket = true }, NULL, "reject#2" },
	{ "reject when dkim fail\n", PHASE_MESSAGE, { .known = K(DKIM), .dkim = AUTH_FAIL }, NULL, "reject#1" },
	{ "reject when dmarc fail\n", PHASE_MESSAGE, { .known = K(DMARC), .dmarc = AUTH_FAIL }, NULL, "reject#1" },
};

/* Lists of the gate are numbered as they come: bit 0 is the first. */
#define LIST(k, l, f) { .dnsbl = { .known = (k), .listed = (l), .failed = (f) } }
#define THREE "dnsbl { \"a.example\" = 2, \"b.example=127.0.0.[2;4-11]\" = 1, \"white.example\" = -2 } >= 2\n"
static const struct row lists[] = {
	{ "reject when dnsbl \"zen.example.net\"\n", PHASE_RCPT, { 0 }, NULL, "missing=dnsbl" },
	{ "reject when dnsbl \"zen.example.net\"\n", PHASE_RCPT, LIST(1, 0, 0), NULL, "" },
	{ "reject when dnsbl \"zen.example.net\"\n", PHASE_RCPT, LIST(1, 1, 0), NULL, "reject#1" },
	{ "reject when dnsbl \"zen.example.net\"\n", PHASE_RCPT, LIST(1, 0, 1), NULL, "" },
	{ "reject when not dnsbl \"zen.example.net\"\n", PHASE_RCPT, LIST(1, 0, 0), NULL, "reject#1" },
	{ "reject when not dnsbl \"zen.example.net\"\n", PHASE_RCPT, LIST(1, 0, 1), NULL, "" },
	/* nobody answers any more: what has not spoken has failed */
	{ "reject when not dnsbl \"zen.example.net\"\n", PHASE_RCPT, { .known = K(DNSBL) }, NULL, "" },
	{ "trust when dnswl \"white.example\"\n", PHASE_CONNECT, { 0 }, NULL, "missing=dnswl" },
	{ "trust when dnswl \"white.example\"\n", PHASE_CONNECT, LIST(1, 1, 0), NULL, "trust#1" },
	/* the same list in two rules is asked once */
	{ "reject when dnsbl \"a.example\" and trapped\n tempfail when dnsbl \"A.example\"\n", PHASE_RCPT,
	    { .known = K(TRAPPED), .dnsbl = { 1, 1, 0 } }, NULL, "tempfail#2" },
	/* a sum is decided as soon as what is open cannot change it, and not before */
	{ "reject when " THREE, PHASE_RCPT, LIST(0, 0, 0), NULL, "missing=dnsbl" },
	{ "reject when " THREE, PHASE_RCPT, LIST(7, 1, 0), NULL, "reject#1" },
	{ "reject when " THREE, PHASE_RCPT, LIST(7, 2, 0), NULL, "" },
	{ "reject when " THREE, PHASE_RCPT, LIST(7, 3, 0), NULL, "reject#1" },
	{ "reject when " THREE, PHASE_RCPT, LIST(7, 5, 0), NULL, "" },
	{ "reject when " THREE, PHASE_RCPT, LIST(3, 3, 0), NULL, "missing=dnsbl" },
	{ "reject when " THREE, PHASE_RCPT, LIST(1, 0, 0), NULL, "" },
	{ "reject when " THREE, PHASE_RCPT, LIST(7, 1, 2), NULL, "reject#1" },
	{ "reject when " THREE, PHASE_RCPT, LIST(7, 1, 4), NULL, "" }, /* the allowlist is dead: it might have spoken for him */
	{ "reject when not " THREE, PHASE_RCPT, LIST(7, 1, 4), NULL, "" },
	{ "reject when " THREE, PHASE_RCPT, LIST(7, 3, 4), NULL, "" },
	/* a table, with the weights as its values */
	{ "reject when dnsbl <zones> >= 3\n", PHASE_RCPT, LIST(3, 2, 0), NULL, "" },
	{ "reject when dnsbl <zones> >= 3\n", PHASE_RCPT, LIST(3, 3, 0), NULL, "reject#1" },
};

/* --- a gate from its rules, and a result in words --- */

static struct conf *
parse(const char *rules)
{
	struct buf text = { 0 }, errors = { 0 }, warnings = { 0 };
	struct conf *conf;

	buf_addf(&text, "%s%s%s", HEAD, rules, TAIL);
	conf = conf_parse("test", buf_str(&text), text.len, &errors, &warnings);
	if (conf == NULL)
		fail_msg("%s\n%s", rules, buf_str(&errors));
	buf_free(&text);
	buf_free(&errors);
	buf_free(&warnings);
	return conf;
}

static void
add_word(struct buf *out, const char *word)
{
	buf_addf(out, "%s%s", out->len > 0 ? " " : "", word);
}

static void
add_rule(struct buf *out, const char *what, const struct rule *rule)
{
	char tag[32];

	if (rule == NULL)
		return;
	rule_tag(rule, tag, sizeof(tag));
	add_word(out, what);
	buf_adds(out, tag);
}

static void
add_bits(struct buf *out, const char *what, uint64_t bits)
{
	const char *between = "";
	unsigned i;

	if (bits == 0)
		return;
	add_word(out, what);
	for (i = 0; i < 64; i++)
		if (bits & (UINT64_C(1) << i)) {
			buf_addf(out, "%s%u", between, i + 1);
			between = ",";
		}
}

static void
add_facts(struct buf *out, uint32_t facts)
{
	const char *between = "";
	unsigned i;

	for (i = 0; i < FACT_COUNT; i++)
		if (facts & FACT_BIT(i)) {
			buf_addf(out, "%s%s", between, fact_name((enum fact)i));
			between = ",";
		}
}

/* While something is missing nothing else is final, and nothing else is shown. */
static void
add_result(struct buf *out, const struct gate_result *r, const struct facts *f)
{
	if (r->missing != 0) {
		assert_null(r->verdict);
		add_word(out, "missing=");
		add_facts(out, r->missing);
		return;
	}
	add_rule(out, "", r->verdict);
	if (r->verdict != NULL && rule_is_softened(r->verdict, f))
		add_word(out, "softened");
	add_rule(out, "wait=", r->wait);
	add_rule(out, "else=", r->wait_else);
	add_bits(out, "observed=", r->observed);
	add_bits(out, "marks=", r->marks);
	add_bits(out, "traps=", r->traps);
}

static unsigned
check_rows(const struct row *rows, size_t n)
{
	unsigned wrong = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		struct conf *conf = parse(rows[i].rules);
		struct facts facts = rows[i].facts;
		struct gate_result result;
		struct buf got = { 0 };

		assert_true(ip_parse(rows[i].client != NULL ? rows[i].client : "203.0.113.9", &facts.client));
		gate_run(&conf->gate, rows[i].at, &facts, &result);
		add_result(&got, &result, &facts);
		if (strcmp(buf_str(&got), rows[i].want) != 0) {
			wrong++;
			print_error("%sat %s: \"%s\", not \"%s\"\n", rows[i].rules, phase_name(rows[i].at),
			    buf_str(&got), rows[i].want);
		}
		buf_free(&got);
		conf_free(conf);
	}
	return wrong;
}

#define ROWS_TEST(rows)                                                                   \
	static void test_##rows(void **state)                                             \
	{                                                                                 \
		(void)state;                                                              \
		assert_int_equal(check_rows(rows, sizeof(rows) / sizeof((rows)[0])), 0); \
	}
ROWS_TEST(order)
ROWS_TEST(missing)
ROWS_TEST(failed)
ROWS_TEST(others)
ROWS_TEST(clients)
ROWS_TEST(names)
ROWS_TEST(plain)
ROWS_TEST(lists)

/* --- what to ask for in advance --- */

static const struct {
	const char *rules;
	enum phase first, last;
	const char *want;
} wants[] = {
	{ "", PHASE_CONNECT, PHASE_MESSAGE, "" },
	{ "reject\n", PHASE_CONNECT, PHASE_MESSAGE, "" },
	{ "pause 4s when s25r\n", PHASE_CONNECT, PHASE_GREETING, "s25r" },
	{ "pause 4s when s25r\n", PHASE_CONNECT, PHASE_CONNECT, "" },
	{ "greylist when s25r or not rdns pass\n", PHASE_CONNECT, PHASE_GREETING, "" },
	{ "greylist when s25r or not rdns pass\n", PHASE_CONNECT, PHASE_RCPT, "rdns,s25r" },
	/* both sides of everything, whatever decides later */
	{ "reject when not (trapped and s25r)\n", PHASE_CONNECT, PHASE_RCPT, "s25r,trapped" },
	/* the recipient cannot be known at connect, nor asked for */
	{ "reject when known-correspondent and trapped\n", PHASE_CONNECT, PHASE_RCPT, "trapped" },
	{ "reject when known-correspondent and trapped\n", PHASE_RCPT, PHASE_RCPT, "trapped,known-correspondent" },
	/* names in a table of clients */
	{ "trust when client in <nets>\n", PHASE_CONNECT, PHASE_RCPT, "client" },
	{ "trust when client in <friends>\n", PHASE_CONNECT, PHASE_RCPT, "client,rdns" },
	/* rules that only watch ask as others do */
	{ "observe reject when trapped\n", PHASE_CONNECT, PHASE_RCPT, "trapped" },
};

static void
test_wants(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(wants) / sizeof(wants[0]); i++) {
		struct conf *conf = parse(wants[i].rules);
		struct buf got = { 0 };

		add_facts(&got, gate_wants(&conf->gate, wants[i].first, wants[i].last));
		assert_string_equal(buf_str(&got), wants[i].want);
		buf_free(&got);
		conf_free(conf);
	}
}

/* --- who is refused whatever else turns up --- */

static const struct {
	const char *rules;
	enum phase first;
	const char *want;
} foreseen[] = {
	{ "reject when client in <nets>\n", PHASE_CONNECT, "reject#1" },
	{ "drop at helo when client in <nets>\n", PHASE_CONNECT, "drop#1" },
	{ "pause 4s\nmark \"X\" \"y\" when client in <nets>\nreject when client in <nets>\n", PHASE_CONNECT, "reject#3" },
	/* the operator or the ledger may speak for him */
	{ "tempfail at mail when client in <nets>\n", PHASE_CONNECT, "" },
	{ "tempfail when client in <nets>\n", PHASE_CONNECT, "" },
	{ "greylist when client in <nets>\n", PHASE_CONNECT, "" },
	/* a rule above, or in a phase before, is open */
	{ "observe reject when s25r\nreject when client in <nets>\n", PHASE_CONNECT, "" },
	{ "reject when client in <nets>\npause 4s when s25r\n", PHASE_CONNECT, "" },
	{ "reject when client in <nets>\npause 4s when s25r\n", PHASE_HELO, "reject#1" },
	{ "reject when client in <nets>\nreject when s25r\n", PHASE_CONNECT, "reject#1" },
	/* whom a rule above lets through */
	{ "trust when client in <nets>\nreject when client in <nets>\n", PHASE_CONNECT, "" },
	{ "pass when client in <nets>\nreject when client in <nets>\n", PHASE_CONNECT, "" },
	{ "pass at helo when client in <nets>\nreject when client in <nets>\n", PHASE_CONNECT, "reject#2" },
	{ "reject at data when client in <nets>\n", PHASE_CONNECT, "" },
};

static void
test_foresee(void **state)
{
	struct facts facts = { .known = FACT_BIT(FACT_CLIENT) };
	size_t i;

	(void)state;
	assert_true(ip_parse("192.0.2.7", &facts.client));
	for (i = 0; i < sizeof(foreseen) / sizeof(foreseen[0]); i++) {
		struct conf *conf = parse(foreseen[i].rules);
		const struct rule *r = gate_foresee(&conf->gate, foreseen[i].first, PHASE_RCPT, &facts);
		char tag[32] = "";

		if (r != NULL)
			rule_tag(r, tag, sizeof(tag));
		assert_string_equal(tag, foreseen[i].want);
		conf_free(conf);
	}
}

/* --- for explain: one condition --- */

static void
test_condition(void **state)
{
	struct conf *conf = parse("reject when trapped and s25r\n");
	struct facts f = { 0 };
	uint32_t need = K(HELO); /* what the caller had collected stays */

	(void)state;
	assert_int_equal(condition_eval(conf->gate.rules[0].when, &f, &need), -1);
	assert_int_equal(need, K(HELO) | K(TRAPPED) | K(S25R));
	need = 0;
	f.known = K(TRAPPED) | K(S25R);
	assert_int_equal(condition_eval(conf->gate.rules[0].when, &f, &need), 0);
	f.trapped = true;
	assert_int_equal(condition_eval(conf->gate.rules[0].when, &f, &need), 1);
	f.failed = K(S25R);
	assert_int_equal(condition_eval(conf->gate.rules[0].when, &f, &need), 0);
	assert_int_equal(condition_eval(NULL, &f, &need), 1);
	assert_int_equal(need, 0);
	conf_free(conf);
}

/* The bits of a result are for 64 rules; those behind may decide and delay, and nothing that needs a
 * bit is accepted. */
static void
test_many_rules(void **state)
{
	struct buf rules = { 0 };
	struct gate_result result;
	struct facts f = { .known = K(TRAPPED) };
	struct conf *conf;
	unsigned i;

	(void)state;
	for (i = 0; i < 64; i++)
		buf_adds(&rules, "mark \"X-A\" \"b\"\n");
	buf_adds(&rules, "tarpit 5s\nreject\n");
	conf = parse(buf_str(&rules));
	gate_run(&conf->gate, PHASE_RCPT, &f, &result);
	assert_int_equal(result.marks, UINT64_MAX);
	assert_int_equal(result.verdict->number, 66);
	assert_int_equal(result.wait->number, 65);
	for (i = 0; i < 3; i++) {
		static const struct rule hidden[] = { { .action = ACTION_MARK }, { .action = ACTION_TRAP, .seconds = 9 },
			{ .action = ACTION_REJECT, .observe = true } };
		struct rule rule = hidden[i];
		char *why;

		rule.number = 65;
		why = rule_check(&rule);
		assert_non_null(why);
		assert_non_null(strstr(why, "64"));
		free(why);
		rule.number = 64;
		assert_null(rule_check(&rule));
	}
	conf_free(conf);
	buf_free(&rules);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_failed),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_clients),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_wants),
		cmocka_unit_test(test_foresee),
		cmocka_unit_test(test_condition),
		cmocka_unit_test(test_many_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
