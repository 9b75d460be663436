/*
 * The ledger's part of `smtpctl stats` (ledger_stats.h): whether its store is open, what it decided
 * since the role began, how many flushes failed, and how much it keeps.
 *
 * Answered at once and from memory: the records of the tables are those that the last purge left,
 * and before the first one there is nothing to say about them.  A store that is down is an answer
 * like any other.
 */
#include "filters/ledger_gather.h"
#include "filters/ledger_purge.h"
#include "filters/ledger_role.h"
#include "filters/ledger_stats.h"
#include "filters/ledger_store.h"
#include "lib/ctl.h"

static struct ledger *ledger;

static uint64_t
count_operators(void)
{
	const struct operator_entry *e = NULL;
	uint64_t n = 0;

	while ((e = operator_list_next(ledger->operators, e)) != NULL)
		n++;
	return n;
}

static void
on_stats(struct ctl *ctl, unsigned n, const char *const *words)
{
	const struct ledger_census *census = ledger_purge_census();
	struct ledger_count_totals t;

	(void)n;
	(void)words;
	ledger_count_totals(ledger->count, &t);
	ctl_record(ctl, FIELDS(F_BOOL("open", ledger_store_is_open(ledger->store)),
	    F_U64("decisions", t.decisions), F_U64("let_in", t.let_in), F_U64("held", t.held),
	    F_U64("returned", t.returned), F_U64("operator_entries", count_operators()),
	    F_U64("flush_failures", t.flush_failures),
	    F_U64("sync_failures", ledger_store_sync_failures(ledger->store))));
	if (census->time != 0)
		ctl_record(ctl, FIELDS(F_I64("counted", census->time),
		    F_U64("triplets", census->triplets), F_U64("identities", census->identities),
		    F_U64("callers", census->callers),
		    F_U64("correspondents", census->correspondents),
		    F_U64("tries", census->tries)));
	ctl_end(ctl, 0, "");
}

void
ledger_stats_init(struct ledger *l)
{
	ledger = l;
	ledger_gather_register("stats", on_stats);
}
