/*
 * resolv.conf(5), read once: before the role that uses it goes into its empty chroot.  A file that
 * is missing or odd is no error, as for the C library: then the server is on this host.
 */
#include <stdio.h>
#include <string.h>

#include "lib/resolvconf.h"

#define PATH "/etc/resolv.conf"
/* Longer files are read to here. */
#define FILE_MAX 65536
#define DNS_PORT 53

/* One word of LINE, ended by blanks or the end; *POS moves behind it. */
static size_t
word(const char *line, size_t len, size_t *pos, const char **start)
{
	size_t from;

	while (*pos < len && (line[*pos] == ' ' || line[*pos] == '\t'))
		(*pos)++;
	from = *pos;
	while (*pos < len && line[*pos] != ' ' && line[*pos] != '\t' && line[*pos] != '\r')
		(*pos)++;
	*start = line + from;
	return *pos - from;
}

static bool
nameserver(const char *line, size_t len, struct ip *ip)
{
	static const char keyword[] = "nameserver";
	char address[IP_TEXT_MAX];
	const char *w;
	size_t pos = 0, n = word(line, len, &pos, &w);

	if (n != sizeof(keyword) - 1 || memcmp(w, keyword, n) != 0)
		return false;
	n = word(line, len, &pos, &w);
	if (n == 0 || n >= sizeof(address))
		return false;
	memcpy(address, w, n);
	address[n] = '\0';
	return ip_parse(address, ip);
}

unsigned
resolvconf_parse(const char *text, size_t len, struct dns_server out[RESOLVCONF_SERVERS_MAX])
{
	const char *end = text + len;
	unsigned n = 0;

	while (text < end && n < RESOLVCONF_SERVERS_MAX) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *stop = newline != NULL ? newline : end;

		if (nameserver(text, (size_t)(stop - text), &out[n].ip))
			out[n++].port = DNS_PORT;
		text = stop + (newline != NULL);
	}
	if (n == 0) {
		ip_parse("127.0.0.1", &out[0].ip);
		out[n++].port = DNS_PORT;
	}
	return n;
}

unsigned
resolvconf_read(struct dns_server out[RESOLVCONF_SERVERS_MAX])
{
	char text[FILE_MAX];
	size_t len = 0;
	FILE *file = fopen(PATH, "re");

	if (file != NULL) {
		len = fread(text, 1, sizeof(text), file);
		fclose(file);
	}
	return resolvconf_parse(text, len, out);
}
