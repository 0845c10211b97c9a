#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/collector.h"
#include "fs/mount_internal.h"
#include "fs/recoder.h"
#include "store/err.h"

/* Taken by libfuse or the kernel as they are. */
static const char *const passed[] = { "allow_other", "allow_root", "ro", "rw", "exec", "noexec", "atime", "noatime", "sync",
				      "async", "dirsync", "auto_unmount",
#if FUSE_VERSION >= 318
				      "io_uring", /* names are looked up faster, bytes read slower (one more copy): not by default */
#endif
				      NULL };

/* For mount(8), systemd and fstab; or what is always so here. */
static const char *const ignored[] = { "defaults", "user", "nouser", "users", "group", "owner", "auto", "noauto", "nofail", "_netdev",
				       "nosuid", "nodev", "relatime", "norelatime", "strictatime", "lazytime", "default_permissions",
				       "suid", "dev", "big_writes", "use_ino", "intr", NULL };
static const char *const ignored_prefixes[] = { "x-", "X-", "comment=", "fsname=", "subtype=", "context=", NULL };

static bool listed(const char *const *list, const char *word)
{
	for (; *list; list++)
		if (strcmp(*list, word) == 0)
			return true;
	return false;
}

static bool is_ignored(const char *word)
{
	if (listed(ignored, word))
		return true;
	for (const char *const *p = ignored_prefixes; *p; p++)
		if (strncmp(word, *p, strlen(*p)) == 0)
			return true;
	return false;
}

static int parse_bytes(const char *text, size_t *bytes)
{
	char *end;
	unsigned long long n;
	unsigned shift = 0;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end == 'K' || *end == 'k')
		shift = 10, end++;
	else if (*end == 'M' || *end == 'm')
		shift = 20, end++;
	else if (*end == 'G' || *end == 'g')
		shift = 30, end++;
	if (errno || end == text || *end || *text == '-' || n > (1ULL << 50) >> shift || n << shift < 16 << 20)
		return err_set(EINVAL, "option cache=%s: expected a size of at least 16M, as cache=512M or cache=4G", text);
	*bytes = (size_t)(n << shift);
	return 0;
}

static int parse_seconds(const char *text, unsigned *seconds)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (end == text || *end || *text == '-' || n < 1 || n > 86400)
		return err_set(EINVAL, "option settle=%s: expected seconds, 1 to 86400", text);
	*seconds = (unsigned)n;
	return 0;
}

static int parse_dense(const char *text, uint32_t *seconds)
{
	bool never = strcmp(text, "never") == 0;
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (!never && (end == text || *end || *text == '-' || n < 1 || n >= RECODER_NEVER))
		return err_set(EINVAL, "option dense_after=%s: expected seconds, at least 1, or \"never\"", text);
	*seconds = never ? RECODER_NEVER : (uint32_t)n;
	return 0;
}

static int parse_protect(const char *text, bool *ready)
{
	*ready = strcmp(text, "ready") == 0;
	return *ready || strcmp(text, "none") == 0 ? 0 : err_set(EINVAL, "option protect=%s: expected ready or none", text);
}

/* "30d", "12h", "90" (seconds), "0". */
static int parse_keep(const char *name, const char *text, uint32_t *seconds)
{
	char *end;
	unsigned long long n, unit = 1;

	if (strcmp(text, "forever") == 0) {
		*seconds = KEEP_FOREVER;
		return 0;
	}
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end == 'd' || *end == 'h' || *end == 'm' || *end == 's')
		unit = *end == 'd' ? 86400 : *end == 'h' ? 3600 : *end == 'm' ? 60 : 1, end++;
	if (errno || end == text || *end || *text == '-' || n > 100ULL * 366 * 86400 / unit)
		return err_set(EINVAL, "option %s=%s: expected a time, as 30d, 12h, 90 (seconds) or forever", name, text);
	*seconds = n ? (uint32_t)(n * unit) : KEEP_NOTHING;
	return 0;
}

/* read_only: the kernel takes the last of ro and rw. */
static int parse_one(char *word, struct options *o, bool *read_only)
{
	if (!*word || is_ignored(word))
		return 0;
	if (strncmp(word, "cache=", 6) == 0)
		return parse_bytes(word + 6, &o->cache_bytes);
	if (strncmp(word, "settle=", 7) == 0)
		return parse_seconds(word + 7, &o->settle_seconds);
	if (strncmp(word, "dense_after=", 12) == 0)
		return parse_dense(word + 12, &o->dense_after);
	if (strncmp(word, "keep=", 5) == 0)
		return parse_keep("keep", word + 5, &o->keep);
	if (strncmp(word, "keep_min=", 9) == 0)
		return parse_keep("keep_min", word + 9, &o->keep_min);
	if (strncmp(word, "protect=", 8) == 0)
		return parse_protect(word + 8, &o->protect_ready);
	if (strcmp(word, "ro") == 0 || strcmp(word, "rw") == 0)
		*read_only = word[1] == 'o';
	if (strcmp(word, "nonempty") == 0) {
		o->nonempty = true;
		return 0;
	}
	o->auto_unmount |= strcmp(word, "auto_unmount") == 0;
	if (!listed(passed, word))
		return err_set(EINVAL, "option \"%s\" is not known (ours: cache=SIZE, settle=SECONDS, dense_after=SECONDS, keep=TIME, "
			       "keep_min=TIME, protect=ready, nonempty; "
				       "and allow_other, ro and the like)", word);
	buf_printf(&o->fuse, ",%s", word);
	return 0;
}

int options_parse(const char *text, struct options *o)
{
	scope_free char *copy = strdup(text ? text : "");
	bool read_only = false;
	char *save = NULL;
	int rc = 0;

	if (!copy)
		return err_set(ENOMEM, "no memory");
	buf_printf(&o->fuse, "default_permissions,nosuid,nodev,subtype=tomofs");
	for (char *word = strtok_r(copy, ",", &save); word && !rc; word = strtok_r(NULL, ",", &save))
		rc = parse_one(word, o, &read_only);
	o->read_only = read_only;
	if (read_only) {
		o->dense_after = RECODER_NEVER;
		o->keep = KEEP_FOREVER;
	}
	return rc;
}

int mount_options_check(const char *words)
{
	struct options o = { 0 };
	int rc = options_parse(words, &o);

	buf_free(&o.fuse);
	return rc;
}
