/*
 * mount: the only file that knows FUSE. Turns a request into a node and one call, and replies.
 */
#ifndef TOMOFS_MOUNT_H
#define TOMOFS_MOUNT_H

#include <stddef.h>

struct mount_options {
	const char *store;
	const char *mount_point;
	const char *options; /* comma list as of mount -o: ours (cache=512M, settle=60) and FUSE's (allow_other, ro ...);
				unknown ones that mount(8) and systemd add are ignored, others refused; NULL: none */
	int log_level;       /* enum log_level */
	char *const *again;  /* argv that runs the program installed at again[0] in the foreground with these arguments, for SIGHUP;
				NULL: SIGHUP is passed over */
};

/*
 * Mounts and serves until unmounted or SIGTERM/SIGINT; then everything is committed. ready() is called once when the mount
 * answers. Call after daemonizing (LMDB must not cross a fork). 0 when all ended well; -errno with a sentence:
 * -ENOENT -ENOTDIR mount point; -EBUSY it is in use, or the store is open elsewhere; -EINVAL no store, unknown option,
 * a store inside the mount point; ...
 *
 * SIGHUP: the program that is installed now takes over, with all files open (mount_reexec.c). It calls this function with the
 * same options and finds in its environment what it takes over.
 */
int mount_serve(const struct mount_options *options, void (*ready)(void *ctx), void *ctx);

/* Are these words for -o? 0; -EINVAL: the sentence names the one that is not. */
int mount_options_check(const char *words);

/* Unmounts a tomofs and waits (at most seconds) until its daemon has ended. 0; -EINVAL: no tomofs mount; -EBUSY. */
int mount_end(const char *mount_point, unsigned seconds);

#endif
