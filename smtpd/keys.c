/*
 * Reading, watching and handing over certificates (keys.h).
 *
 * The master keeps what it read last and found good, because a worker that is born after a file was
 * broken must serve too. Workers are born with it; later changes come as a descriptor of memory, so
 * that no key ever stands in a channel's buffers, which other children would be born with.  What must
 * never happen: that a certificate which worked is replaced by one that does not, or that one bad file
 * keeps a good one from being taken.
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>
#include <event2/event_struct.h>
#include <openssl/rand.h>

#include "conf/conf.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "lib/peer.h"
#include "lib/tls_server.h"
#include "smtpd/keys.h"

#define KEYS_BUNDLE MESSAGE_TYPE(SUBJECT_KEYS, 1) /* master to worker: u64 length; a descriptor */
#define FILE_MOST (1024 * 1024)
#define BUNDLE_MOST (256 * 1024 * 1024)
#define LOOK_SECONDS 5
#define PAIR_FILES 3 /* enum tls_file */

struct stamp { /* a file that has another has changed */
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct content {
	char *data; /* NULL: no such file */
	size_t len;
};

/* A certificate statement, or a listener's client-ca. */
struct item {
	const struct certificate *certificate; /* or NULL, and */
	const char *authorities;               /* its path */
	unsigned files_n;
	const char **paths; /* NULL: not given */
	struct stamp *seen; /* when it was looked at last, for good or bad */
	struct content *contents;
};

struct keys {
	const struct conf *conf;
	struct item *items;
	unsigned items_n;
};

/* Where complaints go. */
struct report {
	const struct conf *conf;
	const struct item *item;
	struct buf *errors, *warnings; /* NULL: the log */
};

static struct keys *keys; /* in use; or NULL */
static uint8_t tickets[TLS_TICKET_KEYS][TLS_TICKET_KEY_SIZE];
static int64_t tickets_since; /* the last one was made */
static struct buf bundle;

/* --- complaints --- */

static void
complain(const struct report *r, bool fatal, const char *path, const char *why)
{
	const struct certificate *c = r->item->certificate;
	char *text;

	if (c != NULL)
		text = xasprintf("%s:%u: certificate \"%s\": %s %s", r->conf->path, c->line, c->name, path, why);
	else
		text = xasprintf("%s: client-ca: %s %s", r->conf->path, path, why);
	if (r->errors != NULL)
		buf_addf(fatal ? r->errors : r->warnings, "%s%s\n", text, fatal ? "" : " (warning)");
	else if (fatal)
		log_error("tls.refused", F_STR("why", text), F_STR("what", "what was read before stays"));
	else
		log_warning("tls.certificate", F_STR("why", text));
	free(text);
}

/* --- files --- */

static struct stamp
stamp_of(const struct stat *st)
{
	return (struct stamp){ st->st_dev, st->st_ino, st->st_size, st->st_mtim };
}

static bool
is_same(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime.tv_sec == b->mtime.tv_sec &&
	    a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static bool
has_changed(const struct item *item)
{
	struct stat st;
	unsigned i;

	for (i = 0; i < item->files_n; i++) {
		struct stamp now = { 0 };

		if (item->paths[i] == NULL)
			continue;
		if (stat(item->paths[i], &st) == 0)
			now = stamp_of(&st);
		if (!is_same(&now, &item->seen[i]))
			return true;
	}
	return false;
}

static void
free_content(struct content *c)
{
	if (c->data != NULL)
		explicit_bzero(c->data, c->len);
	free(c->data);
	*c = (struct content){ .len = 0 };
}

/* The octets of FD, which is a file of ST; exactly as many as there were: no copy is left behind by
 * growing. */
static bool
read_all(int fd, const struct stat *st, struct content *out)
{
	size_t want = (size_t)st->st_size;
	ssize_t n = 1;

	out->data = xmalloc(want + 1);
	for (out->len = 0; out->len < want && n > 0; out->len += n > 0 ? (size_t)n : 0)
		n = read(fd, out->data + out->len, want - out->len);
	out->data[out->len] = '\0';
	return n >= 0;
}

static const char *
hint(int error)
{
	return error == EACCES ? "; a key is read while smtpd is still root"
	    : error == ENOENT  ? "; correct the path, or have the certificate issued"
	                       : "";
}

/* Reads file I of R's item into OUT. */
static bool
read_file(const struct report *r, unsigned i, struct content *out)
{
	const char *path = r->item->paths[i];
	bool fatal = i % PAIR_FILES != TLS_OCSP || r->item->certificate == NULL, ok = false;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *why;

	r->item->seen[i] = (struct stamp){ .size = 0 };
	if (fd >= 0 && fstat(fd, &st) == 0) {
		r->item->seen[i] = stamp_of(&st);
		errno = S_ISDIR(st.st_mode) ? EISDIR : EFBIG;
		ok = S_ISREG(st.st_mode) && st.st_size <= FILE_MOST && read_all(fd, &st, out);
	}
	if (!ok) {
		why = xasprintf("cannot be read: %s%s", strerror(errno), hint(errno));
		complain(r, fatal, path, why);
		free(why);
		free_content(out);
	} else if (r->item->certificate != NULL && i % PAIR_FILES == TLS_KEY && (st.st_mode & S_IROTH)) {
		complain(r, false, path, "can be read by everybody on this machine, and with it they can "
		    "pretend to be this server; chmod 600");
	}
	if (fd >= 0)
		close(fd);
	return ok || !fatal;
}

/* --- what a certificate's files say --- */

static struct tls_pair
pair_of(const struct content *contents, unsigned pair)
{
	const struct content *c = &contents[pair * PAIR_FILES];

	return (struct tls_pair){ .chain = c[TLS_CHAIN].data, .chain_len = c[TLS_CHAIN].len,
		.key = c[TLS_KEY].data, .key_len = c[TLS_KEY].len,
		.ocsp = c[TLS_OCSP].data, .ocsp_len = c[TLS_OCSP].len };
}

struct pair_report {
	const struct report *report;
	unsigned pair;
};

static void
on_complaint(enum tls_file file, bool fatal, const char *why, void *arg)
{
	const struct pair_report *p = arg;

	complain(p->report, fatal, p->report->item->paths[p->pair * PAIR_FILES + file], why);
}

static bool
kinds_differ(const struct report *r, const struct content *contents, unsigned n)
{
	struct tls_pair a, b;
	unsigned i, j;

	for (i = 1; i < n; i++)
		for (j = 0; j < i; j++) {
			a = pair_of(contents, i);
			b = pair_of(contents, j);
			if (strcmp(tls_pair_kind(&a), tls_pair_kind(&b)) != 0)
				continue;
			complain(r, true, r->item->paths[i * PAIR_FILES + TLS_KEY],
			    "is of the same kind as the key before it; clients choose between kinds, RSA and EC");
			return false;
		}
	return true;
}

/* What the file PATH held when it was read and taken. */
static const struct content *
content_in_use(const char *path)
{
	unsigned i, j;

	for (i = 0; keys != NULL && i < keys->items_n; i++)
		for (j = 0; j < keys->items[i].files_n; j++)
			if (keys->items[i].paths[j] != NULL && strcmp(keys->items[i].paths[j], path) == 0)
				return &keys->items[i].contents[j];
	return NULL;
}

/* A file that was renewed by one that has expired already was not renewed. */
static bool
is_step_back(const struct report *r, const struct content *contents, unsigned pair)
{
	const struct content *in_use = content_in_use(r->item->paths[pair * PAIR_FILES + TLS_CHAIN]);
	struct tls_pair new = pair_of(contents, pair), old;

	if (in_use == NULL)
		return false;
	old = (struct tls_pair){ .chain = in_use->data, .chain_len = in_use->len };
	if (tls_pair_expires(&new) >= clock_now() || tls_pair_expires(&old) < clock_now())
		return false;
	complain(r, true, r->item->paths[pair * PAIR_FILES + TLS_CHAIN], "has expired, and the one before has not");
	return true;
}

static bool
check_certificate(const struct report *r, const struct content *contents)
{
	unsigned i, n = r->item->certificate->pairs_n;
	bool ok = true;

	for (i = 0; i < n; i++) {
		struct pair_report p = { r, i };
		struct tls_pair pair = pair_of(contents, i);

		ok &= tls_pair_check(&pair, r->item->certificate->name, on_complaint, &p);
		ok = ok && !is_step_back(r, contents, i);
	}
	return ok && kinds_differ(r, contents, n);
}

static bool
check_authorities(const struct report *r, const struct content *content)
{
	if (tls_authorities(content->data, content->len) > 0)
		return true;
	complain(r, true, r->item->authorities, "holds no certificate; PEM is expected (-----BEGIN CERTIFICATE-----)");
	return false;
}

/* Reads all of the item's files anew; they take the place of those before when they are good, all or none. */
static bool
read_item(struct item *item, const struct report *r)
{
	struct content *new = xcalloc(item->files_n, sizeof(*new));
	bool ok = true;
	unsigned i;

	for (i = 0; i < item->files_n; i++)
		if (item->paths[i] != NULL)
			ok &= read_file(r, i, &new[i]);
	if (ok)
		ok = item->certificate != NULL ? check_certificate(r, new) : check_authorities(r, new);
	for (i = 0; i < item->files_n; i++) {
		if (ok) {
			struct content old = item->contents[i];

			item->contents[i] = new[i];
			new[i] = old;
		}
		free_content(&new[i]);
	}
	free(new);
	return ok;
}

/* --- all of them --- */

static struct item *
add_item(struct keys *k, unsigned files)
{
	struct item *item;

	k->items = xreallocarray(k->items, k->items_n + 1, sizeof(k->items[0]));
	item = &k->items[k->items_n++];
	*item = (struct item){ .files_n = files,
		.paths = xcalloc(files, sizeof(item->paths[0])),
		.seen = xcalloc(files, sizeof(item->seen[0])),
		.contents = xcalloc(files, sizeof(item->contents[0])) };
	return item;
}

static void
add_certificate(struct keys *k, const struct certificate *c)
{
	struct item *item = add_item(k, c->pairs_n * PAIR_FILES);
	unsigned i;

	item->certificate = c;
	for (i = 0; i < c->pairs_n; i++) {
		item->paths[i * PAIR_FILES + TLS_CHAIN] = c->pairs[i].chain;
		item->paths[i * PAIR_FILES + TLS_KEY] = c->pairs[i].key;
		item->paths[i * PAIR_FILES + TLS_OCSP] = c->pairs[i].ocsp;
	}
}

static void
add_authorities(struct keys *k, const char *path)
{
	unsigned i;

	for (i = 0; i < k->items_n; i++)
		if (k->items[i].authorities != NULL && strcmp(k->items[i].authorities, path) == 0)
			return;
	add_item(k, 1)->authorities = path;
	k->items[k->items_n - 1].paths[0] = path;
}

void
keys_free(struct keys *k)
{
	unsigned i, j;

	for (i = 0; k != NULL && i < k->items_n; i++) {
		for (j = 0; j < k->items[i].files_n; j++)
			free_content(&k->items[i].contents[j]);
		free(k->items[i].contents);
		free(k->items[i].paths);
		free(k->items[i].seen);
	}
	if (k != NULL)
		free(k->items);
	free(k);
}

static size_t
bundle_size(void)
{
	size_t size = sizeof(tickets) + 64;
	unsigned i, j;

	for (i = 0; i < keys->items_n; i++) {
		const struct item *item = &keys->items[i];

		size += 64 + strlen(item->certificate != NULL ? item->certificate->name : item->authorities);
		for (j = 0; j < item->files_n; j++)
			size += item->contents[j].len + 8;
	}
	return size;
}

static void
make_bundle(void)
{
	unsigned i, j;

	buf_wipe(&bundle);
	buf_reserve(&bundle, bundle_size()); /* at once: a buffer that grows leaves copies behind */
	tls_bundle_tickets(&bundle, tickets);
	for (i = 0; i < keys->items_n; i++) {
		const struct item *item = &keys->items[i];
		struct tls_pair *pairs;

		if (item->certificate == NULL) {
			tls_bundle_authorities(&bundle, item->authorities, item->contents[0].data,
			    item->contents[0].len);
			continue;
		}
		pairs = xcalloc(item->certificate->pairs_n, sizeof(*pairs));
		for (j = 0; j < item->certificate->pairs_n; j++)
			pairs[j] = pair_of(item->contents, j);
		tls_bundle_certificate(&bundle, item->certificate->name, pairs, item->certificate->pairs_n);
		free(pairs);
	}
}

static void
make_ticket_key(unsigned i)
{
	if (RAND_priv_bytes(tickets[i], TLS_TICKET_KEY_SIZE) != 1)
		fatal("keys: no random numbers");
}

struct keys *
keys_read(const struct conf *conf, struct buf *errors, struct buf *warnings)
{
	struct keys *new = xcalloc(1, sizeof(*new));
	struct report report = { .conf = conf, .errors = errors, .warnings = warnings };
	bool ok = true;
	unsigned i;

	new->conf = conf;
	for (i = 0; i < conf->certificates_n; i++)
		add_certificate(new, &conf->certificates[i]);
	for (i = 0; i < conf->listeners_n; i++)
		if (conf->listeners[i].client_ca != NULL)
			add_authorities(new, conf->listeners[i].client_ca);
	for (i = 0; i < new->items_n; i++) {
		report.item = &new->items[i];
		ok &= read_item(&new->items[i], &report);
	}
	if (ok)
		return new;
	keys_free(new);
	return NULL;
}

struct keys *
keys_use(struct keys *new)
{
	static bool have_tickets;
	struct keys *before = keys;
	unsigned i;

	for (i = 0; !have_tickets && i < TLS_TICKET_KEYS; i++)
		make_ticket_key(i);
	have_tickets = true;
	keys = new;
	if (keys != NULL)
		make_bundle();
	return before;
}

/* --- from the master to the workers --- */

static void
send_bundle(struct peer *peer, void *arg)
{
	int fd = fcntl(*(int *)arg, F_DUPFD_CLOEXEC, 0);
	struct buf *b;

	if (fd < 0) {
		log_error("tls.not_sent", F_STR("error", strerror(errno)));
		return;
	}
	b = channel_begin(peer->channel, KEYS_BUNDLE, 0);
	buf_add_u64(b, bundle.len);
	channel_end(peer->channel, fd);
}

static void
send_to_workers(void)
{
	int fd = memfd_create("keys", MFD_CLOEXEC);
	size_t done = 0;
	ssize_t n = 1;

	while (fd >= 0 && done < bundle.len && (n = write(fd, bundle.data + done, bundle.len - done)) > 0)
		done += (size_t)n;
	if (fd < 0 || n <= 0)
		log_error("tls.not_sent", F_STR("error", strerror(errno)));
	else
		peer_each(ROLE_SESSION, send_bundle, &fd);
	if (fd >= 0)
		close(fd);
}

/* What has changed and can be used is taken; what cannot is logged, and the one before stays. */
static bool
reread(void)
{
	struct report report = { .conf = keys->conf };
	bool changed = false;
	unsigned i;

	for (i = 0; i < keys->items_n; i++) {
		struct item *item = &keys->items[i];

		report.item = item;
		if (!has_changed(item) || !read_item(item, &report))
			continue;
		changed = true;
		log_info("tls.reread", F_STR("authorities", item->authorities),
		    F_STR("certificate", item->certificate != NULL ? item->certificate->name : NULL));
	}
	return changed;
}

/* The oldest key goes, all move on, and the newest is not used before the next time: then everybody has
 * it. */
static bool
shift_tickets(void)
{
	int64_t age = clock_now() - tickets_since;

	if (age >= 0 && age < TLS_TICKET_PERIOD)
		return false;
	tickets_since = clock_now();
	memmove(tickets[1], tickets[0], sizeof(tickets) - sizeof(tickets[0]));
	make_ticket_key(0);
	log_debug("tls.tickets", F_STR("what", "a new key for session tickets"));
	return true;
}

static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	bool changed = reread();

	(void)fd;
	(void)what;
	(void)arg;
	changed |= shift_tickets();
	if (!changed)
		return;
	make_bundle();
	send_to_workers();
}

void
keys_watch(void)
{
	static struct event look;

	tickets_since = clock_now();
	event_assign(&look, peer_base(), -1, EV_PERSIST, on_look, NULL);
	event_add(&look, &(struct timeval){ LOOK_SECONDS, 0 });
}

void
keys_forget(void)
{
	keys_free(keys);
	keys = NULL;
	buf_wipe(&bundle);
	explicit_bzero(tickets, sizeof(tickets));
}

/* --- in a worker --- */

static void
take(const void *data, size_t len)
{
	char *why = tls_server_load(data, len);

	if (why != NULL)
		log_error("tls.not_taken", F_STR("why", why), F_STR("what", "what was served before stays"));
	free(why);
}

static bool
on_message(struct peer *peer, struct message *m)
{
	uint64_t len = cursor_u64(&m->body);
	size_t done = 0;
	ssize_t n = 1;
	char *data;

	if (peer->role != ROLE_MASTER || m->type != KEYS_BUNDLE || !cursor_done(&m->body) || m->fd < 0 ||
	    len > BUNDLE_MOST)
		return false;
	data = xmalloc(len);
	while (done < len && (n = pread(m->fd, data + done, len - done, (off_t)done)) > 0)
		done += (size_t)n;
	take(data, done);
	explicit_bzero(data, done);
	free(data);
	return true;
}

static const struct subject_ops ops = { .message = on_message };

void
keys_serve(void)
{
	take(bundle.data, bundle.len);
	keys_forget();
	peer_register(SUBJECT_KEYS, &ops);
}
