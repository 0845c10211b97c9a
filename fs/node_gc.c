/*
 * .tomofs/gc: shows what the collector does, as JSON; "now" written to it asks for all garbage at once, "expire" gives up
 * all history before that, "stop" ends it. .tomofs/hold: "SECONDS [PID]" written to it has no pack removed for so long, or
 * until that process has ended; "0" ends that. Only who runs the mount, or root, may write.
 */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "fs/collector.h"
#include "fs/node.h"
#include "store/err.h"

/* Always as long, with spaces at the end: the kernel cuts a text off where it ended when it was asked for its size. */
enum { TEXT_BYTES = 2048, HOLD_BYTES = 16 };

static int gc_text(struct fs *fs, const struct node *node, struct buf *out)
{
	struct collector_state s;
	json_t *json;
	char *text;

	(void)node;
	collector_state(fs->collector, &s);
	json = json_pack("{s:b, s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "running", s.running, "asked", s.asked,
			 "held", s.held, "done_bytes", (json_int_t)s.done, "all_bytes", (json_int_t)s.all, "rounds",
			 (json_int_t)s.rounds, "packs", (json_int_t)s.packs, "packs_left", (json_int_t)s.packs_left, "chunks",
			 (json_int_t)s.chunks, "freed_bytes", (json_int_t)s.freed_bytes, "garbage_bytes",
			 (json_int_t)s.garbage_bytes, "keep_s", (json_int_t)s.keep_s, "shortened_s", (json_int_t)s.shortened_s,
			 "error", s.error);
	text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	if (!text)
		return err_set(ENOMEM, "no memory");
	buf_printf(out, "%-*s\n", TEXT_BYTES - 1, text);
	free(text);
	return 0;
}

static bool says(const struct buf *text, const char *word)
{
	size_t len = strlen(word);

	return text->len >= len && !memcmp(text->data, word, len) &&
	       (text->len == len || (text->len == len + 1 && text->data[len] == '\n'));
}

static int gc_write(struct fs *fs, const struct caller *who, const struct node *node, const struct buf *text)
{
	(void)who, (void)node;
	if (says(text, "now") || says(text, "expire"))
		collector_ask(fs->collector, says(text, "expire"));
	else if (says(text, "stop"))
		collector_halt(fs->collector);
	else
		return err_set(EINVAL, ".tomofs/gc takes \"now\", \"expire\" or \"stop\"");
	return 0;
}

static int hold_text(struct fs *fs, const struct node *node, struct buf *out)
{
	struct collector_state s;

	(void)node;
	collector_state(fs->collector, &s);
	buf_printf(out, "%-*s\n", HOLD_BYTES - 1, s.held ? "held" : "free");
	return 0;
}

static int hold_write(struct fs *fs, const struct caller *who, const struct node *node, const struct buf *text)
{
	char words[64], *at = words;
	unsigned long seconds, pid;

	(void)who, (void)node;
	if (text->len >= sizeof words)
		return err_set(EINVAL, ".tomofs/hold takes \"SECONDS [PID]\"");
	if (text->len) /* else there may be no bytes at all */
		memcpy(words, text->data, text->len);
	words[text->len] = 0;
	seconds = strtoul(words, &at, 10);
	if (at == words)
		return err_set(EINVAL, ".tomofs/hold takes \"SECONDS [PID]\"");
	pid = strtoul(at, &at, 10);
	at += strspn(at, " \n");
	if (*at || words[0] == '-' || seconds > HOLD_MAX_SECONDS || pid > INT32_MAX)
		return err_set(EINVAL, ".tomofs/hold takes \"SECONDS [PID]\", at most %d seconds", HOLD_MAX_SECONDS);
	return collector_hold(fs->collector, (uint32_t)seconds, (int32_t)pid);
}

static int control_attr(struct fs *fs, struct stat *st, off_t size)
{
	st->st_mode = S_IFREG | 0644;
	st->st_uid = geteuid();
	st->st_gid = getegid();
	st->st_size = size;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = fs->mounted_ns / 1000000000;
	return 0;
}

static int gc_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	return control_attr(fs, st, TEXT_BYTES);
}

static int hold_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	return control_attr(fs, st, HOLD_BYTES);
}

const struct node_ops node_ops_gc = {
	.kind = "what is done to what is not kept",
	.type = S_IFREG,
	.attr = gc_attr,
	.text = gc_text,
	.text_write = gc_write,
};

const struct node_ops node_ops_hold = {
	.kind = "whether packs are held",
	.type = S_IFREG,
	.attr = hold_attr,
	.text = hold_text,
	.text_write = hold_write,
};
