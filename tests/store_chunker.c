/* Where streams are cut: by content, and in pixels on slices and rows. */
#include "store/chunker.h"

#include <stdlib.h>
#include <string.h>

#include "tests/lib/check.h"
#include "tests/lib/random.h"

/* Cuts len bytes that stand at off; calls back with each chunk. Returns how many there were. */
static size_t cut_all(const struct chunk_plan *plan, uint64_t off, const uint8_t *data, size_t len, size_t *lengths,
		      size_t room)
{
	size_t count = 0;

	while (len && count < room) {
		size_t n = chunker_cut(plan, off, data, len, true);

		CHECK(n > 0 && n <= len && n <= CHUNK_MAX);
		if (!n)
			break;
		lengths[count++] = n;
		off += n;
		data += n;
		len -= n;
	}
	CHECK(!len);
	return count;
}

static uint8_t *random_bytes(size_t len, uint64_t seed)
{
	uint8_t *bytes = malloc(len);

	random_fill(bytes, len, seed);
	return bytes;
}

static void test_content(void)
{
	enum { LEN = 24 << 20, SHIFT = 777 };
	uint8_t *data = random_bytes(LEN, 1);
	size_t a[256], b[256], na, nb, at = 0, end = 0, same = 0;

	na = cut_all(NULL, 0, data, LEN, a, 256);
	for (size_t i = 0; i + 1 < na; i++)
		CHECK(a[i] > CHUNK_MIN);
	CHECK(na > LEN / CHUNK_AVG / 2 && na < LEN / CHUNK_AVG * 2);

	/* Without its first bytes the stream soon has the same borders. */
	nb = cut_all(NULL, 99, data + SHIFT, LEN - SHIFT, b, 256);
	for (size_t i = 0, j = 0; i < na; i++) {
		at += a[i];
		while (j < nb && end + SHIFT < at)
			end += b[j++];
		same += end + SHIFT == at;
	}
	CHECK(same + 4 >= na);
	free(data);
}

/* The border does not depend on how much follows it, and 0 is said only where the header allows it. */
static void test_more_needed(void)
{
	uint8_t *data = random_bytes(CHUNK_MAX, 2);
	size_t whole = chunker_cut(NULL, 0, data, CHUNK_MAX, false);

	CHECK(whole > CHUNK_MIN && whole < CHUNK_MAX);
	CHECK(chunker_cut(NULL, 0, data, whole, false) == whole);
	CHECK(chunker_cut(NULL, 12345, data, whole + 1, true) == whole);
	CHECK(chunker_cut(NULL, 0, data, whole - 1, false) == 0);
	CHECK(chunker_cut(NULL, 0, data, whole - 1, true) == whole - 1);
	CHECK(chunker_cut(NULL, 0, data, 1, false) == 0);
	CHECK(chunker_cut(NULL, 0, data, 1, true) == 1);
	CHECK(chunker_cut(NULL, 0, data, CHUNK_MIN, true) == CHUNK_MIN);
	free(data);
}

/* A constant area must not be cut to pieces, whatever its value. */
static void test_constant(void)
{
	uint8_t *data = malloc(CHUNK_MAX);

	for (int value = 0; value < 256; value += 5) {
		memset(data, value, CHUNK_MAX);
		CHECK(chunker_cut(NULL, 0, data, CHUNK_MAX, false) == CHUNK_MAX);
	}
	free(data);
}

/* The format fixes the borders: a change of the table or the bits would end deduplication with what is stored. */
static void test_known_borders(void)
{
	static const size_t known[] = { 394154, 558676, 594865, 664587, 700999, 562765, 585179, 133079 };
	uint8_t *data = random_bytes(4 << 20, 3);
	size_t lengths[64];

	cut_all(NULL, 0, data, 4 << 20, lengths, 64);
	CHECK(memcmp(lengths, known, sizeof known) == 0);
	free(data);
}

static const struct plan_example {
	struct chunk_plan plan;
	size_t chunks_a_slice; /* 0: not looked at */
} plans[] = {
	{ { 8, 2048 * 2048 * 2, 3, 4096, 2 }, 16 },
	{ { 4096, 512 * 512 * 2, 5, 1024, 2 }, 1 },
	{ { 0, 1500 * 900 * 2, 2, 3000, 2 }, 5 },
	{ { 777, 200 * 200, 40, 200, 1 }, 1 },
	{ { 300000, 100 * 3000 * 4 + 1, 2, 12000, 4 }, 2 },
	{ { 5, 3 * 700000, 2, 700000, 4 }, 3 },
	{ { 64, 2 * 5000000 * 2, 2, 10000000, 2, .samples = 3 }, 40 },
	{ { 64, 64, 1000, 8, 1 }, 0 },
	{ { 10, 6000, 3, 9000, 1 }, 1 }, /* a row longer than the slice */
	{ { 10, 6000000, 2, 9000000, 8, .samples = 1 }, 12 },
};

static bool is_border(const struct chunk_plan *p, uint64_t pos)
{
	uint64_t in_row = pos % p->slice_bytes % p->row_bytes;
	uint64_t pixel = p->sample_bytes * (p->samples ? p->samples : 1u);

	return in_row == 0 || (p->row_bytes > CHUNK_MAX && in_row % pixel == 0);
}

static bool is_grouped(const struct chunk_plan *p)
{
	return p->slice_bytes < 4096 || p->slice_bytes == p->row_bytes;
}

static void test_plan(const struct plan_example *example)
{
	const struct chunk_plan *p = &example->plan;
	uint64_t first = p->first_pixel, end = first + p->slice_bytes * p->slices, off = 0;
	size_t len = (size_t)end + 100000, count, starts = 0, in_first = 0;
	uint8_t *data = random_bytes(len, 4);
	size_t *lengths = calloc(4096, sizeof *lengths);

	count = cut_all(p, 0, data, len, lengths, 4096);
	for (size_t i = 0; i < count; off += lengths[i++]) {
		CHECK(chunker_in_pixels(p, off) == (off >= first && off < end));
		if (off < first || off >= end) {
			CHECK(off >= end || off + lengths[i] <= first);
			continue;
		}
		CHECK(off + lengths[i] <= end);
		CHECK(is_border(p, off - first));
		CHECK(chunker_border(p, off) == (is_grouped(p) ? 0 : off + lengths[i]));
		starts += (off - first) % p->slice_bytes == 0;
		in_first += off - first < p->slice_bytes;
		/* as soon as the bytes are there, and not before */
		CHECK(chunker_cut(p, off, data + off, lengths[i], false) == lengths[i]);
		CHECK(chunker_cut(p, off, data + off, lengths[i] - 1, false) == 0);
		/* one that starts in the middle ends at the same border */
		CHECK(chunker_cut(p, off + 1, data + off + 1, lengths[i], false) == lengths[i] - 1 || lengths[i] == 1);
	}
	if (example->chunks_a_slice) {
		CHECK(starts == p->slices);
		CHECK(in_first == example->chunks_a_slice);
	}
	free(lengths);
	free(data);
}

/* The same slice in a file of its own, in a stack, and behind another header. */
static void test_same_slice(void)
{
	struct chunk_plan alone = { 8, 3000 * 2000, 1, 6000, 2 }, stack = { 5000, 3000 * 2000, 9, 6000, 2 };
	uint8_t *data = random_bytes(3000 * 2000, 5);
	size_t a[32], b[32], na, nb;

	na = cut_all(&alone, 8, data, 3000 * 2000, a, 32);
	nb = cut_all(&stack, 5000 + 7 * 3000 * 2000, data, 3000 * 2000, b, 32);
	CHECK(na == nb && memcmp(a, b, na * sizeof *a) == 0);
	free(data);
}

/* Slices too small for a chunk each, and rows without slices: whole ones, and the same chunks soon after a crop. */
static void test_groups(void)
{
	static const struct {
		uint64_t slice;
		uint32_t row;
	} shapes[] = { { 1200, 60 }, { 4095, 4095 }, { 7000, 7000 }, { CHUNK_MIN, CHUNK_MIN }, { 3, 1 } };
	enum { LEN = 24 << 20 };
	uint8_t *data = random_bytes(LEN, 8);
	size_t a[256], b[256];

	for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
		uint64_t slice = shapes[i].slice, count = LEN / slice, skip = count / 7, at = 0, end = skip * slice;
		struct chunk_plan whole = { 10, slice, count, shapes[i].row, 1 };
		struct chunk_plan crop = { 999, slice, count - skip, shapes[i].row, 1 };
		size_t na = cut_all(&whole, 10, data, count * slice, a, 256), same = 0;
		size_t nb = cut_all(&crop, 999, data + end, (count - skip) * slice, b, 256);

		CHECK(na > LEN / CHUNK_MAX && na < LEN / CHUNK_MIN);
		for (size_t k = 0, j = 0; k < na; k++) {
			CHECK(a[k] % slice == 0);
			CHECK(a[k] > CHUNK_MIN - slice || k == na - 1);
			at += a[k];
			while (j < nb && end < at)
				end += b[j++];
			same += end == at;
		}
		CHECK(same > na / 2);
		/* more than the header says is content-defined again */
		crop.slices = 1;
		CHECK(chunker_cut(&crop, 999, data, LEN, false) == slice);
	}
	free(data);
}

/* Whatever a header claims: an answer, within bounds, in little time. */
static void test_hostile_plans(void)
{
	static const uint64_t numbers[] = { 0,	       1, 2, 7, 4095, 4096, 1 << 20, UINT64_C(1) << 32, UINT64_MAX / 2,
					    UINT64_MAX };
	enum { NUMBERS = sizeof numbers / sizeof *numbers };
	uint8_t *data = random_bytes(CHUNK_MAX, 6);

	uint64_t seed = 7;

	for (size_t i = 0; i < 500; i++) {
		struct chunk_plan p = {
			.first_pixel = numbers[random_below(&seed, NUMBERS)],
			.slice_bytes = numbers[random_below(&seed, NUMBERS)],
			.slices = numbers[random_below(&seed, NUMBERS)],
			.row_bytes = (uint32_t)numbers[random_below(&seed, NUMBERS)],
			.sample_bytes = (uint8_t)numbers[random_below(&seed, 5)],
			.samples = (uint8_t)numbers[random_below(&seed, 5)],
		};
		uint64_t off = numbers[random_below(&seed, NUMBERS)];
		size_t len = 1 + (size_t)random_below(&seed, CHUNK_MAX), n = chunker_cut(&p, off, data, len, true);

		CHECK(n >= 1 && n <= len);
		n = chunker_cut(&p, off, data, CHUNK_MAX, false);
		CHECK(n >= 1 && n <= CHUNK_MAX);
	}
	free(data);
}

int main(void)
{
	test_content();
	test_more_needed();
	test_constant();
	test_known_borders();
	for (size_t i = 0; i < sizeof plans / sizeof *plans; i++)
		test_plan(&plans[i]);
	test_same_slice();
	test_groups();
	test_hostile_plans();
	return check_done();
}
