/*
 * The vault role: dialogues of clients who want to log in (vault.h).
 *
 * A dialogue reads what the mechanism says until there is a name, asks the ledger whether that name may be tried from
 * there, lets the source of accounts decide (attempt.h), and tells the ledger what came of it.  One step waits
 * for another, nothing waits for anything else: the loop never does.  A refusal is held back as long as the ledger says.
 * Whoever leaves before the answer is counted all the same: else a guesser who never waits would never be banned.
 *
 * What a session says is data: a message out of turn ends its channel.  What must never happen: that a dialogue is
 * answered "ok" otherwise than by passed(), or a secret is logged, or outlives its dialogue.
 */
#include <sys/queue.h>
#include <sys/tree.h>

#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "filters/ledger.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/fatal.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "vault/attempt.h"
#include "vault/vault.h"
#include "vault/vault_wire.h"

#define LOOK_MS 50 /* for delays that follow a test's clock */
#define LEFT_MOST 1000 /* dialogues that go on though the client has left */

enum dialogue_state {
	DIALOGUE_CLIENT, /* the client's turn */
	DIALOGUE_LEDGER, /* the ledger was asked */
	DIALOGUE_SOURCE, /* the source of accounts is at it */
	DIALOGUE_DELAY   /* refused; the answer is held back */
};

struct dialogue {
	RB_ENTRY(dialogue) by_id;
	struct peer *peer;
	uint64_t id, session;
	enum dialogue_state state;
	enum mechanism mechanism;
	struct mechanism_caller caller; /* strings are ours */
	unsigned steps;                 /* responses read */
	char *name;                     /* "": not known yet */
	char *password;
	struct buf first;               /* SCRAM: the client's first message */
	struct attempt *attempt;
	struct ledger_request *ledger;
	char *account;                  /* while the ledger hears that it passed */
	struct event timer;
	int64_t due;
	bool left; /* the client: nobody is answered, but the verdict is still counted */
};

RB_HEAD(dialogue_tree, dialogue);

static const struct source *source;
static uint32_t offered;
static unsigned left_n;
static struct {
	uint64_t begun, passed, refused, banned, temp;
} stats;

static int
compare(const struct dialogue *a, const struct dialogue *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_INTERNAL(dialogue_tree, dialogue, by_id, compare, __attribute__((unused)) static)

/* --- beginning and end --- */

static void
dialogue_free(struct dialogue *d)
{
	RB_REMOVE(dialogue_tree, d->peer->data, d);
	left_n -= d->left;
	if (d->attempt != NULL)
		source->cancel(d->attempt);
	ledger_cancel(d->ledger);
	event_del(&d->timer);
	free_secret(d->password);
	buf_free(&d->first);
	free(d->name);
	free(d->account);
	free((char *)(uintptr_t)d->caller.certificate);
	free((char *)(uintptr_t)d->caller.binding);
	free((void *)(uintptr_t)d->caller.binding_data);
	free(d);
}

static void
send_answer(struct dialogue *d, enum vault_result result, const void *text, size_t len)
{
	struct vault_answer answer = { .result = result, .text = text, .len = len, .name = d->name };

	if (d->left)
		return;
	vault_answer_encode(channel_begin(d->peer->channel, VAULT_ANSWER, d->id), &answer);
	channel_end(d->peer->channel, -1);
}

static void
challenge(struct dialogue *d, const void *text, size_t len)
{
	d->state = DIALOGUE_CLIENT;
	send_answer(d, VAULT_CHALLENGE, text, len);
}

/* The dialogue is over and gone. */
static void
conclude(struct dialogue *d, enum vault_result result, const char *text)
{
	static struct log_pace pace;
	uint64_t held;

	stats.temp += result == VAULT_TEMP;
	if (result == VAULT_TEMP && log_may_tell(&pace, &held))
		log_warning("vault.unknown", F_STR("session", id_text(d->session).s), F_STR("account", d->name),
		    F_STR("why", text), F_U64("others", held));
	send_answer(d, result, text, strlen(text));
	dialogue_free(d);
}

/* --- what came of it --- */

static void
on_due(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval soon = { 0, LOOK_MS * 1000 };
	struct dialogue *d = arg;

	(void)fd;
	(void)what;
	if (clock_is_test() && clock_now() < d->due)
		event_add(&d->timer, &soon);
	else
		conclude(d, VAULT_REFUSED, "");
}

static void
on_failure_told(const struct login_answer *a, void *arg)
{
	static const struct timeval soon = { 0, LOOK_MS * 1000 };
	struct dialogue *d = arg;
	struct timeval later = { (time_t)a->delay, 0 };

	d->ledger = NULL;
	if (d->left) {
		conclude(d, VAULT_REFUSED, "");
		return;
	}
	d->state = DIALOGUE_DELAY;
	d->due = clock_now() + a->delay;
	log_debug("vault.held_back", F_STR("session", id_text(d->session).s), F_STR("client", ip_text(&d->caller.ip).s),
	    F_STR("account", d->name), F_U64("seconds", a->delay));
	event_add(&d->timer, clock_is_test() ? &soon : &later);
}

static void
refused(struct dialogue *d)
{
	stats.refused++;
	d->state = DIALOGUE_LEDGER;
	d->ledger = ledger_ask_login(LOGIN_FAILED, &d->caller.ip, d->name, on_failure_told, d);
}

static void
on_success_told(const struct login_answer *a, void *arg)
{
	struct dialogue *d = arg;
	char *account = d->account;

	(void)a;
	d->ledger = NULL;
	d->account = NULL;
	conclude(d, VAULT_OK, account);
	free(account);
}

static void
passed(struct dialogue *d, const char *account)
{
	stats.passed++;
	d->account = xstrdup(account);
	d->state = DIALOGUE_LEDGER;
	d->ledger = ledger_ask_login(LOGIN_PASSED, &d->caller.ip, d->name, on_success_told, d);
}

static void
on_attempt(enum vault_result result, const void *text, size_t len, void *arg)
{
	struct dialogue *d = arg;

	if (result == VAULT_CHALLENGE && d->left) {
		dialogue_free(d);
		return;
	}
	if (result == VAULT_CHALLENGE) {
		challenge(d, text, len);
		return;
	}
	d->attempt = NULL;
	if (result == VAULT_OK)
		passed(d, text);
	else if (result == VAULT_REFUSED)
		refused(d);
	else
		conclude(d, result, text);
}

/* --- the steps --- */

static void
on_may_try(const struct login_answer *a, void *arg)
{
	struct dialogue *d = arg;
	struct attempt_request r = { .mechanism = d->password != NULL ? MECHANISM_PLAIN : d->mechanism,
		.caller = &d->caller, .name = d->name, .password = d->password, .first = d->first.data,
		.first_len = d->first.len, .known = a->known };

	d->ledger = NULL;
	if (a->left > 0) {
		stats.banned++;
		conclude(d, VAULT_BANNED, lockout_name(a->banned));
	} else if (d->mechanism == MECHANISM_EXTERNAL) {
		passed(d, d->caller.certificate);
	} else {
		d->state = DIALOGUE_SOURCE;
		d->attempt = source->begin(&r, on_attempt, d);
		free_secret(d->password);
		d->password = NULL;
	}
}

/* The name is known, and all that the source needs for a beginning. */
static void
ask_ledger(struct dialogue *d)
{
	d->state = DIALOGUE_LEDGER;
	d->ledger = ledger_ask_login(LOGIN_TRY, &d->caller.ip, d->name, on_may_try, d);
}

static void
set_name(struct dialogue *d, const char *name, size_t len)
{
	free(d->name);
	d->name = xstrndup(name, len);
}

/* RFC 4616; who may act for others is not known here. */
static void
plain_step(struct dialogue *d, const char *text, size_t len)
{
	struct sasl_plain p;

	if (!sasl_plain_parse(text, len, &p)) {
		conclude(d, VAULT_MALFORMED, "");
		return;
	}
	set_name(d, p.authcid, p.authcid_len);
	if (p.authzid_len > 0 &&
	    (p.authzid_len != p.authcid_len || memcmp(p.authzid, p.authcid, p.authcid_len) != 0)) {
		refused(d);
		return;
	}
	d->password = xstrndup(p.password, p.password_len);
	ask_ledger(d);
}

/* No RFC: "Username:" and "Password:" are what clients wait for (draft-murchison-sasl-login). */
static void
login_step(struct dialogue *d, const char *text, size_t len)
{
	if (d->steps == 1 && sasl_name_ok(text, len)) {
		set_name(d, text, len);
		challenge(d, "Password:", strlen("Password:"));
	} else if (d->steps == 2 && len > 0 && len <= SASL_TEXT_MAX && memchr(text, '\0', len) == NULL) {
		d->password = xstrndup(text, len);
		ask_ledger(d);
	} else {
		conclude(d, VAULT_MALFORMED, "");
	}
}

static void
scram_step(struct dialogue *d, const char *text, size_t len)
{
	char *name;

	if (d->attempt != NULL) {
		d->state = DIALOGUE_SOURCE;
		source->step(d->attempt, text, len);
		return;
	}
	name = sasl_scram_name(text, len);
	if (name == NULL) {
		conclude(d, VAULT_MALFORMED, "");
		return;
	}
	set_name(d, name, strlen(name));
	free(name);
	buf_add(&d->first, text, len);
	ask_ledger(d);
}

/* RFC 4422 appendix A: an empty message means whom the certificate names, and nobody else is allowed. */
static void
external_step(struct dialogue *d, const char *text, size_t len)
{
	const char *name = d->caller.certificate;

	set_name(d, name, strlen(name));
	if (len > 0 && (len != strlen(name) || memcmp(text, name, len) != 0))
		refused(d);
	else
		ask_ledger(d);
}

static const struct {
	void (*step)(struct dialogue *, const char *, size_t);
	const char *prompt; /* before the client's first word */
} mechanisms[MECHANISM_COUNT] = {
	[MECHANISM_EXTERNAL] = { external_step, "" },
	[MECHANISM_SCRAM_SHA_256_PLUS] = { scram_step, "" },
	[MECHANISM_SCRAM_SHA_1_PLUS] = { scram_step, "" },
	[MECHANISM_SCRAM_SHA_256] = { scram_step, "" },
	[MECHANISM_SCRAM_SHA_1] = { scram_step, "" },
	[MECHANISM_PLAIN] = { plain_step, "" },
	[MECHANISM_LOGIN] = { login_step, "Username:" },
};

/* --- messages --- */

static struct dialogue *
find(struct peer *peer, uint64_t id)
{
	struct dialogue key = { .id = id };

	return RB_FIND(dialogue_tree, peer->data, &key);
}

static struct dialogue *
dialogue_new(struct peer *peer, uint64_t id, const struct vault_begin *b)
{
	struct dialogue *d = xcalloc(1, sizeof(*d));
	unsigned char *copy = xcalloc(1, b->caller.binding_len + 1);

	d->peer = peer;
	d->id = id;
	d->session = b->session;
	d->mechanism = b->mechanism;
	d->name = xstrdup("");
	d->caller = b->caller;
	d->caller.certificate = b->caller.certificate != NULL ? xstrdup(b->caller.certificate) : NULL;
	d->caller.binding = b->caller.binding != NULL ? xstrdup(b->caller.binding) : NULL;
	if (b->caller.binding_len > 0)
		memcpy(copy, b->caller.binding_data, b->caller.binding_len);
	d->caller.binding_data = copy;
	evtimer_assign(&d->timer, peer_base(), on_due, d);
	RB_INSERT(dialogue_tree, peer->data, d);
	stats.begun++;
	return d;
}

static void
take_response(struct dialogue *d, const void *text, size_t len)
{
	d->steps++;
	mechanisms[d->mechanism].step(d, text, len);
}

static bool
on_begin(struct peer *peer, struct message *m)
{
	struct vault_begin b;
	struct dialogue *d;
	const char *prompt;

	if (!vault_begin_decode(&m->body, &b) || find(peer, m->id) != NULL ||
	    (b.mechanism == MECHANISM_EXTERNAL && b.caller.certificate == NULL))
		return false;
	d = dialogue_new(peer, m->id, &b);
	prompt = mechanisms[d->mechanism].prompt;
	if (!(mechanism_usable(offered, &d->caller) & MECHANISM_BIT(d->mechanism)))
		conclude(d, VAULT_TEMP, "this mechanism is not offered now");
	else if (b.initial != NULL)
		take_response(d, b.initial, b.len);
	else
		challenge(d, prompt, strlen(prompt));
	return true;
}

static bool
on_respond(struct peer *peer, struct message *m)
{
	struct dialogue *d = find(peer, m->id);
	const void *text;
	size_t len;

	text = cursor_blob(&m->body, &len);
	if (!cursor_done(&m->body))
		return false;
	if (d == NULL) /* answered while this was on its way */
		return true;
	if (d->state != DIALOGUE_CLIENT)
		return false;
	take_response(d, text, len);
	return true;
}

static void
leave(struct dialogue *d)
{
	if (d->state == DIALOGUE_SOURCE && source->withdraw != NULL && source->withdraw(d->attempt))
		d->attempt = NULL;
	else if (d->state == DIALOGUE_SOURCE && left_n < LEFT_MOST)
		d->left = true;
	left_n += d->left;
	if (!d->left)
		dialogue_free(d);
}

static bool
on_message(struct peer *peer, struct message *m)
{
	struct dialogue *d;

	if (peer->role != ROLE_SESSION)
		return false;
	switch (m->type) {
	case VAULT_BEGIN:
		return on_begin(peer, m);
	case VAULT_RESPOND:
		return on_respond(peer, m);
	case VAULT_CANCEL:
		d = find(peer, m->id);
		if (d != NULL && !d->left)
			leave(d);
		return true;
	default:
		return false;
	}
}

/* --- peers and offers --- */

static void
tell_offer(struct peer *peer, void *arg)
{
	(void)arg;
	buf_add_u32(channel_begin(peer->channel, VAULT_OFFER, 0), offered);
	channel_end(peer->channel, -1);
}

static void
on_offer(uint32_t set)
{
	set |= MECHANISM_BIT(MECHANISM_EXTERNAL); /* whoever has a certificate needs no password */
	if (set == offered)
		return;
	offered = set;
	peer_each(ROLE_SESSION, tell_offer, NULL);
}

static void
on_up(struct peer *peer)
{
	struct dialogue_tree *tree;

	if (peer->role != ROLE_SESSION)
		return;
	tree = xcalloc(1, sizeof(*tree));
	RB_INIT(tree);
	peer->data = tree;
	channel_keep_secret(peer->channel);
	if (offered != 0)
		tell_offer(peer, NULL);
}

static void
on_down(struct peer *peer)
{
	struct dialogue *d;

	if (peer->role != ROLE_SESSION || peer->data == NULL)
		return;
	while ((d = RB_ROOT((struct dialogue_tree *)peer->data)) != NULL)
		dialogue_free(d);
	free(peer->data);
	peer->data = NULL;
}

static void
answer_stats(struct ctl *ctl, unsigned n, const char *const *words)
{
	(void)n;
	(void)words;
	ctl_record(ctl, FIELDS(F_U64("dialogues", stats.begun), F_U64("passed", stats.passed),
	    F_U64("refused", stats.refused), F_U64("banned", stats.banned), F_U64("unknown", stats.temp)));
	ctl_end(ctl, 0, "");
}

/* --- the role --- */

/* Nobody logs in where nobody is known. */
static struct attempt *
begin_none(const struct attempt_request *r, attempt_callback callback, void *arg)
{
	(void)r;
	(void)callback;
	(void)arg;
	fatal("vault: an attempt without accounts");
}

static void
start_none(const struct vault_conf *conf, void (*offer)(uint32_t))
{
	(void)conf;
	(void)offer;
}

static const struct source source_none = { .start = start_none, .begin = begin_none };

static const struct source *const sources[] = {
	[ACCOUNTS_NONE] = &source_none,
	[ACCOUNTS_TABLE] = &source_local,
	[ACCOUNTS_FILE] = &source_local,
	[ACCOUNTS_SASLDB] = &source_local,
	[ACCOUNTS_SASLAUTHD] = &source_saslauthd,
	[ACCOUNTS_DOVECOT] = &source_dovecot,
};

void
vault_role_prepare(const struct vault_conf *conf)
{
	source = sources[conf->accounts];
	if (source->prepare != NULL)
		source->prepare(conf);
}

void
vault_role_start(const struct vault_conf *conf)
{
	static const struct subject_ops ops = { .message = on_message, .up = on_up, .down = on_down };

	ledger_client_init();
	peer_register(SUBJECT_VAULT, &ops);
	ctl_register("stats", answer_stats);
	source->start(conf, on_offer);
}
