/*
 * Reply texts with their fields filled in (gate_reply.h).
 *
 * The doorman calls it for each refusal, the judgement of rules to find misspelt fields.  Nothing
 * can fail.  What must never happen: that a value from a client ends the line and begins another
 * reply; so whatever is not printable ASCII in it becomes a question mark.
 */
#include <stdio.h>
#include <string.h>

#include "filters/gate_reply.h"
#include "lib/ascii.h"
#include "lib/buf.h"
#include "lib/mem.h"

const struct gate_refusal *
gate_refusal(enum action action)
{
	static const struct gate_refusal refusals[ACTION_COUNT] = {
		[ACTION_TEMPFAIL] = { 450, "4.7.1", "please try again later", false },
		[ACTION_REJECT] = { 550, "5.7.1",
		    "refused by local policy; if you are a person, write to postmaster", false },
		[ACTION_DROP] = { 421, "4.7.0", "refused by local policy; good-bye", true },
	};

	return action < ACTION_COUNT && refusals[action].code != 0 ? &refusals[action] : NULL;
}

/* Statuses that were registered for what a rule may ask for. */
static const struct {
	enum fact fact;
	int value;
	bool negated;
	const char *status;
} told[] = {
	{ FACT_SENDER_DOMAIN, SENDER_DOMAIN_NULLMX, false, "5.7.27" }, /* RFC 7505 4.2 */
	{ FACT_SPF, AUTH_FAIL, false, "5.7.23" },                      /* RFC 7372 3.2 */
	{ FACT_RDNS, RDNS_NONE, false, "5.7.25" },                     /* RFC 7372 3.3 */
	{ FACT_RDNS, RDNS_MISMATCH, false, "5.7.25" },
	{ FACT_RDNS, RDNS_PASS, true, "5.7.25" },
};

static const char *
status_of_test(const struct test *test, bool negated)
{
	size_t i;

	for (i = 0; i < sizeof(told) / sizeof(told[0]); i++)
		if (test->fact == told[i].fact && test->in == NULL && test->value == told[i].value &&
		    negated == told[i].negated)
			return told[i].status;
	return NULL;
}

/* NULL: nothing that has a status of its own must be true for the condition. */
static const char *
status_of(const struct condition *c)
{
	const char *left, *right;

	if (c == NULL)
		return NULL;
	if (c->op == CONDITION_TEST)
		return status_of_test(&c->test, false);
	if (c->op == CONDITION_NOT)
		return c->left->op == CONDITION_TEST ? status_of_test(&c->left->test, true) : NULL;
	left = status_of(c->left);
	right = status_of(c->right);
	if (c->op == CONDITION_AND)
		return left != NULL ? left : right;
	return left != NULL && right != NULL && strcmp(left, right) == 0 ? left : NULL;
}

const char *
gate_status(const struct rule *rule, enum action action)
{
	const char *status = action == ACTION_REJECT ? status_of(rule->when) : NULL;

	return status != NULL ? status : gate_refusal(action)->status;
}

const char *
gate_grey_text(unsigned minutes)
{
	return minutes == 1
		   ? "greylisted: we do not know you yet; please try again in a minute"
		   : "greylisted: we do not know you yet; please try again in %{minutes} minutes";
}

enum field {
	FIELD_CLIENT,
	FIELD_NAME,
	FIELD_HELO,
	FIELD_SENDER,
	FIELD_RECIPIENT,
	FIELD_MINUTES,
	FIELDS_N
};

static const char *const field_names[FIELDS_N] = {
	[FIELD_CLIENT] = "client",
	[FIELD_NAME] = "name",
	[FIELD_HELO] = "helo",
	[FIELD_SENDER] = "sender",
	[FIELD_RECIPIENT] = "recipient",
	[FIELD_MINUTES] = "minutes",
};

static enum field
field_by_name(const char *name, size_t len)
{
	enum field field;

	for (field = 0; field < FIELDS_N; field++)
		if (strlen(field_names[field]) == len && memcmp(field_names[field], name, len) == 0)
			break;
	return field;
}

/* The name of the field that begins at S ("%{name}"), or NULL. */
static const char *
field_at(const char *s, size_t *len)
{
	const char *end = s[0] == '%' && s[1] == '{' ? strchr(s, '}') : NULL;

	if (end == NULL)
		return NULL;
	*len = (size_t)(end - s) - 2;
	return s + 2;
}

static void
add_value(struct buf *out, const char *value)
{
	for (; value != NULL && *value != '\0'; value++)
		buf_addc(out, *value >= ' ' && *value < '\x7f' ? *value : '?');
}

static void
add_field(struct buf *out, enum field field, const struct facts *f, unsigned minutes)
{
	switch (field) {
	case FIELD_CLIENT:
		buf_adds(out, ip_text(&f->client).s);
		break;
	case FIELD_NAME:
		add_value(out, f->name != NULL ? f->name : "unknown");
		break;
	case FIELD_HELO:
		add_value(out, f->helo);
		break;
	case FIELD_SENDER:
		add_value(out, f->sender);
		break;
	case FIELD_RECIPIENT:
		add_value(out, f->recipient);
		break;
	default:
		buf_addf(out, "%u", minutes);
		break;
	}
}

char *
gate_reply(const char *text, const struct facts *facts, unsigned minutes)
{
	struct buf ascii = { 0 }, out = { 0 };
	const char *s, *name;
	size_t len;

	ascii_add(&ascii, text);
	for (s = buf_str(&ascii); *s != '\0';) {
		name = field_at(s, &len);
		if (name != NULL) {
			add_field(&out, field_by_name(name, len), facts, minutes);
			s = name + len + 1;
		} else {
			buf_addc(&out, *s++);
		}
	}
	buf_free(&ascii);
	return buf_take(&out);
}

char *
gate_reply_unknown_field(const char *text)
{
	const char *name;
	size_t len;

	for (; *text != '\0'; text++) {
		name = field_at(text, &len);
		if (name != NULL && field_by_name(name, len) == FIELDS_N)
			return xstrndup(name, len);
	}
	return NULL;
}
