/*
 * What a trial remembers (trial_memory.h).
 *
 * Called once for each attempt of a log, so it only hashes and compares.  Nothing can fail but
 * memory.  It mirrors filters/ledger_decide.c: a change there in who passes belongs here as well, and
 * test_trial.c asks both the same questions.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "filters/identity.h"
#include "filters/ledger_role.h"
#include "filters/rhythm.h"
#include "lib/buf.h"
#include "lib/dict.h"
#include "lib/mem.h"
#include "smtpctl/trial_memory.h"

#define CORRESPONDENT_SECONDS (180 * 86400)

/* What was put off by a tempfail: struct tries without what is only shown. */
struct trial_tries {
	struct rhythm rhythm;
	struct ip client;
	bool several, proposed, let_in;
};

struct trial_memory {
	struct dict *callers, *triplets, *identities, *correspondents, *tries, *rescued;
	struct buf key;
};

struct trial_memory *
trial_memory_new(void)
{
	struct trial_memory *m = xcalloc(1, sizeof(*m));

	m->callers = dict_new(sizeof(struct trial_caller));
	m->triplets = dict_new(sizeof(struct grey_record));
	m->identities = dict_new(sizeof(struct trial_identity));
	m->correspondents = dict_new(sizeof(int64_t));
	m->tries = dict_new(sizeof(struct trial_tries));
	m->rescued = dict_new(sizeof(int64_t));
	return m;
}

void
trial_memory_free(struct trial_memory *m)
{
	if (m == NULL)
		return;
	dict_free(m->callers);
	dict_free(m->triplets);
	dict_free(m->identities);
	dict_free(m->correspondents);
	dict_free(m->tries);
	dict_free(m->rescued);
	buf_free(&m->key);
	free(m);
}

/* --- callers --- */

struct trial_caller *
trial_caller(struct trial_memory *m, const struct ip *ip)
{
	return dict_put(m->callers, ip->bytes, ip->family == AF_INET6 ? 16 : 4);
}

void
trial_caller_passed(struct trial_memory *m, const struct ip *ip, int64_t now)
{
	struct trial_caller *c = trial_caller(m, ip);

	c->passed = now + LEDGER_PASSED_SECONDS;
}

void
trial_caller_stayed(struct trial_memory *m, const struct ip *ip, int64_t now)
{
	struct trial_caller *c = trial_caller(m, ip);

	c->passed = c->stayed = now + LEDGER_PASSED_SECONDS;
	c->left = 0;
}

/* --- the greylist --- */

/* Parts are kept apart by their lengths, as in the ledger's keys. */
static void
triplet_key(struct trial_memory *m, const struct grey_question *q, const char *identity)
{
	buf_clear(&m->key);
	buf_add_str(&m->key, identity);
	buf_add_str(&m->key, q->client_only ? "*" : q->sender);
	buf_add_str(&m->key, q->client_only ? "*" : q->recipient);
}

static struct trial_identity *
identity(struct trial_memory *m, const char *name)
{
	return dict_put(m->identities, name, strlen(name) + 1);
}

/* His network and his address, where they are not the identity itself. */
static unsigned
elsewhere(const struct grey_question *q, char *names[2])
{
	unsigned n = 0;
	char *name;
	int i;

	if (q->client.family == 0 || q->narrow)
		return 0;
	for (i = 0; i < 2; i++) {
		name = i == 0 ? identity_of(&q->client, NULL, NULL) : identity_of_address(&q->client);
		if (strcmp(name, q->identity) == 0)
			free(name);
		else
			names[n++] = name;
	}
	return n;
}

/* His network or his address is trusted. */
static bool
trusted_elsewhere(struct trial_memory *m, const struct grey_question *q, int64_t now)
{
	const struct trial_identity *id;
	bool trusted = false;
	char *names[2];
	unsigned i, n;

	n = elsewhere(q, names);
	for (i = 0; i < n; i++) {
		id = dict_get(m->identities, names[i], strlen(names[i]) + 1);
		trusted = trusted || (id != NULL && grey_identity_trusted(&id->trust, q, now));
		free(names[i]);
	}
	return trusted;
}

/* The record of Q; where there is none, a copy of what was learnt elsewhere. */
static struct grey_record *
record(struct trial_memory *m, const struct grey_question *q)
{
	struct grey_record *r, *other;
	char *names[2];
	unsigned i, n;

	triplet_key(m, q, q->identity);
	r = dict_put(m->triplets, m->key.data, m->key.len);
	if (r->count != 0)
		return r;
	n = elsewhere(q, names);
	for (i = 0; i < n; i++) {
		triplet_key(m, q, names[i]);
		other = dict_get(m->triplets, m->key.data, m->key.len);
		if (other != NULL && r->count == 0)
			*r = *other;
		free(names[i]);
	}
	return r;
}

void
trial_grey(struct trial_memory *m, const struct grey_question *q, int64_t now, struct grey_answer *a)
{
	struct trial_identity *id = identity(m, q->identity);
	struct grey_record *r;

	memset(a, 0, sizeof(*a));
	id->asked++;
	if (grey_identity_trusted(&id->trust, q, now)) {
		a->state = GREY_TRUSTED;
		if (grey_identity_stale(&id->trust, now))
			grey_identity_passed(&id->trust, q, now, false);
		return;
	}
	if (id->trust.count == 0 && trusted_elsewhere(m, q, now)) {
		a->state = GREY_TRUSTED;
		return;
	}
	r = record(m, q);
	grey_decide(r, q, now, a);
	if (a->first_pass && r->count > 1)
		grey_identity_passed(&id->trust, q, now, true);
}

void
trial_grey_returns(struct trial_memory *m, const struct grey_question *q, int64_t now)
{
	struct grey_answer a;

	trial_grey(m, q, now, &a);
	identity(m, q->identity)->asked--;
}

/* --- tempfail --- */

static int64_t *
rescued_until(struct trial_memory *m, const struct grey_question *q, bool address)
{
	char *name = address ? identity_of_address(&q->client) : xstrdup(q->identity);
	int64_t *until = dict_put(m->rescued, name, strlen(name) + 1);

	free(name);
	return until;
}

/* Lives on while it is used. */
static bool
is_rescued(int64_t *until, const struct grey_question *q, int64_t now)
{
	if (*until < now)
		return false;
	if (*until - now < q->rescue / 2)
		*until = now + q->rescue;
	return true;
}

static void
let_in(struct trial_tries *t, int64_t now, struct grey_answer *a)
{
	t->let_in = a->first_pass = true;
	a->waited = (uint32_t)(now - t->rhythm.first);
}

static struct trial_tries *
add_try(struct trial_memory *m, const struct grey_question *q, int64_t now)
{
	struct trial_tries *t;

	triplet_key(m, q, q->identity);
	t = dict_put(m->tries, m->key.data, m->key.len);
	if (t->let_in || rhythm_is_over(&t->rhythm, now))
		memset(t, 0, sizeof(*t));
	if (!rhythm_add(&t->rhythm, now))
		return t;
	t->several = t->several || (t->client.family != 0 && !ip_equal(&t->client, &q->client));
	t->client = q->client;
	return t;
}

void
trial_rescue(struct trial_memory *m, const struct grey_question *q, int64_t now, struct grey_answer *a)
{
	struct trial_tries *t;
	bool rescued;

	memset(a, 0, sizeof(*a));
	triplet_key(m, q, q->identity);
	t = dict_get(m->tries, m->key.data, m->key.len);
	rescued = is_rescued(rescued_until(m, q, true), q, now);
	rescued = is_rescued(rescued_until(m, q, false), q, now) || rescued;
	if (rescued) {
		a->state = GREY_TRUSTED;
		if (t != NULL && !t->let_in && !rhythm_is_over(&t->rhythm, now))
			let_in(add_try(m, q, now), now, a);
		return;
	}
	t = add_try(m, q, now);
	a->first = t->rhythm.first;
	a->state = t->rhythm.total == 1 ? GREY_NEW : GREY_EARLY;
	t->proposed = t->proposed || rhythm_is_of_a_server(&t->rhythm);
	if (!t->proposed)
		return;
	a->state = GREY_TRUSTED;
	let_in(t, now, a);
	/* one host of a network is not all of it */
	*rescued_until(m, q, !t->several && strncmp(q->identity, "net:", 4) == 0) = now + q->rescue;
}

void
trial_rescued(struct trial_memory *m, const struct grey_question *q, int64_t now)
{
	*rescued_until(m, q, strncmp(q->identity, "net:", 4) == 0) = now + q->rescue;
}

struct identity_visit {
	void (*visit)(const char *, const struct trial_identity *, void *);
	void *arg;
};

static void
visit_identity(const void *key, size_t len, void *value, void *arg)
{
	const struct identity_visit *v = arg;

	(void)len;
	v->visit(key, value, v->arg);
}

void
trial_each_identity(const struct trial_memory *m,
    void (*visit)(const char *, const struct trial_identity *, void *), void *arg)
{
	struct identity_visit v = { visit, arg };

	dict_each(m->identities, visit_identity, &v);
}

/* --- correspondents --- */

/* Mailboxes are compared without case. */
static void
correspondent_key(struct buf *key, const char *theirs, const char *ours)
{
	const char *s;

	buf_clear(key);
	for (s = theirs; *s != '\0'; s++)
		buf_addc(key, (char)tolower((unsigned char)*s));
	buf_addc(key, '\0');
	for (s = ours; *s != '\0'; s++)
		buf_addc(key, (char)tolower((unsigned char)*s));
}

void
trial_wrote(struct trial_memory *m, const char *ours, const char *theirs, int64_t now)
{
	int64_t *until;

	correspondent_key(&m->key, theirs, ours);
	until = dict_put(m->correspondents, m->key.data, m->key.len);
	*until = now + CORRESPONDENT_SECONDS;
}

bool
trial_corresponds(struct trial_memory *m, const char *theirs, const char *ours, int64_t now)
{
	const int64_t *until;

	if (dict_count(m->correspondents) == 0)
		return false;
	correspondent_key(&m->key, theirs, ours);
	until = dict_get(m->correspondents, m->key.data, m->key.len);
	return until != NULL && now <= *until;
}
