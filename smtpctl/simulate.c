/*
 * smtpctl gate simulate: plays sessions with callers who are not there, with a DNS that is given, a
 * ledger in memory and a clock of its own.  No server is asked and no network.
 *
 *	smtpctl gate simulate client=192.0.2.7 ptr=mail.example.net a=192.0.2.7 from=a@example.net \
 *	    to=bob@example.or.jp again=1m,6m
 *	smtpctl gate simulate FILE
 *
 * A script has a statement a line:
 *
 *	dns NAME TYPE DATA	a record, as a zone file has it (lib/dns_table.h)
 *	call WORD ...		a caller comes
 *	again [WORD ...]	the last one comes again; words that are given replace his
 *	wait TIME		time goes by
 *	forget			nobody has ever been here
 *
 * The words are those of `gate explain`, and ptr= a= mx= txt= for records of his own, record= for any,
 * dns= for a file of records, patience= for after how long he hangs up; to= may stand several times.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/dns_table.h"
#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "smtpctl/explain.h"
#include "smtpctl/lookups.h"
#include "smtpctl/output.h"
#include "smtpctl/simulate.h"
#include "smtpctl/smtpctl.h"
#include "smtpctl/words.h"

#define ATTEMPTS_MAX 100000

struct arrival {
	struct ip client;
	int64_t time;
};

struct simulation {
	const struct conf *conf;
	struct dns_table *dns;
	struct trial_memory *memory;
	struct output *out;
	int64_t start, now;
	struct words last; /* the words of the last call */
	struct arrival *arrivals;
	unsigned attempts;
};

/* Each returns NULL, or what is wrong (the caller frees). */

/* --- DNS --- */

static char *
add_record(struct simulation *s, const char *name, const char *type, const char *data)
{
	char *record = xasprintf("%s %s %s", name, type, data), *why;

	why = dns_table_add(s->dns, record);
	free(record);
	return why;
}

static char *
read_records(struct simulation *s, const char *path)
{
	FILE *f = fopen(path, "r");
	char *line = NULL, *start, *why = NULL, *placed;
	unsigned number = 0;
	size_t size = 0;

	if (f == NULL)
		return xasprintf("%s: %s", path, strerror(errno));
	while (why == NULL && getline(&line, &size, f) > 0) {
		number++;
		line[strcspn(line, "\r\n")] = '\0';
		start = line + strspn(line, " \t");
		if (*start == '\0' || *start == '#' || *start == ';')
			continue;
		why = dns_table_add(s->dns, start);
		if (why != NULL) {
			placed = xasprintf("%s:%u: %s", path, number, why);
			free(why);
			why = placed;
		}
	}
	free(line);
	fclose(f);
	return why;
}

/* "NAME,DATA", or DATA alone and it belongs to OTHERWISE.  An MX may come without its preference. */
static char *
add_pair(struct simulation *s, const char *value, const char *type, const char *otherwise)
{
	const char *comma = strchr(value, ',');
	const char *text = comma != NULL ? comma + 1 : value;
	char *name, *data, *why;

	if (comma == NULL && otherwise == NULL)
		return xasprintf("%s record \"%s\": whose?  Write NAME,%s", type, value, value);
	name = comma != NULL ? xstrndup(value, (size_t)(comma - value)) : xstrdup(otherwise);
	data = xasprintf("%s%s", strcmp(type, "MX") == 0 && strchr(text, ' ') == NULL ? "10 " : "", text);
	why = add_record(s, name, type, data);
	free(data);
	free(name);
	return why;
}

static char *
add_address(struct simulation *s, const struct words *w, const char *value)
{
	const char *comma = strchr(value, ',');

	return add_pair(s, value, strchr(comma != NULL ? comma : value, ':') != NULL ? "AAAA" : "A",
	    words_get(w, "ptr="));
}

static char *
add_ptr(struct simulation *s, const struct words *w, const char *value)
{
	const char *client = words_get(w, "client=");
	char name[80];
	struct ip ip;

	if (client == NULL || !ip_parse(client, &ip))
		return xasprintf("ptr=%s: whose?  client=IP is missing", value);
	ip_reverse_name(&ip, name, sizeof(name));
	if (strcasecmp(value, "SERVFAIL") == 0)
		return add_record(s, name, "SERVFAIL", "");
	return add_record(s, name, "PTR", value);
}

/* The records that a caller brings with him: true when WORD was one of them. */
static bool
take_dns_word(struct simulation *s, const struct words *w, const char *word, char **why)
{
	const char *from = words_get(w, "from="), *domain = from != NULL ? strrchr(from, '@') : NULL, *value;

	*why = NULL;
	if (domain != NULL)
		domain++;
	if ((value = word_value(word, "ptr=")) != NULL)
		*why = add_ptr(s, w, value);
	else if ((value = word_value(word, "a=")) != NULL)
		*why = add_address(s, w, value);
	else if ((value = word_value(word, "mx=")) != NULL)
		*why = add_pair(s, value, "MX", domain);
	else if ((value = word_value(word, "txt=")) != NULL)
		*why = add_pair(s, value, "TXT", domain);
	else if ((value = word_value(word, "record=")) != NULL)
		*why = dns_table_add(s->dns, value);
	else if ((value = word_value(word, "dns=")) != NULL)
		*why = read_records(s, value);
	return value != NULL;
}

/* --- a caller --- */

struct call {
	struct caller caller;
	char *words[WORDS_MAX]; /* for caller_read() */
	int n;
	char *recipients[WORDS_MAX];
	unsigned recipients_n;
	uint32_t patience;
};

static char *
take_recipient(struct call *c, const char *value)
{
	struct mailaddr a;
	const char *why;

	if (!mailaddr_parse(value, strlen(value), MAILADDR_POSTMASTER, &a, &why))
		return xasprintf("to=%s: that is no address: %s", value, why);
	c->recipients[c->recipients_n++] = mailaddr_format(&a);
	mailaddr_free(&a);
	return NULL;
}

static char *
take_patience(struct call *c, const char *value)
{
	uint64_t seconds;

	if (quantity_parse(value, strlen(value), &seconds) != QUANTITY_TIME || seconds == 0)
		return xasprintf("patience=%s: a time is expected, such as 30s", value);
	c->patience = (uint32_t)seconds;
	return NULL;
}

/* Everything that the words say. */
static char *
read_call(struct simulation *s, struct call *c, const struct words *w)
{
	char *why = NULL;
	const char *value;
	int i;

	for (i = 0; i < w->n && why == NULL; i++) {
		if (take_dns_word(s, w, w->list[i], &why))
			continue;
		if ((value = word_value(w->list[i], "patience=")) != NULL) {
			why = take_patience(c, value);
		} else if ((value = word_value(w->list[i], "to=")) != NULL) {
			why = take_recipient(c, value);
			if (c->recipients_n == 1)
				c->words[c->n++] = w->list[i];
		} else {
			c->words[c->n++] = w->list[i];
		}
	}
	return why != NULL ? why : caller_read(&c->caller, s->conf, c->n, c->words);
}

static void
call_clear(struct call *c)
{
	while (c->recipients_n > 0)
		free(c->recipients[--c->recipients_n]);
	caller_free(&c->caller);
}

/* How often this address, or its network, has come in the time of a meter. */
static uint32_t
arrivals_of(const struct simulation *s, const struct gate_meter *meter, const struct ip *client)
{
	uint8_t bits = client->family == AF_INET6 ? (meter->network ? 64 : 128) : (meter->network ? 24 : 32);
	struct ipnet net = ip_network(client, bits);
	uint32_t n = 0;
	unsigned i;

	for (i = s->attempts; i > 0; i--)
		if (ipnet_contains(&net, &s->arrivals[i - 1].client))
			n += s->now - s->arrivals[i - 1].time < meter->period;
	return n;
}

/* What was assumed of time and rate is known here: the clock is ours, and all callers are. */
static void
correct(struct simulation *s, struct caller *c)
{
	const struct gate *gate = &s->conf->gate;
	time_t now = (time_t)s->now;
	struct tm tm;
	unsigned i;

	if ((c->assumed & FACT_BIT(FACT_TIME)) && localtime_r(&now, &tm) != NULL)
		c->facts.minute = (uint16_t)(tm.tm_hour * 60 + tm.tm_min);
	for (i = 0; i < gate->meters_n; i++)
		if (gate->meters[i].fact == FACT_RATE && (c->assumed & FACT_BIT(FACT_RATE)))
			c->facts.meters[i] = arrivals_of(s, &gate->meters[i], &c->facts.client);
}

/* --- the session --- */

/* One phase; true when the dialogue goes on. */
static bool
pass(struct simulation *s, struct trial *t, enum phase phase, struct trial_step *step)
{
	trial_step_clear(step);
	trial_pass(t, phase, step);
	simulate_show_step(s->out, t, step);
	return step->code == 0 && !step->hung_up;
}

static void
mail(struct simulation *s, struct trial *t, const struct call *c, struct trial_step *step, unsigned *accepted)
{
	uint32_t held = 0;
	unsigned i;

	if (!pass(s, t, PHASE_MAIL, step))
		return;
	for (i = 0; i < c->recipients_n && !step->hung_up && !step->close; i++) {
		t->facts.recipient = c->recipients[i];
		if (!pass(s, t, PHASE_RCPT, step))
			continue;
		++*accepted;
		if (step->grey.waited > held)
			held = step->grey.waited;
	}
	if (*accepted == 0 || step->hung_up || step->close)
		return;
	if (!pass(s, t, PHASE_DATA, step) || !pass(s, t, PHASE_MESSAGE, step))
		*accepted = 0;
	else
		trial_let_in(t, held);
}

static void
play(struct simulation *s, const struct call *c)
{
	struct trial t = { .conf = s->conf, .memory = s->memory, .facts = c->caller.facts, .now = s->now,
		.patience = c->patience };
	struct trial_step step = { .identity = NULL };
	unsigned accepted = 0;

	trial_begin(&t);
	simulate_show_caller(s->out, &t, s->attempts, s->now - s->start);
	if (pass(s, &t, PHASE_CONNECT, &step) && pass(s, &t, PHASE_GREETING, &step) &&
	    (c->caller.facts.helo == NULL || pass(s, &t, PHASE_HELO, &step)) && c->caller.facts.sender != NULL)
		mail(s, &t, c, &step, &accepted);
	simulate_show_end(s->out, &t, s->attempts, accepted, c->recipients_n, &step);
	trial_step_clear(&step);
	/* the next one comes when he is gone */
	s->now = t.now;
}

static char *
call(struct simulation *s, const struct words *w)
{
	struct call *c = xcalloc(1, sizeof(*c));
	char *why = read_call(s, c, w);

	if (why == NULL && s->attempts == ATTEMPTS_MAX)
		why = xstrdup("too many callers");
	if (why == NULL && caller_ask_dns(&c->caller, s->conf, &why) == 0) {
		s->arrivals = xreallocarray(s->arrivals, s->attempts + 1, sizeof(*s->arrivals));
		s->arrivals[s->attempts++] = (struct arrival){ c->caller.facts.client, s->now };
		correct(s, &c->caller);
		play(s, c);
	}
	call_clear(c);
	free(c);
	return why;
}

/* --- statements --- */

static char *
on_call(struct simulation *s, const char *rest)
{
	char *why;

	words_clear(&s->last);
	why = words_split(&s->last, rest);
	return why != NULL ? why : call(s, &s->last);
}

static char *
on_again(struct simulation *s, const char *rest)
{
	struct words new = { .n = 0 };
	char *why = s->last.n == 0 ? xstrdup("nobody has called yet") : words_split(&new, rest);

	if (why == NULL)
		why = words_merge(&s->last, &new);
	words_clear(&new);
	return why != NULL ? why : call(s, &s->last);
}

static char *
on_wait(struct simulation *s, const char *rest)
{
	uint64_t seconds;

	if (quantity_parse(rest, strlen(rest), &seconds) != QUANTITY_TIME)
		return xasprintf("wait %s: a time is expected, such as 5m", rest);
	s->now += (int64_t)seconds;
	return NULL;
}

static char *
on_dns(struct simulation *s, const char *rest)
{
	return dns_table_add(s->dns, rest);
}

static char *
on_forget(struct simulation *s, const char *rest)
{
	(void)rest;
	trial_memory_free(s->memory);
	s->memory = trial_memory_new();
	return NULL;
}

static const struct {
	const char *word;
	char *(*handle)(struct simulation *, const char *rest);
} statements[] = {
	{ "call", on_call },
	{ "again", on_again },
	{ "wait", on_wait },
	{ "dns", on_dns },
	{ "forget", on_forget },
};
#define STATEMENTS (sizeof(statements) / sizeof(statements[0]))

static char *
statement(struct simulation *s, char *line)
{
	size_t len, i, end;

	for (end = strlen(line); end > 0 && isspace((unsigned char)line[end - 1]); end--)
		line[end - 1] = '\0';
	line += strspn(line, " \t");
	if (*line == '\0' || *line == '#')
		return NULL;
	len = strcspn(line, " \t");
	for (i = 0; i < STATEMENTS; i++)
		if (strlen(statements[i].word) == len && strncmp(statements[i].word, line, len) == 0)
			return statements[i].handle(s, line + len + strspn(line + len, " \t"));
	return xasprintf("\"%.*s\" is none of call, again, wait, dns, forget", (int)len, line);
}

static int
run_script(struct simulation *s, const char *path)
{
	FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
	char *line = NULL, *why = NULL;
	unsigned number = 0;
	size_t size = 0;
	bool failed;

	if (f == NULL)
		return smtpctl_failed("%s: %s", path, strerror(errno));
	while (why == NULL && getline(&line, &size, f) > 0) {
		number++;
		why = statement(s, line);
	}
	free(line);
	if (why == NULL && ferror(f))
		smtpctl_failed("%s: %s", path, strerror(errno));
	failed = ferror(f);
	if (f != stdin)
		fclose(f);
	if (why == NULL)
		return failed ? EXIT_FAILED : EXIT_DONE;
	smtpctl_failed("%s:%u: %s", strcmp(path, "-") == 0 ? "standard input" : path, number, why);
	free(why);
	return EXIT_FAILED;
}

/* The first of TIMES, "1m,6m", in seconds since the first call; *TIMES is NULL behind the last.  False: it is none, or
 * before LEAST. */
static bool
take_time(char **times, uint64_t least, uint64_t *seconds)
{
	char *one = strsep(times, ",");

	return quantity_parse(one, strlen(one), seconds) == QUANTITY_TIME && *seconds >= least;
}

/* Before anything is played. */
static char *
check_times(const char *times)
{
	char *list = xstrdup(times), *rest = list;
	uint64_t seconds = 0;
	bool ok = true;

	while (rest != NULL && ok)
		ok = take_time(&rest, seconds, &seconds);
	free(list);
	return ok ? NULL : xasprintf("again=%s: times since the first call are expected, the shortest first, such as 1m,6m",
	    times);
}

static char *
repeat(struct simulation *s, const char *times)
{
	char *list = xstrdup(times), *rest = list, *why = NULL;
	uint64_t seconds = 0;

	while (rest != NULL && why == NULL && take_time(&rest, seconds, &seconds)) {
		if (s->start + (int64_t)seconds > s->now)
			s->now = s->start + (int64_t)seconds;
		why = call(s, &s->last);
	}
	free(list);
	return why;
}

static int
run_words(struct simulation *s, int n, char **words)
{
	const char *times = NULL, *value;
	char *why = NULL;
	int i;

	for (i = 0; i < n && why == NULL; i++) {
		value = word_value(words[i], "again=");
		if (value != NULL)
			times = value;
		else
			why = words_add(&s->last, words[i]);
	}
	if (why == NULL && times != NULL)
		why = check_times(times);
	if (why == NULL)
		why = call(s, &s->last);
	if (why == NULL && times != NULL)
		why = repeat(s, times);
	if (why == NULL)
		return EXIT_DONE;
	i = smtpctl_usage("%s", why);
	free(why);
	return i;
}

int
gate_simulate(int n, char **words)
{
	struct simulation s = { .conf = smtpctl_conf(), .start = clock_now() };
	int status;

	if (s.conf == NULL)
		return EXIT_FAILED;
	s.now = s.start;
	s.dns = dns_table_new();
	s.memory = trial_memory_new();
	s.out = output_new(OUTPUT_TABLE);
	lookups_use_table(s.dns);
	if (n == 3 && strchr(words[2], '=') == NULL)
		status = run_script(&s, words[2]);
	else
		status = run_words(&s, n - 2, words + 2);
	lookups_use_table(NULL);
	output_end(s.out);
	words_clear(&s.last);
	free(s.arrivals);
	trial_memory_free(s.memory);
	dns_table_free(s.dns);
	return status;
}
