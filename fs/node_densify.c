/* .tomofs/densify: shows what the recoder does, as JSON; "now" written to it asks for everything at once, "stop" ends that. Only
 * who runs the mount, or root, may write. */
#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "fs/node.h"
#include "fs/recoder.h"
#include "store/err.h"

/* Always as long, with spaces at the end: the kernel cuts a text off where it ended when it was asked for its size. */
enum { TEXT_BYTES = 2048 };

static int densify_text(struct fs *fs, const struct node *node, struct buf *out)
{
	struct recoder_state s;
	json_t *json;
	char *text;

	(void)node;
	recoder_state(fs->recoder, &s);
	json = json_pack("{s:b, s:b, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s}", "running", s.running, "asked", s.asked, "done_bytes",
			 (json_int_t)s.done, "all_bytes", (json_int_t)s.all, "packs", (json_int_t)s.packs, "packs_left",
			 (json_int_t)s.packs_left, "packs_dense", (json_int_t)s.packs_dense, "chunks", (json_int_t)s.chunks, "bytes_before", (json_int_t)s.bytes_before,
			 "bytes_after", (json_int_t)s.bytes_after, "error", s.error);
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

static int densify_write(struct fs *fs, const struct caller *who, const struct node *node, const struct buf *text)
{
	(void)who, (void)node;
	if (says(text, "now"))
		recoder_ask(fs->recoder);
	else if (says(text, "stop"))
		recoder_halt(fs->recoder);
	else
		return err_set(EINVAL, ".tomofs/densify takes \"now\" or \"stop\"");
	return 0;
}

static int densify_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	st->st_mode = S_IFREG | 0644;
	st->st_uid = geteuid();
	st->st_gid = getegid();
	st->st_size = TEXT_BYTES;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = fs->mounted_ns / 1000000000;
	return 0;
}

const struct node_ops node_ops_densify = {
	.kind = "what is done to data at rest",
	.type = S_IFREG,
	.attr = densify_attr,
	.text = densify_text,
	.text_write = densify_write,
};
