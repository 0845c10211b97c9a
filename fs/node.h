/*
 * node: everything that has a name in the mount. A kind of node is one constant struct node_ops in a file of its own:
 *
 *     path                                      kind                 file
 *     /                                         root                 node_root.c (fixed children: one table)
 *     /README.txt  /.tomofs/...                 text                 node_root.c
 *     /datasets/...                             real                 node_real.c
 *     /by-tag/ by-sample/ by-instrument/        facet                node_facet.c
 *              by-project/ by-user/
 *     /by-X/T/                                  term                 node_facet.c
 *     /by-X/T/NAME                              link to a dataset    node_link.c
 *     /by-date/2026/11/23/                      date                 node_date.c
 *     /by-date/2026/11/23/NAME                  link to a dataset    node_link.c
 *     /by-id/  /by-id/ID                        ids, link            node_id.c, node_link.c
 *     /search/  /search/QUERY/                  searches, search     node_search.c
 *     /search/QUERY/NAME                        link to a dataset    node_link.c
 *     /views/  /views/NAME/[parts/...]          views, image folder  node_views.c
 *     /views/NAME/4x/ .../z0001.tif             view folder, file    node_view.c
 *     /gallery/  /gallery/NAME.png              gallery, picture     node_gallery.c
 *     /info/  /info/NAME/  facts.json ...       infos, info, text    node_info.c
 *     /history/                                 root                 node_root.c
 *     /history/at/TIME/datasets/...             at, moment, past     node_past.c
 *     /history/trash/...  /trash                trash, past, link    node_trash.c
 *     /history/versions/...                     versions, old, past  node_versions.c
 *
 * A node is a number and nothing else: the number says the kind and what it is of, so a new process can resolve it, and no
 * table of live nodes is needed (one exception: the text of a query, node_search.h). Nodes below datasets/ have the
 * catalog's numbers (< 2^62), those of the past have bit 62 set (history.h); all others have bit 63 set:
 *
 *     63 | 60..62 class | 0..59 of what (see enum node_class)
 */
#ifndef TOMOFS_NODE_H
#define TOMOFS_NODE_H

#include "fs/fs.h"

enum node_class {
	CLASS_FIXED = 0,   /* row of the table in node_root.c */
	CLASS_TERM = 1,    /* term 29 */
	CLASS_LINK = 2,    /* where 30 (enum link_place or a term) | dataset 30 */
	CLASS_DATASET = 3, /* what 30 (enum dataset_thing) | dataset 30 */
	CLASS_VIEW = 4,    /* image 26 | view 3 | level 4 | item+1 27 (0: the top entry itself) */
	CLASS_SEARCH = 5,  /* what 2 (enum search_thing) | hash of the query 58 */
	CLASS_DATE = 6,    /* year 16 | month 8 | day 8 (0: the folder above) */
	CLASS_PARTS = 7,   /* image 26 | depth 4: folder in views/NAME/parts, the first depth names of the image's part */
};

enum { NODE_VIRTUAL_SHIFT = 60 };
#define NODE_VIRTUAL (1ULL << 63)

struct node {
	uint64_t number;
	const struct node_ops *ops;
};

/* An entry that a folder lists. */
struct node_entry {
	struct node node;
	const char *name;
	uint32_t type; /* S_IFMT bits; 0: what its kind says */
};

/* Receives entries; returns non-zero to stop. */
typedef int (*node_emit)(void *ctx, const struct node_entry *entry);

/* A file that is open: what open() made of it. */
struct handle {
	struct node node;
	struct file *file;    /* real files */
	bool writable, append;
	struct buf text;      /* text files: the content as it was when it was opened, and what is written to it */
	bool text_changed;
	pthread_mutex_t lock; /* for text */
};

enum attr_change_flags { CHANGE_MODE = 1, CHANGE_UID = 2, CHANGE_GID = 4, CHANGE_SIZE = 8, CHANGE_ATIME = 16, CHANGE_MTIME = 32 };
struct attr_change {
	unsigned set;
	uint32_t mode, uid, gid;
	uint64_t size;
	int64_t atime_ns, mtime_ns;
	struct handle *handle; /* ftruncate: the open file; NULL otherwise */
};

/*
 * What a kind of node can do. Every function returns 0 or -errno with a sentence. A NULL function means that it cannot be done:
 * the node_* front functions then answer with the errno named at each.
 */
struct node_ops {
	const char *kind;
	uint32_t type; /* S_IFDIR, S_IFREG, S_IFLNK; 0: differs (real) */
	/* Cached by the kernel for a long time (true) or asked each time (false: it may differ by caller or change unseen). */
	bool stable;

	/* Everything but number and type is already zero; fills mode, uid, gid, size, times, and in st_blocks the
	 * bytes of it that are holes. One of the two. shown: also the access
	 * control list that goes with them, when acl is not NULL (count 0: there is none). */
	int (*attr)(struct fs *fs, const struct node *node, struct stat *st);
	int (*shown)(struct fs *fs, const struct node *node, struct stat *st, struct acl *acl);

	/* Folders. */
	int (*lookup)(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		      struct node *out);
	int (*list)(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx);
	/* Making things in a folder. -EPERM when NULL. *out: what the kernel is told was made. */
	int (*mkdir)(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		     uint32_t mode, struct node *out);
	int (*create)(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		      uint32_t mode, struct node *out);
	int (*symlink)(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		       const char *target, struct node *out);
	/* A FIFO or socket; mode has the type. */
	int (*mknod)(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		     uint32_t mode, struct node *out);
	/* A further name for a node. Called on the kind of the folder. */
	int (*link)(struct fs *fs, const struct caller *who, const struct node *node, const struct node *folder,
		    const char *name);
	int (*unlink)(struct fs *fs, const struct caller *who, const struct node *folder, const char *name);
	int (*rmdir)(struct fs *fs, const struct caller *who, const struct node *folder, const char *name);
	/* name in folder goes to new_name in to; called on the kind of the *target* folder. */
	int (*rename_into)(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			   const struct node *to, const char *new_name, unsigned flags);

	/* Symlinks: target, appended. */
	int (*readlink)(struct fs *fs, const struct node *node, struct buf *target);

	/* Files: one of three ways. */
	int (*text)(struct fs *fs, const struct node *node, struct buf *out);       /* small text, made whole */
	int (*text_write)(struct fs *fs, const struct caller *who, const struct node *node, const struct buf *text);
	int64_t (*read)(struct fs *fs, const struct node *node, uint64_t off, void *to, size_t len); /* computed */
	bool real_file; /* through file.h */

	int (*set_attr)(struct fs *fs, const struct caller *who, const struct node *node,
			const struct attr_change *change);

	/* Extended attributes. -ENODATA / -ENOTSUP when NULL. */
	int (*xattr_get)(struct fs *fs, const struct caller *who, const struct node *node, const char *name,
			 struct buf *value);
	int (*xattr_list)(struct fs *fs, const struct caller *who, const struct node *node, struct buf *names);
	int (*xattr_set)(struct fs *fs, const struct caller *who, const struct node *node, const char *name,
			 const void *value, size_t len, int flags);
	int (*xattr_remove)(struct fs *fs, const struct caller *who, const struct node *node, const char *name);
};

/* Number -> node. 0; -ESTALE when the number means nothing. Costs no look-up. */
int node_resolve(struct fs *fs, uint64_t number, struct node *out);

/* Numbers of the virtual classes. */
uint64_t node_number(enum node_class class, uint64_t what);
static inline enum node_class node_class_of(uint64_t number)
{
	return (enum node_class)(number >> NODE_VIRTUAL_SHIFT & 7);
}
static inline uint64_t node_what(uint64_t number)
{
	return number & ((1ULL << NODE_VIRTUAL_SHIFT) - 1);
}
struct node node_make(const struct node_ops *ops, enum node_class class, uint64_t what);

/* Front doors: fill in what is common, check names (-ENAMETOOLONG), give the errno of a missing function. */
int node_attr(struct fs *fs, const struct node *node, struct stat *st);
/* The value of ACL_NAME_ACCESS of what shows a dataset. 0, -ENODATA. */
int node_shown_acl(struct fs *fs, const struct node *node, struct buf *value);
int node_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, struct node *out);
int node_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx);
int node_mkdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, uint32_t mode,
	       struct node *out);
int node_create(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, uint32_t mode,
		struct node *out);
int node_symlink(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, const char *target,
		 struct node *out);
int node_mknod(struct fs *fs, const struct caller *who, const struct node *folder, const char *name, uint32_t mode,
	       struct node *out);
int node_link(struct fs *fs, const struct caller *who, const struct node *node, const struct node *folder, const char *name);
int node_unlink(struct fs *fs, const struct caller *who, const struct node *folder, const char *name);
int node_rmdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name);
int node_rename(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
		const struct node *to, const char *new_name, unsigned flags);
int node_set_attr(struct fs *fs, const struct caller *who, const struct node *node, const struct attr_change *change);
int node_xattr_get(struct fs *fs, const struct caller *who, const struct node *node, const char *name, struct buf *value);
int node_xattr_list(struct fs *fs, const struct caller *who, const struct node *node, struct buf *names);
int node_xattr_set(struct fs *fs, const struct caller *who, const struct node *node, const char *name, const void *value,
		   size_t len, int flags);
int node_xattr_remove(struct fs *fs, const struct caller *who, const struct node *node, const char *name);

/* Opens a file; the handle is given back with node_close(), whose result is what a last commit said. */
int node_open(struct fs *fs, const struct caller *who, const struct node *node, int flags, struct handle **out);
int node_close(struct fs *fs, const struct caller *who, struct handle *handle);
int64_t node_read(struct fs *fs, struct handle *handle, uint64_t off, void *to, size_t len);
int64_t node_write(struct fs *fs, const struct caller *who, struct handle *handle, uint64_t off, const void *from,
		   size_t len);
int node_flush(struct fs *fs, const struct caller *who, struct handle *handle);
int node_fsync(struct fs *fs, const struct caller *who, struct handle *handle);

/* The kinds of each class; NULL when the number means nothing. */
const struct node_ops *node_root_resolve(uint64_t what);
const struct node_ops *node_dataset_resolve(uint64_t what);
const struct node_ops *node_view_resolve(uint64_t what);
const struct node_ops *node_search_resolve(uint64_t what);

/* Attributes of a folder that belongs to the file system and shows the same to everybody. */
void node_attr_folder(struct fs *fs, uint32_t mode, struct stat *st);
/* Calls emit for one entry. */
int node_emit_one(node_emit emit, void *ctx, const struct node_ops *ops, uint64_t number, const char *name);

extern const struct node_ops node_ops_real, node_ops_root, node_ops_text, node_ops_densify, node_ops_gc, node_ops_hold, node_ops_facet,
	node_ops_term, node_ops_link, node_ops_dates, node_ops_ids, node_ops_searches, node_ops_search,
	node_ops_search_error, node_ops_views, node_ops_image_folder, node_ops_view_folder, node_ops_view_file,
	node_ops_gallery, node_ops_picture, node_ops_infos, node_ops_info, node_ops_info_text, node_ops_facts;

#endif
