/*
 * What clang-tidy cannot see from inside one file; regress/style/tidy puts it before every other header.  Without it the
 * analyzer takes what left a list for what is still on it, looks for errors inside of <sys/tree.h>, and follows paths on
 * which an allocation, or the text of an error, is NULL.
 */
#pragma clang system_header
#include <string.h>
#include <sys/queue.h>
#include <sys/tree.h>

#include "lib/mem.h"

static inline char *
tidy_known(char *s)
{
	if (s == NULL)
		__builtin_unreachable();
	return s;
}

#define strerror(error) tidy_known(strerror(error))
#define xstrdup(s) tidy_known(xstrdup(s))
#define xstrndup(s, len) tidy_known(xstrndup(s, len))
#define xasprintf(...) tidy_known(xasprintf(__VA_ARGS__))

/* From here on HEAD may begin with anything. */
void tidy_changed(void *head);

#undef TAILQ_REMOVE
#define TAILQ_REMOVE(head, elm, field) (*(elm)->field.tqe_prev = (elm)->field.tqe_next, tidy_changed(head))

/* Trees are another file's. */
#undef RB_PROTOTYPE_INTERNAL
#undef RB_GENERATE_INTERNAL
#define RB_PROTOTYPE_INTERNAL(name, type, field, cmp, attr)          \
	struct type *name##_RB_REMOVE(struct name *, struct type *); \
	struct type *name##_RB_INSERT(struct name *, struct type *); \
	struct type *name##_RB_FIND(struct name *, struct type *);   \
	struct type *name##_RB_NFIND(struct name *, struct type *);  \
	struct type *name##_RB_NEXT(struct type *);                  \
	struct type *name##_RB_PREV(struct type *);                  \
	struct type *name##_RB_MINMAX(struct name *, int);
#define RB_GENERATE_INTERNAL(name, type, field, cmp, attr) RB_PROTOTYPE_INTERNAL(name, type, field, cmp, attr)
