/*
 * `smtpctl queue log ID ...`: what the journal still has about messages.
 */
#ifndef QUEUE_QUEUE_HISTORY_H
#define QUEUE_QUEUE_HISTORY_H

struct ctl;
struct queue;

/* Answers the request; WORDS are the ids. */
void history_ask(struct queue *, struct ctl *, unsigned n, const char *const *words);

#endif
