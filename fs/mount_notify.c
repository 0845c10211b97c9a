#include <errno.h>
#include <string.h>

#include "fs/mount_internal.h"
#include "store/err.h"
#include "store/log.h"

struct note {
	struct note *next;
	uint64_t node;
	char name[]; /* of an entry in node; "": the node itself */
};

struct notifier {
	struct fuse_session *session;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct note *first, **last;
	bool stop, paused, sending;
};

static void send_note(struct notifier *n, const struct note *note)
{
	int rc;

	if (*note->name)
		rc = fuse_lowlevel_notify_inval_entry(n->session, note->node, note->name, strlen(note->name));
	else
		rc = fuse_lowlevel_notify_inval_inode(n->session, note->node, 0, 0);
	/* ENOENT: the kernel does not know it, so there is nothing to forget. */
	if (rc && rc != -ENOENT && rc != -ENOTDIR && rc != -ENOTEMPTY && rc != -EBADF)
		log_debug("the kernel did not forget node %llx %s: %s", (unsigned long long)note->node, note->name,
			  strerror(-rc));
}

static void *notify_loop(void *arg)
{
	struct notifier *n = arg;

	pthread_mutex_lock(&n->lock);
	for (;;) {
		struct note *note = n->first;

		if (!note || n->paused) {
			if (n->stop)
				break;
			pthread_cond_wait(&n->wake, &n->lock);
			continue;
		}
		n->first = note->next;
		if (!n->first)
			n->last = &n->first;
		n->sending = true;
		pthread_mutex_unlock(&n->lock);
		send_note(n, note);
		free(note);
		pthread_mutex_lock(&n->lock);
		n->sending = false;
		pthread_cond_broadcast(&n->wake);
	}
	pthread_mutex_unlock(&n->lock);
	return NULL;
}

int notifier_start(struct notifier **out, struct fuse_session *session)
{
	struct notifier *n = calloc(1, sizeof *n);
	int rc;

	if (!n)
		return err_set(ENOMEM, "no memory");
	n->session = session;
	n->last = &n->first;
	pthread_mutex_init(&n->lock, NULL);
	pthread_cond_init(&n->wake, NULL);
	rc = pthread_create(&n->thread, NULL, notify_loop, n);
	if (rc) {
		free(n);
		return err_set(rc, "cannot start a thread: %s", strerror(rc));
	}
	*out = n;
	return 0;
}

void notifier_stop(struct notifier *n)
{
	if (!n)
		return;
	pthread_mutex_lock(&n->lock);
	n->stop = true;
	pthread_cond_broadcast(&n->wake);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->thread, NULL);
	for (struct note *note = n->first, *next; note; note = next) {
		next = note->next;
		free(note);
	}
	pthread_cond_destroy(&n->wake);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

static void append(struct notifier *n, uint64_t node, const char *name)
{
	struct note *note = malloc(sizeof *note + strlen(name) + 1);

	if (!note)
		return;
	note->next = NULL;
	note->node = node;
	memcpy(note->name, name, strlen(name) + 1);
	pthread_mutex_lock(&n->lock);
	*n->last = note;
	n->last = &note->next;
	pthread_cond_broadcast(&n->wake);
	pthread_mutex_unlock(&n->lock);
}

void notifier_pause(struct notifier *n)
{
	scope_lock(&n->lock);
	n->paused = true;
	while (n->sending)
		pthread_cond_wait(&n->wake, &n->lock);
}

void notifier_resume(struct notifier *n)
{
	scope_lock(&n->lock);
	n->paused = false;
	pthread_cond_broadcast(&n->wake);
}

int notifier_save(struct notifier *n, struct buf *b)
{
	scope_lock(&n->lock);
	for (const struct note *note = n->first; note; note = note->next) {
		buf_u64(b, note->node);
		buf_string(b, note->name);
	}
	return buf_failed(b) ? err_set(ENOMEM, "no memory for what the kernel is to be told") : 0;
}

int notifier_load(struct notifier *n, const void *bytes, size_t len)
{
	struct cursor c = cursor_of(bytes, len);

	while (cursor_left(&c)) {
		uint64_t node = cursor_u64(&c);
		scope_free char *name = cursor_string(&c);

		if (cursor_failed(&c))
			return err_set(EINVAL, "the list of what the kernel is to be told is not whole");
		append(n, node, name);
	}
	return 0;
}

static void queue(struct fs *fs, uint64_t node, const char *name)
{
	struct mount *mount = fs->kernel;

	if (mount->notifier)
		append(mount->notifier, node, name);
}

void notifier_entry(struct fs *fs, uint64_t folder, const char *name)
{
	if (*name)
		queue(fs, folder, name);
}

void notifier_node(struct fs *fs, uint64_t node)
{
	queue(fs, node, "");
}
