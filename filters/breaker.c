/*
 * The judgement of what we rely on (breaker.h).
 *
 * The session workers feed it.  Nothing can fail.  What must never happen: that one caller with
 * many broken names can switch the gate's rules off, so a network counts once; and that a list is
 * condemned because most of our callers are spammers, so a run of hits only makes us look at its
 * test entries, which decide.
 */
#include <string.h>

#include "filters/breaker.h"
#include "lib/dns.h"

static unsigned
failures(const struct breaker *b)
{
	unsigned i, n = 0;

	for (i = 0; i < b->n; i++)
		n += b->failed[i];
	return n;
}

static enum breaker_change
set_broken(struct breaker *b, bool broken)
{
	if (b->broken == broken)
		return BREAKER_SAME;
	b->broken = broken;
	return broken ? BREAKER_BROKE : BREAKER_MENDED;
}

enum breaker_change
breaker_note(struct breaker *b, uint64_t caller, bool failed)
{
	unsigned i;

	for (i = 0; i < b->n && b->callers[i] != caller; i++)
		;
	if (i == b->n) {
		i = b->next;
		b->next = (b->next + 1) % BREAKER_CALLERS;
		if (b->n < BREAKER_CALLERS)
			b->n++;
	}
	b->callers[i] = caller;
	b->failed[i] = failed;
	if (!b->broken)
		return set_broken(b, b->n >= BREAKER_LEAST && failures(b) * 4 >= b->n * 3);
	return set_broken(b, failures(b) * 2 > b->n);
}

/* Forgets what came before, so that the first answers that come show that DNS is mended. */
enum breaker_change
breaker_trip(struct breaker *b)
{
	b->n = b->next = 0;
	return set_broken(b, true);
}

const char *
list_state_name(enum list_state state)
{
	static const char *const names[] = {
		[LIST_UNPROVEN] = "unproven",
		[LIST_WELL] = "well",
		[LIST_ALL] = "lists-everybody",
		[LIST_NONE] = "lists-nobody",
		[LIST_ODD] = "odd-answers",
		[LIST_SILENT] = "silent",
	};

	return names[state];
}

const char *
list_state_text(enum list_state state)
{
	static const char *const texts[] = {
		[LIST_UNPROVEN] = "it was not probed yet",
		[LIST_WELL] = "its test entries are as they must be",
		[LIST_ALL] = "it lists 127.0.0.1, and so everybody",
		[LIST_NONE] = "it does not list 127.0.0.2, and so nobody",
		[LIST_ODD] = "its answers are no listings; it is dead, or does not want to serve us",
		[LIST_SILENT] = "it does not answer",
	};

	return texts[state];
}

enum list_entry
list_entry(const struct dns_answer *answer)
{
	struct dnsbl_mask any;

	memset(&any, 0xff, sizeof(any));
	if (answer->status == DNS_TEMP)
		return answer->outage ? ENTRY_OUTAGE : ENTRY_SILENT;
	switch (dnsbl_judge(answer, &any)) {
	case DNSBL_LISTED:
		return ENTRY_LISTED;
	case DNSBL_FAILED:
		return ENTRY_ODD;
	default:
		return ENTRY_ABSENT;
	}
}

enum list_state
list_judge(enum list_entry must_be, enum list_entry must_not_be)
{
	if (must_be == ENTRY_OUTAGE || must_not_be == ENTRY_OUTAGE)
		return LIST_UNPROVEN;
	if (must_be == ENTRY_SILENT || must_not_be == ENTRY_SILENT)
		return LIST_SILENT;
	if (must_be == ENTRY_ODD || must_not_be == ENTRY_ODD)
		return LIST_ODD;
	if (must_not_be == ENTRY_LISTED)
		return LIST_ALL;
	return must_be == ENTRY_LISTED ? LIST_WELL : LIST_NONE;
}

bool
list_note(struct list_record *record, enum dnsbl_reply reply)
{
	static const unsigned suspicious[] = {
		[DNSBL_NOT_LISTED] = 1000,
		[DNSBL_LISTED] = 50,
		[DNSBL_FAILED] = 3,
	};

	record->asked++;
	record->listed += reply == DNSBL_LISTED;
	record->failed += reply == DNSBL_FAILED;
	record->run = record->run_of == reply ? record->run + 1 : 1;
	record->run_of = reply;
	return record->run % suspicious[reply] == 0;
}
