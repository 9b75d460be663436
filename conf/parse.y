/*
 * The grammar of smtpd.conf, and the messages about what does not fit it.
 *
 * conf_parse() calls it.  An action does nothing but hand what was read to conf/build.h; the
 * meaning is there.  A statement that does not fit is reported and skipped, and the next one is
 * read as if nothing had been wrong, so that one reading shows all mistakes.  What must never
 * happen: an error without a complaint, because then a configuration that was not understood would
 * be taken for a good one.
 */
%code requires {
#include "conf/build.h"
#include "conf/lex.h"
}

%code {
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "conf/expect.h"
#include "deliver/destination.h"
#include "filters/s25r.h"
#include "lib/table.h"

/* A thing is where it begins. */
#define YYLLOC_DEFAULT(current, rhs, n) ((current) = (n) > 0 ? YYRHSLOC(rhs, 1) : YYRHSLOC(rhs, 0))

/* A condition that asks for one fact. */
#define ASK(at, ...) build_test(build, (struct test){ .place = (at), .fact = __VA_ARGS__ })

static int conf_yylex(CONF_YYSTYPE *, CONF_YYLTYPE *, struct lexer *, struct build *);
static void conf_yyerror(const CONF_YYLTYPE *, struct lexer *, struct build *, const char *);
}

%define api.pure full
%define api.prefix {conf_yy}
%define api.token.prefix {T_}
%define api.location.type {struct place}
%define parse.error custom
%define parse.lac full
%param { struct lexer *lexer } { struct build *build }
%expect 0
%initial-action { @$ = (struct place){ 1, 1 }; }

%union {
	char *text;
	uint64_t number;
	int choice;
	bool flag;
	struct strings strings;
	struct hops hops;
	struct table *table;
	struct condition *condition;
	struct rule rule;
	struct limit_value limit;
}

%token BAD NEWLINE OPEN CLOSE LIST_OPEN LIST_CLOSE AT_LEAST
%token <text> WORD STRING NETWORK TABLE_NAME
%token <number> NUMBER BYTES TIME

%token HOST SPOOL RESOLVER CERTIFICATE TABLE LISTEN LIMIT LOG GATE DOMAIN POSTMASTER REWRITE RELAY ACCOUNTS
%token PORT ANCHOR NONE CHAIN KEY OCSP FILE DB REGEX ON OFF TLS IMPLICIT_TLS CLIENT_CA SUBMISSION XCLIENT PROXY NORMALIZE FROM
%token SYSLOG STDERR JSON SASLDB SASLAUTHD DOVECOT SENDERS
%token ALIASES AS DELIMITER USERS SYSTEM DELIVER MAILDIR MBOX LMTP PIPE LISTS TO ROUTE MX
%token REQUIRED VERIFY LOGIN SOURCE PROVIDERS
%token OBSERVE TRUST PAUSE TARPIT MARK TRAP GREYLIST TEMPFAIL REJECT DROP
%token ELSE DELAY WINDOW LIFETIME BY TRUST_AFTER RESCUE TRIPLET THE_NETWORK ADDRESS AT WHEN
%token CONNECT GREETING HELO MAIL RCPT DATA MESSAGE
%token NOT AND OR IN PER
%token CLIENT DAYTIME RDNS S25R OWN_ADDRESS DNSBL DNSWL RATE CONNECTIONS TRAPPED EARLY_TALKER
%token LITERAL OWN_NAME INVALID RESOLVES_TO_CLIENT SENDER SENDER_DOMAIN RESOLVES NULLMX SPF RECIPIENT
%token KNOWN_CORRESPONDENT LIST_MEMBER UNKNOWN_RECIPIENTS PIPELINING DKIM DMARC SIZE AUTHENTICATED
%token PASS MISMATCH NEUTRAL FAIL SOFTFAIL POLICY TEMPERROR PERMERROR

%type <text> name address single text path
%type <number> port
%type <choice> action_with_text action_with_time mailbox_method phase
%type <choice> dnsbl at_least fact_in fact_alone auth rdns_result auth_result s25r_rule
%type <choice> helo_kind sender_domain
%type <number> per rescue
%type <choice> grey_by
%type <flag> json observe else from_network
%type <strings> arguments
%type <hops> hops servers hop_list
%type <choice> tls_level
%type <table> set map list elements patterns pattern_elements
%type <condition> condition alternative negation question when
%type <rule> rule action at greylist
%type <limit> limit_value

%destructor { free($$); } <text>
%destructor { strings_free(&$$); } <strings>
%destructor { destination_free($$.list, $$.n, NULL); } <hops>
%destructor { table_free_in_place($$); } <table>
%destructor { condition_free($$); } <condition>
%destructor { rule_free_parts(&$$); } <rule>

%%

file:
	%empty
|	file NEWLINE
|	file statement NEWLINE
|	file error NEWLINE			{ yyerrok; }
;

statement:
	HOST name				{ build_host(build, @2, $2); }
|	SPOOL name				{ build_spool(build, @2, $2); }
|	RESOLVER server
|	RESOLVER anchor
|	RESOLVER server anchor
|	certificate key_pairs
|	TABLE name list				{ build_table(build, @2, $2, TABLE_LIST, $3, NULL); }
|	TABLE name FILE name			{ build_table(build, @2, $2, TABLE_LIST, NULL, $4); }
|	TABLE name DB name			{ build_table(build, @2, $2, TABLE_DB, NULL, $4); }
|	TABLE name REGEX patterns		{ build_table(build, @2, $2, TABLE_REGEX, $4, NULL); }
|	TABLE name REGEX name			{ build_table(build, @2, $2, TABLE_REGEX, NULL, $4); }
|	listener listen_options			{ build_listener_end(build); }
|	POSTMASTER name				{ build_postmaster(build, @2, $2); }
|	REWRITE set				{ build_rewrite(build, @2, $2); }
|	LIMIT name limit_value
		{ build_limit(build, @2, $2, $3); }
|	accounts senders
|	LOG SYSLOG json				{ build_log(build, @1, false, $3); }
|	LOG STDERR json				{ build_log(build, @1, true, $3); }
|	gate OPEN rules last_rule CLOSE
|	gate					{ build_gate_alone(build); }
|	domain OPEN domain_lines last_domain_line CLOSE
|	relay OPEN relay_lines last_relay_line CLOSE
;

	/* What a statement with parts begins with: the parts that follow belong to it. */

certificate:
	CERTIFICATE name			{ build_certificate(build, @2, $2); }
;

listener:
	LISTEN ON address port			{ build_listener(build, @3, $3, $4); }
;

gate:
	GATE observe		{ build_gate(build, @1, $2); }
;

domain:
	DOMAIN name				{ build_domain(build, @2, $2); }
;

relay:
	RELAY			{ build_once(build, &build->relay_at, @1, "relay"); }
;

accounts:
	ACCOUNTS map				{ build_accounts_table(build, @1, $2); }
|	ACCOUNTS FILE name			{ build_accounts(build, @1, ACCOUNTS_FILE, @3, $3); }
|	ACCOUNTS SASLDB path			{ build_accounts(build, @1, ACCOUNTS_SASLDB, @3, $3); }
|	ACCOUNTS SASLAUTHD path			{ build_accounts(build, @1, ACCOUNTS_SASLAUTHD, @3, $3); }
|	ACCOUNTS DOVECOT name			{ build_accounts(build, @1, ACCOUNTS_DOVECOT, @3, $3); }
;

path:
	%empty					{ $$ = NULL; }
|	name
;

senders:
	%empty
|	SENDERS map				{ build_senders(build, @2, $2); }
;

server:
	address port				{ build_server(build, @1, $1, $2); }
;

anchor:
	ANCHOR NONE				{ build_anchor(build, @1, NULL); }
|	ANCHOR name				{ build_anchor(build, @1, $2); }
;

port:
	%empty					{ $$ = 0; }
|	PORT NUMBER
		{
			$$ = $2;
			if ($2 < 1 || $2 > UINT16_MAX)
				complain(&build->errors, @2, "ports go from 1 to 65535");
		}
;

json:
	%empty					{ $$ = false; }
|	JSON					{ $$ = true; }
;

limit_value:
	NUMBER		{ $$ = (struct limit_value){ @1, QUANTITY_COUNT, false, $1 }; }
|	BYTES		{ $$ = (struct limit_value){ @1, QUANTITY_SIZE, false, $1 }; }
|	TIME		{ $$ = (struct limit_value){ @1, QUANTITY_TIME, false, $1 }; }
|	OFF		{ $$ = (struct limit_value){ @1, QUANTITY_NONE, true, 0 }; }
;

key_pairs:
	key_pair
|	key_pairs key_pair
|	key_pairs OCSP name			{ build_ocsp(build, @3, $3); }
;

key_pair:
	CHAIN name KEY name			{ build_key_pair(build, @2, $2, @4, $4); }
;

listen_options:
	%empty
|	listen_options listen_option
;

listen_option:
	TLS name				{ build_listener_tls(build, @1, $2, false); }
|	IMPLICIT_TLS name			{ build_listener_tls(build, @1, $2, true); }
|	CLIENT_CA name				{ build_listener_client_ca(build, @2, $2); }
|	SUBMISSION				{ build_listener_submission(build, @1); }
|	GATE					{ build_listener_gate(build, @1); }
|	XCLIENT FROM set			{ build_listener_xclient(build, @3, $3); }
|	PROXY FROM set				{ build_listener_proxy(build, @3, $3); }
|	NORMALIZE FROM set			{ build_listener_normalize(build, @3, $3); }
;

	/* --- domains and routes --- */

domain_lines:
	%empty
|	domain_lines NEWLINE
|	domain_lines domain_line NEWLINE
|	domain_lines error NEWLINE		{ yyerrok; }
;

last_domain_line:
	%empty
|	domain_line
|	error					{ yyerrok; }
;

domain_line:
	ALIASES set				{ build_domain_aliases(build, @1, $2, NULL); }
|	ALIASES set AS name			{ build_domain_aliases(build, @1, $2, $4); }
|	DELIMITER name				{ build_domain_delimiter(build, @2, $2); }
|	DELIMITER OFF			{ build_domain_delimiter(build, @2, strdup("")); }
|	USERS SYSTEM				{ build_domain_users(build, @1, NULL); }
|	USERS set				{ build_domain_users(build, @1, $2); }
|	DELIVER mailbox_method name
		{ build_domain_deliver(build, @3, $2, $3, (struct strings){ NULL, 0 }); }
|	DELIVER PIPE name arguments
		{ build_domain_deliver(build, @3, MAILBOX_PIPE, $3, $4); }
|	LISTS					{ build_domain_lists(build, @1); }
|	RELAY TO hops				{ build_domain_relay(build, @1, $3); }
;

mailbox_method:
	MAILDIR					{ $$ = MAILBOX_MAILDIR; }
|	MBOX					{ $$ = MAILBOX_MBOX; }
|	LMTP					{ $$ = MAILBOX_LMTP; }
;

arguments:
	%empty					{ $$ = (struct strings){ NULL, 0 }; }
|	arguments name				{ $$ = $1; strings_add(&$$, $2); }
;

relay_lines:
	%empty
|	relay_lines NEWLINE
|	relay_lines relay_line NEWLINE
|	relay_lines error NEWLINE		{ yyerrok; }
;

last_relay_line:
	%empty
|	relay_line
|	error					{ yyerrok; }
;

relay_line:
	FROM set				{ build_relay_from(build, @2, $2); }
|	TRUST name				{ build_relay_trust(build, @1, $2); }
|	PROVIDERS map				{ build_relay_providers(build, @1, $2); }
|	ROUTE name TO hops			{ build_route(build, @2, $2, false, $4); }
|	ROUTE FROM name TO hops			{ build_route(build, @3, $3, true, $5); }
;

hops:
	servers
|	hops TLS tls_level			{ $$ = $1; build_hops_tls(build, @2, &$$, $3, false); }
|	hops IMPLICIT_TLS tls_level		{ $$ = $1; build_hops_tls(build, @2, &$$, $3, true); }
|	hops LOGIN name				{ $$ = $1; build_hops_login(build, @2, &$$, $3); }
|	hops SOURCE address			{ $$ = $1; build_hops_source(build, @3, &$$, $3); }
|	hops AS name				{ $$ = $1; build_hops_as(build, @3, &$$, $3); }
;

tls_level:
	OFF					{ $$ = HOP_TLS_OFF; }
|	REQUIRED				{ $$ = HOP_TLS_REQUIRED; }
|	VERIFY					{ $$ = HOP_TLS_VERIFY; }
;

servers:
	MX
		{
			$$ = (struct hops){ .n = 0 };
			build_hop(build, @1, &$$, NULL);
		}
|	hop_list
;

hop_list:
	address
		{
			$$ = (struct hops){ .n = 0 };
			build_hop(build, @1, &$$, $1);
		}
|	hop_list ',' address			{ $$ = $1; build_hop(build, @3, &$$, $3); }
;

	/* --- names and sets --- */

name:
	WORD
|	STRING
;

address:
	name
|	NETWORK
;

text:
	%empty					{ $$ = NULL; }
|	STRING
;

set:
	TABLE_NAME				{ $$ = build_table_used(build, @1, $1); }
|	list
|	single
		{
			$$ = table_new("");
			build_element(build, @1, $$, $1, NULL);
		}
;

map:
	TABLE_NAME				{ $$ = build_table_used(build, @1, $1); }
|	list
;

	/* Without braces no bare word: it would swallow every misspelt keyword. */
single:
	NETWORK
|	STRING
;

list:
	LIST_OPEN elements LIST_CLOSE		{ $$ = $2; }
;

	/* Patterns are kept as they are written. */
patterns:
	LIST_OPEN pattern_elements LIST_CLOSE	{ $$ = $2; }
;

pattern_elements:
	%empty			{ $$ = table_new(""); table_set_kind($$, TABLE_REGEX); }
|	pattern_elements ','			{ $$ = $1; }
|	pattern_elements name			{ $$ = $1; build_element(build, @2, $1, $2, NULL); }
|	pattern_elements name '=' address	{ $$ = $1; build_element(build, @2, $1, $2, $4); }
;

elements:
	%empty					{ $$ = table_new(""); }
|	elements ','				{ $$ = $1; }
|	elements address			{ $$ = $1; build_element(build, @2, $1, $2, NULL); }
|	elements address '=' address		{ $$ = $1; build_element(build, @2, $1, $2, $4); }
;

	/* --- the gate --- */

rules:
	%empty
|	rules NEWLINE
|	rules rule NEWLINE			{ build_rule(build, $2); }
|	rules error NEWLINE			{ build_rule_skipped(build); yyerrok; }
;

last_rule:
	%empty
|	rule					{ build_rule(build, $1); }
|	error					{ build_rule_skipped(build); yyerrok; }
;

rule:
	observe action at when
		{
			$$ = $2;
			$$.place = @2;
			$$.observe = $1;
			$$.at_given = $3.at_given;
			$$.at = $3.at;
			$$.when = $4;
		}
;

observe:
	%empty					{ $$ = false; }
|	OBSERVE					{ $$ = true; }
;

action:
	TRUST					{ $$ = (struct rule){ .action = ACTION_TRUST }; }
|	PASS					{ $$ = (struct rule){ .action = ACTION_PASS }; }
|	action_with_time TIME
		{ $$ = (struct rule){ .action = $1, .seconds = $2 }; }
|	TARPIT TIME else
		{ $$ = (struct rule){ .action = ACTION_TARPIT, .seconds = $2, .else_greylist = $3 }; }
|	MARK name STRING
		{ $$ = (struct rule){ .action = ACTION_MARK, .name = $2, .text = $3 }; }
|	greylist
|	TEMPFAIL rescue text
		{ $$ = (struct rule){ .action = ACTION_TEMPFAIL, .rescue = $2, .text = $3 }; }
|	action_with_text text			{ $$ = (struct rule){ .action = $1, .text = $2 }; }
;

else:
	%empty					{ $$ = false; }
|	ELSE GREYLIST				{ $$ = true; }
;

action_with_time:
	PAUSE					{ $$ = ACTION_PAUSE; }
|	TRAP					{ $$ = ACTION_TRAP; }
;

action_with_text:
	REJECT					{ $$ = ACTION_REJECT; }
|	DROP					{ $$ = ACTION_DROP; }
;

rescue:
	%empty					{ $$ = 0; }
|	RESCUE TIME				{ $$ = build_rescue(build, @2, $2); }
;

greylist:
	GREYLIST				{ $$ = (struct rule){ .action = ACTION_GREYLIST }; }
|	greylist DELAY TIME
		{ $$ = $1; build_greylist_time(build, @2, &$$.delay, "delay", $3); }
|	greylist WINDOW TIME
		{ $$ = $1; build_greylist_time(build, @2, &$$.window, "window", $3); }
|	greylist LIFETIME TIME
		{ $$ = $1; build_greylist_time(build, @2, &$$.lifetime, "lifetime", $3); }
|	greylist STRING
		{ $$ = $1; build_greylist_text(build, @2, &$$, $2); }
|	greylist BY grey_by
		{ $$ = $1; build_greylist_by(build, @2, &$$, $3); }
|	greylist TRUST_AFTER NUMBER
		{ $$ = $1; build_greylist_trust(build, @2, &$$, $3); }
|	greylist TRUST_AFTER OFF
		{ $$ = $1; build_greylist_trust(build, @2, &$$, GREYLIST_TRUST_NEVER); }
;

grey_by:
	TRIPLET					{ $$ = GREY_BY_TRIPLET; }
|	THE_NETWORK				{ $$ = GREY_BY_NETWORK; }
|	ADDRESS					{ $$ = GREY_BY_ADDRESS; }
|	CLIENT					{ $$ = GREY_BY_CLIENT; }
;

at:
	%empty		{ $$ = (struct rule){ .at_given = false }; }
|	AT phase	{ $$ = (struct rule){ .at_given = true, .at = $2 }; }
;

phase:
	CONNECT					{ $$ = PHASE_CONNECT; }
|	GREETING				{ $$ = PHASE_GREETING; }
|	HELO					{ $$ = PHASE_HELO; }
|	MAIL					{ $$ = PHASE_MAIL; }
|	RCPT					{ $$ = PHASE_RCPT; }
|	DATA					{ $$ = PHASE_DATA; }
|	MESSAGE					{ $$ = PHASE_MESSAGE; }
;

when:
	%empty					{ $$ = NULL; }
|	WHEN condition				{ $$ = $2; }
;

condition:
	alternative
|	condition OR alternative		{ $$ = build_operator(build, CONDITION_OR, $1, $3); }
;

alternative:
	negation
|	alternative AND negation		{ $$ = build_operator(build, CONDITION_AND, $1, $3); }
;

negation:
	question
|	NOT negation		{ $$ = build_operator(build, CONDITION_NOT, $2, NULL); }
|	'(' condition ')'			{ $$ = $2; }
;

question:
	fact_in IN set
		{ $$ = ASK(@1, $1, .in = $3); }
|	RDNS rdns_result
		{ $$ = ASK(@1, FACT_RDNS, .value = $2); }
|	RDNS IN set
		{ $$ = ASK(@1, FACT_RDNS, .in = $3); }
|	S25R s25r_rule
		{ $$ = ASK(@1, FACT_S25R, .value = $2); }
|	dnsbl name at_least
		{ $$ = ASK(@1, $1, .zone = $2, .at_least = $3); }
|	dnsbl list at_least
		{ $$ = ASK(@1, $1, .in = $2, .at_least = $3); }
|	dnsbl TABLE_NAME at_least
		{ $$ = ASK(@1, $1, .in = build_table_used(build, @2, $2), .at_least = $3); }
|	RATE from_network '>' NUMBER PER TIME
		{ $$ = ASK(@1, FACT_RATE, .network = $2, .more_than = $4, .period = $6); }
|	CONNECTIONS from_network '>' NUMBER
		{ $$ = ASK(@1, FACT_CONNECTIONS, .network = $2, .more_than = $4); }
|	UNKNOWN_RECIPIENTS '>' NUMBER per
		{ $$ = ASK(@1, FACT_UNKNOWN_RECIPIENTS, .more_than = $3, .period = $4); }
|	HELO helo_kind
		{ $$ = ASK(@1, FACT_HELO, .value = $2); }
|	HELO RESOLVES_TO_CLIENT
		{ $$ = ASK(@1, FACT_HELO_RESOLVES); }
|	SENDER_DOMAIN sender_domain
		{ $$ = ASK(@1, FACT_SENDER_DOMAIN, .value = $2); }
|	DAYTIME WORD
		{ $$ = build_daytime(build, @1, @2, $2); }
|	SIZE '>' BYTES
		{ $$ = ASK(@1, FACT_SIZE, .more_than = $3); }
|	SIZE '>' NUMBER
		{ $$ = ASK(@1, FACT_SIZE, .more_than = $3); }
|	auth auth_result
		{ $$ = ASK(@1, $1, .value = $2); }
|	fact_alone
		{ $$ = ASK(@1, $1); }
;

dnsbl:
	DNSBL					{ $$ = FACT_DNSBL; }
|	DNSWL					{ $$ = FACT_DNSWL; }
;

at_least:
	%empty					{ $$ = 0; }
|	AT_LEAST NUMBER
		{
			$$ = $2 < INT_MAX ? (int)$2 : INT_MAX;
			if ($2 == 0)
				complain(&build->errors, @2, "\">= 0\" is true of everybody");
		}
;

fact_in:
	CLIENT					{ $$ = FACT_CLIENT; }
|	HELO					{ $$ = FACT_HELO; }
|	SENDER					{ $$ = FACT_SENDER; }
|	RECIPIENT				{ $$ = FACT_RECIPIENT; }
;

fact_alone:
	TRAPPED					{ $$ = FACT_TRAPPED; }
|	EARLY_TALKER				{ $$ = FACT_EARLY_TALKER; }
|	KNOWN_CORRESPONDENT			{ $$ = FACT_KNOWN_CORRESPONDENT; }
|	LIST_MEMBER				{ $$ = FACT_LIST_MEMBER; }
|	PIPELINING				{ $$ = FACT_PIPELINING; }
|	AUTHENTICATED				{ $$ = FACT_AUTHENTICATED; }
|	TLS					{ $$ = FACT_TLS; }
;

from_network:
	%empty					{ $$ = false; }
|	FROM THE_NETWORK			{ $$ = true; }
;

per:
	%empty					{ $$ = UNKNOWN_RECIPIENTS_PERIOD; }
|	PER TIME				{ $$ = $2; }
;

helo_kind:
	LITERAL					{ $$ = HELO_LITERAL; }
|	OWN_NAME				{ $$ = HELO_OWN_NAME; }
|	INVALID					{ $$ = HELO_INVALID; }
;

sender_domain:
	RESOLVES				{ $$ = SENDER_DOMAIN_RESOLVES; }
|	NONE					{ $$ = SENDER_DOMAIN_NONE; }
|	NULLMX					{ $$ = SENDER_DOMAIN_NULLMX; }
|	TEMPERROR				{ $$ = SENDER_DOMAIN_TEMPERROR; }
;

auth:
	SPF					{ $$ = FACT_SPF; }
|	DKIM					{ $$ = FACT_DKIM; }
|	DMARC					{ $$ = FACT_DMARC; }
;

rdns_result:
	PASS					{ $$ = RDNS_PASS; }
|	NONE					{ $$ = RDNS_NONE; }
|	MISMATCH				{ $$ = RDNS_MISMATCH; }
|	TEMPERROR				{ $$ = RDNS_TEMPERROR; }
;

auth_result:
	NONE					{ $$ = AUTH_NONE; }
|	NEUTRAL					{ $$ = AUTH_NEUTRAL; }
|	PASS					{ $$ = AUTH_PASS; }
|	FAIL					{ $$ = AUTH_FAIL; }
|	SOFTFAIL				{ $$ = AUTH_SOFTFAIL; }
|	POLICY					{ $$ = AUTH_POLICY; }
|	TEMPERROR				{ $$ = AUTH_TEMPERROR; }
|	PERMERROR				{ $$ = AUTH_PERMERROR; }
;

s25r_rule:
	%empty					{ $$ = S25R_ANY; }
|	NUMBER					{ $$ = $1 < INT_MAX ? (int)$1 : INT_MAX; }
|	OWN_ADDRESS				{ $$ = S25R_OWN; }
;

%%

/* --- from the lexer --- */

static int
conf_yylex(CONF_YYSTYPE *value, CONF_YYLTYPE *place, struct lexer *lexer, struct build *build)
{
	struct token token;

	(void)build;
	lexer_next(lexer, &token);
	*place = token.place;
	if (token.text != NULL)
		value->text = token.text;
	else
		value->number = token.number;
	return token.kind;
}

/* --- messages --- */

static bool
is_expected(int token, void *arg)
{
	return ((const bool *)arg)[YYTRANSLATE(token)];
}

static int
yyreport_syntax_error(const yypcontext_t *context, struct lexer *lexer, struct build *build)
{
	yysymbol_kind_t kinds[YYNTOKENS];
	bool expected[YYNTOKENS] = { false };
	int i, n = yypcontext_expected_tokens(context, kinds, YYNTOKENS);
	char *message;

	if (n < 0)
		return n;
	if (lexer->last == T_BAD) {
		complain(&build->errors, *yypcontext_location(context), "%s", lexer->error);
		lexer_recover(lexer);
		return 0;
	}
	for (i = 0; i < n; i++)
		expected[kinds[i]] = true;
	message = expect_message(lexer, lexer->last, is_expected, expected);
	complain(&build->errors, *yypcontext_location(context), "%s", message);
	free(message);
	lexer_recover(lexer);
	return 0;
}

/* What is not a syntax error: the parser's stack is full. */
static void
conf_yyerror(const CONF_YYLTYPE *place, struct lexer *lexer, struct build *build, const char *what)
{
	(void)lexer;
	complain(&build->errors, *place, "%s: parentheses or \"not\" nested too deep", what);
}
