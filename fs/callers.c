#include "fs/callers.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fs/xattr.h"

enum { SLOTS = 256, USER_NS = 60, PROGRAM_NS = 1 }; /* how long a name is believed, in units of 10^9 ns */

struct name {
	int64_t until_ns; /* 0: empty */
	uint32_t number;
	char text[64];
};

struct callers {
	pthread_mutex_t lock;
	struct name users[SLOTS];    /* by uid */
	struct name programs[SLOTS]; /* by pid */
};

struct callers *callers_new(void)
{
	struct callers *c = calloc(1, sizeof *c);

	if (c)
		pthread_mutex_init(&c->lock, NULL);
	return c;
}

void callers_free(struct callers *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void program_name(uint32_t pid, char *name, size_t room)
{
	char path[64];
	ssize_t n;

	*name = 0;
	snprintf(path, sizeof path, "/proc/%u/comm", pid);
	scope_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, name, room - 1);
	if (n > 0 && name[n - 1] == '\n')
		n--;
	name[n > 0 ? n : 0] = 0;
}

/* From the table, or by asking, without the lock, what make() says. */
static void name_of(struct callers *c, struct name *table, uint32_t number, int64_t seconds,
		    void (*make)(uint32_t number, char *name, size_t room), char text[64])
{
	struct name *slot = &table[number % SLOTS];
	int64_t now = now_ns();

	pthread_mutex_lock(&c->lock);
	if (slot->number == number && slot->until_ns > now) {
		memcpy(text, slot->text, sizeof slot->text);
		pthread_mutex_unlock(&c->lock);
		return;
	}
	pthread_mutex_unlock(&c->lock);
	memset(text, 0, sizeof slot->text);
	make(number, text, sizeof slot->text);
	pthread_mutex_lock(&c->lock);
	slot->number = number;
	slot->until_ns = now + seconds * 1000000000;
	memcpy(slot->text, text, sizeof slot->text);
	pthread_mutex_unlock(&c->lock);
}

void callers_fill(struct callers *c, uint32_t uid, uint32_t gid, int32_t pid, struct caller *who)
{
	who->uid = uid;
	who->gid = gid;
	who->pid = pid;
	who->umask = 0;
	who->program[0] = 0;
	name_of(c, c->users, uid, USER_NS, user_name, who->user);
	if (pid > 0)
		name_of(c, c->programs, (uint32_t)pid, PROGRAM_NS, program_name, who->program);
}
