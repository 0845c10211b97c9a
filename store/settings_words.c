#include "store/settings_words.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "store/err.h"
#include "store/io.h"
#include "store/scope.h"

enum { FILE_MAX = 64 << 10 };

static int load(const char *store, char **path, json_t **root)
{
	scope_free void *bytes = NULL;
	json_error_t why;
	size_t len;
	int rc;

	if (asprintf(path, "%s/tomofs.json", store) < 0) {
		*path = NULL;
		return err_set(ENOMEM, "no memory for a path");
	}
	rc = io_read_file(&io_system, *path, FILE_MAX, &bytes, &len);
	if (rc)
		return err_set(-rc, "cannot read %s: %s", *path, strerror(-rc));
	*root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &why);
	return *root ? 0 : err_set(EINVAL, "%s is damaged: line %d: %s", *path, why.line, why.text);
}

int settings_words_read(const char *store, struct buf *words)
{
	scope_free char *path = NULL;
	json_t *root = NULL;
	int rc = load(store, &path, &root);
	const char *text = rc ? NULL : json_string_value(json_object_get(root, "mount_options"));

	if (text)
		buf_put(words, text, strlen(text));
	json_decref(root);
	return !rc && buf_failed(words) ? err_set(ENOMEM, "no memory for the options of a store") : rc;
}

int settings_words_write(const char *store, const char *words)
{
	scope_free char *path = NULL, *text = NULL;
	json_t *root = NULL;
	int rc = load(store, &path, &root);

	if (!rc && json_object_set_new(root, "mount_options", json_string(words)))
		rc = err_set(EINVAL, "\"%s\" is not UTF-8", words);
	text = rc ? NULL : json_dumps(root, JSON_INDENT(2));
	if (!rc && !text)
		rc = err_set(ENOMEM, "no memory for %s", path);
	if (!rc) {
		rc = io_write_file(&io_system, path, text, strlen(text));
		if (rc)
			err_set(-rc, "cannot write %s: %s", path, strerror(-rc));
	}
	json_decref(root);
	return rc;
}
