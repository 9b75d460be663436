/*
 * smtpctl spf: may this client send for that domain?  Asks DNS itself, as the configuration says,
 * and no server.
 *
 *	smtpctl spf ip=192.0.2.1 helo=mail.example.org from=alice@example.org
 *	smtpctl spf -
 *
 * With "-" there is a question on each line of standard input, its words divided by blanks, a value
 * with blanks in double quotes; many are asked at a time, and there is an answer line for each, in
 * their order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/types.h>

#include <event2/event.h>

#include "conf/conf.h"
#include "filters/spf.h"
#include "lib/buf.h"
#include "lib/columns.h"
#include "lib/field.h"
#include "lib/mem.h"
#include "lib/quote.h"
#include "smtpctl/lookups.h"
#include "smtpctl/smtpctl.h"

#define ASKED_MAX 200 /* questions under way at a time */

struct ask {
	STAILQ_ENTRY(ask) entry;
	struct ip ip;
	char *helo, *from;
	struct run *run;
	struct spf_query *query; /* under way */
	char *line;		 /* the answer */
};

struct run {
	STAILQ_HEAD(, ask) asks; /* not printed yet */
	const struct conf *conf;
	struct event_base *base;
	struct ask *next; /* the first that was not asked */
	unsigned asked;	  /* under way */
};

/* --- answers --- */

static char *
answer_line(const struct ask *a, const struct spf_answer *r)
{
	struct buf line = { 0 };

	if (options.json) {
		field_json(&line, FIELDS(F_STR("result", auth_result_name(r->result)),
		    F_STR("domain", r->domain), F_STR("mechanism", r->mechanism),
		    F_BOOL("blanket", r->blanket), F_STR("explanation", r->explanation),
		    F_STR("why", r->why), F_STR("ip", ip_text(&a->ip).s), F_STR("helo", a->helo),
		    F_STR("from", a->from)));
		return buf_take(&line);
	}
	buf_addf(&line, "%s ", auth_result_name(r->result));
	human_add_text(&line, r->why);
	if (r->explanation != NULL)
		buf_addf(&line, "; the domain explains: %s", r->explanation);
	return buf_take(&line);
}

static void
ask_free(struct ask *a)
{
	free(a->helo);
	free(a->from);
	free(a->line);
	free(a);
}

static void
print_answered(struct run *run)
{
	struct ask *a;

	while ((a = STAILQ_FIRST(&run->asks)) != NULL && a->line != NULL) {
		puts(a->line);
		STAILQ_REMOVE_HEAD(&run->asks, entry);
		ask_free(a);
	}
}

static void ask_more(struct run *);

static void
on_answer(const struct spf_answer *r, void *arg)
{
	struct ask *a = arg;
	struct run *run = a->run;

	a->query = NULL;
	a->line = answer_line(a, r);
	run->asked--;
	print_answered(run);
	ask_more(run);
}

static void
ask_more(struct run *run)
{
	struct ask *a;

	for (; (a = run->next) != NULL && run->asked < ASKED_MAX;
	     run->next = STAILQ_NEXT(a, entry)) {
		struct spf_question q = {
			.client = a->ip, .sender = a->from, .helo = a->helo, .host = run->conf->host
		};

		run->asked++;
		a->query = spf_ask(&q, on_answer, a);
	}
	if (run->asked == 0)
		event_base_loopbreak(run->base);
}

/* --- questions --- */

/* NULL, or what is wrong (caller frees). */
static char *
take_word(struct ask *a, const char *word)
{
	char **value = NULL;

	if (strncmp(word, "helo=", 5) == 0)
		value = &a->helo;
	if (strncmp(word, "from=", 5) == 0)
		value = &a->from;
	if (value != NULL) {
		if (*value != NULL)
			return xasprintf("%.5s is there twice", word);
		*value = xstrdup(strcmp(word, "from=<>") == 0 ? "" : word + 5);
		return NULL;
	}
	if (strncmp(word, "ip=", 3) != 0)
		return xasprintf("\"%s\" is none of ip=, helo=, from=", word);
	return ip_parse(word + 3, &a->ip) ? NULL : xasprintf("%s: that is no IP address", word);
}

static char *
check(const struct ask *a)
{
	if (a->ip.family == 0)
		return xstrdup("ip=IP is missing");
	if (a->helo == NULL && (a->from == NULL || *a->from == '\0'))
		return xstrdup("from=ADDRESS or helo=NAME is missing");
	return NULL;
}

static struct ask *
new_ask(struct run *run)
{
	struct ask *a = xcalloc(1, sizeof(*a));

	a->run = run;
	STAILQ_INSERT_TAIL(&run->asks, a, entry);
	if (run->next == NULL)
		run->next = a;
	return a;
}

static char *
take_words(struct run *run, int n, char **words)
{
	struct ask *a = new_ask(run);
	char *why = NULL;
	int i;

	for (i = 0; i < n && why == NULL; i++)
		why = take_word(a, words[i]);
	return why == NULL ? check(a) : why;
}

/* The word at *S, which then stands behind it: blanks end it outside of double quotes.  NULL and
 * *WHY on a bad quote. */
static char *
read_word(const char **s, const char **why)
{
	struct buf word = { 0 };
	size_t used, at;

	while (**s != '\0' && strchr(" \t\r\n", **s) == NULL) {
		if (**s != '"') {
			buf_addc(&word, *(*s)++);
			continue;
		}
		used = quote_read(*s, strlen(*s), &word, why, &at);
		if (used == 0) {
			buf_free(&word);
			return NULL;
		}
		*s += used;
	}
	return buf_take(&word);
}

static char *
take_line(struct run *run, const char *line)
{
	struct ask *a = new_ask(run);
	const char *bad = NULL;
	char *why = NULL, *word;

	while (why == NULL && *(line += strspn(line, " \t\r\n")) != '\0') {
		word = read_word(&line, &bad);
		why = word != NULL ? take_word(a, word) : xstrdup(bad);
		free(word);
	}
	return why == NULL ? check(a) : why;
}

/* Empty lines do not count. */
static char *
take_lines(struct run *run, FILE *in)
{
	char *line = NULL, *why = NULL, *wrong;
	unsigned number = 0;
	size_t cap = 0;

	while (why == NULL && getline(&line, &cap, in) >= 0) {
		number++;
		if (line[strspn(line, " \t\r\n")] == '\0')
			continue;
		wrong = take_line(run, line);
		if (wrong != NULL)
			why = xasprintf("line %u: %s", number, wrong);
		free(wrong);
	}
	free(line);
	return why;
}

static int
ask_all(struct run *run)
{
	char *why = NULL;
	int status;

	run->conf = smtpctl_conf();
	if (run->conf == NULL)
		return EXIT_FAILED;
	run->base = lookups_begin(run->conf, &why);
	if (run->base == NULL) {
		status = smtpctl_failed("%s", why);
		free(why);
		return status;
	}
	ask_more(run);
	event_base_dispatch(run->base);
	lookups_end();
	return EXIT_DONE;
}

int
spf_show(int n, char **words)
{
	struct run run = { .asks = STAILQ_HEAD_INITIALIZER(run.asks) };
	bool lines = n == 2 && strcmp(words[1], "-") == 0;
	char *why = lines ? take_lines(&run, stdin) : take_words(&run, n - 1, words + 1);
	struct ask *a;
	int status;

	if (why != NULL)
		status = smtpctl_usage("%s", why);
	else
		status = STAILQ_EMPTY(&run.asks) ? EXIT_DONE : ask_all(&run);
	while ((a = STAILQ_FIRST(&run.asks)) != NULL) {
		STAILQ_REMOVE_HEAD(&run.asks, entry);
		ask_free(a);
	}
	free(why);
	return status;
}
