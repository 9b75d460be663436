/*
 * Lists of words such as "client=192.0.2.7", as commands and scripts have them.
 */
#ifndef SMTPCTL_WORDS_H
#define SMTPCTL_WORDS_H

#define WORDS_MAX 256

struct words {
	char *list[WORDS_MAX];
	int n;
};

void words_clear(struct words *);
/* These return NULL, or what is wrong (the caller frees). */
/* A copy of it. */
char *words_add(struct words *, const char *word);
/* The words of NEW, behind those of OLD that they do not replace: two with the same "key=" do. */
char *words_merge(struct words *old, const struct words *new);
/* Blanks part words; inside double quotes they do not. */
char *words_split(struct words *, const char *line);
/* What stands behind "key=" in a word, or in the first of them that has it; NULL: not there. */
const char *word_value(const char *word, const char *key);
const char *words_get(const struct words *, const char *key);

#endif
