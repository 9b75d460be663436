/*
 * smtpctl grey import: takes over what a postgrey or taRgrey has learnt.
 *
 *	smtpctl grey import postgrey DIR|FILE ...
 *
 * The files are read here, without the other program and without its library, and never written; the
 * server that runs gets the records, some hundred at a time, for it alone opens its ledger.  What
 * cannot be understood is counted and said.  What must never happen: that something is taken for a
 * triplet that has passed when it is none; so only what has postgrey's form exactly counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filters/identity.h"
#include "lib/buf.h"
#include "lib/mem.h"
#include "smtpctl/btree_file.h"
#include "smtpctl/client.h"
#include "smtpctl/output.h"
#include "smtpctl/postgrey.h"
#include "smtpctl/smtpctl.h"

/* Of one request; the server takes 512, the two that name it included. */
#define WORDS_MAX 500
#define WORDS_PER_RECORD 7
#define WORDS_SIZE (48 * 1024)

struct import {
	char *words[WORDS_MAX + 2];
	unsigned n;
	size_t size;
	bool dry_run;
	uint64_t found, hashed, odd;
	uint64_t taken, known, expired;
	int status;
	char *why;
};

static void
on_record(const struct field *f, void *arg)
{
	struct import *in = arg;

	for (; f->type != FIELD_END; f++) {
		if (f->type != FIELD_U64)
			continue;
		if (strcmp(f->key, "taken") == 0)
			in->taken += f->u64;
		else if (strcmp(f->key, "known") == 0)
			in->known += f->u64;
		else if (strcmp(f->key, "expired") == 0)
			in->expired += f->u64;
		else if (strcmp(f->key, "odd") == 0)
			in->odd += f->u64;
	}
}

static void
flush(struct import *in)
{
	struct request r = { .words = (const char *const *)in->words,
		.n = in->n,
		.record = on_record,
		.arg = in };

	if (in->n > 2 && in->status == 0 && !in->dry_run)
		in->status = client_request(&r, false, &in->why);
	while (in->n > 2)
		free(in->words[--in->n]);
	in->size = 0;
}

static void
add(struct import *in, char *word)
{
	in->size += strlen(word) + 5;
	in->words[in->n++] = word;
}

static char *
time_word(int64_t t)
{
	return xasprintf("%lld", (long long)t);
}

static void
add_triplet(struct import *in, const struct postgrey_triplet *t)
{
	bool whole = t->client.bits == (t->client.ip.family == AF_INET6 ? 128 : 32);

	add(in, xstrdup("triplet"));
	add(in, whole ? identity_of_address(&t->client.ip) : identity_of(&t->client.ip, NULL, NULL));
	add(in, identity_sender(t->sender));
	add(in, identity_recipient(t->recipient));
	add(in, time_word(t->first));
	add(in, time_word(t->last));
	add(in, time_word(postgrey_passed(t) ? t->first + POSTGREY_DELAY : 0));
}

static void
add_client(struct import *in, const struct postgrey_client *c)
{
	add(in, xstrdup("identity"));
	add(in, identity_of_address(&c->ip));
	add(in, xasprintf("%u", c->count));
	add(in, time_word(c->last));
}

static void
on_pair(const void *key, size_t key_len, const void *value, size_t len, void *arg)
{
	struct import *in = arg;
	struct postgrey_triplet t;
	struct postgrey_client c;

	if (in->n + WORDS_PER_RECORD > WORDS_MAX || in->size > WORDS_SIZE)
		flush(in);
	switch (postgrey_read(key, key_len, value, len, &t, &c)) {
	case POSTGREY_TRIPLET:
		in->found++;
		add_triplet(in, &t);
		break;
	case POSTGREY_CLIENT:
		in->found++;
		if (c.count > 0)
			add_client(in, &c);
		break;
	case POSTGREY_HASHED:
		in->hashed++;
		break;
	case POSTGREY_NONE:
		in->odd++;
		break;
	}
	postgrey_triplet_clear(&t);
}

static int
read_file(struct import *in, const char *path)
{
	struct btree_visitor visitor = { on_pair, in };
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *why = NULL;
	struct stat st;
	void *p;

	if (fd == -1 || fstat(fd, &st) == -1 || (p = mmap(NULL, (size_t)st.st_size, PROT_READ,
						     MAP_PRIVATE, fd, 0)) == MAP_FAILED) {
		if (fd != -1)
			close(fd);
		return smtpctl_failed("%s: %s", path, strerror(errno));
	}
	close(fd);
	why = btree_file_read(p, (size_t)st.st_size, &visitor);
	munmap(p, (size_t)st.st_size);
	flush(in);
	if (why != NULL) {
		smtpctl_failed("%s: %s", path, why);
		free(why);
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

/* postgrey holds a lock while it runs, and what it learnt last is not in its files then. */
static void
warn_if_runs(const char *dir)
{
	char *path = xasprintf("%s/postgrey.lock", dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd != -1 && flock(fd, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK)
		fprintf(stderr, "smtpctl: postgrey runs in %s; stop it first, or what it learnt last is missing\n",
		    dir);
	if (fd != -1)
		close(fd);
	free(path);
}

/* The files of a postgrey that is there; tarpit_clients.db holds no more than who hung up lately. */
static int
read_directory(struct import *in, const char *dir)
{
	static const char *const names[] = { "postgrey.db", "postgrey_clients.db" };
	int status = EXIT_DONE;
	unsigned seen = 0;
	char *path;
	size_t i;

	warn_if_runs(dir);
	for (i = 0; i < sizeof(names) / sizeof(names[0]) && status == EXIT_DONE; i++) {
		path = xasprintf("%s/%s", dir, names[i]);
		if (access(path, F_OK) == 0) {
			seen++;
			status = read_file(in, path);
		}
		free(path);
	}
	return seen > 0 ? status : smtpctl_failed("%s: no postgrey.db there", dir);
}

static void
tell(const struct import *in)
{
	struct output *o = output_new(OUTPUT_TABLE);

	if (options.json)
		output_record(FIELDS(F_U64("found", in->found), F_U64("taken", in->taken),
				  F_U64("known", in->known), F_U64("expired", in->expired),
				  F_U64("hashed", in->hashed), F_U64("not_understood", in->odd)),
		    o);
	output_note(o, "%llu records found; %llu taken over, %llu known already, %llu too old",
	    (unsigned long long)in->found, (unsigned long long)in->taken,
	    (unsigned long long)in->known, (unsigned long long)in->expired);
	if (in->hashed > 0)
		output_note(o,
		    "%llu are hashed (--privacy): nobody can tell whose they are, and they were left out",
		    (unsigned long long)in->hashed);
	if (in->odd > 0)
		output_note(o, "%llu cannot be triplets or clients and were left out",
		    (unsigned long long)in->odd);
	output_end(o);
}

/* WORDS: "grey", "import", "postgrey" or "targrey", [-n] FILE ... */
int
grey_import(int n, char **words)
{
	struct import in = { .words = { words[0], words[1] }, .n = 2 };
	int i = 3, status = EXIT_DONE;
	struct stat st;

	if (strcmp(words[2], "postgrey") != 0 && strcmp(words[2], "targrey") != 0)
		return smtpctl_usage("\"%s\" cannot be imported; postgrey and targrey can", words[2]);
	if (i < n && strcmp(words[i], "-n") == 0) {
		in.dry_run = true;
		i++;
	}
	if (i == n)
		return smtpctl_usage("something is missing");
	for (; i < n && status == EXIT_DONE && in.status == 0; i++) {
		if (stat(words[i], &st) == 0 && S_ISDIR(st.st_mode))
			status = read_directory(&in, words[i]);
		else
			status = read_file(&in, words[i]);
	}
	if (in.status != 0)
		status = smtpctl_failed("%s", in.why);
	free(in.why);
	if (in.found + in.hashed + in.odd > 0 && in.status == 0)
		tell(&in);
	return status;
}
