/*
 * handles: the files and folders that the kernel has open, by number. A number says how it was opened (FH_*), so a process that
 * takes over a mount, or one that lost its table, opens the node again when it meets a number that it does not know: no number
 * is a pointer.
 *
 * Threads: any. A handle stays valid until handles_drop(), which the kernel sends once, after the last use.
 */
#ifndef TOMOFS_HANDLES_H
#define TOMOFS_HANDLES_H

#include "fs/node.h"

struct handles;

/* The entries of a folder as they were when it was opened or, where opening alone says nothing, first read: a listing in several parts is
 * one listing. */
struct listing {
	struct node *nodes; /* count of each */
	uint32_t *types;    /* S_IFMT bits, 0: not known */
	char **names;
	size_t count;
	bool filled;
	bool begun;         /* the kernel has read of it */
};

int handles_new(struct handles **out, struct fs *fs);
/* Closes what is still open. NULL is fine. */
void handles_free(struct handles *handles);

/*
 * For a process that takes the mount over: all that is open, with the content of texts that are being written and the listings that
 * are being read. What was written to files must be committed. Nobody else may use the handles meanwhile. 0; -ENOMEM.
 */
int handles_save(struct handles *handles, struct buf *to);
/* Opens it again. What cannot be opened is logged and left out: its number is tried again when it is used. 0; -EINVAL: not whole. */
int handles_load(struct handles *handles, const void *bytes, size_t len);
/* Frees them without closing anything: after handles_save(), when the file system was closed. */
void handles_forget(struct handles *handles);

/* Opens a node's file and gives its number. 0 or node_open()'s failure. */
int handles_open(struct handles *handles, const struct caller *who, const struct node *node, int flags, uint64_t *number);
/* 0 and the open file of a number (the handles own it); -EBADF; what opening it again said. */
int handles_get(struct handles *handles, const struct caller *who, const struct node *node, uint64_t number,
		struct handle **out);
/* Ends it. What its last commit said. */
int handles_drop(struct handles *handles, const struct caller *who, uint64_t number);

/* Was it opened for writing and not for reading? */
bool handles_write_only(uint64_t number);

/* The same for folders. */
int handles_open_folder(struct handles *handles, const struct caller *who, const struct node *node, uint64_t *number);
int handles_get_folder(struct handles *handles, const struct caller *who, const struct node *node, uint64_t number,
		       struct listing **out);
/* The same, as the folder is now (rewinddir). The kernel reads by one number in one thread at a time. */
int handles_read_folder_anew(struct handles *handles, const struct caller *who, const struct node *node, uint64_t number,
			     struct listing **out);
void handles_drop_folder(struct handles *handles, uint64_t number);

#endif
