/*
 * The gate's words: names of phases, actions, facts and results, rules and conditions printed as
 * they would stand in the file, and the text of the built-in default.
 *
 * The configuration prints with it, the log, the replies and smtpctl's explain name rules with it.
 * Nothing here can fail. What must never happen: a printed condition that reads back to another
 * one; so parentheses follow the grammar's precedence (not before and before or), and values go
 * through lib/quote.h.
 */
#include <stdio.h>
#include <string.h>

#include "filters/gate.h"
#include "filters/s25r.h"
#include "lib/buf.h"
#include "lib/quantity.h"
#include "lib/quote.h"
#include "lib/table.h"

static const char *const phase_names[PHASE_COUNT] = {
	[PHASE_CONNECT] = "connect",
	[PHASE_GREETING] = "greeting",
	[PHASE_HELO] = "helo",
	[PHASE_MAIL] = "mail",
	[PHASE_RCPT] = "rcpt",
	[PHASE_DATA] = "data",
	[PHASE_MESSAGE] = "message",
};

static const char *const action_names[ACTION_COUNT] = {
	[ACTION_TRUST] = "trust",
	[ACTION_PASS] = "pass",
	[ACTION_PAUSE] = "pause",
	[ACTION_TARPIT] = "tarpit",
	[ACTION_MARK] = "mark",
	[ACTION_TRAP] = "trap",
	[ACTION_GREYLIST] = "greylist",
	[ACTION_TEMPFAIL] = "tempfail",
	[ACTION_REJECT] = "reject",
	[ACTION_DROP] = "drop",
};

static const char *const fact_names[FACT_COUNT] = {
	[FACT_CLIENT] = "client",
	[FACT_TIME] = "time",
	[FACT_RDNS] = "rdns",
	[FACT_S25R] = "s25r",
	[FACT_DNSBL] = "dnsbl",
	[FACT_DNSWL] = "dnswl",
	[FACT_RATE] = "rate",
	[FACT_CONNECTIONS] = "connections",
	[FACT_TRAPPED] = "trapped",
	[FACT_EARLY_TALKER] = "early-talker",
	[FACT_HELO] = "helo",
	[FACT_HELO_RESOLVES] = "helo resolves-to-client",
	[FACT_SENDER] = "sender",
	[FACT_SENDER_DOMAIN] = "sender-domain",
	[FACT_SPF] = "spf",
	[FACT_RECIPIENT] = "recipient",
	[FACT_KNOWN_CORRESPONDENT] = "known-correspondent",
	[FACT_LIST_MEMBER] = "list-member",
	[FACT_UNKNOWN_RECIPIENTS] = "unknown-recipients",
	[FACT_PIPELINING] = "pipelining",
	[FACT_DKIM] = "dkim",
	[FACT_DMARC] = "dmarc",
	[FACT_SIZE] = "size",
	[FACT_AUTHENTICATED] = "authenticated",
	[FACT_TLS] = "tls",
};

/* RFC 8601 2.7 */
static const char *const auth_result_names[] = {
	[AUTH_NONE] = "none",
	[AUTH_NEUTRAL] = "neutral",
	[AUTH_PASS] = "pass",
	[AUTH_FAIL] = "fail",
	[AUTH_SOFTFAIL] = "softfail",
	[AUTH_POLICY] = "policy",
	[AUTH_TEMPERROR] = "temperror",
	[AUTH_PERMERROR] = "permerror",
};

static const char *const grey_by_names[GREY_BY_COUNT] = {
	[GREY_BY_TRIPLET] = "triplet",
	[GREY_BY_NETWORK] = "network",
	[GREY_BY_ADDRESS] = "address",
	[GREY_BY_CLIENT] = "client",
};

/* For code that is handed a number from a record: an unknown one has a name too. */
static const char *
name_of(const char *const *names, size_t n, size_t i)
{
	return i < n && names[i] != NULL ? names[i] : "unknown";
}

const char *
phase_name(enum phase phase)
{
	return name_of(phase_names, PHASE_COUNT, phase);
}

const char *
action_name(enum action action)
{
	return name_of(action_names, ACTION_COUNT, action);
}

const char *
fact_name(enum fact fact)
{
	return name_of(fact_names, FACT_COUNT, fact);
}

const char *
auth_result_name(enum auth_result result)
{
	return name_of(auth_result_names, AUTH_PERMERROR + 1, result);
}

static const char *
grey_by_name(enum grey_by by)
{
	return name_of(grey_by_names, GREY_BY_COUNT, by);
}

int
phase_by_name(const char *name)
{
	int i;

	for (i = 0; i < PHASE_COUNT; i++) {
		if (strcmp(phase_names[i], name) == 0)
			return i;
	}
	return -1;
}

static void
print_s25r(struct buf *out, const struct test *test)
{
	if (test->value == S25R_OWN)
		buf_adds(out, " own-address");
	else if (test->value != S25R_ANY)
		buf_addf(out, " %d", test->value);
}

static void
print_dnsbl(struct buf *out, const struct test *test)
{
	buf_addc(out, ' ');
	if (test->in != NULL)
		table_print(out, test->in);
	else
		quote_add(out, test->zone);
	if (test->at_least != 0)
		buf_addf(out, " >= %d", test->at_least);
}

static void
print_rate(struct buf *out, const struct test *test)
{
	buf_addf(out, "%s > %llu", test->network ? " from network" : "", (unsigned long long)test->more_than);
	if (test->period == 0)
		return;
	buf_adds(out, " per ");
	quantity_add_time(out, test->period);
}

static void
print_test(struct buf *out, const struct test *test)
{
	buf_adds(out, fact_name(test->fact));
	if (test->fact == FACT_DNSBL || test->fact == FACT_DNSWL) {
		print_dnsbl(out, test);
		return;
	}
	if (test->in != NULL) {
		buf_adds(out, " in ");
		table_print(out, test->in);
		return;
	}
	switch (test->fact) {
	case FACT_RDNS:
		buf_addf(out, " %s", rdns_status_name(test->value));
		break;
	case FACT_S25R:
		print_s25r(out, test);
		break;
	case FACT_SPF:
	case FACT_DKIM:
	case FACT_DMARC:
		buf_addf(out, " %s", auth_result_name(test->value));
		break;
	case FACT_RATE:
	case FACT_CONNECTIONS:
	case FACT_UNKNOWN_RECIPIENTS:
		print_rate(out, test);
		break;
	case FACT_HELO:
		buf_addf(out, " %s", helo_kind_name(test->value));
		break;
	case FACT_SENDER_DOMAIN:
		buf_addf(out, " %s", sender_domain_name(test->value));
		break;
	case FACT_TIME:
		buf_addf(out, " %02u:%02u-%02u:%02u", test->from / 60u, test->from % 60u, test->to / 60u,
		    test->to % 60u);
		break;
	case FACT_SIZE:
		buf_adds(out, " > ");
		quantity_add_size(out, test->more_than);
		break;
	default:
		break;
	}
}

/* How tightly an operator binds. */
static int
binding(const struct condition *condition)
{
	switch (condition->op) {
	case CONDITION_OR:
		return 0;
	case CONDITION_AND:
		return 1;
	case CONDITION_NOT:
		return 2;
	default:
		return 3;
	}
}

static void
print_inside(struct buf *out, const struct condition *condition, int least)
{
	bool parentheses = binding(condition) < least;

	if (parentheses)
		buf_addc(out, '(');
	condition_print(out, condition);
	if (parentheses)
		buf_addc(out, ')');
}

void
condition_print(struct buf *out, const struct condition *condition)
{
	int own = binding(condition);

	switch (condition->op) {
	case CONDITION_TEST:
		print_test(out, &condition->test);
		break;
	case CONDITION_NOT:
		buf_adds(out, "not ");
		print_inside(out, condition->left, own);
		break;
	case CONDITION_AND:
	case CONDITION_OR:
		print_inside(out, condition->left, own);
		buf_adds(out, condition->op == CONDITION_AND ? " and " : " or ");
		print_inside(out, condition->right, own);
		break;
	}
}

static void
print_time(struct buf *out, const char *before, uint32_t seconds)
{
	if (seconds == 0)
		return;
	buf_adds(out, before);
	quantity_add_time(out, seconds);
}

static void
print_string(struct buf *out, const char *s)
{
	if (s == NULL)
		return;
	buf_addc(out, ' ');
	quote_add(out, s);
}

static void
print_greylist(struct buf *out, const struct rule *rule)
{
	if (rule->by != GREY_BY_TRIPLET)
		buf_addf(out, " by %s", grey_by_name(rule->by));
	print_time(out, " delay ", rule->delay);
	print_time(out, " window ", rule->window);
	print_time(out, " lifetime ", rule->lifetime);
	if (rule->trust_after == GREYLIST_TRUST_NEVER)
		buf_adds(out, " trust-after off");
	else if (rule->trust_after != 0)
		buf_addf(out, " trust-after %u", rule->trust_after);
}

/* The phase is always named, except where it is fixed: a reader should not have to know the
 * defaults. */
void
rule_print(struct buf *out, const struct rule *rule)
{
	if (rule->observe)
		buf_adds(out, "observe ");
	buf_adds(out, action_name(rule->action));
	print_time(out, " ", rule->seconds);
	if (rule->else_greylist)
		buf_adds(out, " else greylist");
	print_greylist(out, rule);
	print_time(out, " rescue ", rule->rescue);
	print_string(out, rule->name);
	print_string(out, rule->text);
	if (rule->action != ACTION_PAUSE)
		buf_addf(out, " at %s", phase_name(rule->at));
	if (rule->when != NULL) {
		buf_adds(out, " when ");
		condition_print(out, rule->when);
	}
}

void
rule_tag(const struct rule *rule, char *out, unsigned size)
{
	snprintf(out, size, "%s#%u", action_name(rule->action), rule->number);
}

const char *
gate_default_text(void)
{
	static const char text[] =
	    "# What these rules let in and keep out is measured: docs/gate.md.  Only two things refuse\n"
	    "# for good, neither of them a server's: talking out of turn, and calling oneself by our\n"
	    "# name.  Whatever else speaks against a caller costs him time, and he gets in.\n"
	    "\n"
	    "# Programs that send spam talk before they are greeted, or hang up.  Servers wait, and who\n"
	    "# has waited does not wait again for a day.  Some give us 30 s and no more.\n"
	    "pause 20s when s25r own-address or s25r 3 or s25r 4 or s25r 6 or not rdns pass\n"
	    "pause 12s\n"
	    "# RFC 5321 4.3.1, RFC 2920: a client waits for our greeting, and for what EHLO says.\n"
	    "reject when early-talker\n"
	    "reject when pipelining\n"
	    "\n"
	    "# Whom the sender's domain or one of us vouches for is not kept.  For the line of a home and\n"
	    "# for a host without a name SPF alone is not enough: a domain for a day costs nothing.\n"
	    "pass when spf pass and (helo resolves-to-client\n"
	    "    or (rdns pass and not (s25r own-address or s25r 3 or s25r 4 or s25r 6)))\n"
	    "pass when known-correspondent and not spf fail\n"
	    "reject when helo own-name and not helo resolves-to-client\n"
	    "# Who guesses addresses comes again in an hour, for a day; so do lists with old addresses.\n"
	    "trap 1d when unknown-recipients > 5\n"
	    "greylist delay 1h window 12h when trapped or unknown-recipients > 5\n"
	    "# A name of his own, and a sender who can be: the small server with its provider's PTR.\n"
	    "pass when helo resolves-to-client and not (sender-domain none or spf fail or spf softfail)\n"
	    "\n"
	    "# Nobody vouches for the rest.  Servers have five minutes at RCPT (RFC 5321 4.5.3.2); who\n"
	    "# does not wait is greylisted.  For a name of his own or a good one that is all, and for a\n"
	    "# line of a sender who names it in SPF.\n"
	    "tarpit 125s else greylist\n"
	    "pass when helo resolves-to-client or (spf pass and rdns pass)\n"
	    "# The line of a home, or no name that leads back, and one more sign of a bot: a server that\n"
	    "# is set up as badly comes again after three hours, before its author is warned.  Of S25R\n"
	    "# only the rules that no large sender's name matches.  Twelve hours, because a bot that\n"
	    "# comes every day does not try again.\n"
	    "greylist delay 3h window 12h when (\n"
	    "    (s25r own-address or s25r 3 or s25r 4 or s25r 6 or not rdns pass) and (helo invalid\n"
	    "    or helo literal or sender-domain none or spf fail or spf softfail or spf neutral))\n"
	    "# The same without another sign.  DNS that fails is no name, and heals in time.\n"
	    "greylist window 12h when (\n"
	    "    s25r own-address or s25r 3 or s25r 4 or s25r 6 or not rdns pass)\n"
	    "# A good name and two signs.\n"
	    "greylist window 12h when ((helo invalid or helo literal)\n"
	    "    and (sender-domain none or spf fail or spf softfail or spf neutral))\n";

	return text;
}
