/*
 * Extended attributes: a list of u8 what (plus 6: must be new, plus 12: must be there), a line with the name, and for 0 and 1 u16 length and a value:
 *     0  set on the dataset's folder     1  set on a file in it     2  remove     3  get, list
 *     4  the line is a folder in search/: looked up and listed      5  the line is a name in by-tag/: made, renamed, removed
 */
#include "fs/xattr.h"
#include "store/err.h"
#include "tests/lib/fuzz_fs.h"

const unsigned fuzz_failing_allocations = 0; /* other threads allocate too, and the index ends the process */

static int pass(void *ctx, const struct node_entry *entry)
{
	(void)ctx;
	must(*entry->name && !strchr(entry->name, '/'), "an entry's name");
	return 0;
}

static void look(struct fuzz_fs *f, const char *folder, const char *name)
{
	struct node root, top, found;

	must(!node_resolve(f->fs, INO_ROOT, &root) && !node_lookup(f->fs, &fuzz_caller, &root, folder, &top), "a folder");
	if (*name && !strchr(name, '/') && !node_lookup(f->fs, &fuzz_caller, &top, name, &found))
		node_list(f->fs, &fuzz_caller, &found, pass, NULL);
}

static void tag_folder(struct fuzz_fs *f, const char *name)
{
	struct node root, top, made;

	must(!node_resolve(f->fs, INO_ROOT, &root) && !node_lookup(f->fs, &fuzz_caller, &root, "by-tag", &top), "by-tag");
	if (!*name || strchr(name, '/') || node_mkdir(f->fs, &fuzz_caller, &top, name, 0755, &made))
		return;
	node_list(f->fs, &fuzz_caller, &top, pass, NULL);
	if (!node_rename(f->fs, &fuzz_caller, &top, name, &top, "renamed", 0))
		node_rmdir(f->fs, &fuzz_caller, &top, "renamed");
	node_rmdir(f->fs, &fuzz_caller, &top, name);
}

static void one(struct fuzz_fs *f, struct cursor *c)
{
	unsigned byte = cursor_u8(c), what = byte % 6;
	scope_free char *name = fuzz_line(c, 1000);
	scope_buf struct buf out = { 0 };
	size_t len;
	const uint8_t *value;

	switch (what) {
	case 0:
	case 1:
		len = cursor_u16(c);
		len = len < cursor_left(c) ? len : cursor_left(c);
		value = cursor_bytes(c, len);
		if (node_xattr_set(f->fs, &fuzz_caller, what ? &f->file : &f->scan, name, value, len,
				   (int)(byte / 6 % 3)) == 0)
			node_xattr_get(f->fs, &fuzz_caller, what ? &f->file : &f->scan, name, &out);
		break;
	case 2:
		node_xattr_remove(f->fs, &fuzz_caller, &f->scan, name);
		break;
	case 3:
		node_xattr_get(f->fs, &fuzz_caller, &f->scan, name, &out);
		node_xattr_list(f->fs, &fuzz_caller, &f->scan, &out);
		break;
	case 4:
		look(f, "search", name);
		break;
	default:
		tag_folder(f, name);
	}
}

void fuzz_one(const uint8_t *data, size_t size)
{
	struct fuzz_fs *f = fuzz_fs();
	struct cursor c = cursor_of(data, size);

	while (cursor_left(&c) && !cursor_failed(&c))
		one(f, &c);
	node_xattr_remove(f->fs, &fuzz_caller, &f->scan, "user.xdg.tags");
	node_xattr_remove(f->fs, &fuzz_caller, &f->scan, "user.xdg.comment");
}
