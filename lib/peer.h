/*
 * The other roles, as seen from inside one.  The master connects each pair that the role table
 * names by a socketpair, and again whenever one of the two was restarted; a role only says what it
 * does with messages of a kind, and what it does when a peer goes.
 *
 * The upper byte of a message's type is its subject (enum subject): the module whose header defines
 * it.  A module registers one handler a subject; so the resolver's client code and the ledger's
 * live in one process without knowing of each other.
 */
#ifndef LIB_PEER_H
#define LIB_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/channel.h"

enum role {
	ROLE_MASTER,
	ROLE_SESSION,
	ROLE_RESOLVER,
	ROLE_LEDGER,
	ROLE_LOOKUP,
	ROLE_QUEUE,
	ROLE_RELAY,
	ROLE_LOCAL,
	ROLE_CONTROL,
	ROLE_VAULT,
	ROLE_COUNT
};

enum subject {
	SUBJECT_ROLE = 1,     /* lib/role.c: the master and its children */
	SUBJECT_RESOLVER,     /* lib/resolver.h */
	SUBJECT_LEDGER,       /* filters/ledger.h */
	SUBJECT_LOOKUP,       /* deliver/lookup.h */
	SUBJECT_SUBMIT,       /* queue/submit.h */
	SUBJECT_DELIVERY,     /* deliver/delivery.h */
	SUBJECT_CONTROL,      /* lib/ctl.h */
	SUBJECT_KEYS,         /* smtpd/keys.h */
	SUBJECT_VAULT,        /* vault/vault.h */
	SUBJECT_COUNT
};
#define MESSAGE_TYPE(subject, n) ((uint16_t)((subject) << 8 | (n)))

struct peer {
	enum role role;
	unsigned instance;
	struct channel *channel;
	uint64_t generation; /* counts up with every connection of any peer: tells an old peer from its successor */
	void *data;          /* for the module that serves this peer; freed by its DOWN callback */
	bool retired;        /* another has its place: it ends what it began, and is given nothing new */
};

struct subject_ops {
	/* As channel_ops.message. */
	bool (*message)(struct peer *, struct message *);
	/* A peer was connected, or is gone (its requests will never be answered).  Called for every
	 * peer; may be NULL. While DOWN runs the peer can no longer be written to. */
	void (*up)(struct peer *);
	void (*down)(struct peer *);
};

void peer_register(enum subject, const struct subject_ops *);
/* NULL while that role is down (or has no such instance). */
struct peer *peer_find(enum role, unsigned instance);
/* Of those that are given work: the one for KEY, always the same while all live; NULL when none lives. */
struct peer *peer_for(enum role, uint64_t key);
unsigned peer_count(enum role);
/* The retired ones too. */
void peer_each(enum role, void (*visit)(struct peer *, void *), void *arg);

/* Connects a peer over FD: called by lib/role.c, and by the queue for delivery processes it was given. */
struct peer *peer_connect(enum role, unsigned instance, int fd);
/* Gives it nothing new from now on: called by lib/role.c. */
void peer_retire(enum role, unsigned instance);
/* Drops it; all subjects get DOWN, the one that calls this too. */
void peer_disconnect(struct peer *);
/* In a child of the master, right after the fork: the master's loop and connections are closed, its
 * subjects forgotten. */
void peer_forget_inherited(void);
/* The loop of this process. */
struct event_base *peer_base(void);
void peer_set_base(struct event_base *);

#endif
