/*
 * mount_internal: what the files of mount share. Only they know FUSE:
 *
 *     mount.c          mounts, serves, unmounts
 *     mount_options.c  the text of -o
 *     mount_ops.c      requests about names and attributes
 *     mount_io.c       requests about bytes and listings
 *     mount_suid.c     set-user-id bits that a write takes away
 *     mount_notify.c   what the kernel is told unasked
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

struct mount { /* userdata of the session */
	struct fs *fs;
	struct handles *handles;
	struct callers *callers;
	struct notifier *notifier;
	struct fuse_session *session;
	bool past_pages; /* writes may go past the kernel's page cache */
	void (*ready)(void *ctx);
	void *ready_ctx;
};

struct options {
	size_t cache_bytes;
	unsigned settle_seconds;
	uint32_t dense_after; /* as in fs.h */
	bool nonempty;
	struct buf fuse; /* comma list for libfuse */
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
void ops_copy(fuse_req_t req, fuse_ino_t from, off_t from_off, struct fuse_file_info *from_fi, fuse_ino_t to, off_t to_off,
	      struct fuse_file_info *to_fi, size_t len, int flags);
void ops_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_readdir(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi);
void ops_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi);
void ops_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void ops_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* Sends invalidations from a thread of its own: doing it inside a request can deadlock with the kernel's locks. */
int notifier_start(struct notifier **out, struct fuse_session *session);
void notifier_stop(struct notifier *notifier);
void notifier_entry(struct fs *fs, uint64_t folder, const char *name);
void notifier_node(struct fs *fs, uint64_t node);

/* From /proc/self/mountinfo: the store (source) that is mounted at exactly this path as a tomofs; NULL when it is none. Caller frees. */
char *mount_source_at(const char *path);
/* umount2, or fusermount3 when we are not root. 0 or -errno. lazy: also when busy or dead. */
int mount_detach(const char *path, bool lazy);

#endif
