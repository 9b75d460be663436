/*
 * Messages that a server does not take as they are (smtp_form.h): sent in another form, or not at all.
 *
 * Called when a message is to be sent, before anything is said of it.  Content in a file is mapped
 * for as long as it is sent in another form; the queue changes no file that it has written.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "deliver/smtp_form.h"
#include "lib/mem.h"

enum offer
smtp_offer(const char *line, size_t len, size_t *word)
{
	static const struct {
		const char *keyword;
		enum offer offer;
	} known[] = {
		{ "PIPELINING", OFFER_PIPELINING },
		{ "SIZE", OFFER_SIZE },
		{ "8BITMIME", OFFER_8BITMIME },
		{ "SMTPUTF8", OFFER_SMTPUTF8 },
		{ "DSN", OFFER_DSN },
		{ "STARTTLS", OFFER_STARTTLS },
		{ "REQUIRETLS", OFFER_REQUIRETLS },
		{ "AUTH", OFFER_AUTH },
		{ "DELIVERBY", OFFER_DELIVERBY },
		{ "CHUNKING", OFFER_CHUNKING },
		{ "BINARYMIME", OFFER_BINARYMIME },
	};
	size_t i;

	for (*word = 0; *word < len && line[*word] != ' ' && line[*word] != '='; ++*word)
		;
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strlen(known[i].keyword) == *word &&
		    strncasecmp(line, known[i].keyword, *word) == 0)
			return known[i].offer;
	return 0;
}

/* The message in memory.  False: it cannot be read; errno. */
static bool
map(struct smtp_form *form, const struct smtp_client_message *m)
{
	struct stat st;

	form->s = m->content;
	form->len = m->content_len;
	if (form->s != NULL)
		return true;
	if (fstat(m->fd, &st) < 0)
		return false;
	form->len = (size_t)st.st_size;
	form->s = "";
	if (form->len == 0)
		return true;
	form->mapped = mmap(NULL, form->len, PROT_READ, MAP_PRIVATE, m->fd, 0);
	if (form->mapped == MAP_FAILED) {
		form->mapped = NULL;
		return false;
	}
	form->s = form->mapped;
	return true;
}

void
smtp_form_free(struct smtp_form *form)
{
	if (form->mapped != NULL)
		munmap(form->mapped, form->len);
	downgrade_free(&form->plan);
	*form = (struct smtp_form){ .kind = FORM_AS_IT_IS };
}

void
smtp_form_content(
    struct smtp_form *form, const struct smtp_client_message *m, struct smtp_content *content)
{
	if (form->kind == FORM_BINARY) {
		smtp_content_init(content, form->s, form->len, -1);
		content->raw = true;
		return;
	}
	smtp_content_init(content, m->content, m->content_len, m->fd);
	if (form->kind == FORM_AS_IT_IS)
		return;
	downgrade_rewind(&form->plan);
	content->plan = &form->plan;
}

static uint64_t
count(struct downgrade *plan)
{
	struct buf piece = { 0 };
	uint64_t n = 0;

	for (; downgrade_next(plan, &piece); buf_clear(&piece))
		n += piece.len;
	buf_free(&piece);
	downgrade_rewind(plan);
	return n;
}

/* Into text of 7 bits. */
static char *
convert(struct smtp_form *form, const char *lack)
{
	const char *why = downgrade_plan(&form->plan, form->s, form->len);

	if (why != NULL)
		return xasprintf("554 5.6.3 the server does not offer %s, and the message cannot be converted: %s",
		    lack, why);
	form->kind = FORM_7BIT;
	form->size = count(&form->plan);
	return NULL;
}

/* RFC 6531 3.3, also when an alias leads to an address that the sender knew nothing of. */
static bool
has_utf8_address(const struct smtp_client_message *m)
{
	const struct job_recipient *r;
	bool utf8 = dotstuff_has_8bit(m->sender, strlen(m->sender));
	unsigned i;

	for (i = 0; i < m->recipients_n && !utf8; i++) {
		r = &m->recipients[i];
		utf8 = dotstuff_has_8bit(r->address, strlen(r->address)) ||
		    (r->sender != NULL && dotstuff_has_8bit(r->sender, strlen(r->sender)));
	}
	return utf8;
}

/* One in a file is looked through by nobody: it says what it is. */
static bool
has_8bit(const struct smtp_client_message *m)
{
	return m->content != NULL && dotstuff_has_8bit(m->content, m->content_len);
}

static char *
cannot_read(void)
{
	return xasprintf("451 4.3.0 the message cannot be read: %s", strerror(errno));
}

char *
smtp_form_choose(struct smtp_form *form, unsigned offers, const struct smtp_client_message *m)
{
	bool binary = m->body == BODY_BINARYMIME, utf8 = m->utf8 || has_utf8_address(m);
	unsigned chunked = OFFER_BINARYMIME | OFFER_CHUNKING;
	char *why = NULL;

	*form = (struct smtp_form){ .kind = FORM_AS_IT_IS, .size = m->size };
	form->utf8 = utf8 && (offers & OFFER_SMTPUTF8);
	if (!binary && (offers & OFFER_8BITMIME) && (!utf8 || form->utf8)) {
		form->eight_bit = m->body == BODY_8BITMIME || has_8bit(m);
		return NULL;
	}
	if (!map(form, m))
		return cannot_read();
	if (utf8 && !form->utf8 && (has_utf8_address(m) || downgrade_has_utf8_header(form->s, form->len)))
		why = xstrdup("550 5.6.7 the message needs SMTPUTF8, which the server does not offer");
	else if (binary && (offers & chunked) == chunked) {
		form->kind = FORM_BINARY;
		form->size = form->len;
		return NULL;
	} else if (binary)
		why = convert(form, "BINARYMIME");
	else if (!(offers & OFFER_8BITMIME) && dotstuff_has_8bit(form->s, form->len))
		why = convert(form, "8BITMIME");
	if (form->kind == FORM_AS_IT_IS) {
		bool keep = form->utf8;

		smtp_form_free(form);
		form->utf8 = keep;
		form->size = m->size;
		form->eight_bit = (offers & OFFER_8BITMIME) && (m->body == BODY_8BITMIME || has_8bit(m));
	}
	return why;
}
