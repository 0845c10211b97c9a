/*
 * The threads that serve requests. A loop of our own, since libfuse's ends by cancelling its threads, which may lose a request that
 * was read already: the program that made it would wait for ever once a new process has the mount.
 *
 * The main thread waits for signals; they are blocked in all others. A thread that waits in read() is woken with WAKE, which
 * does nothing but end the read; a request that was read is always served.
 */
#include <errno.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "fs/mount_internal.h"
#include "store/err.h"
#include "store/log.h"

enum { THREADS_MAX = 32, WAKE = SIGUSR2, ENDED = SIGUSR1, WAKE_EVERY_NS = 2000000 };

struct server {
	struct loop *loop;
	pthread_t thread;
	atomic_bool reading;
	atomic_bool done;
};

struct loop {
	struct mount *mount;
	pthread_t main;
	pthread_mutex_t lock; /* for count and idle */
	unsigned count, idle;
	atomic_bool stop;
	atomic_int error;
	struct server servers[THREADS_MAX];
};

static void wake(int number)
{
	(void)number;
}

static void all_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	sigaddset(set, SIGHUP);
	sigaddset(set, ENDED);
}

void loop_signals(sigset_t *before)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, woken = { .sa_handler = wake };
	sigset_t set;

	sigaction(SIGPIPE, &ignore, NULL);
	sigaction(WAKE, &woken, NULL);
	all_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, before);
}

static bool is_forget(const struct fuse_buf *request)
{
	const struct fuse_in_header *head = request->mem;

	return request->size >= sizeof *head && (head->opcode == FUSE_FORGET || head->opcode == FUSE_BATCH_FORGET);
}

/* What the kernel offered is needed again by the process after this one: it is asked for only once. */
static void keep_init(struct mount *mount, const struct fuse_buf *request)
{
	const struct fuse_in_header *head = request->mem;

	if (request->size < sizeof *head || head->opcode != FUSE_INIT)
		return;
	buf_clear(&mount->init);
	buf_put(&mount->init, request->mem, request->size);
}

static int start_server(struct loop *l);

/* A request was read: another thread waits for the next one, unless all are at work. */
static void begin_request(struct loop *l, const struct fuse_buf *request)
{
	scope_lock(&l->lock);
	if (is_forget(request))
		return;
	l->idle--;
	if (!l->idle && l->count < THREADS_MAX && !l->stop && start_server(l))
		log_warn("%s; requests wait for each other", err_text());
}

static void end_request(struct loop *l, bool forget)
{
	scope_lock(&l->lock);
	if (!forget)
		l->idle++;
}

static void *serve_requests(void *arg)
{
	struct server *s = arg;
	struct loop *l = s->loop;
	struct fuse_session *session = l->mount->session;
	struct fuse_buf request = { .mem = NULL };
	int n = 0;

	while (!fuse_session_exited(session)) {
		bool forget;

		s->reading = true;
		n = l->stop ? -ECANCELED : fuse_session_receive_buf(session, &request);
		s->reading = false;
		if (n == -EINTR)
			continue;
		if (n <= 0)
			break;
		keep_init(l->mount, &request);
		forget = is_forget(&request);
		begin_request(l, &request);
		fuse_session_process_buf(session, &request);
		end_request(l, forget);
	}
	free(request.mem);
	if (n < 0 && n != -ECANCELED)
		l->error = n;
	s->done = true;
	if (!l->stop)
		pthread_kill(l->main, ENDED);
	return NULL;
}

/* Lock held. */
static int start_server(struct loop *l)
{
	struct server *s = &l->servers[l->count];
	int rc;

	*s = (struct server){ .loop = l };
	rc = pthread_create(&s->thread, NULL, serve_requests, s);
	if (rc)
		return err_set(rc, "cannot start a thread: %s", strerror(rc));
	l->count++;
	l->idle++;
	return 0;
}

int loop_start(struct loop **out, struct mount *mount)
{
	struct loop *l = calloc(1, sizeof *l);
	int rc;

	if (!l)
		return err_set(ENOMEM, "no memory");
	l->mount = mount;
	l->main = pthread_self();
	pthread_mutex_init(&l->lock, NULL);
	pthread_mutex_lock(&l->lock);
	rc = start_server(l);
	pthread_mutex_unlock(&l->lock);
	*out = l;
	if (rc)
		loop_stop(l);
	return rc;
}

enum loop_event loop_wait(struct loop *l)
{
	sigset_t set;

	all_signals(&set);
	for (;;) {
		int number = sigwaitinfo(&set, NULL);

		if (number == SIGHUP)
			return LOOP_UPGRADE;
		if (number == SIGTERM || number == SIGINT)
			return LOOP_SIGNAL;
		if (number == ENDED && (l->error || fuse_session_exited(l->mount->session)))
			return LOOP_ENDED;
	}
}

static bool wake_all(struct loop *l)
{
	bool left = false;

	for (unsigned i = 0; i < l->count; i++) {
		struct server *s = &l->servers[i];

		if (!s->done && s->reading)
			pthread_kill(s->thread, WAKE);
		left |= !s->done;
	}
	return left;
}

int loop_stop(struct loop *l)
{
	static const struct timespec step = { .tv_nsec = WAKE_EVERY_NS };
	int rc = l->error;

	l->stop = true;
	pthread_mutex_lock(&l->lock); /* from here on none is started */
	pthread_mutex_unlock(&l->lock);
	while (wake_all(l))
		nanosleep(&step, NULL);
	for (unsigned i = 0; i < l->count; i++)
		pthread_join(l->servers[i].thread, NULL);
	pthread_mutex_destroy(&l->lock);
	free(l);
	return rc ? err_set(-rc, "the FUSE session ended: %s", strerror(-rc)) : 0;
}
