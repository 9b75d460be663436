/*
 * The operator's entries in the ledger (ledger_role.h): read from the store once, asked from memory.
 *
 * The store keeps them, operator.c knows what they say; nothing here can fail but the reading, which
 * leaves the entries that were read.
 */
#include "filters/ledger_role.h"
#include "lib/buf.h"

enum operator_word
ledger_operator_word(const struct ledger *l, const struct grey_question *q, int64_t now)
{
	enum operator_word word;

	word = operator_on_mail(l->operators, q->identity, q->sender, q->recipient, now);
	if (word == OPERATOR_SILENT && q->client.family != 0)
		word = operator_on_caller(l->operators, &q->client, q->name, now);
	return word;
}

static enum kv_step
load_entry(const struct ledger_item *item, void *arg)
{
	struct ledger *l = arg;

	operator_list_put(l->operators, &item->operator_entry);
	return KV_NEXT;
}

void
ledger_load_operators(struct ledger *l)
{
	struct buf position = { 0 };

	while (ledger_scan(l->store, TABLE_OPERATOR, &position, 1000, load_entry, l) == 1000)
		;
	buf_free(&position);
}
