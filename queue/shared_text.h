/*
 * Texts that many messages have in common: where they came from, what the next server said, which
 * one it was.  A million messages for one dead host have one text between them.
 *
 * A shared text looks like any other string but must not be changed or given to free();
 * text_drop() takes both kinds, so that whoever lets go of a text need not know.  For the thread
 * of the loop only.
 */
#ifndef QUEUE_SHARED_TEXT_H
#define QUEUE_SHARED_TEXT_H

#include <stddef.h>

/* Makes *TEXT, which may be NULL or shared already, a shared text that reads the same. */
void text_share(char **text);
/* Lets go of TEXT, shared or from malloc(), or NULL. */
void text_drop(char *text);
/* How many different ones there are. */
size_t text_shared(void);

#endif
