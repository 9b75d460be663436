/*
 * The common part of final deliveries (final.h).
 *
 * Maildirs have steps of their own for many messages at once (maildir.c); mboxes and programs take
 * one message at a time by way of final_copy.  Content that came by descriptor is read with pread
 * and converted anew for each mailbox, so that memory does not depend on its size; the header is
 * looked at first, because a loop has to be noticed before anything is written or run.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "deliver/final.h"
#include "lib/mem.h"

#define PIECE (64 * 1024)

/* --- results --- */

void
final_settle(struct final_result *result, enum delivery_status status, char *text)
{
	free(result->text);
	result->status = status;
	result->text = text;
}

void
final_settle_error(struct final_result *result, const char *what, const char *path, int error)
{
	char *text;

	if (error == ENOSPC)
		text = xasprintf("452 4.3.1 no space left on the disk of %s", path);
	else if (error == EDQUOT || error == EFBIG)
		text = xasprintf("452 4.2.2 the mailbox is full: the quota of %s is used up", path);
	else
		text = xasprintf("451 4.2.0 cannot %s %s: %s", what, path, strerror(error));
	final_settle(result, DELIVERY_TEMP, text);
}

void
final_result_free(struct final_result *result)
{
	free(result->text);
	result->text = NULL;
}

/* --- the header --- */

/* S without control characters. */
static void
add_clean(struct buf *out, const char *s)
{
	for (; *s != '\0'; s++)
		buf_addc(out, (unsigned char)*s < ' ' || *s == 0x7f ? '?' : *s);
}

void
final_head(struct buf *out, const char *sender, const char *address)
{
	buf_adds(out, "Return-Path: <");
	add_clean(out, sender);
	buf_adds(out, ">\nDelivered-To: ");
	add_clean(out, address);
	buf_addc(out, '\n');
}

static ssize_t
read_piece(int fd, char *piece, off_t at)
{
	ssize_t n;

	do
		n = pread(fd, piece, PIECE, at);
	while (n < 0 && errno == EINTR);
	return n;
}

/* Content in memory was looked at when it came; of a file the header is read. */
static void
look_at_header(struct maildir_content *content)
{
	struct buf unused = { 0 };
	char *piece;
	off_t at = 0;
	ssize_t n;

	if (content->fd < 0 || content->text.in_body)
		return;
	piece = xmalloc(PIECE);
	mailtext_free(&content->text);
	content->text = (struct mailtext){ .binary = content->text.binary };
	while (!content->text.in_body && (n = read_piece(content->fd, piece, at)) > 0) {
		mailtext_feed(&content->text, piece, (size_t)n, &unused);
		buf_clear(&unused);
		at += n;
	}
	buf_free(&unused);
	free(piece);
}

bool
final_check_loop(struct maildir_content *content, const char *address, struct final_result *result)
{
	look_at_header(content);
	if (!mailtext_delivered_to(&content->text, address))
		return true;
	final_settle(result, DELIVERY_PERM,
	    xasprintf("554 5.4.6 mail loop: this message was delivered to %s before", address));
	return false;
}

/* --- the content --- */

static int
copy_file(int fd, bool binary, int (*sink)(const char *, size_t, void *), void *arg)
{
	struct mailtext text = { .binary = binary };
	struct buf out = { 0 };
	char *piece = xmalloc(PIECE);
	off_t at = 0;
	ssize_t n;
	int error = 0;

	while (error == 0 && (n = read_piece(fd, piece, at)) != 0) {
		if (n < 0) {
			error = errno;
			break;
		}
		at += n;
		mailtext_feed(&text, piece, (size_t)n, &out);
		error = out.len > 0 ? sink(out.data, out.len, arg) : 0;
		buf_clear(&out);
	}
	mailtext_end(&text, &out);
	if (error == 0 && out.len > 0)
		error = sink(out.data, out.len, arg);
	mailtext_free(&text);
	buf_free(&out);
	free(piece);
	return error;
}

int
final_copy(struct maildir_content *content, int (*sink)(const char *, size_t, void *), void *arg)
{
	if (content->fd >= 0)
		return copy_file(content->fd, content->text.binary, sink, arg);
	return content->data.len > 0 ? sink(content->data.data, content->data.len, arg) : 0;
}
