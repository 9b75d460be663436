/*
 * The way out, in one of four states.  At first the servers are probed; when one answers, DNSSEC is
 * tried; then questions go out.  When answers stay away the servers are probed again, and while
 * none of them lives every question fails at once: a caller at the door does not wait ten seconds
 * for an answer that cannot come.
 *
 * Each time a new libunbound context is made, since the old one has learnt to avoid servers that
 * were dead, and its options are frozen.  When the servers strip DNSSEC (or a wrong clock or anchor
 * makes it fail) mail goes on unvalidated, says so, and tries again later: with a validating
 * upstream an answer that is not signed where it should be is forged, and that would be all mail.
 */
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/dns_out.h"
#include "lib/dns_probe.h"
#include "lib/dns_upstream.h"
#include "lib/dns_wire.h"
#include "lib/log.h"
#include "lib/mem.h"

#define TYPE_DNSKEY 48
/* How long until DNSSEC is tried again, in timeouts: 30 s at first, then twice as long each time,
 * up to 16 minutes. */
#define RECHECK_FIRST 3
#define RECHECK_MAX 96

/* https://data.iana.org/root-anchors/root-anchors.xml: KSK-2017 and KSK-2024 */
static const char *const root_anchors[] = {
	". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D",
	". IN DS 38696 8 2 683D2D0ACB8C9B712A1948B27F741219298D0A450D612C483AF444A4C0FB2B16", NULL
};

enum state {
	OUT_PROBING,  /* at the start: does any server live? */
	OUT_CHECKING, /* one does; does it let DNSSEC through? */
	OUT_UP,
	OUT_DOWN /* none lives */
};

struct dns_out {
	struct event_base *base;
	struct dns_server *servers;
	unsigned servers_n;
	char **anchors;                         /* NULL: does not validate */
	char check_name[DNS_NAME_TEXT_MAX]; /* the zone of the first anchor */
	unsigned timeout_ms;
	unsigned interval_ms; /* between tries of a probe */
	unsigned running_max;
	void (*changed)(void *);
	void *arg;

	enum state state;
	bool validating;
	struct dns_upstream *upstream;   /* while up */
	struct dns_upstream *candidate;  /* validating, being tried */
	struct dns_answer *check_answer; /* what came of it */
	struct dns_probe *probe;         /* a round under way */
	uint64_t probed_ms;              /* when the last round began */
	uint64_t succeeded_ms;
	unsigned recheck;            /* in timeouts */
	struct event *probe_timer;   /* down: the next round */
	struct event *check_timer;   /* the candidate answered, or took too long */
	struct event *recheck_timer; /* up, unvalidated: try DNSSEC again */
};

static void
timer_in(struct event *timer, unsigned ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_add(timer, &tv);
}

/* Questions go to UPSTREAM (or nowhere) from now on. */
static void
enter(struct dns_out *out, enum state state, struct dns_upstream *upstream, bool validating)
{
	struct dns_upstream *old = out->upstream;

	out->state = state;
	out->upstream = upstream;
	out->validating = validating;
	out->changed(out->arg);
	dns_upstream_free(old);
}

static void
go_down(struct dns_out *out, const char *why)
{
	if (out->state != OUT_DOWN)
		log_warning("dns.down", F_STR("why", why));
	dns_upstream_free(out->candidate);
	dns_answer_free(out->check_answer);
	out->candidate = NULL;
	out->check_answer = NULL;
	event_del(out->check_timer);
	event_del(out->recheck_timer);
	timer_in(out->probe_timer, 2 * out->interval_ms);
	enter(out, OUT_DOWN, NULL, false);
}

static void
go_unvalidated(struct dns_out *out)
{
	char *why = NULL;
	struct dns_upstream *plain =
	    dns_upstream_new(out->base, out->servers, out->servers_n, NULL, out->running_max, &why);

	if (plain != NULL)
		enter(out, OUT_UP, plain, false);
	else
		go_down(out, why);
	free(why);
}

/* --- DNSSEC --- */

/* May come from inside libunbound: check_ended does the rest. */
static void
check_answered(struct dns_answer *answer, void *arg)
{
	struct dns_out *out = arg;

	out->check_answer = answer;
	timer_in(out->check_timer, 0);
}

/* Tries DNSSEC: the anchor's own keys must come and be secure. */
static void
check_begin(struct dns_out *out)
{
	char *why = NULL;

	if (out->state != OUT_UP)
		out->state = OUT_CHECKING;
	if (out->anchors == NULL) {
		go_unvalidated(out);
		return;
	}
	out->candidate = dns_upstream_new(out->base, out->servers, out->servers_n,
	    (const char *const *)out->anchors, out->running_max, &why);
	if (out->candidate == NULL) {
		check_answered(dns_answer_temp(why), out);
		free(why);
		return;
	}
	timer_in(out->check_timer, out->timeout_ms / 2);
	dns_upstream_ask(out->candidate, out->check_name, TYPE_DNSKEY, check_answered, out);
}

static const char *
check_failure(const struct dns_answer *answer)
{
	if (answer == NULL)
		return "no answer in time";
	return answer->why != NULL ? answer->why : "the anchor's keys are not secure";
}

static void
check_failed(struct dns_out *out, const struct dns_answer *answer)
{
	log_warning("dns.unvalidated", F_STR("why", check_failure(answer)),
	    F_U64("again_in_s", out->recheck * out->timeout_ms / 1000));
	timer_in(out->recheck_timer, out->recheck * out->timeout_ms);
	if (out->recheck < RECHECK_MAX)
		out->recheck *= 2;
	if (out->state != OUT_UP)
		go_unvalidated(out);
}

static void
check_ended(int fd, short what, void *arg)
{
	struct dns_out *out = arg;
	struct dns_answer *answer = out->check_answer;
	struct dns_upstream *candidate = out->candidate;

	(void)fd;
	(void)what;
	out->check_answer = NULL;
	out->candidate = NULL;
	if (answer != NULL && answer->secure) {
		log_info("dns.validating",
		    F_STR("anchor", out->check_name[0] != '\0' ? out->check_name : "."));
		out->recheck = RECHECK_FIRST;
		enter(out, OUT_UP, candidate, true);
	} else {
		dns_upstream_free(candidate);
		check_failed(out, answer);
	}
	dns_answer_free(answer);
}

static void
recheck(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	check_begin(arg);
}

/* --- do the servers live? --- */

static void
probe_done(bool alive, void *arg)
{
	struct dns_out *out = arg;
	bool answered_meanwhile = out->succeeded_ms > out->probed_ms;

	dns_probe_free(out->probe);
	out->probe = NULL;
	if (alive && (out->state == OUT_PROBING || out->state == OUT_DOWN)) {
		if (out->state == OUT_DOWN)
			log_notice("dns.up", F_END);
		check_begin(out);
	} else if (!alive && !(out->state == OUT_UP && answered_meanwhile)) {
		go_down(out, "no DNS server answers");
	}
}

static void
probe_begin(struct dns_out *out)
{
	if (out->probe != NULL)
		return;
	out->probed_ms = clock_ms();
	out->probe = dns_probe_start(
	    out->base, out->servers, out->servers_n, out->interval_ms, probe_done, out);
}

static void
probe_again(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	probe_begin(arg);
}

void
dns_out_succeeded(struct dns_out *out)
{
	out->succeeded_ms = clock_ms();
}

void
dns_out_doubt(struct dns_out *out, uint64_t since)
{
	if (out->succeeded_ms <= since && clock_ms() - out->probed_ms >= out->interval_ms)
		probe_begin(out);
}

/* --- beginning and end --- */

static char **
copy_anchors(const char *const *from)
{
	char **copy;
	size_t n = 0;

	while (from[n] != NULL)
		n++;
	copy = xcalloc(n + 1, sizeof(*copy));
	while (n-- > 0)
		copy[n] = xstrdup(from[n]);
	return copy;
}

/* The zone whose anchor TEXT is. */
static bool
anchor_zone(const char *text, char *zone)
{
	const char *first = text + strspn(text, " \t");
	char *owner = xstrndup(first, strcspn(first, " \t"));
	bool ok = owner[0] != '\0' && dns_name_normalize(owner, zone);

	free(owner);
	return ok;
}

static bool
set_anchors(struct dns_out *out, const struct dns_conf *conf, char **why)
{
	const char *const *anchors = conf->anchors != NULL ? conf->anchors : root_anchors;

	if (!conf->validate || anchors[0] == NULL)
		return true;
	out->anchors = copy_anchors(anchors);
	if (anchor_zone(anchors[0], out->check_name))
		return true;
	*why = xasprintf("a DNSSEC anchor begins with the name of its zone: \"%s\"", anchors[0]);
	return false;
}

struct dns_out *
dns_out_new(struct event_base *base, const struct dns_conf *conf, void (*changed)(void *),
    void *arg, char **why)
{
	struct dns_out *out = xcalloc(1, sizeof(*out));

	out->base = base;
	out->timeout_ms = conf->timeout_ms;
	out->interval_ms = conf->timeout_ms / 10 > 0 ? conf->timeout_ms / 10 : 1;
	out->running_max = conf->running_max;
	out->recheck = RECHECK_FIRST;
	out->changed = changed;
	out->arg = arg;
	out->servers_n = conf->servers_n;
	out->servers = xcalloc(conf->servers_n, sizeof(*out->servers));
	memcpy(out->servers, conf->servers, conf->servers_n * sizeof(*out->servers));
	out->probe_timer = evtimer_new(base, probe_again, out);
	out->check_timer = evtimer_new(base, check_ended, out);
	out->recheck_timer = evtimer_new(base, recheck, out);
	if (!set_anchors(out, conf, why)) {
		dns_out_free(out);
		return NULL;
	}
	probe_begin(out);
	return out;
}

void
dns_out_free(struct dns_out *out)
{
	size_t i;

	if (out == NULL)
		return;
	dns_probe_free(out->probe);
	dns_upstream_free(out->upstream);
	dns_upstream_free(out->candidate);
	dns_answer_free(out->check_answer);
	event_free(out->probe_timer);
	event_free(out->check_timer);
	event_free(out->recheck_timer);
	for (i = 0; out->anchors != NULL && out->anchors[i] != NULL; i++)
		free(out->anchors[i]);
	free(out->anchors);
	free(out->servers);
	free(out);
}

struct dns_upstream *
dns_out_upstream(const struct dns_out *out)
{
	return out->upstream;
}

bool
dns_out_is_down(const struct dns_out *out)
{
	return out->state == OUT_DOWN;
}

bool
dns_out_validating(const struct dns_out *out)
{
	return out->validating;
}
