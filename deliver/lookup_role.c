/*
 * The lookup role: the address book as a process of its own, because accounts and alias files need
 * the file system and neither the sessions nor the queue may see it.
 *
 * Sessions, the queue and the control role ask; an answer is made at once and goes back under the
 * question's number. Tables that come from files are looked at again at most once a second, between
 * two questions, so an edited alias counts for the next recipient without a reload; a file that
 * cannot be read any more is reported and what was known before stays.  The process blocks while a
 * name service does: nobody's session does, since each only waits for its own answer.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/account.h"
#include "deliver/lookup.h"
#include "deliver/lookup_message.h"
#include "deliver/mailbox_root.h"
#include "deliver/srs.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/sandbox.h"
#include "lib/table.h"

#define REFRESH_MS 1000

static const struct lookup_conf *conf;
static uint64_t refreshed_ms;
static struct {
	uint64_t recipients, senders, routes; /* questions answered */
	uint64_t table_errors;       /* a file that could not be read again */
} stats;

/* --- tables --- */

static void
refresh_all(void)
{
	uint64_t now = clock_ms();

	if (refreshed_ms != 0 && now - refreshed_ms < REFRESH_MS)
		return;
	refreshed_ms = now;
	stats.table_errors += lookup_refresh(conf);
}

/* --- questions --- */

static void
send_verdict(struct peer *peer, uint64_t id, enum recipient_verdict verdict, const char *why)
{
	struct buf *b = channel_begin(peer->channel, LOOKUP_VERDICT, id);

	buf_add_u8(b, (uint8_t)verdict);
	buf_add_str(b, why);
	channel_end(peer->channel, -1);
}

static bool
tell_recipient(struct peer *peer, struct message *m)
{
	const char *address = cursor_str(&m->body);
	enum recipient_verdict verdict;
	char *why;

	if (!cursor_done(&m->body))
		return false;
	stats.recipients++;
	verdict = lookup_recipient_now(conf, address, &why);
	send_verdict(peer, m->id, verdict, why);
	free(why);
	return true;
}

static bool
tell_sender(struct peer *peer, struct message *m)
{
	const char *address = cursor_str(&m->body), *account = cursor_str(&m->body);

	if (!cursor_done(&m->body))
		return false;
	stats.senders++;
	send_verdict(peer, m->id, lookup_sender_now(conf, account, address), "");
	return true;
}

struct question {
	struct peer *peer;
	uint64_t id;
};

static void
send_route(const struct route_answer *answer, void *arg)
{
	struct question *question = arg;

	lookup_answer_encode(
	    channel_begin(question->peer->channel, LOOKUP_ANSWER, question->id), answer);
	channel_end(question->peer->channel, -1);
}

static bool
tell_route(struct peer *peer, struct message *m)
{
	struct route_question asked = { .address = cursor_str(&m->body) };
	struct question question = { peer, m->id };

	asked.sender = cursor_str(&m->body);
	asked.via = cursor_str(&m->body);
	if (!cursor_done(&m->body))
		return false;
	if (asked.via[0] == '\0')
		asked.via = NULL;
	stats.routes++;
	lookup_route_now(conf, &asked, send_route, &question);
	return true;
}

static bool
on_message(struct peer *peer, struct message *m)
{
	refresh_all();
	switch (m->type) {
	case LOOKUP_RECIPIENT:
		return tell_recipient(peer, m);
	case LOOKUP_SENDER:
		return tell_sender(peer, m);
	case LOOKUP_ROUTE:
		return tell_route(peer, m);
	default:
		return false;
	}
}

/* Tables of several domains count once for each. */
static void
answer_stats(struct ctl *ctl, unsigned n, const char *const *words)
{
	uint64_t tables = 0;
	unsigned i;

	(void)n;
	(void)words;
	for (i = 0; i < conf->domains_n; i++)
		tables += (conf->domains[i].aliases != NULL) + (conf->domains[i].users != NULL);
	ctl_record(ctl, FIELDS(F_U64("recipients", stats.recipients), F_U64("senders", stats.senders),
	    F_U64("routes", stats.routes), F_U64("domains", conf->domains_n),
	    F_U64("tables", tables), F_U64("table_errors", stats.table_errors)));
	ctl_end(ctl, 0, "");
}

/* --- the role --- */

/* Without a secret mail is forwarded as it came. */
static void
prepare_srs(const struct lookup_conf *c)
{
	char *path, *why;

	if (c->srs == NULL)
		return;
	path = xasprintf("%s/%s", c->spool, SRS_FILE);
	why = srs_load(c->srs, path, true);
	if (why != NULL)
		log_error("lookup.srs", F_STR("why", why),
		    F_STR("what", "senders are not rewritten when mail is forwarded"));
	free(why);
	free(path);
}

void
lookup_role_prepare(const struct lookup_conf *c)
{
	unsigned i;

	account_prepare();
	for (i = 0; i < c->domains_n; i++)
		mailbox_root_prepare(&c->domains[i]);
	prepare_srs(c);
	/* alias files may name any other file, and may be edited at any time */
	sandbox_allow_read("/");
}

void
lookup_role_start(const struct lookup_conf *c)
{
	static const struct subject_ops ops = { .message = on_message };

	conf = c;
	peer_register(SUBJECT_LOOKUP, &ops);
	ctl_register("stats", answer_stats);
}
