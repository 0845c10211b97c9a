#include "store/settings.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/random.h>
#include <xxhash.h>

#include "store/codec.h"
#include "store/err.h"
#include "store/scope.h"

enum { FILE_MAX = 64 << 10, HEX_MAX = 2 * KEY_SECRET_BYTES + 1 };

/* A feature is there when the codec is. */
static const struct {
	const char *name;
	unsigned bit, codec;
} features[] = { { "predict", FEATURE_PREDICT, 3 }, { "bits", FEATURE_BITS, 4 } };

enum { FEATURES = sizeof features / sizeof *features };

static void json_drop(json_t **json)
{
	json_decref(*json);
}
#define scope_json SCOPE_CLEANUP(json_drop)

static void to_hex(const uint8_t *bytes, size_t len, char *text)
{
	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(const char *text, uint8_t *bytes, size_t len)
{
	if (!text || strlen(text) != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

/* What settings_read() compares, so that a flipped digit is not taken for another secret. */
static void check_text(const struct settings *s, char text[17])
{
	uint8_t all[STORE_ID_BYTES + KEY_SECRET_BYTES];

	memcpy(all, s->id, sizeof s->id);
	memcpy(all + sizeof s->id, s->secret, sizeof s->secret);
	snprintf(text, 17, "%016llx", (unsigned long long)XXH3_64bits(all, sizeof all));
}

static int random_bytes(uint8_t *to, size_t len)
{
	for (size_t done = 0; done < len;) {
		ssize_t n = getrandom(to + done, len - done, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys("cannot get random bytes from the kernel");
		done += (size_t)n;
	}
	return 0;
}

int settings_make(struct settings *s)
{
	int rc = random_bytes(s->id, sizeof s->id);

	if (!rc)
		rc = random_bytes(s->secret, sizeof s->secret);
	s->chunk_min = CHUNK_MIN;
	s->chunk_avg = CHUNK_AVG;
	s->chunk_max = CHUNK_MAX;
	s->features = 0;
	return rc;
}

static int save(const struct io *io, const char *path, const json_t *root)
{
	scope_free char *text = json_dumps(root, JSON_INDENT(2));
	int rc;

	if (!text)
		return err_set(ENOMEM, "no memory for %s", path);
	rc = io_write_file(io, path, text, strlen(text));
	return rc ? err_set(-rc, "cannot write %s: %s", path, strerror(-rc)) : 0;
}

int settings_write(const struct io *io, const char *path, const struct settings *s)
{
	char id[HEX_MAX], secret[HEX_MAX], check[17];
	scope_json json_t *root = NULL;

	to_hex(s->id, sizeof s->id, id);
	to_hex(s->secret, sizeof s->secret, secret);
	check_text(s, check);
	root = json_pack("{s:s, s:i, s:s, s:[], s:[], s:i, s:i, s:i, s:s, s:s, s:s}", "format", "tomofs", "version",
			 SETTINGS_VERSION, "id", id, "features_to_read", "features_to_write", "chunk_min",
			 (int)s->chunk_min, "chunk_avg", (int)s->chunk_avg, "chunk_max", (int)s->chunk_max, "hash",
			 "xxh3-128", "hash_secret", secret, "check", check);
	return root ? save(io, path, root) : err_set(ENOMEM, "no memory for %s", path);
}

/* The bit of a feature that this version has, or 0. */
static unsigned known_feature(const char *name)
{
	for (size_t i = 0; name && i < FEATURES; i++)
		if (strcmp(features[i].name, name) == 0 && codec_name(features[i].codec))
			return features[i].bit;
	return 0;
}

unsigned settings_codec_feature(unsigned codec)
{
	for (size_t i = 0; i < FEATURES; i++)
		if (features[i].codec == codec)
			return features[i].bit;
	return 0;
}

/* Adds what is listed to *all, or refuses it. */
static int take_features(const char *path, const json_t *root, const char *list, const char *deed, unsigned *all)
{
	const json_t *names = json_object_get(root, list), *each;
	size_t i;

	if (!json_is_array(names))
		return err_set(EINVAL, "%s has no list %s", path, list);
	json_array_foreach(names, i, each) {
		const char *name = json_string_value(each);
		unsigned bit = known_feature(name);

		if (!bit)
			return err_set(EINVAL,
				       "%s: to %s this store the feature \"%s\" is needed, which this version of tomofs"
				       " does not have",
				       path, deed, name ? name : "?");
		*all |= bit;
	}
	return 0;
}

static bool get_size(const json_t *root, const char *name, uint32_t *to)
{
	json_int_t value = json_integer_value(json_object_get(root, name));

	if (value < 1 || value > CHUNK_MAX)
		return false;
	*to = (uint32_t)value;
	return true;
}

static int take_values(const char *path, const json_t *root, struct settings *s)
{
	const char *hash = json_string_value(json_object_get(root, "hash"));
	const char *check = json_string_value(json_object_get(root, "check"));
	char expected[17];

	if (!hash || strcmp(hash, "xxh3-128") != 0)
		return err_set(EINVAL, "%s: unknown hash \"%s\"", path, hash ? hash : "");
	if (!get_size(root, "chunk_min", &s->chunk_min) || !get_size(root, "chunk_avg", &s->chunk_avg) ||
	    !get_size(root, "chunk_max", &s->chunk_max))
		return err_set(EINVAL, "%s: chunk sizes are missing or above %d bytes", path, CHUNK_MAX);
	if (!from_hex(json_string_value(json_object_get(root, "id")), s->id, sizeof s->id) ||
	    !from_hex(json_string_value(json_object_get(root, "hash_secret")), s->secret, sizeof s->secret))
		return err_set(EINVAL, "%s is damaged: id or hash_secret is not the right number of hex digits", path);
	check_text(s, expected);
	if (!check || strcmp(check, expected) != 0)
		return err_set(
		    EINVAL,
		    "%s is damaged: id and hash_secret do not match the check (the header of every pack holds"
		    " a copy of both)",
		    path);
	return 0;
}

/* Readers take chunks as they come; who writes must cut where the store's other chunks were cut. */
static int check_chunk_sizes(const char *path, const struct settings *s)
{
	if (s->chunk_min == CHUNK_MIN && s->chunk_avg == CHUNK_AVG && s->chunk_max == CHUNK_MAX)
		return 0;
	return err_set(EINVAL,
		       "%s: the store's chunks are %u to %u bytes (%u usually), this version of tomofs writes %d to %d (%d)"
		       " and can only read it",
		       path, s->chunk_min, s->chunk_max, s->chunk_avg, CHUNK_MIN, CHUNK_MAX, CHUNK_AVG);
}

static int understand(const char *path, const json_t *root, bool read_only, struct settings *s)
{
	const char *format = json_string_value(json_object_get(root, "format"));
	json_int_t version = json_integer_value(json_object_get(root, "version"));
	int rc;

	if (!format || strcmp(format, "tomofs") != 0)
		return err_set(EINVAL, "%s does not describe a tomofs store", path);
	if (version != SETTINGS_VERSION)
		return err_set(EINVAL, "%s: the store has format version %lld, this version of tomofs reads version %d",
			       path, (long long)version, SETTINGS_VERSION);
	rc = take_features(path, root, "features_to_read", "read", &s->features);
	if (!rc && !read_only)
		rc = take_features(path, root, "features_to_write", "write", &s->features);
	if (!rc)
		rc = take_values(path, root, s);
	return rc || read_only ? rc : check_chunk_sizes(path, s);
}

static int load(const struct io *io, const char *path, json_t **root)
{
	scope_free void *bytes = NULL;
	json_error_t why;
	size_t len;
	int rc = io_read_file(io, path, FILE_MAX, &bytes, &len);

	if (rc == -EFBIG)
		return err_set(EINVAL, "%s is too large to be that of a store", path);
	if (rc)
		return err_set(-rc, "cannot read %s: %s", path, strerror(-rc));
	*root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &why);
	return *root ? 0 : err_set(EINVAL, "%s is damaged: line %d: %s", path, why.line, why.text);
}

int settings_read(const struct io *io, const char *path, bool read_only, struct settings *s)
{
	scope_json json_t *root = NULL;
	int rc = load(io, path, &root);

	s->features = 0;
	return rc ? rc : understand(path, root, read_only, s);
}

static bool lists(const json_t *names, const char *name)
{
	const json_t *each;
	size_t i;

	json_array_foreach(names, i, each)
		if (json_is_string(each) && strcmp(json_string_value(each), name) == 0)
			return true;
	return false;
}

int settings_add_features(const struct io *io, const char *path, unsigned wanted)
{
	scope_json json_t *root = NULL;
	json_t *names;
	int rc = load(io, path, &root);

	if (rc)
		return rc;
	names = json_object_get(root, "features_to_read");
	for (size_t i = 0; i < FEATURES; i++) {
		if (!(wanted & features[i].bit) || lists(names, features[i].name))
			continue;
		if (json_array_append_new(names, json_string(features[i].name)))
			return err_set(ENOMEM, "no memory for %s", path);
	}
	/* What was there already may be there only until the power goes, when a sync failed before: it is written again. */
	return save(io, path, root);
}
