/* The words that a store keeps for its mounts: what is written is read, all else in tomofs.json stays, damage is said. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/settings_words.h"
#include "store/store.h"
#include "tests/lib/check.h"

static void check_words(const char *store, const char *wanted)
{
	scope_buf struct buf words = { 0 };

	CHECK_RC(settings_words_read(store, &words));
	CHECK(strcmp(buf_text(&words), wanted) == 0);
}

int main(void)
{
	static const char *const lists[] = { "keep=60d", "keep=1d,protect=ready", "", "\xc3\xa4\"\\" };
	scope_buf struct buf words = { 0 };
	struct store_options options = { .threads = 1 };
	struct store *store;
	char path[512], file[600];
	FILE *f;

	snprintf(path, sizeof path, "%s/store", check_tmpdir());
	CHECK(settings_words_read(path, &words) == -ENOENT);
	CHECK(settings_words_write(path, "keep=1d") == -ENOENT);
	CHECK_RC(store_create(path));
	check_words(path, "");
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		CHECK_RC(settings_words_write(path, lists[i]));
		check_words(path, lists[i]);
		CHECK_RC(store_open(&store, path, &options));
		store_close(store);
	}
	CHECK(settings_words_write(path, "\xff") == -EINVAL);
	check_words(path, lists[3]);
	snprintf(file, sizeof file, "%s/tomofs.json", path);
	f = fopen(file, "w");
	fputs("{\"mount_options\": \"keep=", f);
	fclose(f);
	CHECK(settings_words_read(path, &words) == -EINVAL);
	CHECK(settings_words_write(path, "keep=1d") == -EINVAL);
	return check_done();
}
