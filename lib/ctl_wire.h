/*
 * The words of a control request as they travel: from smtpctl to the control role over its socket,
 * and from there to the role that answers.  Encoding and decoding only; any local user may write to
 * that socket, so the decoder is fuzzed.
 */
#ifndef LIB_CTL_WIRE_H
#define LIB_CTL_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct cursor;

/* Words of a request that a role answers, and octets of all of them. */
#define CTL_WORDS_MAX 512
#define CTL_WORDS_SIZE (64 * 1024)
/* Words of a `submit`: its recipients, with up to three words each, as many as a submission may have. */
#define CTL_SUBMIT_WORDS_MAX (32 * 1024)

/* u32 N, N strings. */
void ctl_words_write(struct buf *, unsigned n, const char *const *words);
/* How many there were; 0 and a bad cursor when there were none, more than MOST, or they cannot be
 * read.  WORDS point into the bytes that the cursor was made for. */
unsigned ctl_words_read(struct cursor *, const char **words, unsigned most);

/* "KEY=value" among the words behind the first: the value, NULL when there is none. */
const char *ctl_word_value(unsigned n, const char *const *words, const char *key);

/* CTL_END: u8 status, string.  False when it is none. */
void ctl_end_write(struct buf *, int status, const char *why);
bool ctl_end_read(struct cursor *, int *status, const char **why);

#endif
