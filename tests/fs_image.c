/* Sources, findings, the format table and raw volumes. */

#include "fs/image/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/check.h"

static void test_sources(void)
{
	static const char bytes[] = "0123456789";
	struct source memory = source_of_memory(bytes, 10), file;
	char path[300], got[16] = "";
	int fd;

	CHECK(memory.size == 10);
	CHECK_RC(source_read(&memory, 3, got, 4));
	CHECK(!memcmp(got, "3456", 4));
	CHECK_RC(source_read(&memory, 10, got, 0));
	CHECK(source_read(&memory, 8, got, 3) == -EBADMSG);
	CHECK(source_read(&memory, UINT64_MAX, got, 1) == -EBADMSG);
	source_close(&memory);

	snprintf(path, sizeof path, "%s/digits", check_tmpdir());
	fd = open(path, O_RDWR | O_CREAT, 0600);
	CHECK(write(fd, bytes, 10) == 10);
	CHECK_RC(source_of_fd(&file, fd));
	CHECK(file.size == 10);
	CHECK_RC(source_read(&file, 6, got, 4));
	CHECK(!memcmp(got, "6789", 4));
	CHECK(source_read(&file, 6, got, 5) == -EBADMSG);
	CHECK(source_read(&file, UINT64_MAX - 2, got, 5) == -EBADMSG);
	source_close(&file);
	CHECK(source_of_fd(&file, -1) == -EBADF);
}

static void test_findings(void)
{
	static char longest[20000];
	struct findings f scope_findings = { 0 };

	findings_add(&f, "instrument", "  v|tome|x \xb5\x43T\r\n", "[General] SystemName", "v|tome|x \xb5\x43T");
	CHECK(!strcmp(findings_get(&f, "instrument"), "v|tome|x \302\265CT"));
	findings_add(&f, "sample", " \t ", "k", "t");
	CHECK(findings_get(&f, "sample") == NULL);
	findings_add(&f, "title", "a\001b\nc", NULL, NULL);
	CHECK(!strcmp(findings_get(&f, "title"), "a b c"));
	CHECK(!strcmp(f.list[1].vendor_key, "") && !strcmp(f.list[1].vendor_text, ""));
	findings_add_number(&f, "voltage_kV", 80.5, "kV", "80,5");
	CHECK(!strcmp(findings_get(&f, "voltage_kV"), "80.5"));
	findings_add_number(&f, "current_uA", 1.0 / 0.0, "uA", "inf");
	CHECK(findings_get(&f, "current_uA") == NULL);
	findings_add(&f, "voltage_kV", "90", "kV", "90");
	CHECK(!strcmp(findings_get(&f, "voltage_kV"), "80.5"));
	for (size_t i = 0; i + 3 < sizeof longest; i += 2)
		memcpy(longest + i, "\303\251", 2);
	findings_add(&f, "description", longest, "k", "t");
	CHECK(strlen(findings_get(&f, "description")) == 4096);
	for (int i = 0; i < 1000; i++)
		findings_add(&f, "keywords", "x", "k", "t");
	CHECK(f.count == 512);
	findings_free(&f);
	CHECK(f.count == 0 && f.list == NULL);
}

static void test_raw(void)
{
	/* 2 slices of 2 x 3 big-endian 16-bit samples behind a header of 5 bytes */
	uint8_t bytes[5 + 24];
	struct source src = source_of_memory(bytes, sizeof bytes);
	struct geometry geo = {
		.format = IMAGE_RAW,
		.type = VOXEL_U16,
		.samples = 1,
		.big_endian = true,
		.width = 3,
		.height = 2,
		.depth = 2,
		.offset = 5,
	};
	struct image *image = NULL;
	uint16_t rows[6];

	memset(bytes, 0xee, 5);
	for (unsigned i = 0; i < 12; i++) {
		bytes[5 + 2 * i] = (uint8_t)i;
		bytes[6 + 2 * i] = (uint8_t)(0xa0 + i);
	}
	CHECK_RC(image_open(&image, &src, &geo));
	for (uint64_t page = 0; page < 2; page++)
		for (uint64_t row = 0; row < 2; row++) {
			CHECK_RC(image_read_rows(image, page, row, 1, rows));
			for (unsigned x = 0; x < 3; x++) {
				unsigned i = (unsigned)(page * 6 + row * 3) + x;

				CHECK(rows[x] == (i << 8 | (0xa0 + i)));
			}
		}
	CHECK_RC(image_read_rows(image, 1, 0, 2, rows));
	CHECK(rows[5] == (11 << 8 | (0xa0 + 11)));
	CHECK_RC(image_read_rows(image, 1, 2, 0, rows));
	CHECK(image_read_rows(image, 2, 0, 1, rows) == -EINVAL);
	CHECK(image_read_rows(image, 0, 1, 2, rows) == -EINVAL);
	CHECK(image_read_rows(image, 0, UINT64_MAX, 2, rows) == -EINVAL);
	image_close(image);

	geo.big_endian = false;
	CHECK_RC(image_open(&image, &src, &geo));
	CHECK_RC(image_read_rows(image, 0, 0, 1, rows));
	CHECK(rows[1] == (0xa1 << 8 | 1));
	image_close(image);
	image_close(NULL);

	geo.offset = 6; /* one byte too far */
	CHECK(image_open(&image, &src, &geo) == -EBADMSG);
	CHECK(strstr(err_text(), "ends too early: 3 x 2 x 2 uint16 pixels from byte 6 on need 24 bytes") != NULL);
	geo.offset = 0;
	geo.depth = 1ULL << 31;
	CHECK(image_open(&image, &src, &geo) == -EBADMSG);
	source_close(&src);
}

static int64_t fails(void *ctx, uint64_t off, void *to, size_t len)
{
	(void)ctx, (void)off, (void)to, (void)len;
	return err_set(EIO, "chunk is damaged");
}

static void test_table(void)
{
	struct source none = source_of_memory("hello, world", 12), broken = { .read = fails, .size = 1000 };
	struct findings facts scope_findings = { 0 };
	struct geometry geo = { 0 };
	struct image *image;

	CHECK(image_probe(&none, &geo, &facts) == -ENOENT);
	CHECK(image_probe(&broken, &geo, &facts) == -EIO);
	CHECK(!strcmp(err_text(), "chunk is damaged"));
	source_close(&none);
	none = source_of_memory("", 0);
	CHECK(image_probe(&none, &geo, &facts) == -ENOENT);
	CHECK(image_open(&image, &none, &geo) == -EBADMSG);
	source_close(&none);
}

int main(void)
{
	test_sources();
	test_findings();
	test_raw();
	test_table();
	return check_done();
}
