/*
 * The open folders of Maildirs, for maildir.c alone: made when they are missing, kept open between
 * deliveries, dropped when the path leads elsewhere.
 */
#ifndef DELIVER_MAILDIR_FOLDER_H
#define DELIVER_MAILDIR_FOLDER_H

#include <sys/queue.h>
#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

struct maildir_folder {
	TAILQ_ENTRY(maildir_folder) entry;
	char *path;
	int tmp_fd, new_fd;
	dev_t dev; /* of new/ */
	ino_t ino;
	bool ordered;	  /* its file system keeps data that was written before a name that was made
			     later */
	bool stale;	  /* tmp/ is gone: not to be used in another call */
	uint64_t checked; /* the call in which it was looked at last */
	uint64_t used;	  /* the call in which something was renamed into it */
	int error;	  /* of the flush of new/ in that call */
};
TAILQ_HEAD(maildir_folder_list, maildir_folder);

struct maildir_folders {
	uint64_t call; /* counts deliveries; the owner adds one for each */
	unsigned n;
	struct maildir_folder_list list; /* the one used last in front */
};

void maildir_folders_init(struct maildir_folders *);
void maildir_folders_free(struct maildir_folders *);
/* The Maildir at PATH, open; valid until maildir_folders_trim.  0 or an errno. */
int maildir_folder_get(struct maildir_folders *, const char *path, struct maildir_folder **);
/* Closes folders that this call has not touched, until there are few again. */
void maildir_folders_trim(struct maildir_folders *);

#endif
