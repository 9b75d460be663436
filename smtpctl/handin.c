/*
 * Requests of sendmail to the running server (handin.h).
 *
 * Nothing is kept here, and nothing is believed but the server's word that it has the message: 0
 * from handin_submit means that the queue has stored it.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/mailaddr.h"
#include "lib/mem.h"
#include "smtpctl/client.h"
#include "smtpctl/handin.h"

static void
on_version(const struct field *fields, void *arg)
{
	struct handin_server *server = arg;
	const char *host = field_get(fields, "host");

	if (host != NULL && server->host == NULL)
		server->host = xstrdup(host);
	for (; fields->type != FIELD_END; fields++)
		if (fields->type == FIELD_U64 && strcmp(fields->key, "size") == 0)
			server->size = fields->u64;
}

bool
handin_ask(struct handin_server *server, char **why)
{
	static const char *const words[] = { "version" };
	struct request r = { .n = 1, .words = words, .record = on_version, .arg = server };

	*server = (struct handin_server){ .host = NULL };
	*why = NULL;
	if (client_request(&r, true, why) == 0 && server->host != NULL)
		return true;
	if (*why == NULL || **why == '\0') {
		free(*why);
		*why = xstrdup("the server did not tell its name");
	}
	return false;
}

void
handin_server_free(struct handin_server *server)
{
	free(server->host);
	server->host = NULL;
}

char *
handin_address(const char *host, const char *text, bool sender, const char **why)
{
	bool complete = strchr(text, '@') != NULL || *text == '\0';
	char *full = complete ? xstrdup(text) : xasprintf("%s@%s", text, host), *address = NULL;
	struct mailaddr a;

	if (mailaddr_parse(full, strlen(full), sender ? MAILADDR_NULL : 0, &a, why)) {
		address = mailaddr_format(&a);
		mailaddr_free(&a);
	}
	free(full);
	return address;
}

void
handin_add(struct handin_words *w, char *word)
{
	w->words = xreallocarray(w->words, w->n + 1, sizeof(char *));
	w->words[w->n++] = word;
}

void
handin_add_recipient(struct handin_words *w, const char *address)
{
	char *word = xasprintf("to=%s", address);
	unsigned i;

	for (i = 0; i < w->n; i++)
		if (strcmp(w->words[i], word) == 0) {
			free(word);
			return;
		}
	handin_add(w, word);
	w->recipients++;
}

void
handin_words_free(struct handin_words *w)
{
	unsigned i;

	for (i = 0; i < w->n; i++)
		free(w->words[i]);
	free(w->words);
	*w = (struct handin_words){ .words = NULL };
}

static void
on_queued(const struct field *fields, void *arg)
{
	char **queued = arg;

	if (*queued == NULL && field_get(fields, "message") != NULL)
		*queued = xstrdup(field_get(fields, "message"));
}

int
handin_submit(
    const struct handin_words *w, const struct composed *message, char **queued, char **why)
{
	struct request r = { .n = w->n, .words = (const char *const *)w->words,
		.content = message->text.data, .content_len = message->text.len,
		.record = on_queued, .arg = queued };

	*queued = NULL;
	*why = NULL;
	return client_request(&r, true, why);
}
