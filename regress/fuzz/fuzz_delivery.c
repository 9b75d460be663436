/*
 * Fuzz target: jobs, results, expansions and sites as a broken peer could send them.  Whatever decodes must have all its strings inside
 * the message and all its enums in range.
 */
#include <stdlib.h>
#include <string.h>

#include "deliver/delivery.h"
#include "deliver/domain.h"
#include "regress/fuzz/target.h"

static const char *first, *last; /* the message */

static void
check_string(const char *s)
{
	if (s != NULL)
		require(s >= first && s + strlen(s) < last);
}

static void
check_job(struct message *m)
{
	struct job job;
	unsigned i;

	if (!delivery_read_job(m, &job)) {
		require(job.recipients == NULL);
		return;
	}
	check_string(job.sender);
	check_string(job.envid);
	check_string(job.destination);
	require(job.body <= BODY_BINARYMIME && job.recipients_n > 0);
	for (i = 0; i < job.recipients_n; i++) {
		check_string(job.recipients[i].address);
		check_string(job.recipients[i].original);
		check_string(job.recipients[i].path);
		require(job.recipients[i].method < MAILBOX_METHODS);
	}
	require((job.content == NULL) == (m->fd >= 0));
	require(job.content_len <= (size_t)(last - first));
	delivery_free_job(&job);
}

static void
check_result(struct message *m)
{
	struct delivery_result result;

	if (!delivery_read_result(m, &result))
		return;
	require(result.status <= DELIVERY_TEMP_DOMAIN);
	check_string(result.host);
	check_string(result.text);
	check_string(result.detail);
}

static void
check_expansion(struct message *m)
{
	struct delivery_expansion expansion;
	unsigned i;

	if (!delivery_read_expansion(m, &expansion)) {
		require(expansion.targets == NULL);
		return;
	}
	require(expansion.targets_n > 0);
	for (i = 0; i < expansion.targets_n; i++)
		check_string(expansion.targets[i]);
	free(expansion.targets);
}

static void
check_site(struct message *m)
{
	struct delivery_site site;

	if (!delivery_read_site(m, &site))
		return;
	check_string(site.destination);
	check_string(site.site);
}

/* The first octet: which of the four; 4, a descriptor came with it. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		unsigned type;
		void (*check)(struct message *);
	} messages[] = {
		{ DELIVERY_JOB, check_job },
		{ DELIVERY_RESULT, check_result },
		{ DELIVERY_EXPANSION, check_expansion },
		{ DELIVERY_SITE, check_site },
	};
	struct message m = { .fd = -1 };

	if (size == 0)
		return 0;
	first = (const char *)data + 1;
	last = (const char *)data + size;
	m.type = messages[data[0] & 3].type;
	m.fd = (data[0] & 4) ? 0 : -1;
	m.body = cursor_init(first, size - 1);
	messages[data[0] & 3].check(&m);
	return 0;
}
