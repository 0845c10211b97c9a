/*
 * tomofs.json: what was written comes back; what a program does not have keeps it out, by name; a feature that is added leaves all
 * else as it was, whatever call fails on the way.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "store/codec.h"
#include "store/log.h"
#include "store/settings.h"
#include "tests/lib/check.h"
#include "tests/lib/faultio.h"

static char path[600];
static struct settings made;

static void edit(void (*change)(json_t *root))
{
	json_t *root = json_load_file(path, 0, NULL);

	CHECK(root != NULL);
	change(root);
	CHECK(json_dump_file(root, path, 0) == 0);
	json_decref(root);
}

static int reads(bool read_only)
{
	struct settings s;
	int rc = settings_read(&io_system, path, read_only, &s);

	if (!rc) {
		CHECK(memcmp(s.id, made.id, sizeof s.id) == 0);
		CHECK(memcmp(s.secret, made.secret, sizeof s.secret) == 0);
	}
	return rc;
}

static void start_again(void)
{
	CHECK_RC(settings_write(&io_system, path, &made));
	CHECK_RC(reads(false));
}

static void need_to_read(json_t *root)
{
	json_array_append_new(json_object_get(root, "features_to_read"), json_string("time-travel"));
}

static void need_to_write(json_t *root)
{
	json_array_append_new(json_object_get(root, "features_to_write"), json_string("time-travel"));
}

static void odd_feature(json_t *root)
{
	json_array_append_new(json_object_get(root, "features_to_read"), json_integer(7));
}

static void other_chunks(json_t *root)
{
	json_object_set_new(root, "chunk_avg", json_integer(65536));
}

static void later_key(json_t *root)
{
	json_object_set_new(root, "later", json_string("kept"));
}

static void test_refused(void)
{
	start_again();
	edit(need_to_read);
	CHECK(reads(true) == -EINVAL && strstr(err_text(), "to read this store the feature \"time-travel\""));
	CHECK(reads(false) == -EINVAL);
	start_again();
	edit(need_to_write);
	CHECK_RC(reads(true));
	CHECK(reads(false) == -EINVAL && strstr(err_text(), "to write this store the feature \"time-travel\""));
	start_again();
	edit(odd_feature);
	CHECK(reads(true) == -EINVAL);
	start_again();
	edit(other_chunks);
	CHECK_RC(reads(true));
	CHECK(reads(false) == -EINVAL && strstr(err_text(), "65536"));
}

/* Who has the codec reads on; who has not is told the feature's name. */
static void check_has_predict(void)
{
	struct settings s;
	int rc = settings_read(&io_system, path, true, &s);

	if (codec_name(3))
		CHECK(rc == 0 && s.features == FEATURE_PREDICT);
	else
		CHECK(rc == -EINVAL && strstr(err_text(), "\"predict\""));
}

static void test_added(void)
{
	json_t *root;

	CHECK(settings_codec_feature(CODEC_NONE) == 0 && settings_codec_feature(CODEC_ZSTD) == 0);
	CHECK(settings_codec_feature(CODEC_FILTER_ZSTD) == 0 && settings_codec_feature(3) == FEATURE_PREDICT);
	CHECK(settings_codec_feature(CODEC_BITS) == FEATURE_BITS);
	start_again();
	edit(later_key);
	CHECK_RC(settings_add_features(&io_system, path, 0));
	CHECK_RC(reads(false));
	CHECK_RC(settings_add_features(&io_system, path, FEATURE_PREDICT));
	check_has_predict();
	CHECK_RC(settings_add_features(&io_system, path, FEATURE_PREDICT));
	root = json_load_file(path, 0, NULL);
	CHECK(json_array_size(json_object_get(root, "features_to_read")) == 1); /* once */
	CHECK(json_string_length(json_object_get(root, "later")) == 4);
	json_decref(root);
}

/* Whatever fails, the file is the old one or the new one. */
static void test_power(void)
{
	struct faultio *f = faultio_new();
	bool done = false;

	for (uint64_t n = 1; !done && n < 30; n++) {
		json_t *root;
		size_t count;
		int rc;

		start_again();
		faultio_power_off(f, n);
		rc = settings_add_features(faultio_io(f), path, FEATURE_PREDICT);
		done = !faultio_is_off(f);
		faultio_crash(f, n);
		root = json_load_file(path, 0, NULL);
		count = json_array_size(json_object_get(root, "features_to_read"));
		CHECK(root && count <= 1);
		CHECK(rc || count == 1);
		json_decref(root);
	}
	CHECK(done);
	faultio_free(f);
}

int main(void)
{
	snprintf(path, sizeof path, "%s/tomofs.json", check_tmpdir());
	CHECK_RC(settings_make(&made));
	test_refused();
	test_added();
	test_power();
	return check_done();
}
