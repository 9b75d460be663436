/*
 * Threads and their two lists (workers.h): what is to be done, and what is done and goes back over a pipe's wake-up.
 *
 * The vault uses it for password hashes.  What can fail is the making of threads at the start of a role, which is
 * fatal: a role that cannot work should not look as if it did.
 */
#include <sys/eventfd.h>

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#include <event2/event.h>

#include "lib/fatal.h"
#include "lib/mem.h"
#include "lib/workers.h"

TAILQ_HEAD(work_list, work);

struct workers {
	pthread_mutex_t mutex;
	pthread_cond_t more;
	/* under the mutex */
	struct {
		struct work_list list;
		unsigned n;
	} todo[WORK_WAITS_URGENTLY + 1];
	struct work_list finished;
	unsigned most;
	int wake; /* eventfd */
	struct event *woken;
};

static void
take_out(struct workers *w, struct work *job)
{
	TAILQ_REMOVE(&w->todo[job->where].list, job, entry);
	w->todo[job->where].n--;
	job->where = WORK_TAKEN;
}

static struct work *
next(struct workers *w)
{
	struct work *job = TAILQ_FIRST(&w->todo[WORK_WAITS_URGENTLY].list);

	return job != NULL ? job : TAILQ_FIRST(&w->todo[WORK_WAITS].list);
}

static void *
work_on(void *arg)
{
	static const uint64_t one = 1;
	struct workers *w = arg;
	struct work *job;

	pthread_mutex_lock(&w->mutex);
	for (;;) {
		while ((job = next(w)) == NULL)
			pthread_cond_wait(&w->more, &w->mutex);
		take_out(w, job);
		pthread_mutex_unlock(&w->mutex);
		job->run(job);
		pthread_mutex_lock(&w->mutex);
		TAILQ_INSERT_TAIL(&w->finished, job, entry);
		if (write(w->wake, &one, sizeof(one)) < 0)
			continue; /* it is full, so the loop is woken anyway */
	}
	return NULL;
}

static void
on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct workers *w = arg;
	struct work_list list = TAILQ_HEAD_INITIALIZER(list);
	struct work *job;
	uint64_t n;

	(void)what;
	if (read(fd, &n, sizeof(n)) < 0)
		return;
	pthread_mutex_lock(&w->mutex);
	TAILQ_CONCAT(&list, &w->finished, entry);
	pthread_mutex_unlock(&w->mutex);
	while ((job = TAILQ_FIRST(&list)) != NULL) {
		TAILQ_REMOVE(&list, job, entry);
		job->done(job);
	}
}

struct workers *
workers_new(struct event_base *base, unsigned n, unsigned most)
{
	struct workers *w = xcalloc(1, sizeof(*w));
	sigset_t all, before;
	pthread_t thread;

	pthread_mutex_init(&w->mutex, NULL);
	pthread_cond_init(&w->more, NULL);
	TAILQ_INIT(&w->todo[WORK_WAITS].list);
	TAILQ_INIT(&w->todo[WORK_WAITS_URGENTLY].list);
	TAILQ_INIT(&w->finished);
	w->most = most;
	w->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->wake < 0)
		fatal("workers: no eventfd");
	w->woken = event_new(base, w->wake, EV_READ | EV_PERSIST, on_wake, w);
	event_add(w->woken, NULL);
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_BLOCK, &all, &before);
	for (; n > 0; n--)
		if (pthread_create(&thread, NULL, work_on, w) != 0 || pthread_detach(thread) != 0)
			fatal("workers: no thread can be made");
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w;
}

bool
workers_add(struct workers *w, struct work *job, bool urgent)
{
	bool room;

	job->where = urgent ? WORK_WAITS_URGENTLY : WORK_WAITS;
	pthread_mutex_lock(&w->mutex);
	room = w->todo[job->where].n < w->most;
	if (room) {
		TAILQ_INSERT_TAIL(&w->todo[job->where].list, job, entry);
		w->todo[job->where].n++;
		pthread_cond_signal(&w->more);
	} else {
		job->where = WORK_TAKEN;
	}
	pthread_mutex_unlock(&w->mutex);
	return room;
}

bool
workers_withdraw(struct workers *w, struct work *job)
{
	bool waits;

	pthread_mutex_lock(&w->mutex);
	waits = job->where != WORK_TAKEN;
	if (waits)
		take_out(w, job);
	pthread_mutex_unlock(&w->mutex);
	return waits;
}
