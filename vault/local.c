/*
 * Accounts that the vault itself knows: a table, a file like one, or libsasl2's sasldb (attempt.h).
 *
 * Passwords of tables are checked by password.c, those of sasldb and every SCRAM by libsasl2, in threads: a hash takes a
 * tenth of a second, and the loop has others to serve.  A thread touches its attempt and nothing else; what the table
 * says is copied into the attempt before.  libsasl2 gets a table's passwords by a plug-in of ours ("genkan"), which
 * also answers for those who do not exist, with a password that nobody knows: a stranger's dialogue looks
 * like a member's with the wrong password.
 *
 * What can fail: a file that cannot be read (what was known before stays; a sasldb is "not now"), a plug-in that is not
 * installed (its mechanism is not offered).
 */
#include <libgen.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include <sasl/sasl.h>
#include <sasl/saslplug.h>

#include <openssl/rand.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/sandbox.h"
#include "lib/table.h"
#include "lib/workers.h"
#include "vault/attempt.h"
#include "vault/password.h"

#define THREADS 4
#define WAITING_MOST 1000
#define LOOK_SECONDS 2 /* between two looks at the file's times */
#define APPLICATION "genkan"

struct attempt {
	struct work work;
	attempt_callback callback;
	void *arg;
	bool running, cancelled, urgent;
	enum mechanism mechanism;
	char *name;
	char *password;     /* PLAIN: what was given */
	char *stored;       /* what the table says, NULL: nobody; for sasldb NULL */
	struct buf in, out; /* SCRAM: message from and to the client */
	sasl_conn_t *conn;
	sasl_channel_binding_t binding; /* name and data are ours; used by conn */
	enum vault_result result;
};

static const struct vault_conf *conf;
static struct table *accounts; /* NULL: sasldb */
static void (*tell_offer)(uint32_t);
static uint32_t installed; /* the SCRAMs that libsasl2 has */
static struct workers *workers;
static struct event *look;
static char *last_error;
/* whose auxiliary properties libsasl2 asks our plug-in for */
static __thread const struct attempt *current;

/* --- libsasl2: options, mutexes, plug-in --- */

static int
get_option(void *context, const char *plugin, const char *option, const char **result, unsigned *len)
{
	const char *value = NULL;

	(void)context;
	(void)plugin;
	if (strcmp(option, "pwcheck_method") == 0)
		value = "auxprop";
	else if (strcmp(option, "auxprop_plugin") == 0)
		value = accounts == NULL ? "sasldb " APPLICATION : APPLICATION;
	else if (strcmp(option, "sasldb_path") == 0)
		value = conf->path;
	if (value == NULL)
		return SASL_FAIL;
	*result = value;
	if (len != NULL)
		*len = (unsigned)strlen(value);
	return SASL_OK;
}

/* Its words could name what only it should know. */
static int
drop_log(void *context, int level, const char *message)
{
	(void)context;
	(void)level;
	(void)message;
	return SASL_OK;
}

static void *
mutex_new(void)
{
	pthread_mutex_t *mutex = xcalloc(1, sizeof(*mutex));

	pthread_mutex_init(mutex, NULL);
	return mutex;
}

static int
mutex_lock(void *mutex)
{
	return pthread_mutex_lock(mutex) == 0 ? SASL_OK : SASL_FAIL;
}

static int
mutex_unlock(void *mutex)
{
	return pthread_mutex_unlock(mutex) == 0 ? SASL_OK : SASL_FAIL;
}

static void
mutex_free(void *mutex)
{
	pthread_mutex_destroy(mutex);
	free(mutex);
}

/* Sets property NAME of the attempt at hand when nobody before us did. */
static void
set_property(sasl_server_params_t *params, const struct propval *property)
{
	const char *name = property->name + (property->name[0] == '*');
	struct password stored = password_parse(current->stored != NULL ? current->stored : "");
	unsigned char nobody[32];
	char *scram;

	if (property->values != NULL)
		return;
	if (strcmp(name, "authPassword") == 0) {
		scram = password_scram_text(&stored);
		if (scram != NULL)
			params->utils->prop_set(params->propctx, property->name, scram, (int)strlen(scram));
		free(scram);
	} else if (strcmp(name, "userPassword") == 0 && stored.kind == PASSWORD_PLAIN) {
		params->utils->prop_set(params->propctx, property->name, stored.text, (int)stored.len);
	} else if (strcmp(name, "userPassword") == 0 && stored.kind != PASSWORD_SCRAM &&
	    RAND_bytes(nobody, sizeof(nobody)) == 1) {
		params->utils->prop_set(params->propctx, property->name, (char *)nobody, (int)sizeof(nobody));
	}
}

static int
look_up(void *context, sasl_server_params_t *params, unsigned flags, const char *user, unsigned len)
{
	const struct propval *property = params->utils->prop_get(params->propctx);

	(void)context;
	(void)user;
	(void)len;
	for (; current != NULL && property != NULL && property->name != NULL; property++)
		if ((property->name[0] == '*') == !(flags & SASL_AUXPROP_AUTHZID))
			set_property(params, property);
	return SASL_OK;
}

static int
plugin_init(const sasl_utils_t *utils, int max, int *version, sasl_auxprop_plug_t **plugin, const char *name)
{
	static char own_name[] = APPLICATION;
	static sasl_auxprop_plug_t own = { .auxprop_lookup = look_up, .name = own_name };

	(void)utils;
	(void)max;
	(void)name;
	*version = SASL_AUXPROP_PLUG_VERSION;
	*plugin = &own;
	return SASL_OK;
}

typedef int (*sasl_function)(void);

static void
start_libsasl(void)
{
	static const sasl_callback_t callbacks[] = {
		{ SASL_CB_GETOPT, (sasl_function)(void (*)(void))get_option, NULL },
		{ SASL_CB_LOG, (sasl_function)(void (*)(void))drop_log, NULL },
		{ SASL_CB_LIST_END, NULL, NULL },
	};
	const char **names;
	int m, rc;

	sasl_set_mutex(mutex_new, mutex_lock, mutex_unlock, mutex_free);
	rc = sasl_auxprop_add_plugin(APPLICATION, plugin_init);
	if (rc == SASL_OK)
		rc = sasl_server_init(callbacks, APPLICATION);
	if (rc != SASL_OK) {
		log_error("vault.libsasl2", F_STR("why", sasl_errstring(rc, NULL, NULL)),
		    F_STR("effect", "only PLAIN and LOGIN are offered"));
		return;
	}
	for (names = sasl_global_listmech(); names != NULL && *names != NULL; names++) {
		m = mechanism_by_name(*names, strlen(*names));
		if (m >= 0)
			installed |= MECHANISM_BIT(m) & MECHANISM_SCRAMS;
		/* -PLUS is the same plug-in, once there is a channel to bind to */
		if (m == MECHANISM_SCRAM_SHA_256)
			installed |= MECHANISM_BIT(MECHANISM_SCRAM_SHA_256_PLUS);
		if (m == MECHANISM_SCRAM_SHA_1)
			installed |= MECHANISM_BIT(MECHANISM_SCRAM_SHA_1_PLUS);
	}
}

/* --- what can be offered --- */

static void
narrow_offer(const char *key, const char *value, void *offer)
{
	const uint32_t sha1 = MECHANISM_BIT(MECHANISM_SCRAM_SHA_1) | MECHANISM_BIT(MECHANISM_SCRAM_SHA_1_PLUS);
	const uint32_t sha256 = MECHANISM_BIT(MECHANISM_SCRAM_SHA_256) | MECHANISM_BIT(MECHANISM_SCRAM_SHA_256_PLUS);
	struct password p = password_parse(value);

	(void)key;
	if (p.kind == PASSWORD_CRYPT)
		*(uint32_t *)offer &= ~(sha1 | sha256);
	else if (p.kind == PASSWORD_SCRAM)
		*(uint32_t *)offer &= ~(strcmp(p.scram, "SCRAM-SHA-1") == 0 ? sha256 : sha1);
}

/* A client takes the first mechanism that it knows, and does not try another: so what is offered must
 * do for every account. */
static void
offer(void)
{
	uint32_t scrams = installed;

	if (accounts != NULL)
		table_each(accounts, narrow_offer, &scrams);
	tell_offer(MECHANISM_PASSWORDS | scrams);
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	char *why = table_refresh(accounts);

	(void)fd;
	(void)what;
	(void)arg;
	if (why != NULL && (last_error == NULL || strcmp(why, last_error) != 0))
		log_warning("vault.accounts", F_STR("why", why), F_STR("effect", "what was read before stays in use"));
	free(last_error);
	last_error = why;
	offer();
}

/* --- attempts, in a thread --- */

static enum vault_result
result_of(int rc)
{
	switch (rc) {
	case SASL_OK:
		return VAULT_OK;
	case SASL_CONTINUE:
		return VAULT_CHALLENGE;
	case SASL_BADPROT:
	case SASL_BADMAC:
		return VAULT_MALFORMED;
	case SASL_BADAUTH:
	case SASL_NOAUTHZ:
	case SASL_NOUSER:
	case SASL_NOVERIFY:
	case SASL_DISABLED:
	case SASL_EXPIRED:
		return VAULT_REFUSED;
	default:
		return VAULT_TEMP;
	}
}

static bool
open_connection(struct attempt *a)
{
	if (sasl_server_new("smtp", conf->host, NULL, NULL, NULL, NULL, 0, &a->conn) != SASL_OK)
		return false;
	return a->binding.name == NULL || sasl_setprop(a->conn, SASL_CHANNEL_BINDING, &a->binding) == SASL_OK;
}

/* libsasl2 has let somebody in: is it who we think it is?  It may have put its realm behind the name. */
static bool
is_named(struct attempt *a)
{
	size_t len = strlen(a->name);
	const void *user = NULL;

	return sasl_getprop(a->conn, SASL_AUTHUSER, &user) == SASL_OK && user != NULL &&
	    strncmp(user, a->name, len) == 0 && (((const char *)user)[len] == '\0' || ((const char *)user)[len] == '@');
}

static void
run_exchange(struct attempt *a)
{
	const char *out = NULL;
	unsigned len = 0;
	int rc = SASL_FAIL;

	if (a->conn != NULL)
		rc = sasl_server_step(a->conn, a->in.data, (unsigned)a->in.len, &out, &len);
	else if (open_connection(a))
		rc = sasl_server_start(a->conn, mechanism_name(a->mechanism), a->in.data, (unsigned)a->in.len, &out, &len);
	a->result = result_of(rc);
	if (a->result == VAULT_OK && !is_named(a))
		a->result = VAULT_REFUSED;
	buf_clear(&a->out);
	if (a->result == VAULT_CHALLENGE)
		buf_add(&a->out, out != NULL ? out : "", len);
	else if (a->result == VAULT_TEMP)
		buf_adds(&a->out, a->conn != NULL ? sasl_errdetail(a->conn) : sasl_errstring(rc, NULL, NULL));
}

static void
run_password(struct attempt *a)
{
	struct password stored = password_parse(a->stored != NULL ? a->stored : "");
	int rc = SASL_FAIL;

	if (accounts != NULL) {
		a->result = password_check(&stored, a->password) ? VAULT_OK : VAULT_REFUSED;
		return;
	}
	if (open_connection(a))
		rc = sasl_checkpass(a->conn, a->name, (unsigned)strlen(a->name), a->password,
		    (unsigned)strlen(a->password));
	a->result = result_of(rc);
	if (a->result == VAULT_TEMP)
		buf_adds(&a->out, sasl_errstring(rc, NULL, NULL));
}

static void
run(struct work *work)
{
	struct attempt *a = (struct attempt *)work;

	current = a;
	if (a->mechanism == MECHANISM_PLAIN)
		run_password(a);
	else
		run_exchange(a);
	current = NULL;
}

/* --- attempts, in the loop --- */

static void
attempt_free(struct attempt *a)
{
	if (a->conn != NULL)
		sasl_dispose(&a->conn);
	free_secret(a->password);
	free_secret(a->stored);
	free(a->name);
	free((char *)(uintptr_t)a->binding.name);
	free((unsigned char *)(uintptr_t)a->binding.data);
	buf_free(&a->in);
	buf_free(&a->out);
	free(a);
}

static void
finished(struct work *work)
{
	struct attempt *a = (struct attempt *)work;
	attempt_callback callback = a->callback;
	struct buf text = { 0 };

	a->running = false;
	if (a->cancelled) {
		attempt_free(a);
		return;
	}
	if (a->result == VAULT_OK)
		buf_adds(&text, a->name);
	else
		buf_add(&text, buf_str(&a->out), a->out.len);
	if (a->result == VAULT_CHALLENGE) {
		callback(a->result, buf_str(&text), text.len, a->arg);
	} else {
		void *arg = a->arg;
		enum vault_result result = a->result;

		attempt_free(a);
		callback(result, buf_str(&text), text.len, arg);
	}
	buf_free(&text);
}

static void
answer_later(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	finished(arg);
}

/* To a thread; or back at once, in the next turn, when it cannot be. */
static void
hand_over(struct attempt *a, const char *why)
{
	static const struct timeval now = { 0, 0 };

	a->running = true;
	if (why == NULL && workers_add(workers, &a->work, a->urgent))
		return;
	a->result = VAULT_TEMP;
	buf_clear(&a->out);
	buf_adds(&a->out, why != NULL ? why : "too many passwords wait to be checked");
	event_base_once(peer_base(), -1, EV_TIMEOUT, answer_later, &a->work, &now);
}

static struct attempt *
begin(const struct attempt_request *r, attempt_callback callback, void *arg)
{
	struct attempt *a = xcalloc(1, sizeof(*a));
	const char *stored = accounts != NULL ? table_get(accounts, r->name) : NULL, *why = NULL;
	char *fault = accounts != NULL && stored == NULL ? table_fault(accounts, r->name) : NULL;
	unsigned char *copy;

	a->work = (struct work){ .run = run, .done = finished };
	a->callback = callback;
	a->arg = arg;
	a->mechanism = r->mechanism;
	a->urgent = r->known;
	a->name = xstrdup(r->name);
	a->stored = stored != NULL ? xstrdup(stored) : NULL;
	a->password = r->password != NULL ? xstrdup(r->password) : NULL;
	buf_add(&a->in, r->first, r->first_len);
	if (r->caller->binding != NULL) {
		copy = xcalloc(1, r->caller->binding_len + 1);
		memcpy(copy, r->caller->binding_data, r->caller->binding_len);
		a->binding = (sasl_channel_binding_t){ .name = xstrdup(r->caller->binding), .data = copy,
			.len = r->caller->binding_len };
	}
	if (accounts == NULL && access(conf->path, R_OK) < 0)
		why = "the sasldb cannot be read";
	hand_over(a, fault != NULL ? fault : why);
	free(fault);
	return a;
}

static void
step(struct attempt *a, const void *response, size_t len)
{
	buf_clear(&a->in);
	buf_add(&a->in, response, len);
	hand_over(a, NULL);
}

/* What no thread has begun with has cost nothing. */
static bool
withdraw(struct attempt *a)
{
	if (a->running && !workers_withdraw(workers, &a->work))
		return false;
	attempt_free(a);
	return true;
}

static void
cancel(struct attempt *a)
{
	if (!withdraw(a))
		a->cancelled = true;
}

/* --- the source --- */

static void
prepare(const struct vault_conf *c)
{
	char *copy, *why;

	conf = c;
	if (c->accounts == ACCOUNTS_TABLE)
		accounts = (struct table *)c->table;
	if (c->accounts == ACCOUNTS_FILE)
		accounts = table_new("");
	if (c->accounts == ACCOUNTS_FILE && (why = table_load_file(accounts, c->path)) != NULL) {
		log_error("vault.accounts", F_STR("why", why), F_STR("effect", "nobody can log in until it can be read"));
		last_error = why;
	}
	if (c->accounts == ACCOUNTS_FILE)
		table_log_faults(accounts);
	/* the folder: who edits a file puts a new one in its place */
	copy = xstrdup(c->path != NULL ? c->path : accounts != NULL && table_path(accounts) != NULL ?
	    table_path(accounts) : "/nonexistent/x");
	sandbox_allow_read(dirname(copy));
	free(copy);
	start_libsasl();
}

static void
start(const struct vault_conf *c, void (*offer_them)(uint32_t))
{
	static const struct timeval often = { LOOK_SECONDS, 0 };

	(void)c;
	tell_offer = offer_them;
	workers = workers_new(peer_base(), THREADS, WAITING_MOST);
	offer();
	if (accounts == NULL || table_path(accounts) == NULL)
		return;
	look = event_new(peer_base(), -1, EV_PERSIST, on_look, NULL);
	event_add(look, &often);
}

const struct source source_local = { prepare, start, begin, step, cancel, withdraw };
