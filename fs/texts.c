#include "fs/collector.h"
#include "fs/texts.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

#include "fs/file.h"
#include "fs/view/levels.h"
#include "index/field.h"
#include "store/err.h"

static const char readme[] =
	"tomofs " TOMOFS_VERSION " - this folder keeps the lab's CT data\n"
	"\n"
	"datasets/          the originals. Drag or cp a scan folder (or a single file) in here; it is a dataset at once.\n"
	"                   Byte for byte what was put in; write, rename and delete as in any folder.\n"
	"by-tag/T/          tags. mkdir by-tag/porosity makes one; ln -s ../../datasets/NAME by-tag/porosity/ (or mv, or\n"
	"                   cp -r of a scan into it) tags; rm of a link only untags; mv T U renames; rmdir removes it.\n"
	"                   Or: setfattr -n user.xdg.tags -v porosity,bone datasets/NAME\n"
	"by-sample/ by-project/ by-instrument/   the same, for these fields. by-user/ by-date/ are read-only.\n"
	"by-id/ID           a link that never breaks: for papers and mails\n"
	"search/QUERY/      any query is a folder; mkdir keeps it listed. Words: search/bone; fields: search/voltage=80,\n"
	"                   search/'tag=porosity sample=femur', search/voxel=..2um, search/date=2026-11; not, or, ( ).\n"
	"views/NAME/        the dataset 2x, 4x, 8x ... smaller: 2x/z0000.tif ... one file a slice, NAME_2x.tif one ImageJ\n"
	"                   stack, NAME.tif the full size. parts/ holds the other images of the dataset. Nothing here is\n"
	"                   stored; it is computed when it is read.\n"
	"gallery/NAME.png   a picture of each dataset\n"
	"history/           what was here before: trash/ (also as trash in this folder), versions/ of files, and at/TIME/, all as it\n"
	"                   was then. mv out of the trash or cp brings it back; history/README.txt says more.\n"
	"info/NAME/         facts.json: what is known; edit it to correct it. error.txt: what is wrong. sha256: checksums.\n"
	"\n"
	"Fields (facts.json, user.tomofs.FIELD attributes and queries):\n";

int text_readme(struct fs *fs, struct buf *out)
{
	(void)fs;
	buf_put(out, readme, sizeof readme - 1);
	for (size_t i = 0; i < field_count; i++)
		buf_printf(out, "  %-20s %s%s%s%s\n", fields[i].name, fields[i].help, *fields[i].unit ? " (" : "",
			   fields[i].unit, *fields[i].unit ? ")" : "");
	return 0;
}

static const char history_readme[] =
	"What was here before, read-only. All times are UTC.\n"
	"\n"
	"trash/            what was removed, as it was. Bring it back:  mv trash/NAME ../datasets/   (or cp -a)\n"
	"                  Remove a whole dataset at once:  mv ../datasets/NAME trash/\n"
	"versions/         what files held before:  versions/NAME/notes.txt/2026-11-20T10.00.00Z.txt is what notes.txt held\n"
	"                  from that time on. Bring it back with cp.\n"
	"at/TIME/datasets  everything as it was then. TIME: 2026-11-20 (its end), 2026-11-20T10:00, or\n"
	"                  @GMT-2026.11.20-10.00.00 as Samba and Windows say it. at/ itself lists nothing.\n"
	"\n"
	"Who could not read something then, or may not now, cannot read it here.\n";

int text_history(struct fs *fs, struct buf *out)
{
	(void)fs;
	buf_put(out, history_readme, sizeof history_readme - 1);
	return 0;
}

int text_version(struct fs *fs, struct buf *out)
{
	(void)fs;
	buf_printf(out, "tomofs %s\n", TOMOFS_VERSION);
	return 0;
}

static json_t *codecs_json(const struct store_stats *s)
{
	json_t *codecs = json_object();

	for (unsigned i = 0; store_codec_name(i); i++)
		json_object_set_new(codecs, store_codec_name(i),
				    json_pack("{s:I, s:I, s:I}", "chunks", (json_int_t)s->codec[i].chunks,
					      "plain_bytes", (json_int_t)s->codec[i].plain_bytes, "stored_bytes",
					      (json_int_t)s->codec[i].stored_bytes));
	return codecs;
}

/* Sum over all datasets. */
static int logical(struct fs *fs, uint64_t *bytes, uint64_t *files, size_t *datasets)
{
	scope_free uint32_t *list = NULL;
	struct dataset_row row;
	size_t count = 0;
	int rc = catalog_datasets(fs->catalog, &list, &count);

	for (size_t i = 0; !rc && i < count; i++) {
		rc = catalog_dataset(fs->catalog, list[i], &row);
		if (rc)
			break;
		*bytes += row.bytes;
		*files += row.files;
		*datasets += row.role == ROLE_DATASET;
	}
	return rc;
}

/* 0 when it is less: what is in no file any more is still stored. */
static json_int_t more_than(uint64_t a, uint64_t b)
{
	return a > b ? (json_int_t)(a - b) : 0;
}

/* How long what was removed or overwritten is kept, and whether a full disk made it less. */
static void say_kept(struct fs *fs, json_t *json)
{
	struct collector_state s;

	collector_state(fs->collector, &s);
	json_object_set_new(json, "history_kept_s", json_integer((json_int_t)(s.shortened_s ? s.shortened_s : s.keep_s)));
	json_object_set_new(json, "history",
			    json_string(s.shortened_s ? "the disk is full: the oldest of what was removed or overwritten has gone" :
							"kept as it should be"));
}

int text_status(struct fs *fs, struct buf *out)
{
	struct store_stats s = { 0 };
	uint64_t bytes = 0, files = 0, disk_free, reserve;
	bool full = store_is_full(fs->store, &disk_free, &reserve);
	size_t datasets = 0;
	int rc = logical(fs, &bytes, &files, &datasets);
	json_t *json;
	char *text;

	if (rc)
		return rc;
	store_stats(fs->store, &s);
	json = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "version", TOMOFS_VERSION,
			 "store", store_path(fs->store), "state",
			 full ? "full: the store's disk has no room, so that writing is refused until there is some; reading goes on"
			      : "writable", "disk_free_bytes", (json_int_t)disk_free, "disk_reserve_bytes", (json_int_t)reserve,
			 "datasets", (json_int_t)datasets, "files", (json_int_t)files,
			 "logical_bytes", (json_int_t)bytes, "chunks", (json_int_t)s.chunks, "unique_bytes",
			 (json_int_t)s.plain_bytes, "stored_bytes", (json_int_t)s.stored_bytes, "deduplicated_bytes",
			 more_than(bytes, s.plain_bytes), "saved_bytes", more_than(bytes, s.stored_bytes), "packs",
			 (json_int_t)s.packs, "journal_records", (json_int_t)journal_last(fs->journal), "cache_bytes",
			 (json_int_t)s.cache_bytes, "level_bytes",
			 (json_int_t)levels_bytes(fs->levels), "codecs", codecs_json(&s));
	if (json)
		say_kept(fs, json);
	text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
	json_decref(json);
	if (!text)
		return err_set(ENOMEM, "no memory for status.json");
	buf_printf(out, "%s\n", text);
	free(text);
	return 0;
}
