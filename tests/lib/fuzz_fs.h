/* fuzz_fs: a file system with one dataset (a folder with a file in it), for targets of what persons write into it. */
#ifndef TOMOFS_FUZZ_FS_H
#define TOMOFS_FUZZ_FS_H

#include <stdio.h>
#include <sys/stat.h>

#include "fs/node.h"
#include "fs/node_real.h"
#include "tests/lib/fuzz.h"

enum { FUZZ_FS_INPUTS = 3000 }; /* then it is made anew, for it keeps what was said */

static const struct caller fuzz_caller = { .uid = 1000, .gid = 100, .pid = 1, .user = "ada", .program = "test" };

struct fuzz_fs {
	struct fs *fs;
	struct node scan, file;
	struct dataset_row row;
	unsigned inputs;
	unsigned made;
};

static inline void fuzz_fs_make(struct fuzz_fs *f)
{
	struct fs_options options = { .cache_bytes = 4 << 20, .dense_after = UINT32_MAX, .settle_seconds = 100000 };
	char path[300];

	if (f->fs) {
		fs_close(f->fs);
		snprintf(path, sizeof path, "rm -rf '%s/store-%u'", fuzz_folder(), f->made);
		must(system(path) == 0, "the old store cannot be removed");
	}
	*f = (struct fuzz_fs){ .made = f->made + 1 };
	snprintf(path, sizeof path, "%s/store-%u", fuzz_folder(), f->made);
	options.store = path;
	must(!store_create(path) && !fs_open(&f->fs, &options), "the store cannot be made");
	must(!real_make(f->fs, &fuzz_caller, INO_DATASETS, "scan", S_IFDIR | 0755, "", &f->scan), "no folder");
	must(!real_make(f->fs, &fuzz_caller, f->scan.number, "a.txt", S_IFREG | 0644, "", &f->file), "no file");
	must(!catalog_dataset_of(f->fs->catalog, f->scan.number, &f->row), "no dataset");
}

static inline struct fuzz_fs *fuzz_fs(void)
{
	static struct fuzz_fs f;

	if (!f.fs || ++f.inputs > FUZZ_FS_INPUTS)
		fuzz_fs_make(&f);
	return &f;
}

#endif
