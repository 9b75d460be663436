/*
 * The inside of an SPF question, for filters/spf*.c only.
 *
 *   spf.c            beginning, time, end
 *   spf_host.c       check_host(): records, their evaluation, include and redirect
 *   spf_mechanism.c  does this directive match?
 *   spf_explain.c    the domain's own words for a fail
 *   spf_query.c      names, limits, the decision
 *
 * Every step either goes on at once or has asked something and returns; then the answer's callback
 * goes on.  Once spf_decide() or spf_finish() was called nothing is under way and nothing goes on.
 */
#ifndef FILTERS_SPF_QUERY_H
#define FILTERS_SPF_QUERY_H

#include "filters/rdns.h"
#include "filters/spf.h"
#include "filters/spf_record.h"
#include "lib/dns.h"

struct buf;
struct event;
struct resolver_query;
struct spf_query;

/* One check_host(): of the domain itself, or of one that an include asks about. */
struct spf_frame {
	struct spf_frame *parent; /* whose directive NEXT is that include; NULL: the first */
	char *domain;
	struct spf_record record;
	unsigned next;	 /* the directive that is being judged */
	bool redirected; /* by redirect=, so there must be a record */
	bool blanket;	 /* the client chose where a redirect led */
};

/* One host of an mx. */
struct spf_host {
	struct spf_query *query;
	struct resolver_query *question; /* while it is asked about */
};

enum spf_verdict {
	SPF_NO,
	SPF_YES,
	SPF_ASK_OTHER, /* what check_host() of another domain says: an include */
	SPF_LATER
};

struct spf_query {
	/* the question */
	struct ip client;
	char *helo, *host, *local, *sender_domain;
	void (*callback)(const struct spf_answer *, void *);
	void *arg;

	/* where it stands */
	struct spf_frame *frame;	 /* innermost */
	struct resolver_query *question; /* under way: a record, addresses, MX, an explanation */
	struct spf_host hosts[SPF_HOSTS_MAX];
	unsigned hosts_n, hosts_pending;
	bool hosts_void;	 /* none of them has an address so far */
	char *hosts_why;	 /* one could not be asked */
	struct rdns_query *rdns; /* the client's names, when a record wants them */
	bool names_known;
	unsigned names_n;
	char *names[RDNS_NAMES_MAX];
	void (*resume)(struct spf_query *); /* when they have come */
	void (*judged)(struct spf_query *, enum spf_verdict); /* when a directive's answer has come */
	unsigned lookups, voids;
	struct event *timer; /* the limit of time; once decided, the callback */
	bool explaining;     /* the result is there, the domain is asked for its words */
	char *words;	     /* they are, with their macros */

	/* the answer */
	bool decided;
	enum auth_result result;
	char *mechanism, *explanation, *why;
	char *inner; /* what matched within an include, with its domain, for people */
	bool blanket;
};

/* --- spf_query.c --- */

/* The end: result and why are there.  The callback comes in a later turn. */
void spf_finish(struct spf_query *);
/* The same with a result of which no directive is the reason, and why. */
void spf_decide(struct spf_query *, enum auth_result, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Nothing is under way afterwards. */
void spf_stop(struct spf_query *);
/* One more term that asks DNS, and one more if SPEC (or NULL) uses %{p}; false: that was too much,
 * and it is decided. */
bool spf_count_lookup(struct spf_query *, const char *spec);
/* DNS had nothing for a term. */
bool spf_count_void(struct spf_query *);
/* The client's names are known if SPEC uses %{p} (NULL: if anything); else they are asked for, and
 * RESUME comes later. */
bool spf_names_ready(struct spf_query *, const char *spec, void (*resume)(struct spf_query *));
/* Where SPEC leads, for the innermost record; NULL: its own domain.  The caller frees. */
char *spf_target(const struct spf_query *, const char *spec);
/* Appends TEXT with its macros expanded. */
void spf_expand(const struct spf_query *, const char *text, struct buf *out);
/* Asks for NAME, a target name that spf_name_ok. */
void spf_ask_dns(struct spf_query *, const char *name, uint16_t type, dns_callback);
/* Can DNS hold that name: labels of 1 to 63 octets, 253 in all? */
bool spf_name_ok(const char *name);
/* Is NAME the DOMAIN or below it? */
bool spf_name_is_in(const char *name, const char *domain);

/* --- spf_explain.c --- */

/* The result is there: asks for the explanation of the record that failed, if it has one, and
 * finishes. */
void spf_explain(struct spf_query *);

/* --- spf_mechanism.c --- */

/* Of the directive that is being judged.  When it is SPF_LATER, JUDGED is called with another one
 * when the answer has come, unless it is decided meanwhile. */
enum spf_verdict spf_judge(struct spf_query *, void (*judged)(struct spf_query *, enum spf_verdict));

/* --- spf_host.c --- */

/* check_host(DOMAIN), which is taken over: a frame of its own. */
void spf_check_host(struct spf_query *, char *domain);
/* Leaves all frames. */
void spf_leave(struct spf_query *);

#endif
