/*
 * LMDB's file, changed by one who knows its format and our checksums. u8 how: 1 the file is opened as a whole, written
 * and committed (else it is only walked, in memory); 2 checksums of values are made to fit. Then changes of a file with a
 * few hundred entries, in branch, leaf and overflow pages, and a list of free pages: u8 page, u16 offset in it, u8 length,
 * bytes. Length 0: the file ends there.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "index/kv_internal.h"
#include "store/err.h"
#include "tests/lib/fuzz.h"

const unsigned fuzz_failing_allocations = 0; /* the index ends the process without memory */

enum { ENTRIES = 300, WHOLE = 1, FIT = 2, PAGE = 4096, FILE_MOST = 1 << 20 };

static uint8_t base[FILE_MOST];
static size_t base_len;
static struct place { /* of a value behind its checksum */
	uint32_t key_at, key_len, value_at, value_len;
} places[2 * ENTRIES];
static size_t place_count;

static void put_some(struct kv *kv, unsigned from, unsigned to, size_t len)
{
	static const uint8_t value[9000] = { 1, 2, 3 };
	char key[32];

	kv_write_begin(kv);
	for (unsigned i = from; i < to; i++) {
		snprintf(key, sizeof key, "key-%03u-%.*s", i, (int)(i % 20), "xxxxxxxxxxxxxxxxxxxx");
		kv_put(kv, key, strlen(key), value, i % 50 ? len : sizeof value);
	}
	kv_write_end(kv);
	must(kv_commit(kv) == 0, "the file cannot be made");
}

static void delete_some(struct kv *kv)
{
	char key[32];

	kv_write_begin(kv);
	for (unsigned i = 50; i < 90; i++) {
		snprintf(key, sizeof key, "key-%03u-%.*s", i, (int)(i % 20), "xxxxxxxxxxxxxxxxxxxx");
		kv_del(kv, key, strlen(key));
	}
	kv_write_end(kv);
	must(kv_commit(kv) == 0, "the file cannot be made");
}

/* Where the values are, so that their checksums can be made to fit. */
static void learn_places(void)
{
	struct pages pages = { base, base_len, PAGE };
	struct meta a, b;
	struct walk w;
	struct stored_entry e;

	must(!meta_parse(base, &a) && !meta_parse(base + PAGE, &b), "metas");
	walk_init(&w, &pages, a.txn > b.txn ? &a.main : &b.main);
	must(walk_seek(&w, (struct bytes){ 0 }) == 0, "the beginning");
	while (walk_next(&w, &e) == 1 && place_count < 2 * ENTRIES)
		places[place_count++] = (struct place){ (uint32_t)(e.key.at - base), (uint32_t)e.key.len,
							(uint32_t)(e.data.at - base), (uint32_t)e.data.len };
	must(place_count > 200, "entries");
}

static void make_base(void)
{
	char path[300], file[320];
	struct kv *kv = NULL;
	int fd;
	ssize_t n;

	snprintf(path, sizeof path, "%s/base", fuzz_folder());
	snprintf(file, sizeof file, "%s/data.mdb", path);
	must(kv_open(&kv, path, FILE_MOST) == 0, "the file cannot be made");
	put_some(kv, 0, ENTRIES, 30);
	put_some(kv, 100, 140, 60);
	delete_some(kv);
	kv_close(kv);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : pread(fd, base, sizeof base, 0);
	must(n > 10 * PAGE && n < FILE_MOST, "the file cannot be read");
	close(fd);
	base_len = (size_t)n;
	learn_places();
}

static size_t change(uint8_t *file, struct cursor *c)
{
	size_t len = base_len;

	while (cursor_left(c) >= 4) {
		size_t at = (size_t)cursor_u8(c) * PAGE, n;

		at += cursor_u16(c) % PAGE;
		n = cursor_u8(c);
		if (!n)
			len = at < len ? at : len;
		n = n < cursor_left(c) ? n : cursor_left(c);
		if (n && at + n <= base_len)
			memcpy(file + at, cursor_bytes(c, n), n);
	}
	return len;
}

static void fit_checks(uint8_t *file)
{
	for (size_t i = 0; i < place_count; i++) {
		const struct place *p = &places[i];
		uint64_t check = stored_check((struct bytes){ file + p->key_at, p->key_len },
					      file + p->value_at + STORED_CHECK, p->value_len - STORED_CHECK);

		for (int k = 0; k < STORED_CHECK; k++)
			file[p->value_at + k] = (uint8_t)(check >> 8 * k);
	}
}

static void walk_all(const struct pages *pages, const struct tree *tree, bool ordered)
{
	struct stored_entry e;
	struct bytes value;
	struct walk w;
	size_t steps = 0;
	int rc;

	walk_init(&w, pages, tree);
	w.ordered = ordered;
	rc = walk_seek(&w, (struct bytes){ 0 });
	while (!rc && (rc = walk_next(&w, &e)) != 0) {
		if (rc == 1)
			stored_value(&e, &value);
		rc = 0;
		if (++steps > 100000) /* of a tree that branches into itself; kv_open() has its own limit */
			break;
	}
	for (unsigned i = 0; i < ENTRIES && ordered; i += 7) {
		char key[32];

		snprintf(key, sizeof key, "key-%03u-%.*s", i, (int)(i % 20), "xxxxxxxxxxxxxxxxxxxx");
		rc = walk_seek(&w, (struct bytes){ (const uint8_t *)key, strlen(key) });
		if (rc >= 0)
			walk_check_way(&w, i & 1);
		if (rc == 1)
			walk_next(&w, &e);
	}
}

static void in_memory(const uint8_t *file, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* of its own length: a sanitizer sees each byte read too much */
	struct meta meta;

	memcpy(copy, file, len);
	for (size_t at = 0; at <= PAGE; at += PAGE)
		if (len >= at + META_BYTES && !meta_parse(copy + at, &meta)) {
			struct pages pages = { copy, len, meta.page_size };

			walk_all(&pages, &meta.main, true);
			walk_all(&pages, &meta.free, false);
		}
	free(copy);
}

static void use(struct kv *kv)
{
	scope_buf struct buf value = { 0 };
	const uint8_t *k, *v;
	size_t k_len, v_len, count = 0;
	struct kv_cursor *cursor;

	kv_read_begin(kv);
	kv_get(kv, "key-000-", 8, &value);
	cursor = kv_seek(kv, "key-1", 5, "", 0);
	while (kv_next(cursor, &k, &k_len, &v, &v_len) != 0 && ++count < 2 * ENTRIES)
		;
	kv_cursor_free(cursor);
	kv_read_end(kv);
	kv_write_begin(kv);
	kv_put(kv, "key-000-", 8, "new", 3);
	kv_put(kv, "key-150", 7, base, 5000);
	kv_del(kv, "key-200-", 8);
	kv_del(kv, "key-250-xxxxxxxxxx", 18);
	kv_write_end(kv);
	kv_commit(kv);
	kv_read_begin(kv);
	if (kv_get(kv, "key-000-", 8, &value) == 0)
		must(value.len == 3 && !memcmp(value.data, "new", 3), "what was put is not there");
	kv_read_end(kv);
}

static void as_file(const uint8_t *file, size_t len)
{
	char path[300], name[320];
	struct kv *kv = NULL;

	snprintf(path, sizeof path, "%s/try", fuzz_folder());
	mkdir(path, 0700);
	snprintf(name, sizeof name, "%s/lock.mdb", path);
	unlink(name);
	snprintf(name, sizeof name, "%s/data.mdb", path);
	fuzz_write_file(name, file, len);
	if (kv_open(&kv, path, FILE_MOST) == 0) {
		use(kv);
		kv_close(kv);
	}
}

void fuzz_one(const uint8_t *data, size_t size)
{
	static uint8_t file[FILE_MOST];
	struct cursor c = cursor_of(data, size);
	unsigned how = cursor_u8(&c);
	size_t len;

	if (!base_len)
		make_base();
	memcpy(file, base, base_len);
	len = change(file, &c);
	if (how & FIT)
		fit_checks(file);
	if (how & WHOLE)
		as_file(file, len);
	else
		in_memory(file, len);
}
