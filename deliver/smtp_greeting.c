/*
 * The SMTP client's greeting: banner, EHLO or HELO, and what the server offers.
 *
 * Called for replies by the table in smtp_client.c.  Any failure here concerns the server and no
 * message, so another server may be asked at once; a server that is ourselves ends the way, or mail
 * would go round until its hops are counted.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/event.h>

#include "deliver/smtp_inside.h"
#include "lib/mem.h"

/* Our name for this server. */
static const char *
our_name(const struct smtp_client *c)
{
	return c->helo != NULL ? c->helo : c->conf->host;
}

void
smtp_say_ehlo(struct smtp_client *c)
{
	c->offers = 0;
	c->size_most = 0;
	c->limits = (struct smtp_limits){ .mails = 0 };
	free(c->mechanisms);
	c->mechanisms = NULL;
	smtp_command(c, STEP_EHLO, 0, "EHLO %s", our_name(c));
}

void
smtp_on_banner(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	(void)recipient;
	if (reply->code < 300)
		smtp_say_ehlo(c);
	else
		smtp_end_by_reply(c, reply, true);
}

/* RFC 9422 4: "RCPTMAX=50 MAILMAX=2"; what is not known is passed over. */
static void
take_limits(struct smtp_limits *limits, const char *s, const char *end)
{
	struct {
		const char *keyword;
		unsigned *value;
	} known[] = {
		{ "MAILMAX=", &limits->mails },
		{ "RCPTMAX=", &limits->recipients },
		{ "RCPTDOMAINMAX=", &limits->domains },
	};
	unsigned long value;
	size_t i, n;

	for (; s < end; s += n) {
		for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (strncasecmp(s, known[i].keyword, strlen(known[i].keyword)) != 0)
				continue;
			value = strtoul(s + strlen(known[i].keyword), NULL, 10);
			*known[i].value = value > 1000000 ? 1000000 : (unsigned)value;
		}
		n = strcspn(s, " \n");
		n += strspn(s + n, " ");
		if (n == 0)
			break;
	}
}

static void
take_offer(struct smtp_client *c, const char *line, size_t len)
{
	size_t word;
	enum offer offer = smtp_offer(line, len, &word);

	if (word == 6 && strncasecmp(line, "LIMITS", word) == 0 && word < len)
		take_limits(&c->limits, line + word + 1, line + len);
	c->offers |= offer;
	if (offer == OFFER_SIZE && word < len)
		c->size_most = strtoull(line + word + 1, NULL, 10);
	if (offer == OFFER_DELIVERBY && word < len)
		c->by_least = (int64_t)strtoul(line + word + 1, NULL, 10);
	if (offer == OFFER_AUTH && word < len && c->mechanisms == NULL)
		c->mechanisms = xstrndup(line + word + 1, len - word - 1);
}

/* The first line is the server's name, each other an extension. */
static void
take_offers(struct smtp_client *c, const struct smtp_reply *reply)
{
	const char *line = buf_str(&reply->lines), *lf;

	for (lf = strchr(line, '\n'); lf != NULL; lf = strchr(line, '\n')) {
		if (line != reply->lines.data)
			take_offer(c, line, (size_t)(lf - line));
		line = lf + 1;
	}
}

static bool
is_self(const struct smtp_client *c, const struct smtp_reply *reply)
{
	const char *name = buf_str(&reply->lines);
	size_t len = strcspn(name, " \n");

	return c->conf->refuse_self && strlen(c->conf->host) == len &&
	       strncasecmp(name, c->conf->host, len) == 0;
}

static void
greeted(struct smtp_client *c, const struct smtp_reply *reply)
{
	if (is_self(c, reply))
		smtp_end(c, DELIVERY_PERM, false,
		    "554 5.4.6 the mail loops: that server is this one, %s", c->conf->host);
}

void
smtp_on_ehlo(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	(void)recipient;
	if (reply->code < 300) {
		take_offers(c, reply);
		greeted(c, reply);
	} else if (reply->code >= 500) {
		smtp_command(c, STEP_HELO, 0, "HELO %s", our_name(c));
	} else {
		smtp_end_by_reply(c, reply, true);
	}
}

void
smtp_on_helo(struct smtp_client *c, const struct smtp_reply *reply, unsigned recipient)
{
	(void)recipient;
	if (reply->code < 300)
		greeted(c, reply);
	else
		smtp_end_by_reply(c, reply, true);
}
