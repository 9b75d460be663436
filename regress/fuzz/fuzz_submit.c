/*
 * Fuzz target: what the queue is sent by those who submit and by an operator, as a broken session or a damaged disk could
 * make it: messages with their envelopes, what is said besides, the command lines of programs, and the words that choose
 * messages and the ledger's records.  What decodes can be stored and comes back the same.  The first octet chooses.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/command.h"
#include "filters/grey_selector.h"
#include "lib/buf.h"
#include "lib/cursor.h"
#include "queue/select.h"
#include "queue/submit_wire.h"
#include "regress/fuzz/target.h"

#define WORDS_MAX 16

/* Encoded it decodes, and is encoded as before. */
static void
check_envelope(const struct envelope *envelope)
{
	struct buf first = { 0 }, second = { 0 };
	struct envelope *again;
	struct cursor c;

	require(envelope_ok(envelope));
	envelope_encode(&first, envelope);
	c = cursor_init(first.data, first.len);
	again = envelope_decode(&c);
	require(again != NULL && cursor_done(&c));
	envelope_encode(&second, again);
	require(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
	buf_free(&first);
	buf_free(&second);
	envelope_free(again);
}

static void
check_message(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_init(data, size);
	struct submit_message m;
	uint32_t i;

	if (!submit_read_message(&c, &m))
		return;
	require(m.in_file == (m.content == NULL) && m.content_len <= size);
	check_envelope(m.envelope);
	for (i = 0; i < m.envelope->recipients_n; i++)
		free(envelope_return_path(m.envelope, i));
	envelope_free(m.envelope);
}

/* An envelope, and behind it what became of its first recipient since. */
static void
check_record(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_init(data, size);
	struct envelope *envelope = envelope_decode(&c);
	struct buf state = { 0 }, again = { 0 };

	if (envelope == NULL)
		return;
	check_envelope(envelope);
	if (envelope->recipients_n > 0 && envelope_decode_state(&c, &envelope->recipients[0], 0)) {
		envelope_encode_state(&state, &envelope->recipients[0]);
		c = cursor_init(state.data, state.len);
		require(envelope_decode_state(&c, &envelope->recipients[0], 0) && cursor_done(&c));
		envelope_encode_state(&again, &envelope->recipients[0]);
		require(state.len == again.len && memcmp(state.data, again.data, state.len) == 0);
	}
	buf_free(&state);
	buf_free(&again);
	envelope_free(envelope);
}

static void
check_string(const char *s, const uint8_t *data, size_t size)
{
	require((const uint8_t *)s >= data && (const uint8_t *)s + strlen(s) < data + size);
}

static void
check_said(const uint8_t *data, size_t size)
{
	struct cursor c = cursor_init(data, size);
	struct submit_flush flush;
	struct submit_answer answer;
	struct submit_room room;
	struct queue_conf conf;

	if (submit_read_flush(&c, &flush)) {
		check_string(flush.domain, data, size);
		check_string(flush.destination, data, size);
	}
	c = cursor_init(data, size);
	if (submit_read_answer(&c, &answer))
		check_string(answer.text, data, size);
	c = cursor_init(data, size);
	if (submit_read_room(&c, &room))
		check_string(room.text, data, size);
	c = cursor_init(data, size);
	if (submit_read_conf(&c, &conf))
		check_string(conf.host, data, size);
}

static void
check_command(const char *text)
{
	struct command command, again;
	char *encoded;
	unsigned i;

	if (!command_decode(text, &command))
		return;
	require(command.argv_n > 0 && command.argv[0][0] == '/' && command.argv[command.argv_n] == NULL);
	encoded = command_encode(&command);
	require(command_decode(encoded, &again) && again.argv_n == command.argv_n);
	for (i = 0; i < command.argv_n; i++)
		require(strcmp(command.argv[i], again.argv[i]) == 0);
	command_free(&command);
	command_free(&again);
	free(encoded);
}

/* Words are divided by newlines. */
static void
check_words(char *text)
{
	const char *words[WORDS_MAX];
	struct selector messages;
	struct grey_selector records = { .limit = 0 };
	unsigned n = 0;
	char *why = NULL;

	for (; n < WORDS_MAX && text != NULL; n++)
		words[n] = strsep(&text, "\n");
	why = select_parse(&messages, n, words);
	require(why == NULL || *why != '\0');
	free(why);
	why = NULL;
	require(grey_selector_parse(n, words, &records, &why) == (why == NULL));
	grey_selector_clear(&records);
	free(why);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	switch (data[0] % 5) {
	case 0:
		check_message(data + 1, size - 1);
		break;
	case 1:
		check_record(data + 1, size - 1);
		break;
	case 2:
		check_said(data + 1, size - 1);
		break;
	case 3:
		check_command(text);
		break;
	case 4:
		check_words(text);
		break;
	}
	free(text);
	return 0;
}
