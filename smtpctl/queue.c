/*
 * smtpctl queue: what waits, and what the operator does about it.
 *
 * The queue knows and judges selectors; here are the forms of the answers, and the times of day that
 * an operator means, which only his own clock knows.  Messages as files are queue_files.c.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/mem.h"
#include "lib/quantity.h"
#include "smtpctl/client.h"
#include "smtpctl/output.h"
#include "smtpctl/smtpctl.h"

int
queue_ask(int n, char **words)
{
	return output_answer(OUTPUT_TABLE, n, words);
}

/* "2h" from now, "04:30" when it is next so late, "2026-12-24T04:30": seconds since 1970, or -1. */
static int64_t
read_time(const char *text)
{
	static const char *const forms[] = { "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%H:%M" };
	int64_t now = clock_now();
	time_t today = now;
	struct tm tm;
	const char *end;
	uint64_t wait;
	int64_t t;
	size_t i;

	if (quantity_parse(text, strlen(text), &wait) == QUANTITY_TIME)
		return now + (int64_t)wait;
	for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		localtime_r(&today, &tm);
		tm.tm_sec = 0;
		tm.tm_isdst = -1;
		end = strptime(text, forms[i], &tm);
		if (end == NULL || *end != '\0')
			continue;
		t = mktime(&tm);
		return i == 2 && t <= now ? t + 86400 : t;
	}
	return -1;
}

int
queue_act(int n, char **words)
{
	char *word;
	int i, status;
	int64_t t;

	for (i = 2; i < n; i++) {
		if (strncmp(words[i], "at=", 3) != 0)
			continue;
		if ((t = read_time(words[i] + 3)) < 0)
			return smtpctl_usage("%s: this is no time; write 2h, 04:30 or "
					     "2026-12-24T04:30", words[i]);
		word = xasprintf("at=%lld", (long long)t);
		words[i] = word;
		status = output_answer(OUTPUT_TABLE, n, words);
		free(word);
		return status;
	}
	return output_answer(OUTPUT_TABLE, n, words);
}

int
queue_show(int n, char **words)
{
	return output_answer(OUTPUT_BLOCKS, n, words);
}

static void
gather(const void *p, size_t len, void *content)
{
	buf_add(content, p, len);
}

/* For programs: any octets, whole, as one line. */
static void
print_base64(const char *id, const struct buf *content)
{
	struct buf text = { 0 }, line = { 0 };

	unsigned char *room = (unsigned char *)buf_reserve(&text, content->len / 3 * 4 + 5);

	text.len = (size_t)EVP_EncodeBlock(room, (const unsigned char *)buf_str(content),
	    (int)content->len);
	field_json(&line, FIELDS(F_STR("message", id), F_U64("size", content->len),
	    F_STR("base64", buf_str(&text))));
	puts(buf_str(&line));
	buf_free(&line);
	buf_free(&text);
}

int
queue_cat(int n, char **words)
{
	struct buf content = { 0 };
	struct request r = { .n = (unsigned)n, .words = (const char *const *)words, .text = gather,
	    .arg = &content };
	char *why = NULL;
	int status;

	if (!options.json)
		return output_answer(OUTPUT_TABLE, n, words);
	status = client_request(&r, false, &why);
	if (status == EXIT_DONE && content.len > INT_MAX / 2)
		status = smtpctl_failed("%s is too large for one line", words[2]);
	else if (status == EXIT_DONE)
		print_base64(words[2], &content);
	else
		status = smtpctl_refused(status, why);
	free(why);
	buf_free(&content);
	return status;
}
