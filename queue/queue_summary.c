/*
 * `smtpctl queue summary`: how much waits, and for whom.
 *
 * A sum over all messages that the operator selected, by domain of the recipients that wait.  It is
 * made for one request and gone with it; a queue has far fewer domains than messages, and only the
 * largest are shown.
 */
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/mem.h"
#include "queue/queue.h"
#include "queue/queue_show.h"

#define SHOWN_MAX 50

/* How long they have been waiting: a destination that fails shows in the later columns. */
static const struct {
	const char *name;
	int64_t below; /* seconds */
} ages[] = {
	{ "10m", 600 },
	{ "1h", 3600 },
	{ "6h", 6 * 3600 },
	{ "1d", 86400 },
	{ "3d", 3 * 86400 },
	{ "more", INT64_MAX },
};
#define AGES (sizeof(ages) / sizeof(ages[0]))

struct domain_sum {
	RB_ENTRY(domain_sum) node;
	char *name;
	uint64_t recipients;
	uint64_t by_age[AGES];
	int64_t oldest; /* time of acceptance */
	char *reason;   /* the first that was seen */
};
RB_HEAD(domain_sums, domain_sum);

struct summary {
	uint64_t messages, recipients, octets;
	uint64_t states[MESSAGE_STATES];
	int64_t oldest;
	struct domain_sums domains;
	size_t domains_n;
};

static int
compare(const struct domain_sum *a, const struct domain_sum *b)
{
	return strcmp(a->name, b->name);
}

RB_GENERATE_INTERNAL(domain_sums, domain_sum, node, compare, __attribute__((unused)) static)

struct summary *
summary_new(void)
{
	struct summary *s = xcalloc(1, sizeof(*s));

	s->oldest = INT64_MAX;
	RB_INIT(&s->domains);
	return s;
}

static struct domain_sum *
domain_sum(struct summary *s, const char *address)
{
	const char *at = strrchr(address, '@');
	struct domain_sum key = { .name = (char *)(uintptr_t)(at != NULL ? at + 1 : "") }, *sum;

	sum = RB_FIND(domain_sums, &s->domains, &key);
	if (sum != NULL)
		return sum;
	sum = xcalloc(1, sizeof(*sum));
	sum->name = xstrdup(key.name);
	sum->oldest = INT64_MAX;
	RB_INSERT(domain_sums, &s->domains, sum);
	s->domains_n++;
	return sum;
}

static int64_t
age_of(int64_t t)
{
	int64_t now = clock_now();

	return t < now ? now - t : 0;
}

static size_t
age_column(int64_t age)
{
	size_t i = 0;

	while (age >= ages[i].below)
		i++;
	return i;
}

void
summary_add(struct summary *s, struct queue *q, const struct envelope *env)
{
	struct domain_sum *sum;
	uint32_t i;

	s->messages++;
	s->octets += env->size;
	s->states[message_state(q, env)]++;
	if (env->time < s->oldest)
		s->oldest = env->time;
	for (i = 0; i < env->recipients_n; i++) {
		if (env->recipients[i].state != RECIPIENT_WAITING)
			continue;
		s->recipients++;
		sum = domain_sum(s, env->recipients[i].address);
		sum->recipients++;
		sum->by_age[age_column(age_of(env->time))]++;
		if (env->time < sum->oldest)
			sum->oldest = env->time;
		if (sum->reason == NULL && env->recipients[i].reason != NULL)
			sum->reason = xstrdup(env->recipients[i].reason);
	}
}

static int
by_size(const void *left, const void *right)
{
	const struct domain_sum *a = *(struct domain_sum *const *)left,
				*b = *(struct domain_sum *const *)right;

	if (a->recipients != b->recipients)
		return a->recipients > b->recipients ? -1 : 1;
	return strcmp(a->name, b->name);
}

static void
send_domains(struct summary *s, struct ctl *ctl)
{
	struct domain_sum **all = xcalloc(s->domains_n, sizeof(*all)), *sum;
	size_t n = 0, i;

	RB_FOREACH(sum, domain_sums, &s->domains)
		all[n++] = sum;
	qsort(all, n, sizeof(*all), by_size);
	for (i = 0; i < n && i < SHOWN_MAX; i++)
		ctl_record(ctl,
		    FIELDS(F_STR("domain", all[i]->name), F_U64("recipients", all[i]->recipients),
			F_I64("oldest", age_of(all[i]->oldest)),
			F_U64(ages[0].name, all[i]->by_age[0]),
			F_U64(ages[1].name, all[i]->by_age[1]),
			F_U64(ages[2].name, all[i]->by_age[2]),
			F_U64(ages[3].name, all[i]->by_age[3]),
			F_U64(ages[4].name, all[i]->by_age[4]),
			F_U64(ages[5].name, all[i]->by_age[5]),
			F_STR("reason", all[i]->reason != NULL ? all[i]->reason : "")));
	free(all);
}

void
summary_end(struct summary *s, struct ctl *ctl)
{
	struct domain_sum *sum;

	ctl_record(ctl, FIELDS(F_U64("messages", s->messages), F_U64("recipients", s->recipients),
			    F_U64("size", s->octets), F_U64("waiting", s->states[MESSAGE_WAITING]),
			    F_U64("active", s->states[MESSAGE_ACTIVE]),
			    F_U64("deferred", s->states[MESSAGE_DEFERRED]),
			    F_U64("held", s->states[MESSAGE_HELD]), F_U64("domains", s->domains_n),
			    s->messages > 0 ? F_I64("oldest", age_of(s->oldest)) : F_END));
	send_domains(s, ctl);
	while ((sum = RB_ROOT(&s->domains)) != NULL) {
		RB_REMOVE(domain_sums, &s->domains, sum);
		free(sum->name);
		free(sum->reason);
		free(sum);
	}
	free(s);
}
