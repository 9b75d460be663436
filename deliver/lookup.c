/*
 * The address book's answers: who a recipient is, and where an address leads (lookup.h).
 *
 * The lookup role asks for every recipient, twice: at RCPT, where a wrong "no" turns mail away, and
 * when it is due; smtpctl asks for its users.  Both questions are answered by the same steps, so
 * what RCPT accepts has a way to go.  The steps for an address of ours, first hit wins:
 *
 *	alias "local@domain", alias "local"       also for the part before '+'
 *	user "local"                              also for the part before '+'
 *	alias "@domain"                           everybody else
 *	postmaster, abuse, mailer-daemon          root, or a mailbox of that name: see book.h
 *
 * An alias that names itself means the mailbox behind it; the answer then says "\local@domain",
 * which a later question takes as: no alias.  An alias that leads back to itself by way of others
 * is a mistake and never a loop: it is walked to its ends before anything is answered.
 *
 * What is wrong with the host or the configuration is a reason to wait.  Only who does not exist,
 * and what was asked for and is not done here, fails for good.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "deliver/alias.h"
#include "deliver/alias_loop.h"
#include "deliver/book.h"
#include "deliver/command.h"
#include "deliver/destination.h"
#include "deliver/lookup.h"
#include "deliver/mailbox_root.h"
#include "lib/mem.h"

/* An answer being found, and what its strings live in. */
struct finding {
	const struct lookup_conf *conf;
	bool read_files; /* :include: files */
	struct route_answer answer;
	bool foreign, unknown;
	char *why, *path, *account, *root, *destination;
	struct alias_targets targets;
};

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
}

/* What the alias means by its own name is the mailbox. */
static void
mark_self(struct alias_targets *targets, const char *address)
{
	char *marked;
	size_t i;

	for (i = 0; i < targets->n; i++) {
		if (strcasecmp(targets->addresses[i], address) != 0)
			continue;
		marked = xasprintf("\\%s", targets->addresses[i]);
		free(targets->addresses[i]);
		targets->addresses[i] = marked;
	}
}

static void
answer_alias(struct finding *f, const struct book_name *name, const char *value)
{
	bool later = false;
	char *why = alias_parse(value, name->ours->name, f->read_files, &f->targets, &later);

	if (why != NULL) {
		settle(f, later ? ROUTE_DEFER : ROUTE_FAIL, "%s alias \"%s\": %s",
		    later ? "451 4.3.5" : "554 5.3.5", name->address, why);
		free(why);
		return;
	}
	mark_self(&f->targets, name->address);
	why = alias_find_loop(f->conf, name->address, &f->targets, f->read_files);
	if (why != NULL) {
		settle(f, ROUTE_FAIL, "554 5.4.6 alias loop: %s", why);
		free(why);
		return;
	}
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

static bool
needs_home(const struct mailbox *mailbox)
{
	unsigned i;

	for (i = 0; mailbox->argv != NULL && mailbox->argv[i] != NULL; i++)
		if (strstr(mailbox->argv[i], "%{home}") != NULL)
			return true;
	return strstr(mailbox->path, "%{home}") != NULL;
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

/* The first route that fits; without any, the domain's MX. */
static void
answer_foreign(struct finding *f, const struct book_name *name)
{
	static const struct hop by_mx = { .mx = true, .port = SMTP_PORT };
	unsigned i;

	f->foreign = true;
	for (i = 0; i < f->conf->routes_n; i++) {
		const struct route *route = &f->conf->routes[i];

		if (pattern_matches(route->pattern, name->domain)) {
			answer_hops(f, route->hops, route->hops_n, name->domain);
			return;
		}
	}
	answer_hops(f, &by_mx, 1, name->domain);
}

static void
answer_entry(struct finding *f, const struct book_name *name, const struct book_entry *entry)
{
	switch (entry->kind) {
	case BOOK_NOBODY:
		settle_unknown(f);
		break;
	case BOOK_ALIAS:
		answer_alias(f, name, entry->value);
		break;
	case BOOK_USER:
		answer_user(f, name, &entry->user);
		break;
	case BOOK_MOVED:
		alias_add(&f->targets, entry->moved);
		answer_targets(f);
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

static struct finding
find_answer(const struct lookup_conf *conf, const char *address, bool read_files)
{
	struct finding f = { .conf = conf, .read_files = read_files };
	struct book_entry entry;
	struct book_name name;
	const char *why;

	if (!book_name_parse(conf, address, &name, &why)) {
		f.unknown = true;
		settle(&f, ROUTE_FAIL, "553 5.1.3 %s", why);
		return f;
	}
	book_find(conf, &name, false, &entry);
	answer_entry(&f, &name, &entry);
	book_entry_free(&entry);
	book_name_free(&name);
	return f;
}

static void
finding_free(struct finding *f)
{
	free(f->why);
	free(f->path);
	free(f->account);
	free(f->root);
	free(f->destination);
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

enum recipient_verdict
lookup_recipient_now(const struct lookup_conf *conf, const char *address, char **why)
{
	struct finding f = find_answer(conf, address, false);
	enum recipient_verdict verdict = RECIPIENT_OURS;

	*why = xstrdup("");
	if (f.foreign) {
		verdict = RECIPIENT_FOREIGN;
	} else if (f.answer.kind == ROUTE_FAIL || f.answer.kind == ROUTE_DEFER) {
		/* a mistake of ours must not turn mail away for good */
		verdict = f.unknown ? RECIPIENT_UNKNOWN : RECIPIENT_TEMP;
		free(*why);
		*why = xstrdup(words_of(f.why));
	}
	finding_free(&f);
	return verdict;
}

void
lookup_route_now(const struct lookup_conf *conf, const struct route_question *question,
    void (*callback)(const struct route_answer *, void *), void *arg)
{
	struct finding f = find_answer(conf, question->address, true);

	callback(&f.answer, arg);
	finding_free(&f);
}
