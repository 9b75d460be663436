/*
 * smtpctl gate explain session=ID: what the server decided about a session of the past, and the same caller before the gate
 * as it is now.
 *
 * The ledger keeps the last decisions with what was known then.  They are shown as they were; then the caller is led through
 * the rules again, with the name, HELO, addresses, time and SPF of then, for what led past those rules is what his
 * administrator asks.  What was not kept (blocklists, the ledger itself) is asked now, and shown as of now.  A server that
 * does not run, or does not remember, is an error that says so; without a configuration there is only the first half.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/conf.h"
#include "lib/mem.h"
#include "smtpctl/client.h"
#include "smtpctl/explain.h"
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

/* What the events of a session say together: the last that says something holds. */
struct past {
	struct output *out;
	char *client, *name, *helo, *from, *to, *evidence;
	int64_t time;
};

static void
keep(char **text, const struct field *f, const char *key)
{
	const char *value = field_get(f, key);

	if (value == NULL)
		return;
	free(*text);
	*text = xstrdup(value);
}

static void
on_event(const struct field *f, void *arg)
{
	struct past *p = arg;
	const struct field *each;

	output_record(f, p->out);
	keep(&p->client, f, "client");
	keep(&p->name, f, "name");
	keep(&p->helo, f, "helo");
	keep(&p->from, f, "from");
	keep(&p->to, f, "to");
	keep(&p->evidence, f, "evidence");
	for (each = f; each->type != FIELD_END; each++)
		if (each->type == FIELD_I64 && strcmp(each->key, "time") == 0)
			p->time = each->i64;
}

static void
past_clear(struct past *p)
{
	free(p->client);
	free(p->name);
	free(p->helo);
	free(p->from);
	free(p->to);
	free(p->evidence);
}

/* KEY's value in "rdns=mismatch s25r=0 spf=fail early-talker"; a word without a value is its own.  NULL: not there; else
 * the caller frees. */
static char *
evidence_of(const struct past *p, const char *key)
{
	size_t len = strlen(key), end;
	const char *s;

	for (s = p->evidence != NULL ? p->evidence : ""; *s != '\0'; s += end + (s[end] == ' ')) {
		end = strcspn(s, " ");
		if (end >= len && strncmp(s, key, len) == 0 && (key[len - 1] == '=' || end == len))
			return xstrndup(s + len, end - len);
	}
	return NULL;
}

/* The words that would say the same to `gate explain`. */
static int
words_of(const struct past *p, char *words[8])
{
	char *sign, minute[16];
	time_t seconds = (time_t)p->time;
	struct tm tm;
	int n = 0;

	if (p->client == NULL)
		return 0;
	words[n++] = xasprintf("client=%s", p->client);
	sign = evidence_of(p, "rdns=");
	if (sign != NULL)
		words[n++] = xasprintf("name=%s", p->name != NULL ? p->name : "");
	free(sign);
	if (p->helo != NULL)
		words[n++] = xasprintf("helo=%s", p->helo);
	if (p->from != NULL)
		words[n++] = xasprintf("from=%s", *p->from != '\0' ? p->from : "<>");
	if (p->to != NULL)
		words[n++] = xasprintf("to=%s", p->to);
	if (localtime_r(&seconds, &tm) != NULL && strftime(minute, sizeof(minute), "time=%H:%M", &tm) > 0)
		words[n++] = xstrdup(minute);
	if ((sign = evidence_of(p, "early-talker")) != NULL)
		words[n++] = xstrdup("early-talker");
	free(sign);
	if ((sign = evidence_of(p, "pipelining")) != NULL)
		words[n++] = xstrdup("pipelining");
	free(sign);
	return n;
}

/* DNS may say something else now. */
static void
take_back(struct caller *c, const struct past *p)
{
	char *value;
	int i;

	value = evidence_of(p, "rdns=");
	for (i = RDNS_PASS; value != NULL && i <= RDNS_TEMPERROR; i++)
		if (strcmp(value, rdns_status_name((enum rdns_status)i)) == 0)
			c->facts.rdns = (enum rdns_status)i;
	if (c->facts.rdns == RDNS_TEMPERROR)
		c->facts.failed |= FACT_BIT(FACT_S25R);
	free(value);
	value = evidence_of(p, "spf=");
	for (i = AUTH_NONE; value != NULL && i <= AUTH_PERMERROR; i++)
		if (strcmp(value, auth_result_name((enum auth_result)i)) == 0) {
			c->facts.spf = (enum auth_result)i;
			c->facts.known |= FACT_BIT(FACT_SPF);
			c->facts.failed &= ~FACT_BIT(FACT_SPF);
		}
	free(value);
}

static int
explain_now(const struct past *p, const struct conf *conf)
{
	struct caller caller = { .name_given = false };
	char *words[8], *why;
	int n = words_of(p, words), status = EXIT_DONE;

	if (n == 0)
		return EXIT_DONE;
	why = caller_read(&caller, conf, n, words);
	if (why == NULL && caller_ask_dns(&caller, conf, &why) == 0) {
		take_back(&caller, p);
		caller_ask_ledger(&caller);
		explain_caller(&caller, conf);
	} else {
		status = smtpctl_failed("%s", why);
	}
	free(why);
	caller_free(&caller);
	while (n > 0)
		free(words[--n]);
	return status;
}

int
explain_session(int n, char **words)
{
	struct past past = { .out = output_new(OUTPUT_BLOCKS) };
	struct request r = { .n = (unsigned)n, .words = (const char *const *)words, .record = on_event, .arg = &past };
	const struct conf *conf;
	char *why = NULL;
	int status = client_request(&r, false, &why);

	if (status != 0) {
		status = smtpctl_refused(status, why);
		output_end(past.out);
	} else {
		conf = smtpctl_conf();
		if (conf != NULL) {
			output_note(past.out, "%s", "");
			output_note(past.out, "the gate now, with what was known then:");
		}
		output_end(past.out);
		status = conf != NULL ? explain_now(&past, conf) : EXIT_DONE;
	}
	free(why);
	past_clear(&past);
	return status;
}
