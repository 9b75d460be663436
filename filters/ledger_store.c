/*
 * The ledger's tables (ledger_store.h).
 *
 * The role and its listings call this; it owns the environment and the number of the next event.
 * Each function is one look-up or one write, tens of microseconds; nothing waits for the disk. What
 * can fail is the store below, which says so itself (kv.h): callers then act as if the ledger knew
 * nothing, and let mail in.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "filters/ledger_events.h"
#include "filters/ledger_store.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"

/* Longer than any value: an event with all its texts, a histogram with all its buckets. */
#define VALUE_MAX 8192

struct ledger_store {
	struct kv *kv;
	struct kv_table *tables[TABLE_COUNT];
	struct buf key, value; /* of the call at hand */
	char found[VALUE_MAX]; /* what was read */
	size_t found_len;
	struct ledger_events *events;
	uint64_t sync_failures;
};

static const char *const table_names[TABLE_COUNT] = { "grey", "caller", "correspondent", "operator",
	"counter", "event", "tries", "login", "policy" };

static enum kv_step
see_event(const struct ledger_item *item, void *arg)
{
	uint64_t *next = arg;

	*next = item->number + 1;
	return KV_NEXT;
}

/* The events are a ring of some thousands: finding its end is one short scan. */
static void
open_events(struct ledger_store *s)
{
	struct buf position = { 0 };
	uint64_t next = 1;

	(void)ledger_scan(s, TABLE_EVENT, &position, LEDGER_EVENTS_KEPT * 2, see_event, &next);
	s->events = ledger_events_new(s->tables[TABLE_EVENT], next);
	buf_free(&position);
}

struct ledger_store *
ledger_store_open(const char *dir, char **why)
{
	struct ledger_store *s;
	char *table_why;
	int i;

	s = xcalloc(1, sizeof(*s));
	s->kv = kv_open(dir, why);
	for (i = 0; s->kv != NULL && i < TABLE_COUNT; i++) {
		s->tables[i] = kv_table_open(s->kv, table_names[i], &table_why);
		if (table_why != NULL) {
			free(*why);
			*why = table_why;
		}
		if (s->tables[i] == NULL)
			break;
	}
	if (s->kv == NULL || i < TABLE_COUNT) {
		ledger_store_close(s);
		return NULL;
	}
	open_events(s);
	return s;
}

void
ledger_store_close(struct ledger_store *s)
{
	if (s == NULL)
		return;
	ledger_events_free(s->events);
	kv_close(s->kv);
	buf_free(&s->key);
	buf_free(&s->value);
	free(s);
}

int
ledger_store_sync(struct ledger_store *s)
{
	int rc = s == NULL ? -1 : kv_sync(s->kv);

	if (rc == -1 && s != NULL)
		s->sync_failures++;
	return rc;
}

bool
ledger_store_is_open(const struct ledger_store *s)
{
	return s != NULL && kv_is_open(s->kv);
}

uint64_t
ledger_store_sync_failures(const struct ledger_store *s)
{
	return s == NULL ? 0 : s->sync_failures;
}

/*
 * One record.  begin(), then a key, then find() or write().
 */

static struct buf *
begin(struct ledger_store *s)
{
	buf_clear(&s->key);
	buf_clear(&s->value);
	return &s->key;
}

static int
find(struct ledger_store *s, enum ledger_table table)
{
	return kv_get(
	    s->tables[table], s->key.data, s->key.len, s->found, sizeof(s->found), &s->found_len);
}

static int
write_value(struct ledger_store *s, enum ledger_table table)
{
	return kv_put(s->tables[table], s->key.data, s->key.len, s->value.data, s->value.len) == 0
		   ? 1
		   : -1;
}

/* What was found does not decode: away with it. */
static int
drop(struct ledger_store *s, enum ledger_table table)
{
	log_warning("ledger.bad-record", F_STR("table", table_names[table]),
	    F_U64("octets", s->found_len), F_STR("effect", "deleted"));
	return kv_delete(s->tables[table], s->key.data, s->key.len) == -1 ? -1 : 0;
}

/* No mail has "*" for a sender or recipient. */
static void
begin_triplet(struct ledger_store *s, const struct grey_question *q)
{
	if (q->client_only)
		ledger_key_triplet(begin(s), q->identity, "*", "*");
	else
		ledger_key_triplet(begin(s), q->identity, q->sender, q->recipient);
}

int
ledger_get_triplet(struct ledger_store *s, const struct grey_question *q, struct grey_record *r)
{
	int rc;

	memset(r, 0, sizeof(*r));
	if (s == NULL)
		return -1;
	begin_triplet(s, q);
	rc = find(s, TABLE_GREY);
	if (rc == 1 && !grey_record_decode(s->found, s->found_len, r))
		rc = drop(s, TABLE_GREY);
	return rc;
}

int
ledger_put_triplet(
    struct ledger_store *s, const struct grey_question *q, const struct grey_record *r)
{
	if (s == NULL)
		return -1;
	begin_triplet(s, q);
	grey_record_encode(&s->value, r);
	return write_value(s, TABLE_GREY);
}

int
ledger_get_tries(struct ledger_store *s, const struct grey_question *q, struct tries *t)
{
	int rc;

	memset(t, 0, sizeof(*t));
	if (s == NULL)
		return -1;
	ledger_key_tries(begin(s), q->identity, q->sender, q->recipient);
	rc = find(s, TABLE_TRIES);
	if (rc == 1 && !tries_decode(s->found, s->found_len, t))
		rc = drop(s, TABLE_TRIES);
	return rc;
}

int
ledger_put_tries(struct ledger_store *s, const struct grey_question *q, const struct tries *t)
{
	if (s == NULL)
		return -1;
	ledger_key_tries(begin(s), q->identity, q->sender, q->recipient);
	tries_encode(&s->value, t);
	return write_value(s, TABLE_TRIES);
}

int
ledger_get_identity(struct ledger_store *s, const char *identity, struct grey_identity *id)
{
	int rc;

	memset(id, 0, sizeof(*id));
	if (s == NULL)
		return -1;
	ledger_key_identity(begin(s), identity);
	rc = find(s, TABLE_GREY);
	if (rc == 1 && !grey_identity_decode(s->found, s->found_len, id))
		rc = drop(s, TABLE_GREY);
	return rc;
}

int
ledger_put_identity(struct ledger_store *s, const char *identity, const struct grey_identity *id)
{
	if (s == NULL)
		return -1;
	ledger_key_identity(begin(s), identity);
	grey_identity_encode(&s->value, id);
	return write_value(s, TABLE_GREY);
}

/* The key was begun: is there a time under it that NOW has not reached?  What was written while the clock was ahead
 * does not count, or somebody would be trapped for a year. */
static int
find_until(struct ledger_store *s, enum ledger_table table, int64_t now)
{
	int64_t since, until;
	int rc;

	rc = find(s, table);
	if (rc != 1)
		return rc;
	if (!ledger_until_decode(s->found, s->found_len, &since, &until))
		return drop(s, table);
	return now <= until && since <= now + CLOCK_SLACK;
}

static int
write_until(struct ledger_store *s, enum ledger_table table, int64_t since, int64_t until)
{
	ledger_until_encode(&s->value, since, until);
	return write_value(s, table);
}

int
ledger_get_caller(
    struct ledger_store *s, enum ledger_item_type type, const struct ip *ip, int64_t now)
{
	if (s == NULL)
		return -1;
	ledger_key_caller(begin(s), type, ip);
	return find_until(s, TABLE_CALLER, now);
}

int
ledger_put_caller(
    struct ledger_store *s, enum ledger_item_type type, const struct ip *ip, int64_t now, int64_t until)
{
	if (s == NULL)
		return -1;
	ledger_key_caller(begin(s), type, ip);
	return write_until(s, TABLE_CALLER, now, until);
}

static char *
folded(const char *s)
{
	char *copy, *p;

	copy = xstrdup(s);
	for (p = copy; *p != '\0'; p++)
		*p = (char)tolower((unsigned char)*p);
	return copy;
}

/* Mailboxes are compared without case here: a local part that differs in nothing else is the same
 * person. */
static void
begin_correspondent(struct ledger_store *s, const char *theirs, const char *ours)
{
	char *t, *o;

	t = folded(theirs);
	o = folded(ours);
	ledger_key_correspondent(begin(s), t, o);
	free(t);
	free(o);
}

int
ledger_get_correspondent(struct ledger_store *s, const char *theirs, const char *ours, int64_t now)
{
	if (s == NULL)
		return -1;
	begin_correspondent(s, theirs, ours);
	return find_until(s, TABLE_CORRESPONDENT, now);
}

int
ledger_put_correspondent(
    struct ledger_store *s, const char *theirs, const char *ours, int64_t until)
{
	if (s == NULL)
		return -1;
	begin_correspondent(s, theirs, ours);
	return write_until(s, TABLE_CORRESPONDENT, 0, until);
}

int
ledger_get_policy(struct ledger_store *s, const char *domain, struct ledger_policy *p)
{
	int rc;

	memset(p, 0, sizeof(*p));
	if (s == NULL)
		return -1;
	ledger_key_policy(begin(s), domain);
	rc = find(s, TABLE_POLICY);
	if (rc == 1 && !ledger_policy_decode(s->found, s->found_len, p))
		rc = drop(s, TABLE_POLICY);
	return rc;
}

int
ledger_put_policy(struct ledger_store *s, const char *domain, const struct ledger_policy *p)
{
	if (s == NULL)
		return -1;
	ledger_key_policy(begin(s), domain);
	ledger_policy_value(&s->value, p);
	return write_value(s, TABLE_POLICY);
}

int
ledger_put_operator(struct ledger_store *s, const struct operator_entry *e)
{
	if (s == NULL)
		return -1;
	operator_encode_key(begin(s), e->kind, e->text);
	operator_encode(&s->value, e);
	return write_value(s, TABLE_OPERATOR);
}

int
ledger_delete_operator(struct ledger_store *s, enum operator_kind kind, const char *text)
{
	if (s == NULL)
		return -1;
	operator_encode_key(begin(s), kind, text);
	return kv_delete(s->tables[TABLE_OPERATOR], s->key.data, s->key.len);
}

int
ledger_get_lockout(struct ledger_store *s, enum lockout_subject subject, const struct ip *ip,
    const char *account, struct lockout *l)
{
	int rc;

	memset(l, 0, sizeof(*l));
	if (s == NULL)
		return -1;
	ledger_key_login(begin(s), subject, ip, account);
	rc = find(s, TABLE_LOGIN);
	if (rc == 1 && !lockout_decode(s->found, s->found_len, l))
		rc = drop(s, TABLE_LOGIN);
	return rc;
}

int
ledger_put_lockout(struct ledger_store *s, enum lockout_subject subject, const struct ip *ip,
    const char *account, const struct lockout *l)
{
	if (s == NULL)
		return -1;
	ledger_key_login(begin(s), subject, ip, account);
	lockout_encode(&s->value, l);
	return write_value(s, TABLE_LOGIN);
}

int
ledger_get_counts(struct ledger_store *s, const struct report_key *k, struct report_counts *c)
{
	int rc;

	memset(c, 0, sizeof(*c));
	if (s == NULL)
		return -1;
	ledger_key_counts(begin(s), k);
	rc = find(s, TABLE_COUNTER);
	if (rc == 1 && !report_counts_decode(s->found, s->found_len, c))
		rc = drop(s, TABLE_COUNTER);
	return rc;
}

int
ledger_put_counts(struct ledger_store *s, const struct report_key *k, const struct report_counts *c)
{
	if (s == NULL)
		return -1;
	ledger_key_counts(begin(s), k);
	report_counts_encode(&s->value, c);
	return write_value(s, TABLE_COUNTER);
}

int
ledger_get_waits(struct ledger_store *s, uint32_t hour, struct report_waits *w)
{
	int rc;

	memset(w, 0, sizeof(*w));
	if (s == NULL)
		return -1;
	ledger_key_waits(begin(s), hour);
	rc = find(s, TABLE_COUNTER);
	if (rc == 1 && !report_waits_decode(s->found, s->found_len, w))
		rc = drop(s, TABLE_COUNTER);
	return rc;
}

int
ledger_put_waits(struct ledger_store *s, uint32_t hour, const struct report_waits *w)
{
	if (s == NULL)
		return -1;
	ledger_key_waits(begin(s), hour);
	report_waits_encode(&s->value, w);
	return write_value(s, TABLE_COUNTER);
}

int
ledger_put_event(struct ledger_store *s, const struct gate_event *e)
{
	return s == NULL ? -1 : ledger_events_add(s->events, e);
}

int
ledger_flush_events(struct ledger_store *s)
{
	return s == NULL ? -1 : ledger_events_flush(s->events);
}

/*
 * Many records
 */

struct scan {
	enum ledger_table table;
	struct buf *position;
	enum kv_step (*visit)(const struct ledger_item *, void *);
	void *arg;
	struct ledger_item item;
};

static enum kv_step
on_entry(const void *key, size_t key_len, const void *value, size_t len, void *arg)
{
	struct scan *scan = arg;
	enum kv_step step;

	buf_clear(scan->position);
	buf_add(scan->position, key, key_len);
	if (ledger_item_decode(scan->table, key, key_len, value, len, &scan->item))
		step = scan->visit(&scan->item, scan->arg);
	else
		step = KV_DELETE;
	ledger_item_clear(&scan->item);
	return step;
}

long
ledger_scan(struct ledger_store *s, enum ledger_table table, struct buf *position, long limit,
    enum kv_step (*visit)(const struct ledger_item *, void *), void *arg)
{
	struct scan scan = { .table = table, .position = position, .visit = visit, .arg = arg };
	struct buf from = { 0 };
	long n;

	if (s == NULL || (table == TABLE_EVENT && s->events != NULL && ledger_flush_events(s) == -1))
		return -1;
	buf_add(&from, position->data, position->len);
	n = kv_scan(s->tables[table], from.data, from.len, limit, on_entry, &scan);
	buf_free(&from);
	/* the next key in the order is this one with a zero octet behind it */
	if (n > 0)
		buf_addc(position, '\0');
	return n;
}
