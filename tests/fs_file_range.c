/*
 * fallocate and holes: random writes, truncations and ranges that become zero, beside the same in memory, with commits and another
 * opening of the store in between; and what SEEK_DATA and SEEK_HOLE say is no lie: there is no byte but 0 in what they call a hole.
 */
#include <errno.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>

#include "fs/fs.h"
#include "tests/lib/file_lab.h"
#include "tests/lib/random.h"

enum { MOST = 6 << 20, STEPS = 120 };

struct model {
	struct rig *rig;
	uint64_t ino, random;
	struct file *file;
	uint8_t *bytes, *back;
	size_t size;
};

static uint32_t below(struct model *m, uint32_t n)
{
	return n ? (uint32_t)random_below(&m->random, n) : 0;
}

static void grow(struct model *m, size_t size)
{
	if (size > m->size) {
		memset(m->bytes + m->size, 0, size - m->size);
		m->size = size;
	}
}

static void step_write(struct model *m, size_t off, size_t len)
{
	grow(m, off + len);
	for (size_t i = 0; i < len; i++)
		m->bytes[off + i] = (uint8_t)(1 + below(m, 255));
	CHECK(file_write(m->file, &caller_self, off, m->bytes + off, len, false) == (int64_t)len);
}

static void step_range(struct model *m, int mode, size_t off, size_t len)
{
	if (!len)
		return;
	CHECK_RC(file_allocate(m->file, &caller_self, mode, off, len));
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		grow(m, off + len);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) && off < m->size)
		memset(m->bytes + off, 0, (len < m->size - off ? len : m->size - off));
}

static void check_holes(struct model *m)
{
	uint64_t at = 0;

	while (at < m->size) {
		int64_t data = file_seek(m->file, at, SEEK_DATA), hole;
		uint64_t until = data < 0 ? m->size : (uint64_t)data;

		CHECK(data >= (int64_t)at || data == -ENXIO);
		for (; at < until; at++)
			if (m->bytes[at]) {
				CHECK(!"a hole holds only zeros");
				return;
			}
		if (data < 0)
			break;
		hole = file_seek(m->file, at, SEEK_HOLE);
		CHECK(hole > (int64_t)at && hole <= (int64_t)m->size);
		if (hole <= (int64_t)at)
			return;
		at = (uint64_t)hole;
	}
	CHECK(file_seek(m->file, m->size, SEEK_HOLE) == -ENXIO && file_seek(m->file, m->size, SEEK_DATA) == -ENXIO);
}

static void check_same(struct model *m)
{
	CHECK(file_read(m->file, 0, m->back, MOST + 1) == (int64_t)m->size);
	CHECK(memcmp(m->bytes, m->back, m->size) == 0);
	check_holes(m);
}

static void step_reopen(struct model *m)
{
	CHECK_RC(file_fsync(m->file, &caller_self));
	CHECK_RC(file_release(m->file, &caller_self, true));
	if (!below(m, 4)) {
		rig_close(m->rig);
		rig_open(m->rig);
	}
	CHECK_RC(file_open(m->rig->files, m->ino, true, &m->file));
}

static void step(struct model *m)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE };
	size_t off = below(m, MOST), len = below(m, below(m, 3) ? 3 << 20 : 9000);

	if (len > MOST - off)
		len = MOST - off;
	switch (below(m, 10)) {
	case 0:
		CHECK_RC(file_truncate(m->file, &caller_self, off));
		grow(m, off);
		m->size = off;
		break;
	case 1:
		step_reopen(m);
		break;
	case 2:
	case 3:
	case 4:
		step_write(m, off, len);
		break;
	default:
		step_range(m, modes[below(m, sizeof modes / sizeof *modes)], off, len);
	}
}

static void check_model(uint64_t seed)
{
	struct rig rig = { .cache_bytes = 32 << 20 };
	struct model m = { .rig = &rig, .random = seed, .bytes = calloc(1, MOST + 1), .back = malloc(MOST + 1) };
	char name[32];

	snprintf(name, sizeof name, "store-%llu", (unsigned long long)seed);
	rig_new(&rig, name);
	m.ino = make_file(&rig, "f.bin");
	CHECK_RC(file_open(rig.files, m.ino, true, &m.file));
	for (int i = 0; i < STEPS; i++) {
		step(&m);
		if (i % 10 == 9)
			check_same(&m);
	}
	CHECK_RC(file_release(m.file, &caller_self, true));
	rig_close(&rig);
	free(m.bytes);
	free(m.back);
}

/* What a punched range held is no longer named; what is refused changes nothing. */
static void check_edges(void)
{
	struct rig rig = { 0 };
	struct file *f;
	struct content c;
	size_t len = 4 << 20;
	scope_free uint8_t *bytes = malloc(len);
	uint64_t ino, named = 0;

	rig_new(&rig, "edges");
	ino = make_file(&rig, "f.bin");
	random_fill(bytes, len, 5);
	CHECK_RC(file_open(rig.files, ino, true, &f));
	CHECK(file_write(f, &caller_self, 0, bytes, len, false) == (int64_t)len);
	CHECK(file_allocate(f, &caller_self, FALLOC_FL_COLLAPSE_RANGE, 0, 4096) == -EOPNOTSUPP);
	CHECK(file_allocate(f, &caller_self, FALLOC_FL_PUNCH_HOLE, 0, 4096) == -EOPNOTSUPP);
	CHECK(file_allocate(f, &caller_self, 0, 0, 0) == -EINVAL);
	CHECK(file_allocate(f, &caller_self, 0, 16ULL << 40, 1) == -EFBIG);
	CHECK(file_allocate(f, &caller_self, FALLOC_FL_KEEP_SIZE, 0, 15ULL << 40) == -ENOSPC);
	CHECK(file_seek(f, 0, SEEK_HOLE) == (int64_t)len);
	CHECK_RC(file_allocate(f, &caller_self, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, len - 200));
	CHECK_RC(file_release(f, &caller_self, true));
	CHECK_RC(files_settle(rig.files));
	CHECK_RC(catalog_content(rig.catalog, ino, &c));
	CHECK(c.size == len && c.sha256_known);
	for (uint32_t i = 0; i < c.count && !c.depth; i++)
		named += key_is_hole(&c.extents[i].key) ? 0 : c.extents[i].len;
	CHECK(!c.depth && named < len / 2);
	rig_close(&rig);
}

int main(void)
{
	check_edges();
	for (uint64_t seed = 1; seed <= 2; seed++)
		check_model(seed);
	return check_done();
}
