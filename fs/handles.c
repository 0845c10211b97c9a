#include "fs/handles.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "store/err.h"

/* Low bits of a number; the rest counts up. */
enum { FH_WRITE = 1, FH_READ = 2, FH_APPEND = 4, FH_FOLDER = 8, FH_SHIFT = 4, BUCKETS = 4096 };

struct slot {
	struct slot *next;
	uint64_t number;
	struct handle *handle;   /* of a file */
	struct listing *listing; /* of a folder */
};

struct handles {
	struct fs *fs;
	pthread_mutex_t lock;
	uint64_t last;
	struct slot *buckets[BUCKETS];
};

static void listing_free(struct listing *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->count; i++)
		free(l->names[i]);
	free(l->names);
	free(l->nodes);
	free(l);
}

int handles_new(struct handles **out, struct fs *fs)
{
	struct handles *h = calloc(1, sizeof *h);

	if (!h)
		return err_set(ENOMEM, "no memory for open files");
	h->fs = fs;
	pthread_mutex_init(&h->lock, NULL);
	*out = h;
	return 0;
}

static int slot_close(struct fs *fs, const struct caller *who, struct slot *slot)
{
	int rc = slot->handle ? node_close(fs, who, slot->handle) : 0;

	listing_free(slot->listing);
	free(slot);
	return rc;
}

void handles_free(struct handles *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct slot *slot = h->buckets[i], *next; slot; slot = next) {
			next = slot->next;
			slot_close(h->fs, &caller_self, slot);
		}
	}
	pthread_mutex_destroy(&h->lock);
	free(h);
}

static struct slot **bucket_of(struct handles *h, uint64_t number)
{
	return &h->buckets[(number >> FH_SHIFT) % BUCKETS];
}

static struct slot *find(struct handles *h, uint64_t number)
{
	scope_lock(&h->lock);
	for (struct slot *slot = *bucket_of(h, number); slot; slot = slot->next)
		if (slot->number == number)
			return slot;
	return NULL;
}

/* Puts a slot under its number, or, when number is 0, under a new one with these bits. NULL: another thread was faster. */
static struct slot *insert(struct handles *h, struct slot *slot, uint64_t number, unsigned bits)
{
	struct slot **bucket;

	scope_lock(&h->lock);
	if (!number)
		number = ++h->last << FH_SHIFT | bits;
	else if (number >> FH_SHIFT > h->last)
		h->last = number >> FH_SHIFT; /* of the process before this one */
	bucket = bucket_of(h, number);
	for (struct slot *s = *bucket; s; s = s->next)
		if (s->number == number)
			return NULL;
	slot->number = number;
	slot->next = *bucket;
	*bucket = slot;
	return slot;
}

static struct slot *remove_slot(struct handles *h, uint64_t number)
{
	scope_lock(&h->lock);
	for (struct slot **at = bucket_of(h, number); *at; at = &(*at)->next) {
		struct slot *slot = *at;

		if (slot->number != number)
			continue;
		*at = slot->next;
		return slot;
	}
	return NULL;
}

static unsigned bits_of_flags(int flags)
{
	unsigned bits = flags & O_APPEND ? FH_APPEND : 0;

	if ((flags & O_ACCMODE) != O_RDONLY)
		bits |= FH_WRITE;
	if ((flags & O_ACCMODE) != O_WRONLY)
		bits |= FH_READ;
	return bits;
}

static int flags_of_number(uint64_t number)
{
	int flags = number & FH_WRITE ? (number & FH_READ ? O_RDWR : O_WRONLY) : O_RDONLY;

	return flags | (number & FH_APPEND ? O_APPEND : 0);
}

/* Opens a file under a new number (0) or a given one. */
static int open_as(struct handles *h, const struct caller *who, const struct node *node, int flags, uint64_t number,
		   struct slot **out)
{
	struct slot *slot = calloc(1, sizeof *slot);
	int rc;

	if (!slot)
		return err_set(ENOMEM, "no memory to open a file");
	rc = node_open(h->fs, who, node, flags, &slot->handle);
	if (rc) {
		free(slot);
		return rc;
	}
	*out = insert(h, slot, number, bits_of_flags(flags));
	if (!*out) {
		slot_close(h->fs, who, slot);
		*out = find(h, number);
	}
	return *out ? 0 : err_set(EBADF, "the file is closed");
}

int handles_open(struct handles *h, const struct caller *who, const struct node *node, int flags, uint64_t *number)
{
	struct slot *slot;
	int rc = open_as(h, who, node, flags, 0, &slot);

	if (!rc)
		*number = slot->number;
	return rc;
}

int handles_get(struct handles *h, const struct caller *who, const struct node *node, uint64_t number,
		struct handle **out)
{
	struct slot *slot = find(h, number);
	int rc = slot ? 0 : open_as(h, who, node, flags_of_number(number), number, &slot);

	if (!rc && !slot->handle)
		rc = err_set(EBADF, "this number is not a file's");
	if (!rc)
		*out = slot->handle;
	return rc;
}

bool handles_write_only(uint64_t number)
{
	return number & FH_WRITE && !(number & FH_READ);
}

int handles_drop(struct handles *h, const struct caller *who, uint64_t number)
{
	struct slot *slot = remove_slot(h, number);

	return slot ? slot_close(h->fs, who, slot) : 0;
}

static int collect(void *ctx, const struct node_entry *entry)
{
	struct listing *l = ctx;
	char *name;

	if (l->count % 64 == 0) {
		struct node *nodes = realloc(l->nodes, (l->count + 64) * sizeof *nodes);
		char **names;

		if (!nodes)
			return err_set(ENOMEM, "no memory to list a folder");
		l->nodes = nodes;
		names = realloc(l->names, (l->count + 64) * sizeof *names);
		if (!names)
			return err_set(ENOMEM, "no memory to list a folder");
		l->names = names;
	}
	name = strdup(entry->name);
	if (!name)
		return err_set(ENOMEM, "no memory to list a folder");
	l->nodes[l->count] = entry->node;
	l->names[l->count++] = name;
	return 0;
}

static int open_folder_as(struct handles *h, const struct caller *who, const struct node *node, uint64_t number,
			  struct slot **out)
{
	struct slot *slot = calloc(1, sizeof *slot);
	int rc;

	if (slot)
		slot->listing = calloc(1, sizeof *slot->listing);
	if (!slot || !slot->listing) {
		free(slot);
		return err_set(ENOMEM, "no memory to list a folder");
	}
	rc = node_list(h->fs, who, node, collect, slot->listing);
	if (rc) {
		slot_close(h->fs, who, slot);
		return rc;
	}
	*out = insert(h, slot, number, FH_FOLDER);
	if (!*out) {
		slot_close(h->fs, who, slot);
		*out = find(h, number);
	}
	return *out ? 0 : err_set(EBADF, "the folder is closed");
}

int handles_open_folder(struct handles *h, const struct caller *who, const struct node *node, uint64_t *number)
{
	struct slot *slot;
	int rc = open_folder_as(h, who, node, 0, &slot);

	if (!rc)
		*number = slot->number;
	return rc;
}

int handles_get_folder(struct handles *h, const struct caller *who, const struct node *node, uint64_t number,
		       struct listing **out)
{
	struct slot *slot = find(h, number);
	int rc = slot ? 0 : open_folder_as(h, who, node, number, &slot);

	if (!rc && !slot->listing)
		rc = err_set(EBADF, "this number is not a folder's");
	if (!rc)
		*out = slot->listing;
	return rc;
}

void handles_drop_folder(struct handles *h, uint64_t number)
{
	handles_drop(h, &caller_self, number);
}
