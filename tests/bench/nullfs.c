/*
 * nullfs: the limit that FUSE sets. A file system that takes writes and forgets the bytes, and answers reads from one block in memory;
 * nothing is computed and nothing reaches a disk. What cp or cat needs here, no FUSE file system in user space (same kernel, same
 * libfuse, same buffer sizes as tomofs) can do faster.
 *
 *     nullfs MNT               serves in the foreground until it is unmounted
 */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { NODES = 1 << 16, BLOCK = 1 << 20 };

struct node {
	char *name;
	fuse_ino_t parent;
	mode_t mode;
	off_t size;
};

static struct node nodes[NODES]; /* [FUSE_ROOT_ID] is the root */
static size_t used = FUSE_ROOT_ID + 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint8_t block[BLOCK];

static struct stat attr_of(fuse_ino_t ino)
{
	struct stat st = { .st_ino = ino, .st_mode = nodes[ino].mode, .st_nlink = 1, .st_size = nodes[ino].size, .st_blksize = 512 << 10 };

	return st;
}

static void op_init(void *ctx, struct fuse_conn_info *conn)
{
	(void)ctx;
	conn->max_write = BLOCK;
}

static struct fuse_entry_param entry_of(fuse_ino_t ino)
{
	return (struct fuse_entry_param){ .ino = ino, .attr = attr_of(ino), .attr_timeout = 3600, .entry_timeout = 3600 };
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = { 0 };

	pthread_mutex_lock(&lock);
	for (size_t i = FUSE_ROOT_ID + 1; i < used && !e.ino; i++)
		if (nodes[i].parent == parent && strcmp(nodes[i].name, name) == 0)
			e = entry_of(i);
	pthread_mutex_unlock(&lock);
	if (e.ino)
		fuse_reply_entry(req, &e);
	else
		fuse_reply_err(req, ENOENT);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st = attr_of(ino);

	(void)fi;
	fuse_reply_attr(req, &st, 3600);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int set, struct fuse_file_info *fi)
{
	if (set & FUSE_SET_ATTR_SIZE)
		nodes[ino].size = attr->st_size;
	op_getattr(req, ino, fi);
}

static fuse_ino_t make(fuse_ino_t parent, const char *name, mode_t mode)
{
	fuse_ino_t ino = 0;

	pthread_mutex_lock(&lock);
	if (used < NODES) {
		ino = used++;
		nodes[ino] = (struct node){ .name = strdup(name), .parent = parent, .mode = mode };
	}
	pthread_mutex_unlock(&lock);
	return ino;
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	fuse_ino_t ino = make(parent, name, S_IFDIR | mode);
	struct fuse_entry_param e = entry_of(ino);

	if (ino)
		fuse_reply_entry(req, &e);
	else
		fuse_reply_err(req, ENOSPC);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	fuse_ino_t ino = make(parent, name, S_IFREG | mode);
	struct fuse_entry_param e = entry_of(ino);

	fi->keep_cache = 1;
	if (ino)
		fuse_reply_create(req, &e, fi);
	else
		fuse_reply_err(req, ENOSPC);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi)
{
	off_t size = nodes[ino].size;
	size_t n = off >= size ? 0 : len < (size_t)(size - off) ? len : (size_t)(size - off);

	(void)fi;
	fuse_reply_buf(req, (const char *)block, n < BLOCK ? n : BLOCK);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t len, off_t off, struct fuse_file_info *fi)
{
	(void)bytes;
	(void)fi;
	if (off + (off_t)len > nodes[ino].size)
		nodes[ino].size = off + (off_t)len;
	fuse_reply_write(req, len);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t len, off_t off, struct fuse_file_info *fi)
{
	char *list = malloc(len);
	size_t n = 0;

	(void)fi;
	for (size_t i = off ? (size_t)off : FUSE_ROOT_ID + 1; list && i < used; i++) {
		struct stat st = attr_of(i);
		size_t more = nodes[i].parent == ino ? fuse_add_direntry(req, list + n, len - n, nodes[i].name, &st, (off_t)i + 1) : 0;

		if (more > len - n)
			break;
		n += more;
	}
	fuse_reply_buf(req, list, n);
	free(list);
}

static void op_done(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	(void)ino;
	(void)fi;
	fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	op_done(req, ino, fi);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	(void)ino;
	(void)name;
	(void)size;
	fuse_reply_err(req, ENODATA);
}

static const struct fuse_lowlevel_ops ops = {
	.init = op_init, .lookup = op_lookup, .getattr = op_getattr, .setattr = op_setattr, .mkdir = op_mkdir, .create = op_create,
	.open = op_open, .read = op_read, .write = op_write, .flush = op_done, .release = op_done, .fsync = op_fsync,
	.fsyncdir = op_fsync, .readdir = op_readdir, .getxattr = op_getxattr,
};

int main(int argc, char **argv)
{
	char *args_v[] = { argv[0], (char *)"-o", (char *)"fsname=nullfs,subtype=nullfs,default_permissions" };
	struct fuse_args args = FUSE_ARGS_INIT(3, args_v);
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	struct fuse_session *session;
	int rc = 1;

	if (argc != 2) {
		fprintf(stderr, "usage: nullfs MNT\n");
		return 2;
	}
	nodes[FUSE_ROOT_ID].mode = S_IFDIR | 0755;
	for (size_t i = 0; i < BLOCK; i++)
		block[i] = (uint8_t)(i * 2654435761u >> 13);
	session = fuse_session_new(&args, &ops, sizeof ops, NULL);
	if (!session || !config || fuse_set_signal_handlers(session))
		return 1;
	fuse_loop_cfg_set_clone_fd(config, 0);
	if (fuse_session_mount(session, argv[1]) == 0) {
		rc = fuse_session_loop_mt(session, config) < 0;
		fuse_session_unmount(session);
	}
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	fuse_loop_cfg_destroy(config);
	return rc;
}
