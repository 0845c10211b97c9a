/*
 * mount_internal: what the files of mount share. Only they know FUSE:
 *
 *     mount.c          mounts, serves, unmounts
 *     mount_loop.c     the threads that serve requests, and signals
 *     mount_reexec.c   a new program takes the mount over
 *     mount_options.c  the text of -o
 *     mount_ops.c      requests about names and attributes
 *     mount_io.c       requests about bytes and listings
 *     mount_suid.c     set-user-id bits that a write takes away
 *     mount_notify.c   what the kernel is told unasked
 *     mount_listed.c   which listings of folders the kernel may keep
 *     mount_end.c      unmounting somebody else's mount
 */
#ifndef TOMOFS_MOUNT_INTERNAL_H
#define TOMOFS_MOUNT_INTERNAL_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include "fs/callers.h"
#include "fs/handles.h"
#include "fs/mount.h"
#include "fs/node.h"

struct notifier;
struct listed;
struct loop;

struct options {
	size_t cache_bytes;
	unsigned settle_seconds;
	uint32_t dense_after, keep, keep_min; /* as in fs.h */
	bool nonempty;
	bool read_only, auto_unmount;
	bool protect_ready;
	struct buf fuse; /* comma list for libfuse */
};

/* What one process passes to the next. */
struct takeover {
	int fuse, lock, memory, old; /* descriptors, owned; -1: none. Of /dev/fuse, the store's lock, the state, the old program */
	uint32_t want, max_write;    /* as agreed with the kernel */
	char *store, *point;
	struct buf init, searches, files, notes;
};
#define TAKEOVER_NONE ((struct takeover){ .fuse = -1, .lock = -1, .memory = -1, .old = -1 })

struct mount { /* userdata of the session */
	struct fs *fs;
	struct handles *handles;
	struct callers *callers;
	struct notifier *notifier;
	struct listed *listed;
	struct fuse_session *session;
	const struct options *options;
	const char *store, *point; /* absolute */
	char *const *again;        /* argv that runs the installed program; NULL: not known */
	struct takeover takeover;  /* from the process before, or for the one after */
	struct buf init;           /* the kernel's first request */
	uint32_t want, max_write;  /* as agreed with it */
	bool read_only;  /* the store's disk cannot be written */
	bool past_pages; /* writes may go past the kernel's page cache */
	void (*ready)(void *ctx);
	void *ready_ctx;
};
/* Fills o (o->fuse is the caller's to free). 0; -EINVAL: the sentence names the option. */
int options_parse(const char *text, struct options *o);

/* A request: who asks, and the node it is about. Replies with an error itself and returns false when there is none. */
struct request {
	struct mount *mount;
	struct fs *fs;
	struct caller who;
	struct node node;
};
bool request_begin(fuse_req_t req, fuse_ino_t ino, struct request *r);
/* Replies with -rc and logs what a person should know. */
void reply_error(fuse_req_t req, int rc);
/* The reply to what has no result but success (0) or an error. */
void reply_rc(fuse_req_t req, int rc);

/* mount_suid.c: can we be told when to take set-user-id bits away (else the kernel does it)? */
bool suid_is_ours(void);
/* Are we told now? */
bool suid_asked(const struct fuse_file_info *fi);
/* Takes them away, when there are any: now, or together with another change. 0 or -errno. */
int suid_drop(struct request *r);
int suid_change(struct fs *fs, const struct node *node, struct attr_change *change);

/* How long the kernel may believe an entry of this kind, in seconds. */
double node_timeout(const struct node *node);
/* Attributes and timeouts of a node, for lookup, create and readdirplus. 0 or -errno. */
int entry_of(struct fs *fs, const struct node *node, struct fuse_entry_param *entry);

extern const struct fuse_lowlevel_ops mount_ops;
void ops_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void ops_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi);
void ops_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t len, off_t off, struct fuse_file_info *fi);
void ops_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void ops_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len, struct fuse_file_info *fi);
void ops_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void ops_copy(fuse_req_t req, fuse_ino_t from, off_t from_off, struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
	      struct fuse_file_info *to_fi, size_t len, int flags);
void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi);
void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* mount_loop.c. Before the first thread is started: blocks the signals that loop_wait() waits for, in this thread and all that it
 * starts. *before: what was blocked. */
void loop_signals(sigset_t *before);
/* Serves requests until loop_stop(), which serves those to the end that were begun, loses none and frees it. 0 or -errno. */
int loop_start(struct loop **out, struct mount *mount);
int loop_stop(struct loop *loop);
enum loop_event {
	LOOP_ENDED,   /* unmounted by somebody */
	LOOP_SIGNAL,  /* SIGTERM, SIGINT */
	LOOP_UPGRADE, /* SIGHUP */
};
/* In the thread that called loop_start(). */
enum loop_event loop_wait(struct loop *loop);

/* mount_reexec.c, in the order of their use. Was this program started to say whether it can take over? Then it has said so. */
bool takeover_asked(void);
/* May the program that is installed now take over? Requests are still served. 0 or -errno. */
int takeover_check(const struct mount *mount);
/* Commits, and collects what is to be passed on but for the notes. No request is being served. 0; -errno: go on as before. */
int takeover_save(struct mount *mount, struct takeover *t);
/* After the store was closed: the new program. Comes back only when that failed. */
int takeover_execute(struct takeover *t, char *const *again);
/* In a new process. t->fuse is -1 when nothing is to be taken over. 0 or -errno. */
int takeover_receive(struct takeover *t);
int takeover_restore(struct mount *mount, struct takeover *t);
void takeover_greet(struct mount *mount, struct takeover *t);
/* It could not: the old program again. Comes back only when that failed. */
int takeover_back(struct takeover *t, char *const *again);
void takeover_free(struct takeover *t);
/* At the end of init(): what was agreed with the kernel stays so. */
void mount_settle_conn(struct mount *mount, struct fuse_conn_info *conn);

/* Sends invalidations from a thread of its own: doing it inside a request can deadlock with the kernel's locks. */
int notifier_start(struct notifier **out, struct fuse_session *session);
void notifier_stop(struct notifier *notifier);
/* Until resumed none is sent; none is being sent when it returns. Call while requests are served: the kernel may hold a lock for one. */
void notifier_pause(struct notifier *notifier);
void notifier_resume(struct notifier *notifier);
/* Those not sent yet are moved into b, and back. 0 or -errno. */
int notifier_save(struct notifier *notifier, struct buf *b);
int notifier_load(struct notifier *notifier, const void *bytes, size_t len);
void notifier_entry(struct fs *fs, uint64_t folder, const char *name);
void notifier_node(struct fs *fs, uint64_t node);

int listed_new(struct listed **out);
void listed_free(struct listed *listed);
/* Is a folder below datasets/ as it was at the last call for it? Its ctime says so, which changes with each entry and which nobody can set:
 * then the kernel may answer a listing with what it keeps of the last one. What changes through the kernel it takes out itself. */
bool listed_same(struct listed *listed, struct fs *fs, const struct node *folder);

/* From /proc/self/mountinfo: the store (source) that is mounted at exactly this path as a tomofs; NULL when it is none. Caller frees. */
char *mount_source_at(const char *path);
/* umount2, or fusermount3 when we are not root. 0 or -errno. lazy: also when busy or dead. */
int mount_detach(const char *path, bool lazy);

#endif
