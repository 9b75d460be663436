/*
 * Answers on standard output: tables or blocks for people, one JSON object a line with -j.
 */
#ifndef SMTPCTL_OUTPUT_H
#define SMTPCTL_OUTPUT_H

#include <stddef.h>

#include "lib/field.h"

enum output_form {
	OUTPUT_TABLE,
	OUTPUT_BLOCKS /* a field a line, an empty line between records */
};

struct output;

struct output *output_new(enum output_form);
/* A record; as request.record wants it, with the output as ARG. */
void output_record(const struct field *, void *output);
/* A line for people only: not with -j. */
void output_note(struct output *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Prints what is left and frees. */
void output_end(struct output *);

/* Sends the words to the server and prints the answer; returns the exit code. */
int output_answer(enum output_form, int n, char **words);
/* The same, where RECORD says how each is printed; it gets the output. */
int output_answer_by(enum output_form, int n, char **words, void (*record)(const struct field *, void *output));

#endif
