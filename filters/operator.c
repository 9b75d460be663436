/*
 * The operator's entries: spelling, order, matching, encoding (operator.h).
 *
 * The ledger owns one list; smtpctl's requests change it, the sessions' questions read it. Matching
 * looks up a handful of exact texts (each network that is in use, each parent of a name), so its
 * cost does not grow with the list beyond the logarithm.  What must never happen: that a text given
 * by the operator or found on disk matches more than it says; so every text is brought to one
 * spelling first, and what is on disk must be in that spelling already.
 */
#include <sys/socket.h>
#include <sys/tree.h>

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "filters/identity.h"
#include "filters/operator.h"
#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/ip.h"
#include "lib/mem.h"

#define ENTRY_VERSION 1
#define BITS_MAX 128
#define FLAG_ALLOW 1
#define FLAG_RESCUED 2

struct node {
	struct operator_entry entry;
	RB_ENTRY(node) tree;
};

RB_HEAD(node_tree, node);

struct operator_list {
	struct node_tree tree;
	unsigned networks[2][BITS_MAX + 1]; /* how many entries have so many bits: IPv4, IPv6 */
};

/* The best match so far; of equal rank the one that denies. */
struct best {
	int rank;
	enum operator_word word;
};

/* A network is more exact than any name, a whole mail address more than any domain. */
#define RANK_NETWORK 1000
#define RANK_ADDRESS 1000
#define RANK_IDENTITY 0

static int
node_compare(const struct node *a, const struct node *b)
{
	if (a->entry.kind != b->entry.kind)
		return a->entry.kind < b->entry.kind ? -1 : 1;
	return strcmp(a->entry.text, b->entry.text);
}

RB_GENERATE_INTERNAL(node_tree, node, tree, node_compare, __attribute__((unused)) static)

static const char *const kind_names[OPERATOR_KINDS] = { "client", "name", "identity", "from",
	"to" };

const char *
operator_kind_name(enum operator_kind kind)
{
	return kind < OPERATOR_KINDS ? kind_names[kind] : "?";
}

int
operator_kind_by_name(const char *name, size_t len)
{
	int i;

	for (i = 0; i < OPERATOR_KINDS; i++) {
		if (strlen(kind_names[i]) == len && strncmp(kind_names[i], name, len) == 0)
			return i;
	}
	return -1;
}

/*
 * Spelling
 */

static char *
lower(const char *s)
{
	char *copy, *p;

	copy = xstrdup(s);
	for (p = copy; *p != '\0'; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	return copy;
}

static bool
is_printable(const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s <= ' ' || *s == 0x7f)
			return false;
	}
	return true;
}

/* Letters, digits, and what else stands in names that are looked up; beyond ASCII whatever UTF-8
 * has. */
static bool
is_domain(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!isalnum((unsigned char)s[i]) && strchr("-._", s[i]) == NULL &&
		    (unsigned char)s[i] < 0x80)
			return false;
		if (s[i] == '.' && (i == 0 || s[i - 1] == '.'))
			return false;
	}
	return len > 0 && len <= 255 && s[len - 1] != '.';
}

/* "example.org", ".example.org" and "*.example.org" mean the same here: it and all below it. */
static char *
spell_domain(const char *given, const char **why)
{
	size_t len;
	char *text;

	if (strncmp(given, "*.", 2) == 0)
		given += 2;
	else if (*given == '.' || *given == '@')
		given++;
	len = strlen(given);
	if (len > 0 && given[len - 1] == '.')
		len--;
	if (!is_domain(given, len)) {
		*why = "a domain is expected, such as example.org";
		return NULL;
	}
	text = lower(given);
	text[len] = '\0';
	return text;
}

static char *
spell_client(const char *given, const char **why)
{
	struct ipnet net;
	struct ip_text text;

	if (!ipnet_parse(given, &net)) {
		*why = "an address or a network is expected, such as 192.0.2.0/24 (with no bit set "
		       "behind its length)";
		return NULL;
	}
	text = ipnet_text(&net);
	return xstrdup(text.s);
}

static char *
spell_identity(const char *given, const char **why)
{
	static const char *const prefixes[] = { "spf:", "name:", "net:" };
	size_t i, len;

	for (i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		len = strlen(prefixes[i]);
		if (strncasecmp(given, prefixes[i], len) == 0 && given[len] != '\0')
			return lower(given);
	}
	*why = "an identity is expected, such as name:example.org, spf:example.org or "
	       "net:192.0.2.0/24";
	return NULL;
}

/* As the greylist's keys have a sender.  Until nothing changes any more: one BATV tag may stand in
 * another, and what was spelled once must not change when it is spelled again. */
static char *
spell_sender(const char *bare)
{
	char *text, *next;

	text = identity_sender(bare);
	while (strcmp(next = identity_sender(text), text) != 0) {
		free(text);
		text = next;
	}
	free(next);
	return text;
}

/* A whole address, "<>", or else a domain. */
static char *
spell_address(enum operator_kind kind, const char *given, const char **why)
{
	const char *at;
	char *bare, *text;
	size_t len;

	len = strlen(given);
	if (strcmp(given, "<>") == 0) {
		*why = "the null sender is no recipient";
		return kind == OPERATOR_FROM ? xstrdup(given) : NULL;
	}
	if (*given == '<' && given[len - 1] == '>')
		bare = xstrndup(given + 1, len - 2);
	else
		bare = xstrdup(given);
	at = strrchr(bare, '@');
	if (at == NULL || at == bare) {
		text = spell_domain(bare, why);
	} else if (at[1] == '\0' || strpbrk(bare, "<>") != NULL) {
		*why = "an address or a domain is expected";
		text = NULL;
	} else {
		text = kind == OPERATOR_FROM ? spell_sender(bare) : lower(bare);
	}
	if (text != NULL && *text == '@') {
		/* "+tag@example.org" has nobody left in it */
		*why = "an address or a domain is expected";
		free(text);
		text = NULL;
	}
	free(bare);
	return text;
}

char *
operator_text(enum operator_kind kind, const char *given, const char **why)
{
	*why = NULL;
	if (*given == '\0' || strlen(given) > OPERATOR_TEXT_MAX || !is_printable(given)) {
		*why = "empty, too long, or with blanks in it";
		return NULL;
	}
	switch (kind) {
	case OPERATOR_CLIENT:
		return spell_client(given, why);
	case OPERATOR_NAME:
		return spell_domain(given, why);
	case OPERATOR_IDENTITY:
		return spell_identity(given, why);
	case OPERATOR_FROM:
	case OPERATOR_TO:
		return spell_address(kind, given, why);
	default:
		*why = "no such kind of entry";
		return NULL;
	}
}

/*
 * The list
 */

struct operator_list *
operator_list_new(void)
{
	struct operator_list *list;

	list = xcalloc(1, sizeof(*list));
	RB_INIT(&list->tree);
	return list;
}

void
operator_entry_clear(struct operator_entry *e)
{
	free((void *)(uintptr_t)e->text);
	free((void *)(uintptr_t)e->note);
	e->text = e->note = NULL;
}

static struct node *
find(const struct operator_list *list, enum operator_kind kind, const char *text)
{
	struct node key = { .entry = { .kind = kind, .text = text } };

	return RB_FIND(node_tree, (struct node_tree *)(uintptr_t)&list->tree, &key);
}

/* The count of networks with as many bits as this entry's; NULL for an entry of another kind. */
static unsigned *
network_count(struct operator_list *list, const struct operator_entry *e)
{
	struct ipnet net;

	if (e->kind != OPERATOR_CLIENT || !ipnet_parse(e->text, &net))
		return NULL;
	return &list->networks[net.ip.family == AF_INET6][net.bits];
}

bool
operator_list_remove(struct operator_list *list, enum operator_kind kind, const char *text)
{
	struct node *n;
	unsigned *count;

	n = find(list, kind, text);
	if (n == NULL)
		return false;
	count = network_count(list, &n->entry);
	if (count != NULL)
		--*count;
	RB_REMOVE(node_tree, &list->tree, n);
	operator_entry_clear(&n->entry);
	free(n);
	return true;
}

void
operator_list_put(struct operator_list *list, const struct operator_entry *e)
{
	struct node *n;
	unsigned *count;

	n = xcalloc(1, sizeof(*n));
	n->entry = *e;
	n->entry.text = xstrdup(e->text);
	n->entry.note = xstrdup(e->note == NULL ? "" : e->note);
	(void)operator_list_remove(list, e->kind, n->entry.text);
	count = network_count(list, &n->entry);
	if (count != NULL)
		++*count;
	RB_INSERT(node_tree, &list->tree, n);
}

void
operator_list_free(struct operator_list *list)
{
	struct node *n;

	if (list == NULL)
		return;
	while ((n = RB_ROOT(&list->tree)) != NULL)
		(void)operator_list_remove(list, n->entry.kind, n->entry.text);
	free(list);
}

const struct operator_entry *
operator_list_next(const struct operator_list *list, const struct operator_entry *after)
{
	struct node_tree *tree = (struct node_tree *)(uintptr_t)&list->tree;
	struct node *n;

	if (after == NULL)
		n = RB_MIN(node_tree, tree);
	else
		n = RB_NEXT(node_tree, tree, (struct node *)(uintptr_t)after);
	return n == NULL ? NULL : &n->entry;
}

const struct operator_entry *
operator_list_find(const struct operator_list *list, enum operator_kind kind, const char *text)
{
	struct node *n;

	n = find(list, kind, text);
	return n == NULL ? NULL : &n->entry;
}

bool
operator_list_knows_mail(const struct operator_list *list)
{
	struct node *last = RB_MAX(node_tree, (struct node_tree *)(uintptr_t)&list->tree);

	return last != NULL && last->entry.kind >= OPERATOR_IDENTITY;
}

/*
 * Matching
 */

static void
match(const struct operator_list *list, enum operator_kind kind, const char *text, int rank,
    int64_t now, struct best *best)
{
	struct node *n;
	enum operator_word word;

	n = find(list, kind, text);
	if (n == NULL || (n->entry.expires != 0 && now > n->entry.expires))
		return;
	word = n->entry.allow ? OPERATOR_ALLOW : OPERATOR_DENY;
	if (best->word == OPERATOR_SILENT || rank > best->rank ||
	    (rank == best->rank && word == OPERATOR_DENY))
		*best = (struct best){ rank, word };
}

static void
match_networks(
    const struct operator_list *list, const struct ip *ip, int64_t now, struct best *best)
{
	struct ipnet net;
	struct ip_text text;
	unsigned bits, most;

	most = ip->family == AF_INET6 ? 128 : 32;
	for (bits = 0; bits <= most; bits++) {
		if (list->networks[ip->family == AF_INET6][bits] == 0)
			continue;
		net = ip_network(ip, (uint8_t)bits);
		text = ipnet_text(&net);
		match(list, OPERATOR_CLIENT, text.s, RANK_NETWORK + (int)bits, now, best);
	}
}

/* NAME and each of its parents; the more labels, the more exact. */
static void
match_domain(const struct operator_list *list, enum operator_kind kind, const char *name,
    int64_t now, struct best *best)
{
	const char *p;
	char *folded;
	int labels = 1;

	folded = lower(name);
	for (p = folded; (p = strchr(p, '.')) != NULL; p++)
		labels++;
	for (p = folded; p != NULL && *p != '\0'; labels--) {
		match(list, kind, p, labels, now, best);
		p = strchr(p, '.');
		if (p != NULL)
			p++;
	}
	free(folded);
}

static void
match_address(const struct operator_list *list, enum operator_kind kind, const char *address,
    int64_t now, struct best *best)
{
	const char *at;

	match(list, kind, *address == '\0' ? "<>" : address, RANK_ADDRESS, now, best);
	at = strrchr(address, '@');
	if (at != NULL)
		match_domain(list, kind, at + 1, now, best);
}

enum operator_word
operator_on_caller(
    const struct operator_list *list, const struct ip *ip, const char *name, int64_t now)
{
	struct best best = { 0, OPERATOR_SILENT };

	match_networks(list, ip, now, &best);
	if (name != NULL)
		match_domain(list, OPERATOR_NAME, name, now, &best);
	return best.word;
}

enum operator_word
operator_on_mail(const struct operator_list *list, const char *identity, const char *sender,
    const char *recipient, int64_t now)
{
	struct best best = { 0, OPERATOR_SILENT };

	if (identity != NULL)
		match(list, OPERATOR_IDENTITY, identity, RANK_IDENTITY, now, &best);
	if (sender != NULL)
		match_address(list, OPERATOR_FROM, sender, now, &best);
	if (recipient != NULL)
		match_address(list, OPERATOR_TO, recipient, now, &best);
	return best.word;
}

/*
 * On disk
 */

void
operator_encode_key(struct buf *b, enum operator_kind kind, const char *text)
{
	buf_add_u8(b, (uint8_t)kind);
	buf_adds(b, text);
}

void
operator_encode(struct buf *b, const struct operator_entry *e)
{
	buf_add_u8(b, ENTRY_VERSION);
	buf_add_u8(b, (uint8_t)((e->allow ? FLAG_ALLOW : 0) | (e->rescued ? FLAG_RESCUED : 0)));
	buf_add_u32(b, e->uid);
	buf_add_u64(b, (uint64_t)e->created);
	buf_add_u64(b, (uint64_t)e->expires);
	buf_add_str(b, e->note);
}

/* The text of a key, if it is the one spelling of something. */
static char *
decode_text(enum operator_kind kind, const uint8_t *key, size_t len)
{
	const char *why;
	char *given, *text;

	if (kind >= OPERATOR_KINDS || len == 0 || len > OPERATOR_TEXT_MAX ||
	    memchr(key, '\0', len) != NULL)
		return NULL;
	given = xstrndup((const char *)key, len);
	text = operator_text(kind, given, &why);
	if (text != NULL && strcmp(text, given) != 0) {
		free(text);
		text = NULL;
	}
	free(given);
	return text;
}

bool
operator_decode(
    const void *key, size_t key_len, const void *value, size_t len, struct operator_entry *e)
{
	struct cursor c;
	const uint8_t *k = key;
	const char *note;
	uint8_t version, flags;

	memset(e, 0, sizeof(*e));
	c = cursor_init(value, len);
	version = cursor_u8(&c);
	flags = cursor_u8(&c);
	e->allow = (flags & FLAG_ALLOW) != 0;
	e->rescued = (flags & FLAG_RESCUED) != 0;
	e->uid = cursor_u32(&c);
	e->created = (int64_t)cursor_u64(&c);
	e->expires = (int64_t)cursor_u64(&c);
	note = cursor_str(&c);
	if (!cursor_done(&c) || version != ENTRY_VERSION || (flags & ~(FLAG_ALLOW | FLAG_RESCUED)) != 0 ||
	    e->created < 0 ||
	    e->expires < 0 || strlen(note) > OPERATOR_NOTE_MAX || key_len < 1)
		return false;
	e->kind = k[0];
	e->text = decode_text(e->kind, k + 1, key_len - 1);
	if (e->text == NULL)
		return false;
	e->note = xstrdup(note);
	return true;
}
