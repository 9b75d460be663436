/*
 * smtpctl's requests about the queue.
 */
#ifndef QUEUE_QUEUE_CTL_H
#define QUEUE_QUEUE_CTL_H

struct queue;

/* Hears them from now on. */
void queue_ctl_init(struct queue *);

#endif
