/*
 * lock: STORE/lock, so that one process at a time writes a store. The lock is the kernel's (an open file description
 * lock): it goes when its process goes, however that ends, and passes to a child that a daemon forks. The text in the
 * file (pid, mount point) is only for people.
 */
#ifndef TOMOFS_LOCK_H
#define TOMOFS_LOCK_H

/* Takes the lock of the store at path. 0 and a descriptor that lock_release() closes; -EBUSY with a sentence naming pid
 * and mount point of who has it; -errno. */
int lock_take(const char *path, int *fd);
/* For a reader who needs that nobody writes; readers share it. Needs no right to write. *fd is -1 when there is no lock file. As lock_take(). */
int lock_share(const char *path, int *fd);
/* As lock_take() with a descriptor that has the lock already, from the process that this one follows. Owned by the caller until 0 is
 * returned. 0; -EINVAL: it is not this store's; -EBUSY. */
int lock_adopt(const char *path, int fd);
/* The pid of this process and where the store is mounted (may be ""), for others to read. 0 or -errno. */
int lock_note(int fd, const char *mount_point);
void lock_release(int fd);

#endif
