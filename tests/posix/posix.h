/*
 * posix: what programs may expect of a file system, as many small cases. `posix DIR [AREA...]` runs them in DIR, prints those that
 * fail, and ends with 1 when any did. It knows nothing of tomofs: every case holds on ext4 too, but those that are told to expect
 * a refusal (-r, see main.c). Some cases need to be root, to become other users.
 */
#ifndef TOMOFS_POSIX_H
#define TOMOFS_POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The call succeeds (gives 0 or more); or it fails with this errno. */
#define OK(call) posix_result((call) < 0 ? errno : 0, 0, __FILE__, __LINE__, #call)
#define FAILS(call, error) posix_result((call) < 0 ? errno : 0, error, __FILE__, __LINE__, #call)
/* Two numbers are the same; something is so. */
#define SAME(got, want) posix_same((long long)(got), (long long)(want), __FILE__, __LINE__, #got)
#define SO(what) posix_same(!!(what), 1, __FILE__, __LINE__, #what)

void posix_result(int got, int want, const char *file, int line, const char *what);
void posix_same(long long got, long long want, const char *file, int line, const char *what);

extern bool posix_is_tomofs; /* refusals that README lists are expected */

/* Acts as this user with this group and perhaps one more (0: none), until as_root(). */
enum { OWNER = 65534, OTHER = 65533, THIRD = 65532 };
void as(unsigned uid, unsigned gid, unsigned more);
void as_root(void);

int touch(const char *path, mode_t mode);           /* makes an empty file, exactly with this mode */
int put(const char *path, const char *text);        /* makes or replaces a file with this text */
bool holds(const char *path, const char *text);     /* is this its text? */
mode_t mode_of(const char *path);                   /* permission bits, of the link itself; ~0: not there */
struct stat stat_of(const char *path);              /* zeros: not there */
long long ns_of(struct timespec t);
void pause_ms(unsigned ms);                         /* so that times differ */
bool later(struct timespec a, struct timespec b);   /* a is after b */

/* One area of cases each: runs in an empty folder of mode 0777. */
void area_mode(void);
void area_owner(void);
void area_make(void);
void area_link(void);
void area_rename(void);
void area_remove(void);
void area_sticky(void);
void area_times(void);
void area_xattr(void);
void area_acl(void);
void area_bytes(void);
void area_sparse(void);
void area_map(void);
void area_lock(void);
void area_names(void);
void area_list(void);
void area_open(void);
void area_crowd(void);
void area_model(void);

#endif
