/*
 * The address book's answers: who a recipient is, and where an address leads (lookup.h).
 *
 * The lookup role asks for every recipient, twice: at RCPT, where a wrong "no" turns mail away, and
 * when it is due; smtpctl asks for its users.  Both questions are answered by the same steps, so
 * what RCPT accepts has a way to go.  The steps for an address of ours, first hit wins:
 *
 *	alias "local@domain", alias "local"       also for the part before the delimiter
 *	user "local"                              also for the part before the delimiter
 *	SRS0=..., SRS1=...                        what we wrote for a sender whose mail we forwarded
 *	alias or user "@domain", "*"              everybody else
 *	postmaster, abuse, mailer-daemon          root, or whoever is named for it: see book.h
 *
 * An alias that names itself means the mailbox behind it; the answer then says "\local@domain",
 * which a later question takes as: no alias.  A program or file that an alias names is asked about
 * once more when it is due (target.h), and then the alias must still name it; when it does not, the
 * answer is whom it names now.  An alias that leads back to itself by way of others
 * is a mistake and never a loop: it is walked to its ends before anything is answered.
 *
 * What is wrong with the host or the configuration is a reason to wait.  Only who does not exist,
 * and what was asked for and is not done here, fails for good.
 */
#include <sys/stat.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/alias.h"
#include "deliver/alias_account.h"
#include "deliver/alias_loop.h"
#include "deliver/book.h"
#include "deliver/command.h"
#include "deliver/destination.h"
#include "deliver/forward.h"
#include "deliver/lookup.h"
#include "deliver/mailbox_root.h"
#include "deliver/srs.h"
#include "deliver/target.h"
#include "lib/clock.h"
#include "lib/mem.h"

/* Domains that are others written anew. */
#define DOMAINS_DEEP 5

/* An answer being found, and what its strings live in. */
struct finding {
	const struct lookup_conf *conf;
	const struct route_question *question;
	bool read_files; /* :include: files */
	struct route_answer answer;
	bool foreign, unknown, is_domain; /* IS_DOMAIN: the same name, elsewhere */
	char *why, *path, *account, *root, *destination, *sender, *owner, *because;
	struct alias_targets targets;
};

static void finding_free(struct finding *);

/* --- what is wrong --- */

static void __attribute__((format(printf, 3, 4)))
settle(struct finding *f, enum route_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	free(f->why);
	f->why = xvasprintf(fmt, ap);
	va_end(ap);
	f->answer.kind = kind;
	f->answer.why = f->why;
}

static void
settle_unknown(struct finding *f)
{
	f->unknown = true;
	settle(f, ROUTE_FAIL, "550 5.1.1 there is no such user here");
}

/* --- the answers --- */

static void
answer_targets(struct finding *f)
{
	f->answer.kind = ROUTE_EXPAND;
	f->answer.targets_n = (unsigned)f->targets.n;
	f->answer.targets = (const char *const *)f->targets.addresses;
	f->answer.owner = f->owner;
}

/* Who runs what the alias names, as far as a file that it includes may name it. */
static uid_t
alias_uid(const struct domain *domain)
{
	struct mailbox_root root;
	char *why = alias_account(domain, &root);

	if (why != NULL) {
		free(why);
		return (uid_t)-1;
	}
	free(root.path);
	free(root.account);
	return root.uid;
}

/* What the alias stands for, into F->TARGETS.  False: it cannot be told, and F is settled. */
static bool
read_alias(struct finding *f, const struct book_name *name, const char *value)
{
	struct alias_of of = { .self = name->address,
		.local = name->local,
		.domain = name->ours->name,
		.read_files = f->read_files,
		.account = (uid_t)-1 };
	char *why;

	if (f->read_files && strchr(value, ':') != NULL && name->ours->aliases != NULL)
		of.account = alias_uid(name->ours);
	why = alias_parse(value, &of, &f->targets);
	if (why == NULL)
		return true;
	settle(f, ROUTE_DEFER, "451 4.3.5 alias \"%s\": %s", name->address, why);
	free(why);
	return false;
}

static void
answer_alias(struct finding *f, const struct book_name *name, const struct book_entry *entry)
{
	char *why;

	if (!read_alias(f, name, entry->value))
		return;
	f->is_domain = alias_is_domain(entry->value);
	alias_mark_self(&f->targets, name->address);
	why = alias_find_loop(f->conf, name->address, &f->targets, f->read_files);
	if (why != NULL) {
		settle(f, ROUTE_FAIL, "554 5.4.6 alias loop: %s", why);
		free(why);
		return;
	}
	f->owner = book_owner(name, entry);
	answer_targets(f);
}

/* Who writes, and below which directory: for a mailbox in the home its owner; for others whoever
 * owns the directory. */
static bool
find_root(struct finding *f, const struct domain *domain, const struct book_user *user)
{
	struct mailbox_root root;
	bool want_owner = !domain->users_system || domain->mailbox.method == MAILBOX_LMTP;
	char *why = mailbox_root_find(domain, user->home, want_owner, &root);

	if (why != NULL) {
		settle(f, ROUTE_DEFER, "451 4.3.5 %s", why);
		free(why);
		return false;
	}
	f->root = root.path;
	if (domain->users_system && domain->mailbox.method != MAILBOX_LMTP) {
		f->account = xstrdup(user->name);
		f->answer.uid = user->uid;
		f->answer.gid = mailbox_root_group(domain, root.path, user->gid);
	} else {
		f->account = xstrdup(root.account);
		f->answer.uid = root.uid;
		f->answer.gid = root.gid;
	}
	free(root.account);
	return true;
}

/* The program and its arguments with their fields filled in, as one text; NULL when a value may not
 * be part of them. */
static char *
expand_command(const struct mailbox *mailbox, const struct mailbox_fields *fields)
{
	struct command command = { .user = (char *)(uintptr_t)fields->user,
		.home = (char *)(uintptr_t)fields->home,
		.domain = (char *)(uintptr_t)fields->domain,
		.extension = (char *)(uintptr_t)fields->extension };
	unsigned n = 0, i;
	char *text = NULL;
	bool ok;

	while (mailbox->argv != NULL && mailbox->argv[n] != NULL)
		n++;
	command.argv = xcalloc(n + 2, sizeof(*command.argv));
	command.argv[0] = mailbox_expand(mailbox->path, fields);
	ok = command.argv[0] != NULL;
	for (i = 0; i < n && ok; i++) {
		command.argv[i + 1] = mailbox_expand(mailbox->argv[i], fields);
		ok = command.argv[i + 1] != NULL;
	}
	if (ok)
		text = command_encode(&command);
	for (i = 0; i <= n; i++)
		free(command.argv[i]);
	free(command.argv);
	return text;
}

/* True when the account may have a .forward: there is one, or only the account itself can see. */
static bool
may_forward(const struct book_name *name, const struct book_user *user)
{
	char *paths[2];
	bool may = false;
	struct stat st;
	unsigned i;

	if (name->mailbox || !name->ours->users_system)
		return false;
	paths[0] = xasprintf("%s/.forward", user->home);
	paths[1] = forward_extended(user->home, user->name, name->local);
	for (i = 0; i < 2 && paths[i] != NULL && !may; i++)
		may = lstat(paths[i], &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
	free(paths[0]);
	free(paths[1]);
	return may;
}

/* The account itself reads its .forward, or does what that says (ITEM, else ""). */
static void
answer_forward(struct finding *f, const struct book_user *user, const char *item)
{
	f->path = xstrdup(item);
	f->root = xstrdup(user->home);
	f->account = xstrdup(user->name);
	f->answer = (struct route_answer){ .kind = ROUTE_LOCAL,
		.uid = user->uid,
		.gid = user->gid,
		.method = MAILBOX_FORWARD,
		.path = f->path,
		.root = f->root,
		.account = f->account };
}

static bool
needs_home(const struct mailbox *mailbox)
{
	unsigned i;

	for (i = 0; mailbox->argv != NULL && mailbox->argv[i] != NULL; i++)
		if (strstr(mailbox->argv[i], "%{home}") != NULL)
			return true;
	return strstr(mailbox->path, "%{home}") != NULL;
}

/* Perhaps a disk that is not mounted: nothing is made in its place. */
static bool
is_missing(const char *home)
{
	struct stat st;

	return stat(home, &st) < 0 && errno == ENOENT;
}

static void
answer_user(struct finding *f, const struct book_name *name, const struct book_user *user)
{
	const struct mailbox *mailbox = &name->ours->mailbox;
	struct mailbox_fields fields = { .user = user->name,
		.domain = name->ours->name,
		.home = user->home,
		.address = name->address,
		.extension = user->extension };

	if (mailbox->path == NULL) {
		settle(f, ROUTE_DEFER, "451 4.3.5 %s has no mailboxes", name->ours->name);
		return;
	}
	if (name->ours->users_system && needs_home(mailbox) && is_missing(user->home)) {
		settle(f, ROUTE_DEFER, "451 4.3.5 the home directory %s of %s is missing",
		    user->home, user->name);
		return;
	}
	f->answer.forward = may_forward(name, user);
	/* who delivers by LMTP is not the user, and sees no home */
	if (f->answer.forward && mailbox->method == MAILBOX_LMTP) {
		answer_forward(f, user, "");
		return;
	}
	f->path = mailbox->method == MAILBOX_PIPE ? expand_command(mailbox, &fields)
						  : mailbox_expand(mailbox->path, &fields);
	if (f->path == NULL && user->home == NULL && needs_home(mailbox)) {
		settle(f, ROUTE_DEFER, "451 4.3.5 user %s of %s has no home directory", user->name,
		    name->ours->name);
		return;
	}
	if (f->path == NULL) {
		settle_unknown(f);
		return;
	}
	if (!find_root(f, name->ours, user))
		return;
	f->answer.kind = ROUTE_LOCAL;
	f->answer.method = mailbox->method;
	f->answer.path = f->path;
	f->answer.root = f->root;
	f->answer.account = f->account;
}

/* Somebody's mail that we forward gets a return address of ours, when his domain does not know that
 * we send for it: neither he nor the next server is ours, and he can be told of failures. */
static void
rewrite_sender(struct finding *f)
{
	const struct route_question *q = f->question;
	const char *domain;

	if (f->conf->srs == NULL || q->via == NULL || q->sender[0] == '\0' ||
	    book_is_ours(f->conf, q->sender) || !book_is_ours(f->conf, q->via))
		return;
	domain = strrchr(q->via, '@') + 1;
	f->sender = srs_forward(f->conf->srs, q->sender, domain, clock_now());
	f->answer.sender = f->sender;
}

static void
answer_hops(struct finding *f, const struct hop *hops, unsigned n, const char *domain)
{
	f->destination = destination_text(hops, n, domain);
	f->answer.kind = ROUTE_RELAY;
	f->answer.destination = f->destination;
}

static bool
pattern_matches(const char *pattern, const char *domain)
{
	size_t len, tail;

	if (strcmp(pattern, "*") == 0)
		return true;
	if (pattern[0] != '*' || pattern[1] != '.')
		return strcasecmp(pattern, domain) == 0;
	len = strlen(domain);
	tail = strlen(pattern + 1);
	return len > tail && strcasecmp(domain + len - tail, pattern + 1) == 0;
}

static bool
route_fits(const struct route *route, const char *sender, const char *domain)
{
	const char *at = strrchr(sender, '@');

	if (!route->by_sender)
		return pattern_matches(route->pattern, domain);
	if (strchr(route->pattern, '@') != NULL)
		return strcasecmp(route->pattern, sender) == 0;
	return at != NULL && pattern_matches(route->pattern, at + 1);
}

/* The first route that fits; without any, the domain's MX. */
static void
answer_foreign(struct finding *f, const struct book_name *name)
{
	static const struct hop by_mx = { .mx = true, .port = SMTP_PORT };
	unsigned i;

	f->foreign = true;
	rewrite_sender(f);
	for (i = 0; i < f->conf->routes_n; i++) {
		const struct route *route = &f->conf->routes[i];

		if (route_fits(route, f->question->sender, name->domain)) {
			f->because = xasprintf(
			    "route %s\"%s\"", route->by_sender ? "from " : "", route->pattern);
			answer_hops(f, route->hops, route->hops_n, name->domain);
			return;
		}
	}
	answer_hops(f, &by_mx, 1, name->domain);
}

/* "bob@elsewhere.example" for bob. */
static bool
is_same_name(const struct book_name *name, const char *address)
{
	size_t len = strlen(name->local);

	return strncasecmp(address, name->local, len) == 0 && address[len] == '@';
}

static void
answer_entry(struct finding *f, const struct book_name *name, const struct book_entry *entry)
{
	if (entry->because != NULL)
		f->because = xstrdup(entry->because);
	switch (entry->kind) {
	case BOOK_NOBODY:
		settle_unknown(f);
		break;
	case BOOK_ALIAS:
		answer_alias(f, name, entry);
		break;
	case BOOK_USER:
		answer_user(f, name, &entry->user);
		break;
	case BOOK_MOVED:
		f->is_domain = is_same_name(name, entry->moved);
		alias_add(&f->targets, entry->moved);
		answer_targets(f);
		break;
	case BOOK_EXPIRED:
		f->unknown = true;
		settle(f, ROUTE_FAIL, "550 5.1.1 %s", entry->why);
		break;
	case BOOK_FOREIGN:
		answer_foreign(f, name);
		break;
	case BOOK_BEHIND:
		answer_hops(f, name->ours->hops, name->ours->hops_n, name->domain);
		break;
	case BOOK_LISTS:
		settle(f, ROUTE_DEFER, "451 4.3.5 mailing lists of %s are not served yet",
		    name->domain);
		break;
	case BOOK_ERROR:
		settle(f, ROUTE_DEFER, "451 4.3.0 %s", entry->why);
		break;
	}
}

/* --- programs and files --- */

static void
answer_item_of_alias(struct finding *f, const struct book_name *name, const char *item)
{
	struct mailbox_root root;
	char *why;

	if (strcmp(item, "/dev/null") == 0) {
		f->answer.kind = ROUTE_DISCARD;
		return;
	}
	why = alias_account(name->ours, &root);
	if (why != NULL) {
		settle(f, ROUTE_DEFER, "451 4.3.5 %s", why);
		free(why);
		return;
	}
	f->path = xstrdup(item);
	f->root = root.path;
	f->account = root.account;
	f->answer = (struct route_answer){ .kind = ROUTE_LOCAL,
		.uid = root.uid,
		.gid = root.gid,
		.method = MAILBOX_ALIAS,
		.path = f->path,
		.root = f->root,
		.account = f->account };
}

/* The account of an alias's name may name the item in its .forward, which only it can read. */
static bool
is_account(const struct lookup_conf *conf, const char *address, struct book_entry *entry)
{
	char *past = xasprintf("\\%s", address);
	struct book_name name;
	const char *why;
	bool is = false;

	*entry = (struct book_entry){ .kind = BOOK_NOBODY };
	if (book_name_parse(conf, past, &name, &why)) {
		if (name.ours != NULL && name.ours->users_system)
			book_find(conf, &name, false, entry);
		is = entry->kind == BOOK_USER;
		book_name_free(&name);
	}
	free(past);
	return is;
}

static void
answer_item(struct finding *f, const struct book_name *name, const struct book_entry *entry,
    const char *item)
{
	char *text = xasprintf("\\%s%s", name->address, item);
	struct book_entry account = { .kind = BOOK_NOBODY };
	bool is_alias = entry->kind == BOOK_ALIAS;

	if (entry->because != NULL)
		f->because = xstrdup(entry->because);
	if (is_alias && !read_alias(f, name, entry->value))
		;
	else if (is_alias && alias_has(&f->targets, text))
		answer_item_of_alias(f, name, item);
	else if (is_account(f->conf, name->address, &account))
		answer_forward(f, &account.user, item);
	else if (is_alias) /* it names others by now */
		answer_targets(f);
	else
		settle_unknown(f);
	book_entry_free(&account);
	free(text);
}

static struct finding
find_answer(const struct lookup_conf *conf, const struct route_question *question, bool read_files)
{
	struct finding f = { .conf = conf, .question = question, .read_files = read_files };
	const char *address = question->address, *why;
	struct book_entry entry;
	struct book_name name;
	struct target target;

	target_parse(address, &target);
	if (!book_name_parse(conf, target.item != NULL ? target.address : address, &name, &why)) {
		f.unknown = true;
		settle(&f, ROUTE_FAIL, "553 5.1.3 %s", why);
		target_free(&target);
		return f;
	}
	book_find(conf, &name, false, &entry);
	if (target.item != NULL)
		answer_item(&f, &name, &entry, target.item);
	else
		answer_entry(&f, &name, &entry);
	f.answer.because = f.because;
	book_entry_free(&entry);
	book_name_free(&name);
	target_free(&target);
	return f;
}

bool
lookup_alias_names(const struct lookup_conf *conf, const char *address, const char *item, char **why)
{
	char *text = xasprintf("\\%s%s", address, item);
	struct route_question question = { .address = text, .sender = "" };
	struct finding f = find_answer(conf, &question, true);
	bool names = f.answer.kind == ROUTE_LOCAL && f.answer.method == MAILBOX_ALIAS;

	*why = f.answer.why != NULL ? xstrdup(f.answer.why) : NULL;
	finding_free(&f);
	free(text);
	return names;
}

static void
finding_free(struct finding *f)
{
	free(f->why);
	free(f->path);
	free(f->account);
	free(f->root);
	free(f->destination);
	free(f->sender);
	free(f->owner);
	free(f->because);
	alias_free(&f->targets);
}

/* Without the code in front, "550 5.1.1 ". */
static const char *
words_of(const char *why)
{
	const char *space = strchr(why, ' ');

	space = space == NULL ? NULL : strchr(space + 1, ' ');
	return space == NULL ? why : space + 1;
}

static enum recipient_verdict
verdict_of(const struct lookup_conf *conf, const char *address, unsigned depth, char **why)
{
	struct route_question question = { .address = address, .sender = "" };
	struct finding f = find_answer(conf, &question, false);
	enum recipient_verdict verdict = RECIPIENT_OURS;

	*why = xstrdup("");
	if (f.foreign) {
		verdict = RECIPIENT_FOREIGN;
	} else if (f.answer.kind == ROUTE_FAIL || f.answer.kind == ROUTE_DEFER) {
		/* a mistake of ours must not turn mail away for good */
		verdict = f.unknown ? RECIPIENT_UNKNOWN : RECIPIENT_TEMP;
		free(*why);
		*why = xstrdup(words_of(f.why));
	} else if (f.is_domain && f.answer.targets_n == 1 && depth < DOMAINS_DEEP) {
		/* who exists there is known now, and a bounce later would go to a forged sender */
		free(*why);
		verdict = verdict_of(conf, f.answer.targets[0], depth + 1, why);
		if (verdict == RECIPIENT_FOREIGN)
			verdict = RECIPIENT_OURS;
	}
	finding_free(&f);
	return verdict;
}

enum recipient_verdict
lookup_recipient_now(const struct lookup_conf *conf, const char *address, char **why)
{
	return verdict_of(conf, address, 0, why);
}

void
lookup_route_now(const struct lookup_conf *conf, const struct route_question *question,
    void (*callback)(const struct route_answer *, void *), void *arg)
{
	struct finding f = find_answer(conf, question, true);

	callback(&f.answer, arg);
	finding_free(&f);
}
