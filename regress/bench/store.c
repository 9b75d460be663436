/*
 * How fast the store takes messages, by itself: N adds wait at any time, each message is finished
 * when it is durable.
 *
 *   store DIR [MESSAGES [OCTETS]]        adds at 1, 10 and 100 waiting: messages/s, flushes each
 *   store fill DIR MESSAGES [OCTETS]     leaves that many deferred messages
 *   store open DIR                       how long a start takes and what memory it needs
 */
#include <sys/resource.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <event2/buffer.h>
#include <event2/event.h>

#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/id.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/store.h"

struct run {
	struct event_base *base;
	struct store *store;
	char *content;
	size_t size;
	unsigned long left, waiting;
	bool finish;
};

static void add(struct run *);

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double
cpu(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	    (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static long
rss_kib(void)
{
	char line[128];
	long kib = 0;
	FILE *f = fopen("/proc/self/status", "r");

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "VmRSS: %ld", &kib) == 1)
			break;
	if (f != NULL)
		fclose(f);
	return kib;
}

static void
found(struct envelope *env, void *arg)
{
	(void)env;
	++*(unsigned long *)arg;
}

static struct store *
open_store(struct event_base *base, const char *dir, unsigned long *n)
{
	char *why;
	struct store *st = store_open(base, dir, found, n, &why);

	if (st == NULL) {
		fprintf(stderr, "%s\n", why);
		exit(1);
	}
	return st;
}

static void
added(struct envelope *env, int error, void *arg)
{
	struct run *run = arg;

	if (error != 0) {
		fprintf(stderr, "add: %s\n", strerror(-error));
		exit(1);
	}
	if (run->finish) {
		env->recipients[0].state = RECIPIENT_DELIVERED;
		store_update(run->store, env, 0);
		store_finish(run->store, env);
	} else {
		env->recipients[0].attempts = 1;
		env->recipients[0].due = clock_now() + 600;
		envelope_set(&env->recipients[0].reason,
		    "451 4.7.1 Greylisting in action, please come back later");
		envelope_set(&env->recipients[0].host, "mx.example.net[192.0.2.1]");
		store_update(run->store, env, 0);
	}
	run->waiting--;
	if (run->left > 0)
		add(run);
	else if (run->waiting == 0)
		event_base_loopbreak(run->base);
}

static void
add(struct run *run)
{
	struct envelope *env = envelope_new();
	struct evbuffer *content = evbuffer_new();
	char address[64];

	run->left--;
	run->waiting++;
	env->id = id_new();
	env->time = clock_now();
	env->expires = env->time + 5 * 86400;
	env->sender = xstrdup("someone@example.org");
	env->origin = xstrdup("mail.example.org[192.0.2.1]");
	env->size = run->size;
	snprintf(address, sizeof(address), "recipient%lu@example.net", run->left);
	envelope_add_recipient(env, address, NULL, 0);
	evbuffer_add(content, run->content, run->size);
	if (store_add(run->store, env, content, added, run) == -1)
		fatal("store_add");
	evbuffer_free(content);
}

static void
measure(struct run *run, unsigned long messages, unsigned waiting)
{
	struct store_stats before, after;
	double begun = now(), used = cpu(), took;

	store_stats(run->store, &before);
	run->left = messages;
	while (run->waiting < waiting && run->left > 0)
		add(run);
	event_base_dispatch(run->base);
	took = now() - begun;
	used = cpu() - used;
	store_stats(run->store, &after);
	printf(
	    "%4u waiting: %8.0f messages/s, %.3f flushes a message, %.3f CPU s per 1000, %" PRIu64
	    " segments\n",
	    waiting, (double)messages / took,
	    (double)(after.flushes - before.flushes) / (double)messages,
	    used * 1000 / (double)messages, after.segments);
}

int
main(int argc, char **argv)
{
	struct run run = { .finish = true };
	struct log_conf conf = { .to_stderr = true };
	const char *what = argc > 1 ? argv[1] : "";
	bool fill = strcmp(what, "fill") == 0, open_only = strcmp(what, "open") == 0;
	unsigned long n = 0, messages;
	double begun;
	int a = fill || open_only ? 2 : 1;

	if (argc <= a) {
		fprintf(stderr, "usage: store [fill|open] DIR [MESSAGES [OCTETS]]\n");
		return 2;
	}
	log_init(&conf, "bench");
	messages = argc > a + 1 ? strtoul(argv[a + 1], NULL, 10) : 20000;
	run.size = argc > a + 2 ? strtoul(argv[a + 2], NULL, 10) : 4096;
	run.content = xmalloc(run.size + 1);
	memset(run.content, 'x', run.size);
	run.base = event_base_new();
	begun = now();
	run.store = open_store(run.base, argv[a], &n);
	printf("open: %lu messages in %.3f s, %ld KiB resident\n", n, now() - begun, rss_kib());
	if (fill) {
		run.finish = false;
		measure(&run, messages, 100);
		printf("%ld KiB resident\n", rss_kib());
	} else if (!open_only) {
		measure(&run, messages / 4, 1);
		measure(&run, messages / 2, 10);
		measure(&run, messages, 100);
	}
	store_close(run.store);
	event_base_free(run.base);
	free(run.content);
	return 0;
}
