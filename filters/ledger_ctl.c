/*
 * `smtpctl grey list|show|allow|deny|pass|forget`, answered in the ledger.
 *
 * The control role has checked who asks.  A request that reads or forgets is a job: it goes over
 * the tables one after another in small steps (ledger_walk.h), records stream out as they are
 * found, and the job ends with its request.  `allow` and `deny` are done at once, in memory and on
 * disk.  What must never happen: that a request which is not fully understood changes anything.
 */
#include <stdlib.h>
#include <string.h>

#include "filters/grey_selector.h"
#include "filters/ledger_fields.h"
#include "filters/ledger_gate_ctl.h"
#include "filters/ledger_import.h"
#include "filters/ledger_role.h"
#include "filters/ledger_tries.h"
#include "filters/ledger_walk.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/quantity.h"

/* Triplets that one `grey pass` lets through. */
#define PASS_MAX 1000

#define DOWN "the ledger's database is down; its log says why"

static struct ledger *ledger;

struct triplet {
	char *identity, *sender, *recipient;
};

struct job {
	struct ctl *ctl;
	struct grey_selector sel;
	const struct verb *verb;
	int64_t now;
	unsigned stage;
	uint64_t n;
	bool enough;
	struct triplet *triplets; /* of `pass` */
};

/* What a job does with a record that its selector means, and at its end. */
struct verb {
	const char *name;
	void (*start)(struct ctl *, const struct verb *, unsigned n, const char *const *words);
	enum kv_step (*visit)(struct job *, const struct ledger_item *);
	void (*finish)(struct job *);
	bool needs_selector; /* or "all" */
};

/* The tables, and where they hold two kinds of records, one after the other. */
static const struct stage {
	enum ledger_table table;
	enum ledger_item_type type;
} stages[] = {
	{ TABLE_OPERATOR, ITEM_OPERATOR },
	{ TABLE_TRIES, ITEM_TRIES },
	{ TABLE_GREY, ITEM_IDENTITY },
	{ TABLE_GREY, ITEM_TRIPLET },
	{ TABLE_CALLER, ITEM_PASSED },
	{ TABLE_CALLER, ITEM_TRAP },
	{ TABLE_CALLER, ITEM_LEFT },
	{ TABLE_CALLER, ITEM_STAYED },
	{ TABLE_CORRESPONDENT, ITEM_CORRESPONDENT },
};
#define STAGES (sizeof(stages) / sizeof(stages[0]))

/*
 * Jobs
 */

static void
job_end(struct job *job, int status, const char *why)
{
	uint64_t i;

	ctl_end(job->ctl, status, why);
	grey_selector_clear(&job->sel);
	for (i = 0; job->triplets != NULL && i < job->n; i++) {
		free(job->triplets[i].identity);
		free(job->triplets[i].sender);
		free(job->triplets[i].recipient);
	}
	free(job->triplets);
	free(job);
}

/* A proposal that the operator has answered is none any more; and what the greylist has in its own records, or was let in,
 * is told when it is asked for. */
static bool
tries_are_meant(const struct job *job, const struct ledger_item *item)
{
	const char *state = ledger_item_state(item, job->now);

	if (strcmp(job->verb->name, "list") != 0)
		return true;
	if (strcmp(state, "proposed") == 0)
		return ledger_tries_are_open(ledger, item, job->now);
	return job->sel.state != NULL ||
	       (strcmp(state, "refused") == 0 && item->tries.action != ACTION_GREYLIST);
}

static enum kv_step
job_visit(const struct ledger_item *item, void *arg)
{
	struct job *job = arg;
	const char *identity = job->sel.text[OPERATOR_IDENTITY];
	enum kv_step step;

	if (job->enough || item->type != stages[job->stage].type)
		return KV_STOP;
	/* the scan began with this identity's records, and they are over */
	if (identity != NULL && item->identity != NULL && strcmp(item->identity, identity) != 0)
		return KV_STOP;
	if (!grey_selector_matches(&job->sel, item, job->now))
		return KV_NEXT;
	if (item->type == ITEM_TRIES && !tries_are_meant(job, item))
		return KV_NEXT;
	step = job->verb->visit(job, item);
	job->enough = job->enough || (job->sel.limit != 0 && job->n >= job->sel.limit);
	return step;
}

/* Correspondents can be many and are seldom meant: a list shows them when asked for by name. */
static bool
stage_is_meant(const struct job *job)
{
	bool asked;

	asked = job->sel.state != NULL && strcmp(job->sel.state, "correspondent") == 0;
	return stages[job->stage].type != ITEM_CORRESPONDENT || asked || job->verb->needs_selector;
}

static void job_done(int, void *);

static void
job_step(struct job *job)
{
	struct ledger_walk w = { .store = ledger->store,
		.ctl = job->ctl,
		.visit = job_visit,
		.done = job_done,
		.arg = job };
	const char *identity = job->sel.text[OPERATOR_IDENTITY];

	while (job->stage < STAGES && !stage_is_meant(job))
		job->stage++;
	if (job->stage == STAGES || job->enough) {
		job->verb->finish(job);
		return;
	}
	w.table = stages[job->stage].table;
	if (identity != NULL && (stages[job->stage].type == ITEM_TRIPLET || stages[job->stage].type == ITEM_TRIES))
		ledger_key_triplets_of(&w.from, stages[job->stage].type, identity);
	else if (identity != NULL && stages[job->stage].type == ITEM_IDENTITY)
		ledger_key_identity(&w.from, identity);
	else
		ledger_key_first(&w.from, stages[job->stage].type);
	ledger_walk(&w);
}

static void
job_done(int rc, void *arg)
{
	struct job *job = arg;

	if (rc == -1) {
		job_end(job, 1, DOWN);
		return;
	}
	job->stage++;
	job_step(job);
}

static void
job_start(struct ctl *ctl, const struct verb *verb, unsigned n, const char *const *words)
{
	struct grey_selector sel;
	struct job *job;
	char *why;

	if (!grey_selector_parse(n, words, &sel, &why)) {
		ctl_end(ctl, 2, why);
		free(why);
		return;
	}
	if (verb->needs_selector && grey_selector_is_open(&sel) && !sel.all) {
		ctl_end(ctl, 2, "say which: client=, name=, identity=, from=, to=, state=; or all");
		grey_selector_clear(&sel);
		return;
	}
	job = xcalloc(1, sizeof(*job));
	job->ctl = ctl;
	job->sel = sel;
	job->verb = verb;
	job->now = clock_now();
	job_step(job);
}

/*
 * list, show
 */

static enum kv_step
list_visit(struct job *job, const struct ledger_item *item)
{
	job->n++;
	ledger_answer_item(job->ctl, item, job->now, false);
	return KV_NEXT;
}

static void
list_finish(struct job *job)
{
	job_end(job, 0, "");
}

static enum kv_step
show_visit(struct job *job, const struct ledger_item *item)
{
	job->n++;
	ledger_answer_item(job->ctl, item, job->now, true);
	return KV_NEXT;
}

static void
show_finish(struct job *job)
{
	if (job->n == 0)
		job_end(job, 1, "nothing is known of that");
	else
		job_end(job, 0, "");
}

/*
 * forget
 */

/* An operator's entry goes when it is named, or lies in the network that is named; a wider one
 * stays. */
static bool
may_forget_entry(const struct grey_selector *sel, const struct operator_entry *e)
{
	struct ipnet net;

	if (grey_selector_is_open(sel))
		return false;
	if (e->kind != OPERATOR_CLIENT || sel->text[OPERATOR_CLIENT] == NULL)
		return true;
	return ipnet_parse(e->text, &net) && net.bits >= sel->client.bits;
}

static enum kv_step
forget_visit(struct job *job, const struct ledger_item *item)
{
	if (item->type == ITEM_OPERATOR && !may_forget_entry(&job->sel, &item->operator_entry))
		return KV_NEXT;
	job->n++;
	ledger_answer_item(job->ctl, item, job->now, false);
	if (job->sel.dry_run)
		return KV_NEXT;
	if (item->type == ITEM_OPERATOR)
		(void)operator_list_remove(
		    ledger->operators, item->operator_entry.kind, item->operator_entry.text);
	return KV_DELETE;
}

static void
forget_finish(struct job *job)
{
	if (job->n > 0 && !job->sel.dry_run) {
		ledger->changed = true;
		log_notice(
		    "ledger.forgotten", F_U64("records", job->n), F_U64("uid", ctl_uid(job->ctl)));
	}
	if (job->n == 0)
		job_end(job, 1, "nothing is known of that");
	else
		job_end(job, 0, "");
}

/*
 * pass
 */

static enum kv_step
pass_visit(struct job *job, const struct ledger_item *item)
{
	struct triplet *t;

	if (item->type != ITEM_TRIPLET || item->triplet.passed != 0 ||
	    job->now > item->triplet.expires)
		return KV_NEXT;
	if (job->triplets == NULL)
		job->triplets = xcalloc(PASS_MAX, sizeof(*job->triplets));
	t = &job->triplets[job->n++];
	t->identity = xstrdup(item->identity);
	t->sender = xstrdup(item->sender);
	t->recipient = xstrdup(item->recipient);
	if (job->n == PASS_MAX)
		job->enough = true;
	return KV_NEXT;
}

/* Between the walk and now it may have passed by itself. */
static bool
waive(struct job *job, const struct triplet *t)
{
	struct grey_question q = {
		.identity = t->identity, .sender = t->sender, .recipient = t->recipient
	};
	struct ledger_item item = { .type = ITEM_TRIPLET,
		.identity = t->identity,
		.sender = t->sender,
		.recipient = t->recipient };
	int rc;

	rc = ledger_get_triplet(ledger->store, &q, &item.triplet);
	if (rc != 1)
		return rc == 0;
	grey_waive(&item.triplet, job->now);
	ledger_answer_item(job->ctl, &item, job->now, false);
	return job->sel.dry_run || ledger_put_triplet(ledger->store, &q, &item.triplet) == 1;
}

static void
pass_finish(struct job *job)
{
	char *why;
	uint64_t i;

	if (job->n == 0) {
		job_end(job, 1, "no waiting triplet is like that");
		return;
	}
	if (job->n > 1 && !job->sel.all) {
		why = xasprintf(
		    "%llu%s waiting triplets are like that; say more of one, or add the word all",
		    (unsigned long long)job->n, job->n == PASS_MAX ? " or more" : "");
		job_end(job, 1, why);
		free(why);
		return;
	}
	for (i = 0; i < job->n; i++) {
		if (!waive(job, &job->triplets[i])) {
			job_end(job, 1, DOWN);
			return;
		}
	}
	ledger->changed = true;
	job_end(job, 0, "");
}

/*
 * allow, deny
 */

/* What a word without "kind=" must be. */
static enum operator_kind
guess_kind(const char *word)
{
	struct ipnet net;

	if (ipnet_parse(word, &net))
		return OPERATOR_CLIENT;
	if (strchr(word, '@') != NULL || strcmp(word, "<>") == 0)
		return OPERATOR_FROM;
	if (strncmp(word, "spf:", 4) == 0 || strncmp(word, "name:", 5) == 0 ||
	    strncmp(word, "net:", 4) == 0)
		return OPERATOR_IDENTITY;
	return OPERATOR_NAME;
}

/* One word of an allow or deny into E, whose TEXT is then allocated. */
static char *
parse_entry_word(const char *word, int64_t now, struct operator_entry *e)
{
	const char *equals = strchr(word, '='), *why;
	uint64_t seconds;
	int kind;

	if (strncmp(word, "for=", 4) == 0) {
		if (quantity_parse(word + 4, strlen(word + 4), &seconds) != QUANTITY_TIME ||
		    seconds == 0)
			return xasprintf(
			    "%s: a time is expected, such as for=30d or for=12h", word);
		e->expires = now + (int64_t)seconds;
		return NULL;
	}
	if (strncmp(word, "note=", 5) == 0) {
		e->note = word + 5;
		if (strlen(e->note) > OPERATOR_NOTE_MAX)
			return xasprintf("note=: longer than %d octets", OPERATOR_NOTE_MAX);
		return NULL;
	}
	if (e->text != NULL)
		return xasprintf("%s: one entry at a time", word);
	kind = equals == NULL ? -1 : operator_kind_by_name(word, (size_t)(equals - word));
	if (kind == -1) {
		kind = (int)guess_kind(word);
		equals = NULL;
	}
	e->kind = (enum operator_kind)kind;
	e->text = operator_text(e->kind, equals == NULL ? word : equals + 1, &why);
	return e->text == NULL ? xasprintf("%s: %s", word, why) : NULL;
}

static void
entry_start(struct ctl *ctl, const struct verb *verb, unsigned n, const char *const *words)
{
	struct ledger_item item = { .type = ITEM_OPERATOR };
	struct operator_entry *e = &item.operator_entry;
	char *why = NULL;
	unsigned i;

	e->allow = strcmp(verb->name, "allow") == 0;
	e->created = clock_now();
	e->uid = ctl_uid(ctl);
	e->note = "";
	for (i = 0; i < n && why == NULL; i++)
		why = parse_entry_word(words[i], e->created, e);
	if (why == NULL && e->text == NULL)
		why = xasprintf("say whom: client=192.0.2.0/24, name=example.org, identity=, "
				"from=, to=; for=30d, note=");
	if (why != NULL) {
		ctl_end(ctl, 2, why);
	} else if (ledger_put_operator(ledger->store, e) != 1) {
		ctl_end(ctl, 1, DOWN);
	} else {
		operator_list_put(ledger->operators, e);
		ledger->changed = true;
		log_notice("ledger.entry", F_STR("word", verb->name),
		    F_STR("kind", operator_kind_name(e->kind)), F_STR("entry", e->text),
		    F_U64("uid", e->uid));
		ledger_answer_item(ctl, &item, e->created, false);
		ctl_end(ctl, 0, "");
	}
	free(why);
	free((void *)(uintptr_t)e->text);
}

static void
import_start(struct ctl *ctl, const struct verb *verb, unsigned n, const char *const *words)
{
	(void)verb;
	ledger_import(ledger, ctl, n, words);
}

/*
 * The object
 */

static const struct verb verbs[] = {
	{ "list", job_start, list_visit, list_finish, false },
	{ "show", job_start, show_visit, show_finish, true },
	{ "forget", job_start, forget_visit, forget_finish, true },
	{ "pass", job_start, pass_visit, pass_finish, true },
	{ "allow", entry_start, NULL, NULL, true },
	{ "deny", entry_start, NULL, NULL, true },
	{ "import", import_start, NULL, NULL, false },
};

static void
on_grey(struct ctl *ctl, unsigned n, const char *const *words)
{
	size_t i;

	for (i = 0; n > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strcmp(verbs[i].name, words[1]) == 0) {
			verbs[i].start(ctl, &verbs[i], n - 2, words + 2);
			return;
		}
	}
	ctl_end(ctl, 2, "grey list|show|allow|deny|pass|forget|import");
}

void
ledger_ctl_init(struct ledger *l)
{
	ledger = l;
	ctl_register("grey", on_grey);
	ledger_gate_ctl_init(l);
}
