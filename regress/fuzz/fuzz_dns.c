/*
 * Fuzz target: answer packets as a DNS server could send them, answers and questions as another
 * role could, names, and resolv.conf.  Beyond what the sanitizers see: names come out as printable
 * text that is a name again, an answer that was parsed survives the way between roles unchanged,
 * and what a role accepts keeps what its status promises.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/buf.h"
#include "lib/cursor.h"
#include "lib/dns_wire.h"
#include "lib/resolvconf.h"
#include "lib/resolver_wire.h"
#include "regress/fuzz/target.h"

/* What the parser makes of names: printable, lower case, no space, and shorter than its bound. */
static void
check_name(const char *name)
{
	require(strlen(name) < DNS_NAME_TEXT_MAX);
	for (; *name != '\0'; name++)
		require(*name > ' ' && *name < 0x7f && !(*name >= 'A' && *name <= 'Z'));
}

static void
check_promises(const struct dns_answer *answer)
{
	unsigned i;

	require((answer->status == DNS_OK) == (answer->records_n > 0));
	require((answer->status == DNS_TEMP) <= (answer->why != NULL));
	require(answer->canonical != NULL && answer->records_n <= DNS_RECORDS_MAX);
	for (i = 0; i < answer->records_n; i++) {
		const struct dns_record *record = &answer->records[i];

		require(record->ip.family != 0 || record->name != NULL || record->data != NULL);
	}
}

/* Encodes ANSWER, decodes it, encodes that: the same octets. */
static void
check_way(const struct dns_answer *answer)
{
	struct buf once = { 0 }, again = { 0 };
	struct cursor cursor;
	struct dns_answer *back;

	resolver_answer_encode(&once, answer);
	cursor = cursor_init(once.data, once.len);
	back = resolver_answer_decode(&cursor);
	require(back != NULL);
	resolver_answer_encode(&again, back);
	require(once.len == again.len && memcmp(once.data, again.data, once.len) == 0);
	dns_answer_free(back);
	buf_free(&once);
	buf_free(&again);
}

static void
fuzz_packet(const uint8_t *data, size_t size)
{
	static const uint16_t types[] = { DNS_A, DNS_AAAA, DNS_PTR, DNS_MX, DNS_TXT, DNS_CNAME,
		DNS_NS, DNS_TLSA };
	struct dns_answer *answer;
	unsigned i;

	if (size == 0)
		return;
	answer = dns_wire_parse(data + 1, size - 1, "mx.org", types[*data % 8]);
	check_promises(answer);
	check_name(answer->canonical);
	for (i = 0; i < answer->records_n; i++)
		if (answer->records[i].name != NULL)
			check_name(answer->records[i].name);
	check_way(answer);
	dns_answer_free(answer);
}

static void
fuzz_answer(const uint8_t *data, size_t size)
{
	struct cursor cursor = cursor_init(data, size);
	struct dns_answer *answer = resolver_answer_decode(&cursor);

	require((answer == NULL) == cursor.bad);
	if (answer == NULL)
		return;
	check_promises(answer);
	check_way(answer);
	dns_answer_free(answer);
}

static void
fuzz_ask(const uint8_t *data, size_t size)
{
	struct cursor cursor = cursor_init(data, size);
	const char *name;
	uint16_t type;

	if (resolver_ask_decode(&cursor, &name, &type))
		require(type != 0 && strlen(name) <= size);
}

/* A name that is accepted is its own normal form, and fits a question. */
static void
fuzz_name(const uint8_t *data, size_t size)
{
	char *name = malloc(size + 1), once[DNS_NAME_TEXT_MAX], again[DNS_NAME_TEXT_MAX];
	uint8_t question[DNS_QUESTION_MAX];

	memcpy(name, data, size);
	name[size] = '\0';
	if (dns_name_normalize(name, once)) {
		require(dns_name_normalize(once, again) && strcmp(once, again) == 0);
		require(dns_wire_question(question, 1, once, DNS_A) <= sizeof(question));
	}
	free(name);
}

static void
fuzz_resolvconf(const uint8_t *data, size_t size)
{
	struct dns_server servers[RESOLVCONF_SERVERS_MAX];
	unsigned n = resolvconf_parse((const char *)data, size, servers);

	require(n >= 1 && n <= RESOLVCONF_SERVERS_MAX);
	while (n-- > 0)
		require(servers[n].ip.family != 0 && servers[n].port == 53);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const targets[])(const uint8_t *, size_t) = { fuzz_packet, fuzz_answer,
		fuzz_ask, fuzz_name, fuzz_resolvconf };

	if (size > 0)
		targets[*data % 5](data + 1, size - 1);
	return 0;
}
