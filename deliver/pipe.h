/*
 * Delivery to a program: run with its arguments, never by a shell, the message on its standard
 * input.  Blocking: for the process that delivers.
 */
#ifndef DELIVER_PIPE_H
#define DELIVER_PIPE_H

#include <stdint.h>

#include "deliver/command.h"
#include "deliver/final.h"

/* A program that takes longer is killed, with its process group. */
#define PIPE_LIMIT_MS (10 * 60 * 1000)
/* Octets of its output that go into the reply. */
#define PIPE_OUTPUT_MAX 1024

struct pipe_item {
	const struct command *command;
	const char *sender;  /* "" for the null one */
	const char *address; /* the recipient */
	struct maildir_content *content;
	uint32_t limit_ms;
	struct final_result result; /* final_result_free */
};

/* Exit 0 is DELIVERY_OK; others are read as sysexits.h has them. */
void pipe_deliver(struct pipe_item *);

#endif
