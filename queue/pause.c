/*
 * What the operator has paused: `smtpctl pause` and `resume`, of both ways or of one, out to other
 * servers, or to one destination, local into mailboxes.
 *
 * It is in force at once, and answered when it is on disk: a pause outlives this process and this
 * machine's next start, until it is resumed.  The file is written anew with every change.  When it
 * cannot be written, the operator is told; when it cannot be believed at a start, mail flows, and
 * the log says so.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deliver/destination.h"
#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/ctl.h"
#include "lib/cursor.h"
#include "lib/log.h"
#include "lib/mem.h"
#include "queue/lane.h"
#include "queue/lanes.h"
#include "queue/pause.h"
#include "queue/queue.h"
#include "queue/wake.h"

#define FILE_NAME "paused"
#define VERSION 1
#define DESTINATION_MIN 5 /* an empty string */

static struct queue *the_queue;

/* --- on disk: u8 version, u8 relay, u8 local, u32 N, N strings --- */

void
paused_encode(struct buf *b, const struct paused *paused)
{
	unsigned i;

	buf_add_u8(b, VERSION);
	buf_add_u8(b, paused->relay);
	buf_add_u8(b, paused->local);
	buf_add_u32(b, paused->n);
	for (i = 0; i < paused->n; i++)
		buf_add_str(b, paused->destinations[i]);
}

bool
paused_decode(const struct buf *bytes, struct paused *paused)
{
	struct cursor c = cursor_init(bytes->data, bytes->len);
	unsigned i, version = cursor_u8(&c);

	*paused = (struct paused){ .relay = cursor_u8(&c) != 0 };
	paused->local = cursor_u8(&c) != 0;
	paused->n = cursor_u32(&c);
	if (c.bad || version != VERSION || paused->n > (size_t)(c.end - c.pos) / DESTINATION_MIN)
		return false;
	paused->destinations = xcalloc(paused->n + 1, sizeof(paused->destinations[0]));
	for (i = 0; i < paused->n; i++)
		paused->destinations[i] = cursor_str(&c);
	if (cursor_done(&c))
		return true;
	free(paused->destinations);
	paused->destinations = NULL;
	return false;
}

/* --- keeping it --- */

static void
show(struct ctl *ctl)
{
	const struct queue *q = the_queue;
	size_t i;

	ctl_record(ctl, FIELDS(F_BOOL("relay_paused", q->paused[LANE_RELAY]),
	    F_BOOL("local_paused", q->paused[LANE_LOCAL])));
	for (i = 0; i < q->lanes->paused_n; i++)
		ctl_record(ctl, FIELDS(F_STR("destination_paused", q->lanes->paused[i])));
}

static void
on_saved(int error, void *arg)
{
	struct ctl *ctl = arg;
	char *why = NULL;

	show(ctl);
	if (error != 0) {
		log_error("queue.paused", F_STR("error", strerror(-error)));
		why = xasprintf("it is so now, and forgotten when the queue process ends, as it "
				"cannot be written: %s", strerror(-error));
	}
	ctl_end(ctl, error != 0, why != NULL ? why : "");
	free(why);
}

/* CTL is answered when it is done. */
static void
save(struct ctl *ctl)
{
	const struct queue *q = the_queue;
	struct paused paused = { .relay = q->paused[LANE_RELAY],
		.local = q->paused[LANE_LOCAL],
		.n = (unsigned)q->lanes->paused_n,
		.destinations = (const char **)(uintptr_t)q->lanes->paused };
	struct buf bytes = { 0 };

	paused_encode(&bytes, &paused);
	store_write_file(q->store, FILE_NAME, &bytes, on_saved, ctl);
	buf_free(&bytes);
}

static void
remember(const struct paused *paused)
{
	struct queue *q = the_queue;
	unsigned i;

	q->paused[LANE_RELAY] = paused->relay;
	q->paused[LANE_LOCAL] = paused->local;
	for (i = 0; i < paused->n; i++) {
		lanes_pause(q->lanes, paused->destinations[i], true);
		log_warning("queue.paused", F_STR("way", "out"),
		    F_STR("destination", paused->destinations[i]));
	}
	if (paused->relay)
		log_warning("queue.paused", F_STR("way", "out"));
	if (paused->local)
		log_warning("queue.paused", F_STR("way", "local"));
}

static void
load(void)
{
	struct buf bytes = { 0 };
	struct paused paused;
	int error = store_read_file(the_queue->store, FILE_NAME, &bytes);

	if (error == 0 && !paused_decode(&bytes, &paused))
		error = -EBADMSG;
	if (error == 0) {
		remember(&paused);
		free(paused.destinations);
	} else if (error != -ENOENT) {
		log_error("queue.paused", F_STR("error", strerror(-error)),
		    F_STR("effect", "what was paused is not known any more, and goes on"));
	}
	buf_free(&bytes);
}

/* --- the operator's words --- */

/* "example.net" is where its MX lead, "[192.0.2.9]:25" and "mail.example.net:25" a server. */
static char *
read_destination(const char *text)
{
	struct buf b = { 0 };

	if (strpbrk(text, "[: ") != NULL)
		return destination_named(text);
	buf_adds(&b, "mx ");
	for (; *text != '\0'; text++)
		buf_addc(&b, (char)tolower((unsigned char)*text));
	return buf_take(&b);
}

static void
set_paused(struct ctl *ctl, unsigned n, const char *const *words, bool paused)
{
	struct queue *q = the_queue;
	const char *way = n > 1 ? words[1] : NULL;
	bool relay = way == NULL || strcmp(way, "out") == 0,
	     local = way == NULL || strcmp(way, "local") == 0;
	char *destination = relay && n > 2 ? read_destination(words[2]) : NULL;

	if ((!relay && !local) || n > 3 || (n > 2 && destination == NULL)) {
		ctl_end(ctl, 2, "out, out DESTINATION or local, or nothing for both");
		free(destination);
		return;
	}
	log_notice("queue.operator", F_STR("verb", words[0]), F_STR("way", way),
	    F_STR("destination", destination), F_U64("uid", ctl_uid(ctl)));
	if (destination != NULL) {
		lanes_pause(q->lanes, destination, paused);
	} else {
		if (relay)
			q->paused[LANE_RELAY] = paused;
		if (local)
			q->paused[LANE_LOCAL] = paused;
	}
	free(destination);
	lanes_pump_all(q->lanes);
	wake_by(q, clock_now());
	save(ctl);
}

static void
on_pause(struct ctl *ctl, unsigned n, const char *const *words)
{
	set_paused(ctl, n, words, true);
}

static void
on_resume(struct ctl *ctl, unsigned n, const char *const *words)
{
	set_paused(ctl, n, words, false);
}

void
pause_init(struct queue *q)
{
	the_queue = q;
	load();
	ctl_register("pause", on_pause);
	ctl_register("resume", on_resume);
}
