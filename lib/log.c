/*
 * Log lines: to standard error with one write(2) each, or to the local syslog as datagrams.
 *
 * Every role logs through log_event(), from any of its threads.  The syslog writer is our own
 * because syslog(3) opens its socket and the time zone when it likes, and a role in its sandbox can
 * open neither: log_init() connects and reads the zone beforehand, and afterwards a line costs
 * clock_gettime(2) and one send(2) or write(2).
 *
 * A log that does not take a line never delays or fails the mail.  The line then goes to standard
 * error if that is open, and is counted; the first line that gets through again is followed by
 * "log.lost" with the count.  A lost syslog is looked for once a second, which a sandboxed role
 * does in vain: its socket(2) is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/fatal.h"
#include "lib/log.h"
#include "lib/mem.h"

#define BODY_MAX 8192
#define HEAD_MAX 192
#define STAMP_SIZE sizeof("2026-11-22T04:15:38.123Z")
/* At least so much of a string, and so many fields, are left of a line that is too long:
 * together, escaped, they are well below BODY_MAX. */
#define STRING_MIN 16
#define FIELDS_MAX 32
#define RECONNECT_MS 1000
#define PACE_MS 60000
#define SYSLOG_SOCKET "/dev/log"

static struct {
	atomic_bool to_stderr, json, verbose; /* log_conf; another one comes while threads log */
	char who[32];
	pid_t pid;
	bool started;
	bool stderr_open;
	struct sockaddr_un syslog;
	pthread_mutex_t lock; /* of the two below */
	int fd;		      /* connected to syslog, or -1 */
	struct timespec made; /* the socket's name, when it was; 0: not known.  Inodes are used again at once. */
	uint64_t connect_at;  /* clock_ms() of the next attempt */
	atomic_uint_fast64_t lost;
} out = {
	.to_stderr = true,
	.who = "genkan",
	.stderr_open = true,
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.fd = -1,
};

/* By syslog's numbers. */
static const char *const level_names[] = { "emergency", "alert", "critical", "error", "warning",
	"notice", "info", "debug" };

static void
syslog_close(void)
{
	if (out.fd != -1)
		close(out.fd);
	out.fd = -1;
}

static struct timespec
syslog_made(void)
{
	struct stat st;

	return stat(out.syslog.sun_path, &st) == 0 ? st.st_ctim : (struct timespec){ 0, 0 };
}

static bool
is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool
syslog_connect(uint64_t now)
{
	if (out.fd != -1)
		return true;
	if (now < out.connect_at)
		return false;
	out.connect_at = now + RECONNECT_MS;
	out.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (out.fd == -1)
		return false;
	if (connect(out.fd, (const struct sockaddr *)&out.syslog, sizeof(out.syslog)) == 0) {
		out.made = syslog_made();
		return true;
	}
	syslog_close();
	return false;
}

static bool
syslog_send(const char *line, size_t len, uint64_t now)
{
	bool sent = false;

	pthread_mutex_lock(&out.lock);
	/* The second turn is for a syslog that was started anew since the last line. */
	for (int turn = 0; turn < 2 && !sent && syslog_connect(now); turn++) {
		sent = send(out.fd, line, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len;
		/* Its queue is full: it is there, and this line is lost. */
		if (!sent && (errno == EAGAIN || errno == ENOBUFS))
			break;
		if (!sent)
			syslog_close();
	}
	pthread_mutex_unlock(&out.lock);
	return sent;
}

static bool
stderr_write(const char *line, size_t len)
{
	ssize_t n;

	if (!out.stderr_open)
		return false;
	do
		n = write(STDERR_FILENO, line, len);
	while (n == -1 && errno == EINTR);
	return n == (ssize_t)len;
}

/* "2026-11-22T04:15:38.123Z"; of the lines of one second only the first is put together by strftime(3). */
static void
stamp(char *s)
{
	static _Thread_local time_t second;
	static _Thread_local char text[] = "9999-12-31T23:59:59.";
	struct timespec ts;
	struct tm tm;
	unsigned ms;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ts.tv_sec != second) {
		second = ts.tv_sec;
		gmtime_r(&second, &tm);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.", &tm);
	}
	ms = (unsigned)(ts.tv_nsec / 1000000);
	memcpy(s, text, sizeof(text) - 1);
	s += sizeof(text) - 1;
	*s++ = (char)('0' + ms / 100);
	*s++ = (char)('0' + ms / 10 % 10);
	*s++ = (char)('0' + ms % 10);
	*s++ = 'Z';
	*s = '\0';
}

/* "2026-11-22T04:15:38.123Z session[123] "; a JSON object says all this itself. */
static void
stderr_head(char *s, size_t size)
{
	char time_text[STAMP_SIZE];

	stamp(time_text);
	snprintf(s, size, "%s %s[%d] ", time_text, out.who, (int)out.pid);
}

/* "<22>Nov  2 04:15:38 genkan-session[123]: ", which the local syslog reads as local time.  Not
 * strftime(3), which would look for the time zone's file again. */
static void
syslog_head(char *s, size_t size, int level)
{
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	struct tm tm;
	time_t now;

	now = time(NULL);
	localtime_r(&now, &tm);
	snprintf(s, size, "<%d>%s %2d %02d:%02d:%02d genkan-%s[%d]: ", LOG_MAIL | level,
	    months[tm.tm_mon], tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, out.who, (int)out.pid);
}

/* True when the line went where the configuration wants it.  Allocates nothing. */
static bool
deliver(int level, const char *body, size_t len)
{
	char line[HEAD_MAX + BODY_MAX + 1];
	size_t head;

	if (len > BODY_MAX)
		len = BODY_MAX;
	if (!out.to_stderr) {
		syslog_head(line, HEAD_MAX, level);
		head = strlen(line);
		memcpy(line + head, body, len);
		if (syslog_send(line, head + len, clock_ms()))
			return true;
	}
	line[0] = '\0';
	if (!out.json)
		stderr_head(line, HEAD_MAX);
	head = strlen(line);
	memcpy(line + head, body, len);
	line[head + len] = '\n';
	return stderr_write(line, head + len + 1) && out.to_stderr;
}

/* One line's fields, strings shortened to LIMIT octets.  If anything had to go, "cut" says so. */
struct record {
	struct field fields[FIELDS_MAX + 2];
	char *copies[FIELDS_MAX];
	size_t used, copied;
};

/* Not within a character, where S is UTF-8. */
static size_t
cut_at(const char *s, size_t limit)
{
	size_t at = limit;

	while (at > 0 && limit - at < 3 && ((unsigned char)s[at] & 0xc0) == 0x80)
		at--;
	return at;
}

static void
gather(struct record *r, const struct field *from, size_t limit)
{
	struct field f;
	bool cut = false;

	for (; from->type != FIELD_END; from++) {
		f = *from;
		if (f.type == FIELD_STR && f.str == NULL)
			continue;
		if (r->used == FIELDS_MAX) {
			cut = true;
			break;
		}
		if (f.type == FIELD_STR && strlen(f.str) > limit) {
			cut = true;
			r->copies[r->copied] = xstrndup(f.str, cut_at(f.str, limit));
			f.str = r->copies[r->copied++];
		}
		r->fields[r->used++] = f;
	}
	if (cut)
		r->fields[r->used++] = F_BOOL("cut", true);
	r->fields[r->used] = F_END;
}

static void
render_text(struct buf *b, int level, const char *event, const struct record *r)
{
	buf_addf(b, "%s %s", level_names[level], event);
	if (r->used > 0)
		buf_addc(b, ' ');
	field_text(b, r->fields);
}

static void
render_json(struct buf *b, int level, const char *event, const struct record *r)
{
	struct field all[5 + FIELDS_MAX + 2] = {
		F_STR("time", NULL),
		F_STR("level", level_names[level]),
		F_STR("role", out.who),
		F_I64("pid", out.pid),
		F_STR("event", event),
	};
	char time_text[STAMP_SIZE];

	stamp(time_text);
	all[0].str = time_text;
	memcpy(all + 5, r->fields, (r->used + 1) * sizeof(all[0]));
	field_json(b, all);
}

static void
render(struct buf *b, int level, const char *event, const struct field *fields, size_t limit)
{
	struct record r = { .used = 0 };

	gather(&r, fields, limit);
	if (out.json)
		render_json(b, level, event, &r);
	else
		render_text(b, level, event, &r);
	while (r.copied > 0)
		free(r.copies[--r.copied]);
}

/* A line that is too long is made again with shorter strings: cutting its end could leave half an
 * escape, and JSON that nobody can read. */
static bool
emit(int level, const char *event, const struct field *fields)
{
	struct buf body = { 0 };
	size_t limit = BODY_MAX;
	bool done;

	do {
		buf_clear(&body);
		render(&body, level, event, fields, limit);
		limit /= 2;
	} while (body.len > BODY_MAX && limit >= STRING_MIN);
	done = deliver(level, buf_str(&body), body.len);
	buf_free(&body);
	return done;
}

/* The only thing on the way to the log that comes back here is memory that is not there. */
static void
say_fatal(const char *reason)
{
	static const char text[] = "critical process.fatal reason=\"out of memory\"";
	static const char json[] =
	    "{\"level\":\"critical\",\"event\":\"process.fatal\",\"reason\":\"out of memory\"}";
	static _Thread_local bool dying;

	if (!dying) {
		dying = true;
		log_event(LOG_CRIT, "process.fatal", FIELDS(F_STR("reason", reason)));
	} else if (out.json) {
		deliver(LOG_CRIT, json, sizeof(json) - 1);
	} else {
		deliver(LOG_CRIT, text, sizeof(text) - 1);
	}
}

static void
take_form(const struct log_conf *conf)
{
	out.to_stderr = conf->to_stderr;
	out.json = conf->json;
	out.verbose = conf->verbose;
}

void
log_init(const struct log_conf *conf, const char *who)
{
	struct sockaddr_un syslog = { .sun_family = AF_UNIX };
	const char *path;

	path = conf->syslog_socket != NULL ? conf->syslog_socket : SYSLOG_SOCKET;
	strlcpy(syslog.sun_path, path, sizeof(syslog.sun_path));
	/* A socket that is still the right one is kept: after chroot there is no other. */
	if (conf->to_stderr || strcmp(syslog.sun_path, out.syslog.sun_path) != 0)
		syslog_close();
	take_form(conf);
	out.syslog = syslog;
	/* Once: if it was closed at the start, whatever has its number later is no place for lines.
	 */
	if (!out.started)
		out.stderr_open = fcntl(STDERR_FILENO, F_GETFD) != -1;
	out.started = true;
	fatal_tell(say_fatal);
	log_rename(who);
	tzset();
	if (!conf->to_stderr) {
		out.connect_at = 0;
		syslog_connect(clock_ms());
	}
}

bool
log_is_renewed(void)
{
	struct timespec before, now;
	bool connected;

	if (out.to_stderr)
		return false;
	pthread_mutex_lock(&out.lock);
	before = out.made;
	now = syslog_made();
	if (now.tv_sec != 0 && !is_same_time(now, before))
		syslog_close();
	out.connect_at = 0;
	connected = syslog_connect(clock_ms());
	pthread_mutex_unlock(&out.lock);
	return connected && !is_same_time(out.made, before);
}

void
log_take(const struct log_conf *conf, int fd)
{
	pthread_mutex_lock(&out.lock);
	syslog_close();
	out.fd = fd;
	take_form(conf);
	pthread_mutex_unlock(&out.lock);
}

int
log_way(void)
{
	return out.fd;
}

void
log_rename(const char *who)
{
	strlcpy(out.who, who, sizeof(out.who));
	out.pid = getpid();
}

void
log_event(int level, const char *event, const struct field *fields)
{
	uint_fast64_t lost;

	level = LOG_PRI(level);
	if (level == LOG_DEBUG && !out.verbose)
		return;
	if (out.pid == 0)
		out.pid = getpid();
	if (!emit(level, event, fields)) {
		atomic_fetch_add(&out.lost, 1);
		return;
	}
	lost = atomic_exchange(&out.lost, 0);
	if (lost > 0 && !emit(LOG_WARNING, "log.lost", FIELDS(F_U64("lines", lost))))
		atomic_fetch_add(&out.lost, lost);
}

bool
log_may_tell(struct log_pace *pace, uint64_t *held)
{
	uint64_t now = clock_ms();

	if (pace->told_ms != 0 && now - pace->told_ms < PACE_MS) {
		pace->held++;
		return false;
	}
	*held = pace->held;
	*pace = (struct log_pace){ .told_ms = now };
	return true;
}

bool
log_is_verbose(void)
{
	return out.verbose;
}
