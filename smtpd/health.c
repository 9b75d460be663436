/*
 * Watching over what the gate relies on (health.h).
 *
 * Every list is asked for its two test entries (RFC 5782 5) at the start, every hour, at once
 * when its answers look strange, and every few minutes while it is out of order;
 * filters/breaker.h judges.  The first worker tells the log, for all of them.  The wall clock is
 * compared with one that only goes forward.  What must never happen: that a list, a resolver or a
 * clock that is broken turns into a wave of refusals; so a list counts only after its test
 * entries were right.
 */
#include <stdlib.h>

#include <event2/event.h>

#include "filters/breaker.h"
#include "filters/gate.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/dns.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/resolver.h"
#include "lib/role.h"
#include "smtpd/health.h"

#define PROBE_SECONDS 3600
#define PROBE_AGAIN_SECONDS 300
#define PROBE_SOON_SECONDS 10 /* never oftener */
#define TICK_MS 2000
/* How long clients wait for the first probe, while our own DNS does not answer. */
#define PATIENCE_MS 5000

struct list {
	unsigned question;
	enum list_state state;
	struct list_record record;
	int64_t probed, due; /* clock_now() */
	enum list_entry entries[2]; /* of the probe under way: 127.0.0.1, 127.0.0.2 */
	unsigned pending;
	bool introduced; /* its first probe is over */
};

static struct {
	const struct gate *gate;
	bool tells; /* this worker speaks for all */
	void (*proven)(void);
	struct list *lists;
	unsigned lists_n, unproven;
	uint64_t since_ms;
	struct breaker dns;
	uint64_t dns_failed;
	struct clock_watch clock;
	uint64_t clock_jumps;
	struct event *tick;
} here;

/* --- lists --- */

static const char *
zone(const struct list *list)
{
	return dnsbl_set_zone(here.gate->lists, list->question);
}

static void
tell_list(const struct list *list)
{
	if (!here.tells)
		return;
	if (list->state == LIST_WELL)
		log_notice("dnsbl.well", F_STR("list", zone(list)));
	else
		log_warning("dnsbl.out_of_order", F_STR("list", zone(list)),
		    F_STR("why", list_state_text(list->state)),
		    F_STR("effect", "it counts as unknown until its test entries are right (RFC 5782 5)"));
}

/* An outage at the very start is often only that the resolver has not started yet. */
static void
introduce(struct list *list)
{
	if (list->introduced || (list->state == LIST_UNPROVEN && clock_ms() - here.since_ms < PATIENCE_MS))
		return;
	list->introduced = true;
	if (--here.unproven == 0)
		here.proven();
}

/* An outage of our own tells nothing: the list stays what it was. */
static void
conclude(struct list *list)
{
	enum list_state state = list_judge(list->entries[1], list->entries[0]);
	bool changed = state != LIST_UNPROVEN && state != list->state;
	int64_t now = clock_now();

	list->probed = now;
	list->due = now + (state == LIST_WELL ? PROBE_SECONDS : PROBE_AGAIN_SECONDS);
	if (state == LIST_UNPROVEN)
		list->due = now;
	if (changed) {
		list->state = state;
		list->record.run = 0;
		tell_list(list);
	}
	introduce(list);
}

static void
on_entry(struct list *list, unsigned which, const struct dns_answer *answer)
{
	list->entries[which] = list_entry(answer);
	if (--list->pending == 0)
		conclude(list);
}

static void
on_must_not_be(const struct dns_answer *answer, void *arg)
{
	on_entry(arg, 0, answer);
}

static void
on_must_be(const struct dns_answer *answer, void *arg)
{
	on_entry(arg, 1, answer);
}

static void
probe(struct list *list)
{
	struct ip ip = { .family = AF_INET, .bytes = { 127, 0, 0, 1 } };
	char name[DNSBL_NAME_MAX];

	list->pending = 2;
	if (dnsbl_name(&ip, zone(list), name))
		resolver_ask(name, DNS_A, on_must_not_be, list);
	ip.bytes[3] = 2;
	if (dnsbl_name(&ip, zone(list), name))
		resolver_ask(name, DNS_A, on_must_be, list);
}

static void
probe_if_due(struct list *list, int64_t now)
{
	/* a clock that went back makes it due as well */
	if (list->pending == 0 && (now >= list->due || now < list->probed))
		probe(list);
}

bool
health_lists_proven(void)
{
	return here.unproven == 0;
}

uint64_t
health_lists(void)
{
	uint64_t questions = 0;
	unsigned i;

	for (i = 0; i < here.lists_n; i++)
		if (here.lists[i].state == LIST_WELL)
			questions |= DNSBL_BIT(i);
	return questions;
}

void
health_note_list(unsigned question, enum dnsbl_reply reply)
{
	struct list *list = &here.lists[question];
	int64_t soon = list->probed + PROBE_SOON_SECONDS;

	if (list_note(&list->record, reply) && list->due > soon)
		list->due = soon;
}

/* --- DNS --- */

/* The name of the effect is the same for all ways that it can begin. */
static void
tell_dns(enum breaker_change change, bool outage)
{
	if (change == BREAKER_BROKE)
		log_warning("gate.dns_broken",
		    F_STR("why", outage ? "none of our DNS servers answers" : "DNS fails for most callers"),
		    F_STR("effect", "nobody is paused, greylisted or refused for a name that is not found out"));
	else if (change == BREAKER_MENDED)
		log_notice("gate.dns_mended", F_STR("effect", "names are judged again"));
}

void
health_note_dns(const struct ip *client, bool failed, bool outage)
{
	struct ipnet net = ip_network(client, client->family == AF_INET ? 24 : 64);
	uint64_t caller = net.ip.family;
	unsigned i;

	here.dns_failed += failed;
	for (i = 0; i < 8; i++)
		caller = caller << 8 | net.ip.bytes[i];
	tell_dns(outage ? breaker_trip(&here.dns) : breaker_note(&here.dns, caller, failed), outage);
}

bool
health_dns_is_broken(void)
{
	return here.dns.broken || !resolver_is_there();
}

/* --- the clock --- */

/* What is remembered by the wall clock is then older or younger than it was; the greylist and the
 * ledger take times in the future as now, so nobody waits longer than a whole delay again. */
static void
watch_clock(int64_t now)
{
	int64_t jump = clock_was_set(&here.clock);
	unsigned i;

	if (jump == 0)
		return;
	here.clock_jumps++;
	for (i = 0; i < here.lists_n; i++)
		here.lists[i].due = now;
	if (here.tells)
		log_warning("clock.jumped", F_I64("seconds", jump),
		    F_STR("effect", "greylist times are measured by the new time; nothing is refused for it"));
}

/* --- all --- */

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	int64_t now = clock_now();
	unsigned i;

	(void)fd;
	(void)what;
	(void)arg;
	watch_clock(now);
	for (i = 0; i < here.lists_n; i++)
		probe_if_due(&here.lists[i], now);
}

void
health_start(const struct gate *gate, unsigned instance, void (*proven)(void))
{
	unsigned ms = clock_is_test() ? 50 : TICK_MS, i;

	here.gate = gate;
	here.tells = instance % role_cores() == 0;
	here.proven = proven;
	here.since_ms = clock_ms();
	(void)clock_was_set(&here.clock);
	here.lists_n = here.unproven = gate->lists != NULL ? gate->lists->questions_n : 0;
	here.lists = xcalloc(here.lists_n, sizeof(here.lists[0]));
	for (i = 0; i < here.lists_n; i++) {
		here.lists[i].question = i;
		probe(&here.lists[i]);
	}
	here.tick = event_new(peer_base(), -1, EV_PERSIST, on_tick, NULL);
	event_add(here.tick, &(struct timeval){ ms / 1000, ms % 1000 * 1000 });
	if (here.lists_n == 0)
		proven();
}

void
health_stats(struct ctl *ctl)
{
	const struct list *list;

	ctl_record(ctl, FIELDS(F_STR("dns", health_dns_is_broken() ? "broken" : "well"),
	    F_U64("names_failed", here.dns_failed), F_U64("clock_jumps", here.clock_jumps)));
	for (list = here.lists; list < here.lists + here.lists_n; list++)
		ctl_record(ctl, FIELDS(F_STR("list", zone(list)), F_STR("state", list_state_name(list->state)),
		    F_U64("asked", list->record.asked), F_U64("listed", list->record.listed),
		    F_U64("failed", list->record.failed)));
}
