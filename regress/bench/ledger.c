/*
 * How the greylist's decision behaves while the ledger grows: new triplets are decided until there
 * are so many millions, and at each million so many more that are known already.
 *
 *   ledger DIR [MILLIONS]      DIR is made and removed again
 *
 * Callers, senders and recipients are drawn as from a large site's: every triplet is another, no
 * two neighbours come one after the other, and each has a record of about 150 octets on disk.  The
 * decisions are those of the ledger's role (ledger_decide), without the messages around them; the
 * disk is flushed every ten seconds, as there.
 */
#include <sys/resource.h>
#include <sys/stat.h>

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "filters/ledger_role.h"
#include "lib/log.h"
#include "lib/mem.h"

#define MILLION 1000000ul
#define KNOWN 100000ul /* asked again at each million */
#define SYNC_SECONDS 10
#define BEGIN 1700000000

struct measured {
	double wall, cpu, slowest; /* seconds */
};

static double last_sync;

static double
clock_seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* The Nth triplet: numbers spread so that keys come in no order. */
static void
decide(struct ledger *l, uint64_t n, int64_t now)
{
	uint64_t h = (n + 1) * 0x9e3779b97f4a7c15ull;
	char identity[64], sender[64], recipient[64];
	struct grey_question q = { .identity = identity, .sender = sender, .recipient = recipient,
		.delay = GREYLIST_DELAY, .window = GREYLIST_WINDOW, .lifetime = GREYLIST_LIFETIME,
		.trust_after = GREYLIST_TRUST_AFTER, .rule = 1, .line = 1 };
	struct grey_answer answer;

	snprintf(identity, sizeof(identity), "name:%05x.example.net", (unsigned)(h >> 44));
	snprintf(sender, sizeof(sender), "sender%07x@example.org", (unsigned)(h >> 16 & 0xfffffff));
	snprintf(recipient, sizeof(recipient), "user%04x@example.com", (unsigned)(h & 0xffff));
	ledger_decide(l, &q, now, &answer);
	if (answer.state == GREY_UNKNOWN) {
		fprintf(stderr, "the ledger gives no answer\n");
		exit(1);
	}
}

static void
sync_if_due(struct ledger *l, double now)
{
	if (now - last_sync < SYNC_SECONDS)
		return;
	(void)ledger_store_sync(l->store);
	last_sync = now;
}

/* COUNT triplets from the one of number FIRST on, STEP apart. */
static struct measured
run(struct ledger *l, uint64_t first, uint64_t count, uint64_t step, int64_t at)
{
	double begin = clock_seconds(CLOCK_MONOTONIC), cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
	double before = begin, now = begin;
	struct measured m = { 0 };
	uint64_t i;

	for (i = 0; i < count; i++, before = now) {
		decide(l, first + i * step, at);
		now = clock_seconds(CLOCK_MONOTONIC);
		if (now - before > m.slowest)
			m.slowest = now - before;
		sync_if_due(l, now);
	}
	m.wall = now - begin;
	m.cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	return m;
}

/* Of this process, without what it shares with the page cache: megabytes. */
static double
resident(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	unsigned long kb = 0;
	char line[256];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		(void)sscanf(line, "RssAnon: %lu", &kb);
	if (f != NULL)
		fclose(f);
	return (double)kb / 1024;
}

/* Of all files in DIR: megabytes; REMOVE takes them away. */
static double
files(const char *path, bool take_away)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	struct stat st;
	double octets = 0;
	char *name;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		name = xasprintf("%s/%s", path, entry->d_name);
		if (stat(name, &st) == 0)
			octets += (double)st.st_size;
		if (take_away)
			unlink(name);
		free(name);
	}
	if (dir != NULL)
		closedir(dir);
	return octets / (1 << 20);
}

static void
open_ledger(struct ledger *l, const char *dir)
{
	char *why = NULL;

	l->store = ledger_store_open(dir, &why);
	if (why != NULL)
		fprintf(stderr, "%s\n", why);
	free(why);
	if (l->store == NULL)
		exit(1);
}

static void
tell(uint64_t millions, const struct measured *new, const struct measured *known, const char *dir)
{
	printf("| %llu | %.1f | %.1f | %.0f | %.1f | %.1f | %.0f | %.1f | %.0f |\n", (unsigned long long)millions,
	    new->wall * 1e6 / (double)MILLION, new->cpu * 1e6 / (double)MILLION, new->slowest * 1e3,
	    known->wall * 1e6 / (double)KNOWN, known->cpu * 1e6 / (double)KNOWN, known->slowest * 1e3,
	    resident(), files(dir, false));
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	uint64_t millions = argc > 2 ? strtoull(argv[2], NULL, 10) : 10, m;
	struct measured new, known;
	struct ledger l = { 0 };
	double before;

	if (argc < 2 || millions == 0 || mkdir(argv[1], 0700) < 0) {
		fprintf(stderr, "usage: ledger DIR [MILLIONS], and DIR must not exist\n");
		return 2;
	}
	log_init(&(struct log_conf){ .to_stderr = true }, "bench");
	open_ledger(&l, argv[1]);
	l.operators = operator_list_new();
	l.count = ledger_count_new();
	printf("| million triplets | new us | CPU us | slowest ms | known us | CPU us | slowest ms | memory MB | files MB |\n"
	       "|---|---|---|---|---|---|---|---|---|\n");
	for (m = 1; m <= millions; m++) {
		new = run(&l, (m - 1) * MILLION, MILLION, 1, BEGIN + (int64_t)m * 60);
		known = run(&l, 0, KNOWN, m * MILLION / KNOWN, BEGIN + (int64_t)m * 60 + GREYLIST_DELAY);
		tell(m, &new, &known, argv[1]);
	}
	ledger_store_close(l.store);
	before = clock_seconds(CLOCK_MONOTONIC);
	open_ledger(&l, argv[1]);
	printf("\nopened again in %.2f s\n", clock_seconds(CLOCK_MONOTONIC) - before);
	ledger_store_close(l.store);
	(void)files(argv[1], true);
	return rmdir(argv[1]) < 0;
}
