/*
 * The file with our accounts at other servers (login.h).
 *
 * The relay role reads it before it gives up its rights; the master reads it once to see that it
 * can be used, and forgets it; nobody else does.  The form is the one that Postfix has for
 * smtp_sasl_password_maps, so "[smtp.example.net]:587" is the host smtp.example.net.  A file that
 * others may read is not used: a password in it is no secret any more, and the operator must know.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "deliver/login.h"
#include "lib/ip.h"
#include "lib/mem.h"

#define FILE_MAX (256 * 1024)

struct logins {
	char *path;
	struct login *list;
	unsigned n;
};

void
login_free(struct logins *logins)
{
	unsigned i;

	if (logins == NULL)
		return;
	for (i = 0; i < logins->n; i++) {
		free_secret(logins->list[i].password);
		free(logins->list[i].user);
		free(logins->list[i].host);
	}
	free(logins->list);
	free(logins->path);
	free(logins);
}

const char *
login_path(const struct logins *logins)
{
	return logins->path;
}

/* --- lines --- */

static bool
parse_port(const char *s, size_t len, uint16_t *port)
{
	unsigned value = 0;
	size_t i;

	for (i = 0; i < len && i < 5 && s[i] >= '0' && s[i] <= '9'; i++)
		value = value * 10 + (unsigned)(s[i] - '0');
	*port = (uint16_t)value;
	return i == len && len > 0 && value >= 1 && value <= UINT16_MAX;
}

/* As hops have them: an address in brackets, a name without; both in the form that we write. */
static char *
normal_host(const char *s, size_t len)
{
	bool brackets = len > 2 && s[0] == '[' && s[len - 1] == ']';
	char *host = brackets ? xstrndup(s + 1, len - 2) : xstrndup(s, len), *at, *written;
	struct ip ip;

	if (ip_parse(host, &ip)) {
		written = xasprintf("[%s]", ip_text(&ip).s);
		free(host);
		return written;
	}
	for (at = host; *at != '\0'; at++)
		*at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
	return host;
}

/* "host", "host:587", "[192.0.2.1]:587"; a bare IPv6 address has colons of its own. */
static bool
parse_host(const char *s, size_t len, struct login *login)
{
	const char *close = memchr(s, ']', len);
	const char *from = close != NULL ? close : s, *colon;
	char *whole = xstrndup(s, len);
	struct ip ip;

	colon = memrchr(from, ':', len - (size_t)(from - s));
	if (ip_parse(whole, &ip))
		colon = NULL;
	free(whole);
	if (colon != NULL && !parse_port(colon + 1, len - (size_t)(colon + 1 - s), &login->port))
		return false;
	len = colon != NULL ? (size_t)(colon - s) : len;
	if (len == 0)
		return false;
	login->host = normal_host(s, len);
	return true;
}

static size_t
span(const char *s, size_t len, bool blank)
{
	size_t i;

	for (i = 0; i < len && (s[i] == ' ' || s[i] == '\t') == blank; i++)
		;
	return i;
}

/* NULL, or what is wrong. */
static const char *
parse_line(struct logins *logins, const char *s, size_t len)
{
	struct login login = { .port = 0 };
	size_t host = span(s, len, false), at = host + span(s + host, len - host, true);
	const char *colon = memchr(s + at, ':', len - at);

	if (memchr(s, '\0', len) != NULL)
		return "there is a NUL in it";
	if (colon == NULL || colon == s + at || colon + 1 == s + len)
		return "expected HOST USER:PASSWORD";
	if (!parse_host(s, host, &login))
		return "the host is none; expected smtp.example.net or smtp.example.net:587";
	login.user = xstrndup(s + at, (size_t)(colon - s) - at);
	login.password = xstrndup(colon + 1, len - (size_t)(colon + 1 - s));
	logins->list = xreallocarray(logins->list, logins->n + 1, sizeof(login));
	logins->list[logins->n++] = login;
	return NULL;
}

struct logins *
login_parse(const char *path, const char *text, size_t len, char **why)
{
	struct logins *logins = xcalloc(1, sizeof(*logins));
	const char *end = text + len, *lf, *wrong = NULL;
	unsigned line = 0;
	size_t n, skip;

	logins->path = xstrdup(path);
	for (; wrong == NULL && text < end; text = lf + 1) {
		lf = memchr(text, '\n', (size_t)(end - text));
		lf = lf != NULL ? lf : end;
		n = (size_t)(lf - text);
		if (n > 0 && text[n - 1] == '\r')
			n--;
		skip = span(text, n, true);
		line++;
		if (skip < n && text[skip] != '#')
			wrong = parse_line(logins, text + skip, n - skip);
	}
	if (wrong == NULL)
		return logins;
	*why = xasprintf("%s:%u: %s", path, line, wrong);
	login_free(logins);
	return NULL;
}

/* --- the file --- */

/* NULL, or what is wrong. */
static const char *
check_file(int fd, struct stat *st)
{
	if (fd < 0 || fstat(fd, st) < 0)
		return strerror(errno);
	if (!S_ISREG(st->st_mode))
		return "it is no file";
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return "it belongs to somebody else; expected root, or who starts smtpd";
	if (st->st_mode & 077)
		return "others may read or write it; please chmod it to 600";
	return st->st_size > FILE_MAX ? "it is longer than 256K" : NULL;
}

struct logins *
login_load(const char *path, char **why)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct logins *logins = NULL;
	struct stat st;
	const char *wrong = check_file(fd, &st);
	char *text = NULL;
	ssize_t n = 0;

	if (wrong == NULL) {
		text = xmalloc((size_t)st.st_size + 1);
		n = read(fd, text, (size_t)st.st_size);
		wrong = n < 0 ? strerror(errno) : NULL;
	}
	if (wrong != NULL)
		*why = xasprintf("%s: %s", path, wrong);
	else
		logins = login_parse(path, text, (size_t)n, why);
	if (text != NULL)
		explicit_bzero(text, (size_t)st.st_size);
	free(text);
	if (fd >= 0)
		close(fd);
	return logins;
}

const struct login *
login_find(const struct logins *logins, const char *host, uint16_t port)
{
	const struct login *found = NULL;
	unsigned i;

	for (i = 0; i < logins->n; i++) {
		const struct login *l = &logins->list[i];

		if (strcasecmp(l->host, host) != 0)
			continue;
		if (l->port == port)
			return l;
		if (l->port == 0 && found == NULL)
			found = l;
	}
	return found;
}
