/* Packs are read: through the page cache and past it the same bytes come, whatever the disk refuses, and few files stay open. */
#include "store/packs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/check.h"
#include "tests/lib/faultio.h"
#include "tests/lib/random.h"

enum { BYTES = 700001, LEN_MAX = 200 << 10, MANY = 300, OPEN_MAX = 256, THREADS = 4 };

static uint8_t source[BYTES];
static const char *folder;

/* The file of a pack: any bytes, since reading does not look at them. */
static void write_pack(struct pack_name name, size_t len)
{
	char text[PACK_NAME_MAX], path[512];
	FILE *f;

	pack_name_text(name, text);
	snprintf(path, sizeof path, "%s/%s", folder, text);
	f = fopen(path, "w");
	CHECK(f && fwrite(source, 1, len, f) == len && fclose(f) == 0);
}

static struct packs *open_packs(const struct io *io, uint32_t count)
{
	struct packs *packs = NULL;
	uint32_t index;

	CHECK_RC(packs_new(&packs, io, folder));
	for (uint32_t i = 0; i < count; i++) {
		CHECK_RC(packs_add(packs, (struct pack_name) { 1, i + 1 }, 1000 + i, NULL, &index));
		CHECK(index == i);
	}
	return packs;
}

static uint8_t *new_room(size_t len)
{
	void *room = NULL;

	CHECK(posix_memalign(&room, PACKS_ALIGN, packs_room(len) + 1) == 0);
	((uint8_t *)room)[packs_room(len)] = 0xa5;
	return room;
}

/* One fetch into a room that begins `shift` bytes behind a page. */
static int fetch(struct packs *packs, uint32_t index, uint64_t off, size_t len, size_t shift)
{
	uint8_t *room = new_room(len + shift);
	const uint8_t *bytes = NULL;
	uint64_t seed = 0;
	int rc = packs_fetch(packs, index, off, room + shift, len, &bytes, &seed);

	CHECK(rc || (seed == 1000 + index && memcmp(bytes, source + off, len) == 0));
	CHECK(room[packs_room(len + shift)] == 0xa5);
	free(room);
	return rc;
}

static void test_all_places(void)
{
	struct packs *packs = open_packs(&io_system, 1);
	uint8_t *bytes = malloc(LEN_MAX);
	uint64_t random = 1, seed;

	for (int i = 0; i < 200; i++) {
		size_t len = 1 + random_below(&random, LEN_MAX);
		uint64_t off = i % 8 ? random_below(&random, BYTES - len) : BYTES - len;

		CHECK_RC(fetch(packs, 0, off, len, i % 16 == 5 ? 24 : 0));
		CHECK_RC(packs_read(packs, 0, off, bytes, len, &seed));
		CHECK(memcmp(bytes, source + off, len) == 0);
	}
	CHECK(fetch(packs, 0, BYTES - LEN_MAX + 1, LEN_MAX, 0) == -EBADMSG && strstr(err_text(), "0000000001-0000000001.pack"));
	CHECK(fetch(packs, 0, BYTES + 9000, LEN_MAX, 0) == -EBADMSG);
	free(bytes);
	packs_free(packs);
}

/* What the disk refuses once is asked for in the other way; what it always refuses is an error. */
static void test_faults(void)
{
	struct faultio *f = faultio_new();
	struct packs *packs = open_packs(faultio_io(f), 1);
	uint64_t before;

	faultio_fail(f, FAULT_OPEN, 2, EINVAL);
	CHECK_RC(fetch(packs, 0, 5000, LEN_MAX, 0));
	packs_free(packs);

	packs = open_packs(faultio_io(f), 1);
	faultio_fail(f, FAULT_OPEN, 1, EMFILE);
	CHECK(fetch(packs, 0, 5000, LEN_MAX, 0) == -EMFILE);
	faultio_fail(f, FAULT_READ, 1, EIO);
	CHECK_RC(fetch(packs, 0, 5000, LEN_MAX, 0));
	faultio_fail_from(f, FAULT_READ, 1, EIO);
	CHECK(fetch(packs, 0, 5000, LEN_MAX, 0) == -EIO);
	faultio_reset(f);
	faultio_fail(f, FAULT_READ, 1, EINVAL); /* from now on it is not tried again */
	CHECK_RC(fetch(packs, 0, 5000, LEN_MAX, 0));
	before = faultio_calls(f, FAULT_READ);
	CHECK_RC(fetch(packs, 0, 5000, LEN_MAX, 0));
	CHECK(faultio_calls(f, FAULT_READ) == before + 1);
	packs_free(packs);

	packs = open_packs(faultio_io(f), 1);
	faultio_short(f, 1000);
	CHECK_RC(fetch(packs, 0, 5000, LEN_MAX, 0));
	packs_free(packs);
	faultio_free(f);
}

/* Without a descriptor for one more pack that of another one that nobody reads is given up. */
static void test_no_descriptor(void)
{
	struct faultio *f = faultio_new();
	struct packs *packs;

	for (uint64_t i = 0; i < 3; i++)
		write_pack((struct pack_name) { 1, i + 1 }, 80000);
	packs = open_packs(faultio_io(f), 3);
	CHECK_RC(fetch(packs, 0, 5000, 70000, 0));
	CHECK_RC(fetch(packs, 1, 5000, 70000, 0));
	for (uint32_t i = 0; i < 12; i++) {
		faultio_fail(f, FAULT_OPEN, 1, i % 2 ? EMFILE : ENFILE);
		CHECK_RC(fetch(packs, (i + 2) % 3, 100, 70000, 0));
	}
	packs_free(packs);
	faultio_free(f);
}

static size_t open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void *read_many(void *arg)
{
	struct packs *packs = arg;
	uint64_t random = (uintptr_t)&random;

	for (int i = 0; i < 600; i++) {
		uint32_t index = (uint32_t)random_below(&random, MANY);

		CHECK_RC(fetch(packs, index, random_below(&random, 9000), 1000 + 70000 * (i % 2), 0));
	}
	return NULL;
}

static void test_many(void)
{
	struct packs *packs;
	pthread_t threads[THREADS];
	size_t before = open_files();

	for (uint64_t i = 0; i < MANY; i++)
		write_pack((struct pack_name) { 1, i + 1 }, 80000);
	packs = open_packs(&io_system, MANY);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, read_many, packs) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (uint32_t i = 0; i < MANY; i++)
		CHECK_RC(fetch(packs, i, 100, 79000, 0));
	CHECK(open_files() <= before + 2 * OPEN_MAX && open_files() >= before + OPEN_MAX);
	packs_free(packs);
	CHECK(open_files() == before);
}

int main(void)
{
	folder = check_tmpdir();
	random_fill(source, sizeof source, 7);
	write_pack((struct pack_name) { 1, 1 }, BYTES);
	test_all_places();
	test_faults();
	test_no_descriptor();
	test_many();
	return check_done();
}
