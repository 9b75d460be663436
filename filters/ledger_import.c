/*
 * What another greylist has learnt, put into ours (ledger_import.h).
 *
 * What we know ourselves is never made worse: an imported triplet counts where we have none, or where
 * ours still waits and the other has passed; an identity where it counts more.  What would have expired
 * here is left out, so that an old database does not fill ours, and so is a record that cannot be one of
 * ours, an address longer than any among them: it is counted, and the others are taken.  What can fail
 * is the store, and then the request says so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "filters/ledger_import.h"
#include "filters/ledger_wire.h"
#include "lib/clock.h"
#include "lib/log.h"

#define TRIPLET_WORDS 7
#define IDENTITY_WORDS 4

struct import {
	struct ledger *ledger;
	int64_t now;
	uint64_t taken, known, expired, odd;
	bool failed;
};

static bool
read_number(const char *s, int64_t *n)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(s, &end, 10);
	*n = v;
	return *s >= '0' && *s <= '9' && *end == '\0' && errno == 0;
}

/* A time of another machine; one in the future would make somebody wait for it, and is now. */
static bool
read_time(const char *s, int64_t now, int64_t *t)
{
	if (!read_number(s, t))
		return false;
	if (*t > now)
		*t = now;
	return true;
}

/* As the question would name it. */
static bool
is_identity(const char *s)
{
	const char *why;
	char *text = operator_text(OPERATOR_IDENTITY, s, &why);
	bool same = text != NULL && strcmp(text, s) == 0;

	free(text);
	return same;
}

static void
count(struct import *in, int written)
{
	if (written == 1)
		in->taken++;
	else
		in->failed = true;
}

static void
put_triplet(struct import *in, const struct grey_question *q, struct grey_record *r)
{
	struct grey_record ours;
	int rc;

	r->expires = r->passed != 0 ? r->last + GREYLIST_LIFETIME : r->first + GREYLIST_WINDOW;
	if (r->expires < in->now) {
		in->expired++;
		return;
	}
	rc = ledger_get_triplet(in->ledger->store, q, &ours);
	if (rc == 1 && (ours.passed != 0 || r->passed == 0))
		in->known++;
	else if (rc == -1)
		in->failed = true;
	else
		count(in, ledger_put_triplet(in->ledger->store, q, r));
}

/* "triplet" and what follows. */
static bool
import_triplet(struct import *in, const char *const *w)
{
	struct grey_question q = { .identity = w[1], .sender = w[2], .recipient = w[3] };
	struct grey_record r = { .count = 1, .delay = GREYLIST_DELAY };

	if (!is_identity(w[1]) || strlen(w[2]) > LEDGER_TEXT_MAX || *w[3] == '\0' ||
	    strlen(w[3]) > LEDGER_TEXT_MAX || !read_time(w[4], in->now, &r.first) ||
	    !read_time(w[5], in->now, &r.last) || !read_time(w[6], in->now, &r.passed))
		return false;
	if (r.last < r.first || (r.passed != 0 && (r.passed < r.first || r.passed > r.last)))
		return false;
	if (r.passed != 0)
		r.count++;
	put_triplet(in, &q, &r);
	return true;
}

static bool
import_identity(struct import *in, const char *const *w)
{
	struct grey_identity id = { .trust_after = GREYLIST_TRUST_AFTER }, ours;
	int64_t triplets;
	int rc;

	if (!is_identity(w[1]) || !read_number(w[2], &triplets) || triplets == 0 || triplets > UINT32_MAX ||
	    !read_time(w[3], in->now, &id.last))
		return false;
	id.count = (uint32_t)triplets;
	id.expires = id.last + GREYLIST_LIFETIME;
	if (id.expires < in->now) {
		in->expired++;
		return true;
	}
	rc = ledger_get_identity(in->ledger->store, w[1], &ours);
	if (rc == 1 && ours.count >= id.count)
		in->known++;
	else if (rc == -1)
		in->failed = true;
	else
		count(in, ledger_put_identity(in->ledger->store, w[1], &id));
	return true;
}

static const struct {
	const char *word;
	unsigned n;
	bool (*import)(struct import *, const char *const *words);
} kinds[] = {
	{ "triplet", TRIPLET_WORDS, import_triplet },
	{ "identity", IDENTITY_WORDS, import_identity },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* False: these words are no records from here on. */
static bool
import_words(struct import *in, unsigned n, const char *const *words)
{
	unsigned i = 0;
	size_t k;

	while (i < n) {
		for (k = 0; k < KINDS && strcmp(kinds[k].word, words[i]) != 0; k++)
			;
		if (k == KINDS || n - i < kinds[k].n)
			return false;
		if (!kinds[k].import(in, words + i))
			in->odd++;
		i += kinds[k].n;
	}
	return n > 0;
}

void
ledger_import(struct ledger *l, struct ctl *ctl, unsigned n, const char *const *words)
{
	struct import in = { .ledger = l, .now = clock_now() };

	if (!import_words(&in, n, words)) {
		ctl_end(ctl, 2, "grey import: a record is expected");
		return;
	}
	l->changed = true;
	log_info("ledger.imported", F_U64("taken", in.taken), F_U64("known", in.known),
	    F_U64("expired", in.expired), F_U64("odd", in.odd), F_U64("uid", ctl_uid(ctl)));
	ctl_record(ctl, FIELDS(F_U64("taken", in.taken), F_U64("known", in.known),
			    F_U64("expired", in.expired), F_U64("odd", in.odd)));
	ctl_end(ctl, in.failed ? 1 : 0,
	    in.failed ? "the ledger's database is down; its log says why" : "");
}
