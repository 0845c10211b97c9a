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
	bool stop;
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

		if (!note) {
			if (n->stop)
				break;
			pthread_cond_wait(&n->wake, &n->lock);
			continue;
		}
		n->first = note->next;
		if (!n->first)
			n->last = &n->first;
		pthread_mutex_unlock(&n->lock);
		send_note(n, note);
		free(note);
		pthread_mutex_lock(&n->lock);
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
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
	pthread_join(n->thread, NULL);
	pthread_cond_destroy(&n->wake);
	pthread_mutex_destroy(&n->lock);
	free(n);
}

static void queue(struct fs *fs, uint64_t node, const char *name)
{
	struct mount *mount = fs->kernel;
	struct notifier *n = mount->notifier;
	struct note *note = malloc(sizeof *note + strlen(name) + 1);

	if (!note || !n) {
		free(note);
		return;
	}
	note->next = NULL;
	note->node = node;
	memcpy(note->name, name, strlen(name) + 1);
	pthread_mutex_lock(&n->lock);
	*n->last = note;
	n->last = &note->next;
	pthread_cond_signal(&n->wake);
	pthread_mutex_unlock(&n->lock);
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
