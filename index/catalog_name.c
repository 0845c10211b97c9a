#include "index/catalog_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <xxhash.h>

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), e = strlen(end);

	return n > e && strcasecmp(name + n - e, end) == 0;
}

/* rsync's ".NAME.XXXXXX". */
static bool is_rsync_name(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (name[0] != '.' || dot <= name + 1 || strlen(dot + 1) != 6)
		return false;
	for (dot++; *dot; dot++)
		if (!isalnum((unsigned char)*dot))
			return false;
	return true;
}

bool name_is_temporary(const char *name)
{
	return ends_with(name, ".part") || ends_with(name, ".partial") || ends_with(name, ".crdownload") ||
	       ends_with(name, "~") || strncmp(name, ".goutputstream-", 15) == 0 || is_rsync_name(name);
}

/* What Explorer calls a folder before it is renamed: "New folder", "New folder (2)". */
static bool is_new_folder(const char *name)
{
	static const char stem[] = "New folder";
	size_t n = sizeof stem - 1;

	if (strncasecmp(name, stem, n) != 0)
		return false;
	name += n;
	if (!*name)
		return true;
	if (strncmp(name, " (", 2) != 0 || !isdigit((unsigned char)name[2]))
		return false;
	for (name += 2; isdigit((unsigned char)*name); name++)
		;
	return strcmp(name, ")") == 0;
}

bool name_is_hidden(const char *name)
{
	return name[0] == '.' || strcasecmp(name, "Thumbs.db") == 0 || strcasecmp(name, "desktop.ini") == 0;
}

bool name_is_junk(const char *name)
{
	return name_is_hidden(name) || is_new_folder(name);
}

bool name_never_dataset(const char *name)
{
	return name_is_hidden(name) || name_is_temporary(name);
}

size_t utf8_prefix(const char *text, size_t max)
{
	size_t n = strnlen(text, max + 1);

	if (n <= max)
		return n;
	for (n = max; n && ((unsigned char)text[n] & 0xc0) == 0x80 && max - n < 4; n--)
		;
	return max - n < 4 ? n : max;
}

/* A text that is too long keeps its beginning and gets a digest of the whole. */
void name_fit(const char *text, char name[FOLDER_NAME_ROOM])
{
	size_t len = strlen(text), keep = len <= NAME_BYTES_MAX ? len : utf8_prefix(text, NAME_BYTES_MAX - 17);

	memcpy(name, text, keep);
	name[keep] = 0;
	if (keep < len)
		snprintf(name + keep, FOLDER_NAME_ROOM - keep, "-%016llx", (unsigned long long)XXH3_64bits(text, len));
	if (name[0] == '.')
		name[0] = '_';
	for (char *c = name; *c; c++)
		if (*c == '/' || (unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '_';
}

int folder_name_check(const char *noun, const char *text)
{
	if (strlen(text) > NAME_BYTES_MAX)
		return err_set(ENAMETOOLONG, "%s is at most %d bytes long", noun, NAME_BYTES_MAX);
	if (!*text || text[0] == '.')
		return err_set(EINVAL, "%s cannot be empty or begin with a dot", noun);
	for (const char *c = text; *c; c++)
		if (*c == '/' || (unsigned char)*c < 0x20 || *c == 0x7f)
			return err_set(EINVAL, "%s cannot hold '/' or control characters", noun);
	return 0;
}
