/*
 * Fuzz target: the configuration's text.  Whatever it is, there is either a configuration or a
 * complaint; and what parses prints to a text that parses and prints to the same.
 */
#include <string.h>

#include "conf/build.h"
#include "conf/conf.h"
#include "lib/buf.h"
#include "regress/fuzz/target.h"

static void
require_round_trip(const struct conf *conf)
{
	struct buf printed = { 0 }, again = { 0 }, errors = { 0 }, warnings = { 0 };
	struct conf *copy;

	conf_print(&printed, conf);
	copy = conf_parse("again", buf_str(&printed), printed.len, &errors, &warnings);
	require(copy != NULL);
	conf_print(&again, copy);
	require(strcmp(buf_str(&printed), buf_str(&again)) == 0);
	conf_free(copy);
	buf_free(&printed);
	buf_free(&again);
	buf_free(&errors);
	buf_free(&warnings);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char host[] = "host mx.example.net\n";
	struct buf text = { 0 }, errors = { 0 }, warnings = { 0 };
	struct conf *conf;

	build_reads_files = false;
	buf_add(&text, data, len);
	/* Most inputs would end at a missing host, if this machine has none. */
	if (memmem(data, len, "host", 4) == NULL)
		buf_adds(&text, host);
	conf = conf_parse("fuzz", buf_str(&text), text.len, &errors, &warnings);
	require((conf == NULL) == (errors.len > 0));
	if (conf != NULL)
		require_round_trip(conf);
	conf_free(conf);
	buf_free(&text);
	buf_free(&errors);
	buf_free(&warnings);
	return 0;
}
