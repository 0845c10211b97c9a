#include "fs/handles.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "store/err.h"
#include "store/log.h"

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
	free(l->types);
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
		uint32_t *types;
		char **names;

		if (!nodes)
			return err_set(ENOMEM, "no memory to list a folder");
		l->nodes = nodes;
		types = realloc(l->types, (l->count + 64) * sizeof *types);
		if (!types)
			return err_set(ENOMEM, "no memory to list a folder");
		l->types = types;
		names = realloc(l->names, (l->count + 64) * sizeof *names);
		if (!names)
			return err_set(ENOMEM, "no memory to list a folder");
		l->names = names;
	}
	name = strdup(entry->name);
	if (!name)
		return err_set(ENOMEM, "no memory to list a folder");
	l->nodes[l->count] = entry->node;
	l->types[l->count] = entry->type ? entry->type : entry->node.ops->type;
	l->names[l->count++] = name;
	return 0;
}

static int fill(struct handles *h, const struct caller *who, const struct node *node, struct listing *l)
{
	int rc = l->filled ? 0 : node_list(h->fs, who, node, collect, l);

	l->filled |= !rc;
	while (rc && l->count) /* the next try begins anew */
		free(l->names[--l->count]);
	return rc;
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
	/* The kernel may have kept what it read of a real folder, and then reads nothing. */
	rc = node->ops->real_file ? 0 : fill(h, who, node, slot->listing);
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
		rc = fill(h, who, node, slot->listing);
	if (!rc)
		*out = slot->listing;
	return rc;
}

int handles_read_folder_anew(struct handles *h, const struct caller *who, const struct node *node, uint64_t number,
			     struct listing **out)
{
	struct listing *new, *old;
	struct slot *slot;
	int rc = handles_get_folder(h, who, node, number, &old);

	if (rc)
		return rc;
	new = calloc(1, sizeof *new);
	rc = new ? fill(h, who, node, new) : err_set(ENOMEM, "no memory to list a folder");
	if (rc) {
		listing_free(new);
		return rc;
	}
	slot = find(h, number);
	if (!slot) {
		listing_free(new);
		return err_set(EBADF, "the folder is closed");
	}
	slot->listing = new;
	listing_free(old);
	*out = new;
	return 0;
}

void handles_drop_folder(struct handles *h, uint64_t number)
{
	handles_drop(h, &caller_self, number);
}

/* ---- from one process to the next ---- */

enum { SAVED_FILE = 0, SAVED_TEXT = 1, SAVED_FOLDER = 2 };

/* u64 number, u64 node, u8 what; of a text: u8 changed, block; of a folder: u32 count, and of each entry u64 node, string. */
static void save_slot(const struct slot *slot, struct buf *to)
{
	const struct handle *h = slot->handle;
	const struct listing *l = slot->listing;

	buf_u64(to, slot->number);
	buf_u64(to, h ? h->node.number : 0);
	buf_u8(to, l ? SAVED_FOLDER : h->node.ops->text ? SAVED_TEXT : SAVED_FILE);
	if (h && h->node.ops->text) {
		buf_u8(to, h->text_changed);
		buf_block(to, h->text.data, h->text.len);
	}
	if (!l)
		return;
	buf_u32(to, (uint32_t)l->count);
	for (size_t i = 0; i < l->count; i++) {
		buf_u64(to, l->nodes[i].number);
		buf_string(to, l->names[i]);
	}
}

int handles_save(struct handles *h, struct buf *to)
{
	scope_lock(&h->lock);
	buf_u64(to, h->last);
	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct slot *slot = h->buckets[i]; slot; slot = slot->next)
			save_slot(slot, to);
	return buf_failed(to) ? err_set(ENOMEM, "no memory for the list of open files") : 0;
}

static int load_text(struct cursor *c, const struct node *node, uint64_t number, struct slot *slot)
{
	bool changed = cursor_u8(c);
	size_t len;
	const uint8_t *bytes = cursor_block(c, &len);
	struct handle *h = bytes ? calloc(1, sizeof *h) : NULL;

	if (!h)
		return bytes ? -ENOMEM : -EINVAL;
	h->node = *node;
	h->writable = number & FH_WRITE;
	h->append = number & FH_APPEND;
	h->text_changed = changed;
	pthread_mutex_init(&h->lock, NULL);
	buf_put(&h->text, bytes, len);
	slot->handle = h;
	return buf_failed(&h->text) ? -ENOMEM : 0;
}

static int load_listing(struct handles *h, struct cursor *c, struct slot *slot)
{
	uint32_t count = cursor_u32(c);
	int rc = 0;

	slot->listing = calloc(1, sizeof *slot->listing);
	if (!slot->listing)
		return -ENOMEM;
	for (uint32_t i = 0; i < count && !rc; i++) {
		struct node_entry entry = { .node.number = cursor_u64(c) };
		scope_free char *name = cursor_string(c);

		if (!name)
			return -EINVAL;
		entry.name = name;
		if (!node_resolve(h->fs, entry.node.number, &entry.node))
			rc = collect(slot->listing, &entry);
	}
	slot->listing->filled = count; /* none: perhaps it was not read yet */
	return rc;
}

static int load_slot(struct handles *h, struct cursor *c)
{
	struct slot *slot = calloc(1, sizeof *slot);
	uint64_t number = cursor_u64(c), ino = cursor_u64(c);
	unsigned what = cursor_u8(c);
	struct node node = { 0 };
	int rc = slot ? 0 : -ENOMEM;

	if (!rc && (cursor_failed(c) || !number || what > SAVED_FOLDER || (what != SAVED_FOLDER && node_resolve(h->fs, ino, &node))))
		rc = -EINVAL;
	if (!rc && what == SAVED_FOLDER)
		rc = load_listing(h, c, slot);
	else if (!rc && what == SAVED_TEXT)
		rc = load_text(c, &node, number, slot);
	else if (!rc)
		rc = node_open(h->fs, &caller_self, &node, flags_of_number(number), &slot->handle);
	if (!rc && insert(h, slot, number, 0))
		return 0;
	if (slot)
		slot_close(h->fs, &caller_self, slot);
	if (what != SAVED_FILE || rc == -EINVAL)
		return err_set(EINVAL, "the list of open files is not whole");
	if (rc)
		log_warn("node %llx is open and could not be opened again: %s", (unsigned long long)ino, err_text());
	return 0;
}

int handles_load(struct handles *h, const void *bytes, size_t len)
{
	struct cursor c = cursor_of(bytes, len);
	uint64_t last = cursor_u64(&c);
	int rc = cursor_failed(&c) ? err_set(EINVAL, "the list of open files is not whole") : 0;

	while (!rc && cursor_left(&c))
		rc = load_slot(h, &c);
	pthread_mutex_lock(&h->lock);
	if (last > h->last)
		h->last = last;
	pthread_mutex_unlock(&h->lock);
	return rc;
}

static void handle_forget(struct handle *h)
{
	buf_free(&h->text);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void handles_forget(struct handles *h)
{
	if (!h)
		return;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct slot *slot = h->buckets[i], *next; slot; slot = next) {
			next = slot->next;
			listing_free(slot->listing);
			if (slot->handle)
				handle_forget(slot->handle);
			free(slot);
		}
	}
	pthread_mutex_destroy(&h->lock);
	free(h);
}
