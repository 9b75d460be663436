/*
 * SPF: the readers of records and macros by tables, and check_host() on real packets from a small
 * DNS server on the test's own loop.  The RFC 7208 suite runs beside it
 * (regress/system/test_spf.py); here is what the suite does not ask: where a mistake is, what is
 * blanket, names that are known already, what is asked and how often, time, cancelling.
 */
#include <event2/event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filters/spf.h"
#include "filters/spf_macro.h"
#include "filters/spf_record.h"
#include "lib/buf.h"
#include "lib/dns.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"
#include "regress/unit/responder.h"
#include "regress/unit/until.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define TIMEOUT_MS 400

/* --- macros --- */

/* RFC 7208 7.4 and more. */
static void
test_expansion(void **state)
{
	static const struct {
		const char *text, *v4, *v6; /* v6 NULL: as v4 */
	} rows[] = {
		{ "%{s}", "strong-bad@email.example.com", NULL },
		{ "%{o}", "email.example.com", NULL },
		{ "%{d}", "email.example.com", NULL },
		{ "%{d4}", "email.example.com", NULL },
		{ "%{d3}", "email.example.com", NULL },
		{ "%{d2}", "example.com", NULL },
		{ "%{d1}", "com", NULL },
		{ "%{dr}", "com.example.email", NULL },
		{ "%{d2r}", "example.email", NULL },
		{ "%{D2R}", "example.email", NULL },
		{ "%{l}", "strong-bad", NULL },
		{ "%{l-}", "strong.bad", NULL },
		{ "%{lr}", "strong-bad", NULL },
		{ "%{lr-}", "bad.strong", NULL },
		{ "%{l1r-}", "strong", NULL },
		{ "%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com",
		    "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6._spf."
		    "example.com" },
		{ "%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com", NULL },
		{ "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}",
		    "3.2.0.192.in-addr.strong.lp._spf.example.com",
		    "1.0.B.C.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.B.D.0.1.0.0.2.ip6.strong.lp."
		    "_spf.example.com" },
		{ "%{c} %{r} %{t}", "192.0.2.3 mx.receiver.example 1234567890",
		    "2001:db8::cb01 mx.receiver.example 1234567890" },
		{ "%{h} %{p}", "he lo.example mx.example.org", NULL },
		{ "%{H}", "he%20lo.example", NULL },
		{ "%{S}", "strong-bad%40email.example.com", NULL },
		{ "100%%%_%-%{d1}", "100% %20com", NULL },
		{ "%{d999999999999999999999}", "email.example.com", NULL },
		{ "%{s1r@}", NULL, NULL },
		{ "%{sr.-+,/_=}", "com.example.bad@email.strong", NULL },
		{ "%{h2 }", NULL, NULL },
	};
	struct spf_macro_values v = { .local = "strong-bad",
		.sender_domain = "email.example.com",
		.domain = "email.example.com",
		.helo = "he lo.example",
		.validated = "mx.example.org",
		.receiver = "mx.receiver.example",
		.now = 1234567890 };
	struct ip ip4, ip6;
	struct buf out = { 0 };
	size_t i, at;

	(void)state;
	ip_parse("192.0.2.3", &ip4);
	ip_parse("2001:db8::cb01", &ip6);
	for (i = 0; i < COUNT(rows); i++) {
		const char *text = rows[i].text;
		bool ok = spf_macro_check(text, strlen(text), SPF_EXPLANATION, &at) == NULL;

		assert_int_equal(ok, rows[i].v4 != NULL);
		if (!ok)
			continue;
		v.client = &ip4;
		spf_macro_expand(&out, text, &v);
		assert_string_equal(buf_str(&out), rows[i].v4);
		buf_clear(&out);
		v.client = &ip6;
		spf_macro_expand(&out, text, &v);
		assert_string_equal(buf_str(&out), rows[i].v6 != NULL ? rows[i].v6 : rows[i].v4);
		buf_clear(&out);
	}
	buf_free(&out);
}

/* Splitting keeps empty parts, and nothing in a value is a macro (7.3). */
static void
test_odd_values(void **state)
{
	static const struct {
		const char *text, *local, *expect;
	} rows[] = {
		{ "%{l}", "%{d}", "%{d}" },
		{ "%{lr+}", "a++b", "b..a" },
		{ "%{lr+}", "+a", "a." },
		{ "%{l1+}", "a+", "" },
		{ "%{l2+}", "a+", "a." },
		{ "%{lr}", "", "" },
		{ "%{L}", "\xc3\xa4~", "%C3%A4~" },
		{ "%{l}", "a.b", "a.b" },
	};
	struct spf_macro_values v = {
		.sender_domain = "x", .domain = "y", .helo = "", .validated = "", .receiver = ""
	};
	struct buf out = { 0 };
	struct ip ip;
	size_t i;

	(void)state;
	ip_parse("192.0.2.3", &ip);
	v.client = &ip;
	for (i = 0; i < COUNT(rows); i++) {
		v.local = rows[i].local;
		spf_macro_expand(&out, rows[i].text, &v);
		assert_string_equal(buf_str(&out), rows[i].expect);
		buf_clear(&out);
	}
	buf_free(&out);
}

/* 7.3: longer than 253 octets loses labels on the left; a last dot goes, one only. */
static void
test_targets(void **state)
{
	struct spf_macro_values v = {
		.sender_domain = "", .local = "", .helo = "", .validated = "", .receiver = ""
	};
	char *longest, *longer, *target;
	struct ip ip;
	unsigned i;
	static const struct {
		const char *spec, *expect;
	} rows[] = {
		{ "a.example.org.", "a.example.org" },
		{ "a.example.org..", "a.example.org." },
		{ "%{d}", "" },
		{ ".", "" },
	};

	(void)state;
	ip_parse("192.0.2.3", &ip);
	v.client = &ip;
	v.domain = ".";
	for (i = 0; i < COUNT(rows); i++) {
		target = spf_macro_target(rows[i].spec, &v);
		assert_string_equal(target, rows[i].expect);
		free(target);
	}
	longest = xasprintf("%0250u.xy", 1u);
	assert_int_equal(strlen(longest), SPF_NAME_MAX);
	longer = xasprintf("a.bb.%s.", longest);
	v.domain = longer;
	target = spf_macro_target("%{d}", &v);
	assert_string_equal(target, longest);
	free(target);
	free(longer);
	v.domain = longest;
	target = spf_macro_target("c%{d}", &v);
	assert_string_equal(target, "xy");
	free(target);
	free(longest);
}

static void
test_macro_checks(void **state)
{
	static const struct {
		const char *text;
		enum spf_text kind;
		int at; /* -1: fine */
	} rows[] = {
		{ "%{d}", SPF_DOMAIN_SPEC, -1 },
		{ "a.%{d}", SPF_DOMAIN_SPEC, -1 },
		{ "%{d}.org", SPF_DOMAIN_SPEC, -1 },
		{ "%{d}.org.", SPF_DOMAIN_SPEC, -1 },
		{ "%%", SPF_DOMAIN_SPEC, -1 },
		{ "a.b-c", SPF_DOMAIN_SPEC, -1 },
		{ "a.1-1", SPF_DOMAIN_SPEC, -1 },
		{ ".org", SPF_DOMAIN_SPEC, -1 },
		{ "", SPF_DOMAIN_SPEC, 0 },
		{ "org", SPF_DOMAIN_SPEC, 0 },
		{ "%{d}org", SPF_DOMAIN_SPEC, 4 },
		{ "%{d}.", SPF_DOMAIN_SPEC, 4 },
		{ "a.b-", SPF_DOMAIN_SPEC, 0 },
		{ "a..", SPF_DOMAIN_SPEC, 0 },
		{ "a.42", SPF_DOMAIN_SPEC, 0 },
		{ "a.b_c", SPF_DOMAIN_SPEC, 0 },
		{ "a b.org", SPF_DOMAIN_SPEC, 1 },
		{ "%{c}.org", SPF_DOMAIN_SPEC, 0 },
		{ "x%{T}.org", SPF_DOMAIN_SPEC, 1 },
		{ "%{d0}", SPF_DOMAIN_SPEC, 0 },
		{ "%{d00}", SPF_DOMAIN_SPEC, 0 },
		{ "a%{d", SPF_DOMAIN_SPEC, 1 },
		{ "a%{", SPF_DOMAIN_SPEC, 1 },
		{ "a%", SPF_DOMAIN_SPEC, 1 },
		{ "%{}", SPF_DOMAIN_SPEC, 0 },
		{ "%{dr2}", SPF_DOMAIN_SPEC, 0 },
		{ "%{d.r}", SPF_DOMAIN_SPEC, 0 },
		{ "%{x}", SPF_MACRO_STRING, 0 },
		{ "", SPF_MACRO_STRING, -1 },
		{ "%{c}", SPF_MACRO_STRING, -1 },
		{ "a b", SPF_MACRO_STRING, 1 },
		{ "a b %{c}", SPF_EXPLANATION, -1 },
		{ "", SPF_EXPLANATION, -1 },
		{ "a\tb", SPF_EXPLANATION, 1 },
		{ "\xc3\xa4", SPF_EXPLANATION, 0 },
	};
	size_t i, at;

	(void)state;
	for (i = 0; i < COUNT(rows); i++) {
		const char *why =
		    spf_macro_check(rows[i].text, strlen(rows[i].text), rows[i].kind, &at);

		if ((why == NULL) != (rows[i].at == -1) ||
		    (why != NULL && at != (size_t)rows[i].at))
			fail_msg("%s: %s at %zu", rows[i].text, why != NULL ? why : "fine", at);
	}
	assert_non_null(spf_macro_check("a\0.org", 6, SPF_DOMAIN_SPEC, &at));
	assert_int_equal(at, 1);
	assert_true(spf_macro_uses("a.%{P1r}.org", 'p'));
	assert_false(spf_macro_uses("p%%{p}", 'p'));
	assert_int_equal(spf_macro_last("%{d}.%{Hr.}"), 'h');
	assert_int_equal(spf_macro_last("%{h}.org"), '\0');
	assert_int_equal(spf_macro_last(""), '\0');
}

/* --- records --- */

/* "-ip4:192.0.2.0/24 redirect=x.org", or "12: why". */
static void
print_record(struct buf *b, const struct spf_record *r)
{
	static const char *const names[] = { "all", "include", "a", "mx", "ptr", "ip4", "ip6",
		"exists" };
	unsigned i;

	for (i = 0; i < r->n; i++) {
		const struct spf_directive *d = &r->directives[i];

		buf_addf(b, "%s%s %s", b->len > 0 ? ", " : "", auth_result_name(d->result),
		    names[d->mechanism]);
		if (d->domain != NULL)
			buf_addf(b, " %s", d->domain);
		if (d->net.ip.family != 0)
			buf_addf(b, " %s", ipnet_text(&d->net).s);
		if (d->bits4 != 32 || d->bits6 != 128)
			buf_addf(b, " %u %u", d->bits4, d->bits6);
	}
	if (r->redirect != NULL)
		buf_addf(b, ", redirect %s", r->redirect);
	if (r->exp != NULL)
		buf_addf(b, ", exp %s", r->exp);
}

static const struct {
	const char *text;
	const char *expect;
} records[] = {
	{ "v=spf1", "" },
	{ "v=spf1   ", "" },
	{ "V=SPF1 ALL", "pass all" },
	{ "v=spf1 +a ?mx ~ptr -all", "pass a, neutral mx, softfail ptr, fail all" },
	{ "v=spf1 ip4:192.0.2.77/24 ip4:10.0.0.0/8", "pass ip4 192.0.2.0/24, pass ip4 10.0.0.0/8" },
	{ "v=spf1 ip6:2001:db8::/32 IP6:::ffff:192.0.2.1",
	    "pass ip6 2001:db8::/32, pass ip6 ::ffff:c000:201/128" },
	{ "v=spf1 a/24 a//64 a/24//64 a/0//0",
	    "pass a 24 128, pass a 32 64, pass a 24 64, pass a 0 0" },
	{ "v=spf1 a:b/c.org/24 mx:%{d/}/8//16", "pass a b/c.org 24 128, pass mx %{d/} 8 16" },
	{ "v=spf1 include:a.org exists:%{i}.org ptr:b.org.",
	    "pass include a.org, pass exists %{i}.org, pass ptr b.org." },
	{ "v=spf1 redirect=a.org exp=b.org", ", redirect a.org, exp b.org" },
	{ "v=spf1 Exp=b.org a=b ip4=x match_sub.domains-1=%{c} all", "pass all, exp b.org" },
	/* where the mistake is: octets from 0, and its term */
	{ "v=spf1 al", "7: al" },
	{ "v=spf1 a -all.", "10: -all." },
	{ "v=spf1 --all", "8: --all" },
	{ "v=spf1 -", "8: -" },
	{ "v=spf1 +exp=a.org", "7: +exp=a.org" },
	{ "v=spf1 a/", "8: a/" },
	{ "v=spf1 a//", "8: a//" },
	{ "v=spf1 a/01", "9: a/01" },
	{ "v=spf1 a/4294967296", "9: a/4294967296" },
	{ "v=spf1 a/24/", "8: a/24/" },
	{ "v=spf1 a///64", "8: a///64" },
	{ "v=spf1 mx:a.org/24/", "10: mx:a.org/24/" },
	{ "v=spf1 ip4:192.0.2.1/", "21: ip4:192.0.2.1/" },
	{ "v=spf1 ip4:192.0.2.01", "11: ip4:192.0.2.01" },
	{ "v=spf1 ip4:::1", "11: ip4:::1" },
	{ "v=spf1 ip4:", "11: ip4:" },
	{ "v=spf1 ip6:192.0.2.1", "11: ip6:192.0.2.1" },
	{ "v=spf1 ip6:2001:db8::%eth0", "11: ip6:2001:db8::%eth0" },
	{ "v=spf1 ip6:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111",
	    "11: ip6:1111:1111:1111:"
	    "1111:1111:1111:1111:1111:1111:1111:1111:1111:1111:1111" },
	{ "v=spf1 include", "14: include" },
	{ "v=spf1 include=a.org exists", "27: exists" },
	{ "v=spf1 redirect=a.org redirect=b.org", "22: redirect=b.org" },
	{ "v=spf1 x!=y", "7: x!=y" },
	{ "v=spf1 x=%{y} all", "9: x=%{y}" },
	{ "v=spf1\tall", "no record" },
	{ "v=spf2.0/pra all", "no record" },
	{ "v=spf", "no record" },
	{ "", "no record" },
};

static void
test_records(void **state)
{
	struct spf_mistake mistake;
	struct spf_record record;
	struct buf b = { 0 };
	size_t i, len;

	(void)state;
	for (i = 0; i < COUNT(records); i++) {
		const char *text = records[i].text;

		buf_clear(&b);
		len = strlen(text);
		if (!spf_record_is(text, len)) {
			buf_adds(&b, "no record");
		} else if (spf_record_parse(text, len, &record, &mistake)) {
			print_record(&b, &record);
			spf_record_free(&record);
		} else {
			buf_addf(&b, "%zu: %.*s", mistake.at, (int)mistake.term_len,
			    text + mistake.term);
			assert_non_null(mistake.why);
		}
		if (strcmp(buf_str(&b), records[i].expect) != 0)
			fail_msg("%s: %s, expected %s", text, buf_str(&b), records[i].expect);
	}
	buf_free(&b);
	assert_false(spf_record_parse("v=spf1 a\0ll", 11, &record, &mistake));
	assert_false(spf_record_is("v=spf1\0", 7));
}

static void
test_blanket(void **state)
{
	static const struct {
		const char *directive;
		bool v4, v6;
	} rows[] = {
		{ "all", true, true },
		{ "ip4:192.0.0.0/12", false, false },
		{ "ip4:192.0.0.0/11", true, true },
		{ "ip4:127.0.0.0/8", true, true },
		{ "ip6:2001:db8::/28", false, false },
		{ "ip6:2001:db8::/27", true, true },
		{ "a", false, false },
		{ "a/12//28", false, false },
		{ "a/11//28", true, false },
		{ "mx/12//27", false, true },
		{ "mx", false, false },
		{ "ptr", false, false },
		{ "a:%{h}", true, true },
		{ "a:%{h}.example.org", false, false },
		{ "mx:%{P}", true, true },
		{ "ptr:%{p}", true, true },
		{ "include:%{h2}", true, true },
		{ "include:%{d}", false, false },
		{ "exists:example.org", true, true },
		{ "exists:%{l}.example.org", true, true },
		{ "exists:%{ir}.example.org", false, false },
		{ "exists:%{I}.%{l}.example.org", false, false },
		{ "exists:%{p}.example.org", false, false },
		{ "exists:%{i}.%{h}", true, true },
	};
	struct spf_mistake mistake;
	struct spf_record record;
	struct ip ip4, ip6;
	char *text;
	size_t i;

	(void)state;
	ip_parse("192.0.2.3", &ip4);
	ip_parse("2001:db8::1", &ip6);
	for (i = 0; i < COUNT(rows); i++) {
		text = xasprintf("v=spf1 %s", rows[i].directive);
		assert_true(spf_record_parse(text, strlen(text), &record, &mistake));
		if (spf_directive_is_blanket(&record.directives[0], &ip4) != rows[i].v4 ||
		    spf_directive_is_blanket(&record.directives[0], &ip6) != rows[i].v6)
			fail_msg("%s", text);
		spf_record_free(&record);
		free(text);
	}
}

/* --- check_host() --- */

static struct event_base *base;
static struct responder *server;
static struct dns_engine *engine;

struct outcome {
	unsigned calls;
	struct buf text;
};

/* "fail example.org -all [words]", "pass example.org +all blanket" */
static void
take(const struct spf_answer *a, void *arg)
{
	struct outcome *o = arg;

	o->calls++;
	buf_clear(&o->text);
	buf_addf(&o->text, "%s %s", auth_result_name(a->result), a->domain);
	if (a->mechanism != NULL)
		buf_addf(&o->text, " %s", a->mechanism);
	if (a->blanket)
		buf_adds(&o->text, " blanket");
	if (a->explanation != NULL)
		buf_addf(&o->text, " [%s]", a->explanation);
	assert_non_null(a->why);
}

static void
txt(const char *name, const char *text)
{
	responder_add(server, name, DNS_TXT, 300, text);
}

static void
address(const char *name, const char *ip)
{
	responder_add(server, name, strchr(ip, ':') != NULL ? DNS_AAAA : DNS_A, 300, ip);
}

static void
fill(void)
{
	address("mail.example.org", "192.0.2.1");
	txt("direct.org", "v=spf1 ip4:192.0.2.1 -all");
	txt("via.org", "v=spf1 include:direct.org -all");
	txt("open.org", "v=spf1 -ip4:192.0.2.9 +all");
	/* blanket by what is included, or redirected to; not by what is passed over on the way */
	txt("viaopen.org", "v=spf1 include:open.org -all");
	txt("toopen.org", "v=spf1 redirect=open.org");
	txt("toclients.org", "v=spf1 redirect=%{h}");
	txt("notopen.org", "v=spf1 include:deny.org ip4:192.0.2.1 -all");
	txt("deny.org", "v=spf1 -all");
	txt("inner.org", "v=spf1 include:inner2.org ip4:192.0.2.1 -all");
	txt("inner2.org", "v=spf1 -include:open.org ?all");
	txt("denyopen.org", "v=spf1 -include:open.org");
	/* explanations */
	txt("words.org", "v=spf1 -all exp=words.%{d}");
	txt("words.words.org", "%{l} of %{o} at %{c}, %{h}, says %{r}: %{p}");
	txt("long.org", "v=spf1 -all exp=text.long.org");
	txt("text.long.org", "%{d200-}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%{s}%"
			     "{s}%{s}%{s}%{s}%{s}");
	txt("silentwords.org", "v=spf1 -all exp=silent.org");
	responder_behave(server, "silent.org", RESPONDS_NEVER);
	responder_behave(server, "broken.org", RESPONDS_SERVFAIL);
	txt("asks.org", "v=spf1 a:silent.org ip4:192.0.2.1 -all");
	/* several hosts of an mx: one that cannot be asked hides no other, and is no denial */
	responder_add(server, "mx.org", DNS_MX, 300, "10 broken.org");
	responder_add(server, "mx.org", DNS_MX, 300, "20 mail.example.org");
	responder_add(server, "mx.org", DNS_MX, 300, "30 silent.org");
	txt("mx.org", "v=spf1 mx -all");
	/* void lookups are counted by term: an mx whose hosts have no address is one, one host that
	 * has some is none */
	responder_add(server, "mxvoid.org", DNS_MX, 300, "10 no1.org");
	responder_add(server, "mxvoid.org", DNS_MX, 300, "20 no2.org");
	responder_add(server, "mxvoid.org", DNS_MX, 300, "30 no3.org");
	txt("mxvoid.org", "v=spf1 mx a:no4.org ip4:192.0.2.1");
	txt("mxvoid3.org", "v=spf1 mx:mxvoid.org a:no4.org exists:no5.org ip4:192.0.2.1");
	responder_add(server, "mxhalf.org", DNS_MX, 300, "10 no1.org");
	responder_add(server, "mxhalf.org", DNS_MX, 300, "20 other.org");
	address("other.org", "192.0.2.200");
	txt("mxhalf.org", "v=spf1 mx a:no4.org exists:no5.org ip4:192.0.2.1");
	/* %{p} is a lookup besides its term's */
	txt("p10.org", "v=spf1 a:other.org a:other.org a:other.org a:other.org a:other.org "
		       "a:other.org a:other.org "
		       "a:other.org |exists:%{p}.p.org ip4:192.0.2.1 -all");
	txt("p11.org", "v=spf1 a:other.org a:other.org a:other.org a:other.org a:other.org "
		       "a:other.org a:other.org "
		       "a:other.org a:other.org |exists:%{p}.p.org ip4:192.0.2.1 -all");
	txt("ptr.org", "v=spf1 ptr:example.org ptr:b.example.net -all");
	txt("p.org", "v=spf1 exists:%{p}.list.org -all");
	address("x.p.org.list.org", "127.0.0.2");
	address("unknown.list.org", "127.0.0.2");
	/* a name with any octets, a pattern that strangers fill */
	txt("local.org", "v=spf1 exists:%{l}.local.org -all");
	address("a b.local.org", "127.0.0.2");
	address("back\\slash.local.org", "127.0.0.2");
	address("\xc3\xa4.local.org", "127.0.0.2");
	txt("mail.helo.org", "v=spf1 a:mail.example.org -all");
	/* no records at all: the answer "no name" is no error */
	address("norecord.org", "192.0.2.1");
}

static const char *const known_names[] = { "host.example.net", "b.example.net", "x.p.org" };

static const struct {
	const char *client, *sender, *helo;
	bool names; /* known_names are known */
	const char *expect;
} questions[] = {
	{ "192.0.2.1", "a@Direct.ORG", NULL, false, "pass direct.org ip4:192.0.2.1" },
	{ "::ffff:192.0.2.1", "a@direct.org.", NULL, false, "pass direct.org ip4:192.0.2.1" },
	{ "2001:db8::1", "a@direct.org", NULL, false, "fail direct.org -all" },
	{ "192.0.2.1", "a@b@direct.org", NULL, false, "pass direct.org ip4:192.0.2.1" },
	{ "192.0.2.1", "direct.org", NULL, false, "pass direct.org ip4:192.0.2.1" },
	{ "192.0.2.1", "", "direct.org", false, "pass direct.org ip4:192.0.2.1" },
	{ "192.0.2.1", NULL, "mail.helo.org", false, "pass mail.helo.org a:mail.example.org" },
	{ "192.0.2.1", NULL, NULL, false, "none " },
	{ "192.0.2.1", "a@", "direct.org", false, "none " },
	{ "192.0.2.1", "a@[192.0.2.1]", NULL, false, "none [192.0.2.1]" },
	{ "192.0.2.1", "a@org", NULL, false, "none org" },
	{ "192.0.2.1", "a@\xc3\xa4.org", NULL, false, "none \xc3\xa4.org" },
	{ "192.0.2.1", "a@norecord.org", NULL, false, "none norecord.org" },
	{ "192.0.2.1", "a@nowhere.org", NULL, false, "none nowhere.org" },
	{ "192.0.2.1", "a@broken.org", NULL, false, "temperror broken.org" },
	{ "192.0.2.1", "a@silent.org", NULL, false, "temperror silent.org" },
	{ "192.0.2.1", "a@asks.org", NULL, false, "temperror asks.org" },
	{ "192.0.2.1", "a@via.org", NULL, false, "pass via.org include:direct.org" },
	{ "192.0.2.1", "a@open.org", NULL, false, "pass open.org +all blanket" },
	{ "192.0.2.1", "a@viaopen.org", NULL, false, "pass viaopen.org include:open.org blanket" },
	{ "192.0.2.1", "a@toopen.org", NULL, false, "pass toopen.org +all blanket" },
	{ "192.0.2.1", "a@toclients.org", "direct.org", false,
	    "pass toclients.org ip4:192.0.2.1 blanket" },
	{ "192.0.2.1", "a@notopen.org", NULL, false, "pass notopen.org ip4:192.0.2.1" },
	{ "192.0.2.1", "a@inner.org", NULL, false, "pass inner.org ip4:192.0.2.1" },
	{ "192.0.2.1", "a@denyopen.org", NULL, false, "fail denyopen.org -include:open.org" },
	{ "192.0.2.1", "b\xc3\xa4@words.org", "he\nlo", true,
	    "fail words.org -all [b?? of words.org at 192.0.2.1, he?lo, says mx.receiver.example: "
	    "host.example.net]" },
	{ "192.0.2.1", "a@words.org", NULL, false,
	    "fail words.org -all [a of words.org at 192.0.2.1, , says mx.receiver.example: "
	    "unknown]" },
	{ "192.0.2.1", "a@silentwords.org", NULL, false, "fail silentwords.org -all" },
	{ "192.0.2.1", "a@mx.org", NULL, false, "pass mx.org mx" },
	{ "192.0.2.2", "a@mx.org", NULL, false, "temperror mx.org" },
	{ "192.0.2.1", "a@mxvoid.org", NULL, false, "pass mxvoid.org ip4:192.0.2.1" },
	{ "192.0.2.1", "a@mxvoid3.org", NULL, false, "permerror mxvoid3.org" },
	{ "192.0.2.1", "a@mxhalf.org", NULL, false, "pass mxhalf.org ip4:192.0.2.1" },
	{ "192.0.2.1", "a@p10.org", NULL, true, "pass p10.org ip4:192.0.2.1" },
	{ "192.0.2.1", "a@p11.org", NULL, true, "permerror p11.org" },
	{ "192.0.2.1", "a@ptr.org", NULL, true, "pass ptr.org ptr:b.example.net" },
	{ "192.0.2.1", "a@ptr.org", NULL, false, "fail ptr.org -all" },
	{ "192.0.2.1", "a@p.org", NULL, true, "pass p.org exists:%{p}.list.org" },
	{ "192.0.2.1", "a@p.org", NULL, false, "pass p.org exists:%{p}.list.org" },
	{ "192.0.2.1", "a b@local.org", NULL, false,
	    "pass local.org exists:%{l}.local.org blanket" },
	{ "192.0.2.1", "back\\slash@local.org", NULL, false,
	    "pass local.org exists:%{l}.local.org blanket" },
	{ "192.0.2.1", "\xc3\xa4@local.org", NULL, false,
	    "pass local.org exists:%{l}.local.org blanket" },
	{ "192.0.2.1", "c@local.org", NULL, false, "fail local.org -all" },
};

static int
setup(void **state)
{
	static const struct log_conf to_stderr = { .to_stderr = true };
	struct dns_server where = { .port = 0 };
	struct dns_conf conf = { .servers = &where, .servers_n = 1, .timeout_ms = TIMEOUT_MS };
	char *why = NULL;

	(void)state;
	log_init(&to_stderr, "test");
	base = event_base_new();
	peer_set_base(base);
	server = responder_new(base);
	fill();
	ip_parse("127.0.0.1", &where.ip);
	where.port = server->port;
	engine = dns_engine_new(base, &conf, &why);
	resolver_use_engine(engine);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	resolver_use_engine(NULL);
	dns_engine_free(engine);
	responder_free(server);
	peer_set_base(NULL);
	event_base_free(base);
	return 0;
}

static struct spf_query *
ask(const char *client, const char *sender, struct outcome *o)
{
	struct spf_question q = { .sender = sender, .host = "mx.receiver.example" };

	assert_true(ip_parse(client, &q.client));
	return spf_ask(&q, take, o);
}

static void
test_questions(void **state)
{
	struct outcome outcomes[COUNT(questions)] = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < COUNT(questions); i++) {
		struct spf_question q = { .sender = questions[i].sender,
			.helo = questions[i].helo,
			.host = "mx.receiver.example",
			.names_known = questions[i].names,
			.names_n = questions[i].names ? COUNT(known_names) : 0,
			.names = known_names };

		assert_true(ip_parse(questions[i].client, &q.client));
		spf_ask(&q, take, &outcomes[i]);
		assert_int_equal(outcomes[i].calls, 0);
	}
	for (i = 0; i < COUNT(questions); i++) {
		run_until(base, &outcomes[i].calls, 1);
		if (strcmp(buf_str(&outcomes[i].text), questions[i].expect) != 0)
			fail_msg("%s: %s, expected %s", questions[i].sender,
			    buf_str(&outcomes[i].text), questions[i].expect);
	}
	for (i = 0; i < COUNT(questions); i++) {
		assert_int_equal(outcomes[i].calls, 1);
		buf_free(&outcomes[i].text);
	}
	/* what no record wants to know is not asked: no name of the type SPF (99), no PTR when the
	 * names are known */
	assert_int_equal(responder_seen(server, "direct.org", 99), 0);
	assert_true(responder_seen(server, "1.2.0.192.in-addr.arpa", DNS_PTR) > 0);
}

static void
test_known_names_are_not_asked(void **state)
{
	struct spf_question q = { .sender = "a@ptr.org", .names_known = true };
	struct outcome o = { 0 };

	(void)state;
	ip_parse("192.0.2.1", &q.client);
	spf_ask(&q, take, &o);
	run_until(base, &o.calls, 1);
	assert_string_equal(buf_str(&o.text), "fail ptr.org -all");
	assert_int_equal(responder_seen(server, "1.2.0.192.in-addr.arpa", DNS_PTR), 0);
	buf_free(&o.text);
}

/* An explanation goes into one reply: SPF_EXPLANATION_MAX octets. */
static void
test_long_explanation(void **state)
{
	struct outcome o = { 0 };
	const char *words;

	(void)state;
	ask("192.0.2.1", "a-local-part-of-some-length-that-is-repeated@long.org", &o);
	run_until(base, &o.calls, 1);
	words = strchr(buf_str(&o.text), '[');
	assert_non_null(words);
	assert_int_equal(strlen(words), SPF_EXPLANATION_MAX + 2);
	buf_free(&o.text);
}

/* The limit of time ends what hangs; a result that is there already stays. */
static void
test_time(void **state)
{
	struct spf_question q = { .sender = "a@asks.org", .limit_ms = TIMEOUT_MS / 4 };
	struct outcome o = { 0 }, words = { 0 };

	(void)state;
	ip_parse("192.0.2.1", &q.client);
	spf_ask(&q, take, &o);
	q.sender = "a@silentwords.org";
	spf_ask(&q, take, &words);
	run_until(base, &o.calls, 1);
	run_until(base, &words.calls, 1);
	assert_string_equal(buf_str(&o.text), "temperror asks.org");
	assert_string_equal(buf_str(&words.text), "fail silentwords.org -all");
	buf_free(&o.text);
	buf_free(&words.text);
}

/* In every state: at once, while a record, hosts, names, an explanation are asked for, when it is
 * decided. */
static void
test_cancel(void **state)
{
	static const struct {
		const char *sender, *until;
		uint16_t type;
	} rows[] = {
		{ "a@silent.org", "silent.org", DNS_TXT },
		{ "a@mx.org", "silent.org", DNS_A },
		{ "a@silentwords.org", "silent.org", DNS_TXT },
		{ "a@ptr.org", "9.9.9.9.in-addr.arpa", DNS_PTR },
	};
	struct outcome o = { 0 }, other = { 0 };
	struct spf_query *q;
	unsigned seen;
	size_t i;

	(void)state;
	responder_behave(server, "9.9.9.9.in-addr.arpa", RESPONDS_NEVER);
	spf_cancel(ask("192.0.2.1", "a@direct.org", &o));
	spf_cancel(ask("192.0.2.1", "a@[192.0.2.1]", &o));
	for (i = 0; i < COUNT(rows); i++) {
		seen = responder_seen(server, rows[i].until, rows[i].type);
		q = ask("9.9.9.9", rows[i].sender, &o);
		while (responder_seen(server, rows[i].until, rows[i].type) == seen && o.calls == 0)
			event_base_loop(base, EVLOOP_ONCE);
		spf_cancel(q);
		/* what was asked now waits as long; it is told after what was cancelled would have
		 * been */
		ask("192.0.2.1", "a@silent.org", &other);
		run_until(base, &other.calls, (unsigned)i + 1);
	}
	assert_int_equal(o.calls, 0);
	buf_free(&other.text);
}

static void
test_resolver_dead(void **state)
{
	struct outcome o = { 0 };

	(void)state;
	responder_close(server);
	ask("192.0.2.1", "a@direct.org", &o);
	run_until(base, &o.calls, 1);
	assert_string_equal(buf_str(&o.text), "temperror direct.org");
	buf_free(&o.text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expansion),
		cmocka_unit_test(test_odd_values),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_macro_checks),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_blanket),
		cmocka_unit_test_setup_teardown(test_questions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_known_names_are_not_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_explanation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resolver_dead, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
