/*
 * Who fails to log in (ledger_login.h): up to four records for each attempt, judged by lockout.c, read and written here.
 *
 * The role calls it for each message.  A store that gives no answer bans nobody: a mail server whose
 * database is broken should still let its members send.  Names of accounts come from strangers: they are part of a
 * key, folded, and purged like everything else.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "filters/ledger_fields.h"
#include "filters/ledger_login.h"
#include "filters/ledger_role.h"
#include "filters/ledger_walk.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

static struct ledger *ledger;

/* --- the decision --- */

static char *
folded(const char *s)
{
	char *copy = xstrdup(s), *p;

	for (p = copy; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

struct login {
	struct ledger *l;
	const struct ip *ip;
	const char *account; /* folded */
	int64_t now;
};

static void
fail(const struct login *login, enum lockout_subject s, struct login_answer *a)
{
	struct lockout record;
	uint32_t delay;

	if (ledger_get_lockout(login->l->store, s, login->ip, login->account, &record) < 0)
		return;
	delay = lockout_delay(lockout_failures(&record, login->now) + 1);
	if (s != LOCKOUT_ACCOUNT && s != LOCKOUT_NETWORK && delay > a->delay)
		a->delay = delay;
	if (lockout_fail(&record, s, login->now))
		log_warning("login.banned", F_STR("what", lockout_name(s)),
		    F_STR("client", s == LOCKOUT_ACCOUNT ? NULL : lockout_net_text(s, login->ip).s),
		    F_STR("account", s == LOCKOUT_ACCOUNT ? login->account : NULL),
		    F_U64("seconds", lockout_left(&record, login->now)), F_U64("bans", record.bans));
	(void)ledger_put_lockout(login->l->store, s, login->ip, login->account, &record);
}

static void
judge(const struct login *login, struct login_answer *a)
{
	static const enum lockout_subject banned[] = { LOCKOUT_ADDRESS, LOCKOUT_NETWORK, LOCKOUT_ACCOUNT };
	struct lockout record;
	uint32_t left;
	size_t i;

	for (i = 0; i < sizeof(banned) / sizeof(banned[0]); i++) {
		if (ledger_get_lockout(login->l->store, banned[i], login->ip, login->account, &record) != 1)
			continue;
		left = lockout_left(&record, login->now);
		if (left <= a->left)
			continue;
		a->left = left;
		a->banned = banned[i];
	}
}

void
ledger_judge_login(struct ledger *l, enum login_step step, const struct ip *ip, const char *account, int64_t now,
    struct login_answer *a)
{
	struct lockout pair = { 0 };
	char *name = folded(account);
	struct login login = { l, ip, name, now };
	bool known;

	*a = (struct login_answer){ .left = 0 };
	known = ledger_get_lockout(l->store, LOCKOUT_PAIR, ip, name, &pair) == 1 && lockout_knows(&pair, now);
	a->known = known;
	if (step == LOGIN_TRY && !known) {
		judge(&login, a);
	} else if (step == LOGIN_FAILED) {
		if (known) {
			fail(&login, LOCKOUT_PAIR, a);
		} else {
			fail(&login, LOCKOUT_ADDRESS, a);
			fail(&login, LOCKOUT_NETWORK, a);
			fail(&login, LOCKOUT_ACCOUNT, a);
		}
	} else if (step == LOGIN_PASSED) {
		lockout_pass(&pair, now);
		(void)ledger_put_lockout(l->store, LOCKOUT_PAIR, ip, name, &pair);
	}
	free(name);
}

/* --- smtpctl auth list|forget --- */

struct job {
	struct ctl *ctl;
	bool forget, all, dry_run;
	struct ipnet client;
	char *account;
	char *state;
	int64_t now;
	uint64_t n;
};

static void
job_end(struct job *job, int status, const char *why)
{
	ctl_end(job->ctl, status, why);
	free(job->account);
	free(job->state);
	free(job);
}

static bool
is_meant(const struct job *job, const struct ledger_item *item)
{
	struct ipnet net = lockout_net(item->subject, &item->client);

	if (job->client.ip.family != 0 && (item->subject == LOCKOUT_ACCOUNT ||
	    !(ipnet_contains(&job->client, &net.ip) || ipnet_contains(&net, &job->client.ip))))
		return false;
	if (job->account != NULL && strcmp(job->account, item->account) != 0)
		return false;
	return job->state == NULL || strcmp(job->state, ledger_item_state(item, job->now)) == 0;
}

static enum kv_step
visit(const struct ledger_item *item, void *arg)
{
	struct job *job = arg;

	if (!is_meant(job, item))
		return KV_NEXT;
	job->n++;
	ledger_answer_item(job->ctl, item, job->now, false);
	return job->forget && !job->dry_run ? KV_DELETE : KV_NEXT;
}

static void
done(int rc, void *arg)
{
	struct job *job = arg;

	if (rc < 0) {
		job_end(job, 1, "the ledger's database is down; its log says why");
		return;
	}
	if (job->forget && job->n > 0 && !job->dry_run) {
		ledger->changed = true;
		log_notice("login.forgotten", F_U64("records", job->n), F_U64("uid", ctl_uid(job->ctl)));
	}
	if (job->forget && job->n == 0)
		job_end(job, 1, "nothing is known of that");
	else
		job_end(job, 0, "");
}

/* NULL, or what is wrong (caller frees). */
static char *
parse_word(struct job *job, const char *word)
{
	static const char *const states[] = { "banned", "failed", "known" };
	size_t i;

	if (strcmp(word, "all") == 0) {
		job->all = true;
	} else if (strcmp(word, "-n") == 0) {
		job->dry_run = true;
	} else if (strncmp(word, "client=", 7) == 0) {
		if (!ipnet_parse(word + 7, &job->client))
			return xasprintf("%s: an address or a network is expected", word);
	} else if (strncmp(word, "account=", 8) == 0) {
		free(job->account);
		job->account = folded(word + 8);
	} else if (strncmp(word, "state=", 6) == 0) {
		for (i = 0; i < 3 && strcmp(states[i], word + 6) != 0; i++)
			;
		if (i == 3)
			return xasprintf("%s: expected banned, failed or known", word);
		free(job->state);
		job->state = xstrdup(word + 6);
	} else {
		return xasprintf("%s: expected client=, account=, state=, all or -n", word);
	}
	return NULL;
}

static void
on_auth(struct ctl *ctl, unsigned n, const char *const *words)
{
	struct job *job = xcalloc(1, sizeof(*job));
	struct ledger_walk w = { .store = ledger->store, .ctl = ctl, .table = TABLE_LOGIN, .visit = visit,
		.done = done, .arg = job };
	char *why = NULL;
	unsigned i;

	job->ctl = ctl;
	job->now = clock_now();
	job->forget = n > 1 && strcmp(words[1], "forget") == 0;
	if (n < 2 || (!job->forget && strcmp(words[1], "list") != 0))
		why = xstrdup("auth list|forget");
	for (i = 2; i < n && why == NULL; i++)
		why = parse_word(job, words[i]);
	if (why == NULL && job->forget && !job->all && job->client.ip.family == 0 && job->account == NULL &&
	    job->state == NULL)
		why = xstrdup("say which: client=, account=, state=; or all");
	if (why != NULL) {
		job_end(job, 2, why);
		free(why);
		return;
	}
	ledger_walk(&w);
}

void
ledger_login_ctl_init(struct ledger *l)
{
	ledger = l;
	ctl_register("auth", on_auth);
}
