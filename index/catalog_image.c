/*
 * catalog_image: the images of a dataset, one row each (a list may have thousands), and the way back from an image's
 * number. A row is the body of a REC_IMAGES with one image in it.
 */
#include "index/catalog_internal.h"

static int image_put(struct change *ch, uint32_t dataset, uint32_t at, const struct record_image *image)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u32_u32(TABLE_IMAGE, dataset, at), back = key_of_u32(TABLE_IMAGE_ID, image->id);
	struct record r = { .kind = REC_IMAGES, .images = { .dataset = dataset, .list = image, .count = 1 } };
	int rc;

	buf_u16(&value, RECORD_VERSION);
	record_encode(&value, &r);
	rc = table_put(ch->catalog, &k, &value);
	table_put_u64(ch->catalog, &back, (uint64_t)dataset << 32 | at);
	return rc;
}

/* 0, and the one image of a row; its strings live in *memory. */
static int image_decode(struct catalog *catalog, const uint8_t *value, size_t len, struct record_image *image,
			struct record_memory **memory)
{
	struct journal_record entry = { .user = "", .program = "", .kind = REC_IMAGES };
	struct cursor c = cursor_of(value, len);
	struct record r;
	int rc;

	entry.version = cursor_u16(&c);
	entry.body_len = cursor_left(&c);
	entry.body = cursor_bytes(&c, entry.body_len);
	rc = cursor_failed(&c) ? -EBADMSG : record_decode(&entry, &r, memory);
	if (rc || r.images.count != 1)
		return rc == -ENOMEM ? rc : table_damaged(catalog, TABLE_IMAGE);
	*image = r.images.list[0];
	return 0;
}

static int image_at(struct catalog *catalog, uint32_t dataset, uint32_t at, struct record_image *image,
		    struct record_memory **memory)
{
	scope_buf struct buf value = { 0 };
	struct table_key k = key_of_u32_u32(TABLE_IMAGE, dataset, at);
	int rc = table_get(catalog, &k, &value);

	return rc ? rc : image_decode(catalog, value.data, value.len, image, memory);
}

int image_main(struct catalog *catalog, uint32_t dataset, struct geometry *geo)
{
	struct record_memory *memory = NULL;
	struct record_image image;
	int rc = image_at(catalog, dataset, 0, &image, &memory);

	if (!rc)
		*geo = image.geo;
	record_memory_free(memory);
	return rc;
}

static int image_id(struct catalog *catalog, const struct scan *w, uint32_t *id)
{
	struct record_memory *memory = NULL;
	struct record_image image;
	int rc = image_decode(catalog, w->value, w->value_len, &image, &memory);

	*id = rc ? 0 : image.id;
	record_memory_free(memory);
	return rc;
}

int images_drop(struct change *ch, uint32_t dataset)
{
	scope_numbers struct numbers ids = { 0 }, places = { 0 };
	scope_scan struct scan w = { 0 };
	struct table_key prefix = key_of_u32(TABLE_IMAGE, dataset), k;
	uint32_t id = 0;
	int rc = scan_begin(&w, ch->catalog, &prefix);

	while (!rc && (rc = scan_next(&w)) == 1) {
		rc = w.key_len == 4 ? image_id(ch->catalog, &w, &id) : table_damaged(ch->catalog, TABLE_IMAGE);
		if (!rc)
			rc = numbers_add(&places, read_u32(w.key));
		if (!rc)
			rc = numbers_add(&ids, id);
	}
	scan_end(&w);
	for (size_t i = 0; !rc && i < ids.count; i++) {
		k = key_of_u32_u32(TABLE_IMAGE, dataset, (uint32_t)places.list[i]);
		table_del(ch->catalog, &k);
		k = key_of_u32(TABLE_IMAGE_ID, (uint32_t)ids.list[i]);
		table_del(ch->catalog, &k);
	}
	return rc;
}

/* A number belongs to one image of one dataset. */
static int check_image(struct change *ch, const struct record_image *image)
{
	struct table_key k = key_of_u32(TABLE_IMAGE_ID, image->id);
	uint64_t owner = 0;
	int rc;

	if (!image->id || image->id > IMAGE_ID_MAX)
		return err_set(EINVAL, "%u cannot be the number of an image", image->id);
	if (strlen(image->part) > IMAGE_TEXT_MAX || strlen(image->error) > IMAGE_TEXT_MAX)
		return err_set(EFBIG, "image %u: its path or error is longer than %d bytes", image->id, IMAGE_TEXT_MAX);
	rc = table_get_u64(ch->catalog, &k, &owner);
	if (!rc && owner >> 32 != ch->record->images.dataset)
		return err_set(EINVAL, "image %u belongs to another dataset", image->id);
	return rc == -ENOENT ? 0 : rc;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int check_images(struct change *ch)
{
	scope_numbers struct numbers ids = { 0 };
	const struct record *r = ch->record;
	struct dataset d;
	int rc = dataset_load(ch->catalog, r->images.dataset, &d);

	if (!rc && d.row.removed)
		rc = err_set(ENOENT, "%s: the dataset was removed", d.row.name);
	for (size_t i = 0; !rc && i < r->images.count; i++) {
		rc = check_image(ch, &r->images.list[i]);
		if (!rc)
			rc = numbers_add(&ids, r->images.list[i].id);
	}
	if (rc || !ids.count)
		return rc;
	qsort(ids.list, ids.count, sizeof *ids.list, by_number);
	for (size_t i = 1; i < ids.count; i++)
		if (ids.list[i] == ids.list[i - 1])
			return err_set(EINVAL, "image %llu is listed twice", (unsigned long long)ids.list[i]);
	return 0;
}

int apply_images(struct change *ch)
{
	const struct record *r = ch->record;
	int rc = check_images(ch);

	if (!rc)
		rc = change_accept(ch);
	if (!rc)
		rc = images_drop(ch, r->images.dataset);
	for (size_t i = 0; !rc && i < r->images.count; i++) {
		rc = image_put(ch, r->images.dataset, (uint32_t)i, &r->images.list[i]);
		if (r->images.list[i].id >= ch->catalog->counters.image)
			ch->catalog->counters.image = r->images.list[i].id + 1;
	}
	return rc;
}

/* ---- look-ups ---- */

struct collected { /* images with a memory each */
	struct record_image *list;
	struct record_memory **memory;
	size_t count, room;
};

static void collected_free(struct collected *c)
{
	for (size_t i = 0; i < c->count; i++)
		record_memory_free(c->memory[i]);
	free(c->list);
	free(c->memory);
}

static int collect(struct collected *c, const struct scan *w)
{
	if (c->count == c->room) {
		size_t room = c->room ? c->room * 2 : 8;
		struct record_image *list = realloc(c->list, room * sizeof *list);
		struct record_memory **memory;

		if (!list)
			return err_set(ENOMEM, "no memory for images");
		c->list = list;
		memory = realloc(c->memory, room * sizeof(*memory));
		if (!memory)
			return err_set(ENOMEM, "no memory for images");
		c->memory = memory;
		c->room = room;
	}
	c->memory[c->count++] = NULL;
	return image_decode(w->catalog, w->value, w->value_len, &c->list[c->count - 1], &c->memory[c->count - 1]);
}

static int images_walk(struct catalog *catalog, uint32_t dataset, struct collected *c)
{
	scope_scan struct scan w = { 0 };
	struct table_key prefix = key_of_u32(TABLE_IMAGE, dataset);
	struct dataset d;
	int rc = dataset_load(catalog, dataset, &d);

	if (!rc)
		rc = scan_begin(&w, catalog, &prefix);
	while (!rc && (rc = scan_next(&w)) == 1)
		rc = collect(c, &w);
	return rc;
}

/* One list with one memory: written down and read again. */
int catalog_images(struct catalog *catalog, uint32_t dataset, struct images *out)
{
	SCOPE_CLEANUP(collected_free) struct collected c = { 0 };
	scope_buf struct buf body = { 0 };
	struct record r = { .kind = REC_IMAGES }, copy;
	struct journal_record entry = { .user = "", .program = "", .kind = REC_IMAGES, .version = RECORD_VERSION };
	int rc;

	*out = (struct images) { 0 };
	kv_read_begin(catalog->kv);
	rc = images_walk(catalog, dataset, &c);
	kv_read_end(catalog->kv);
	if (rc || !c.count)
		return rc;
	r.images.dataset = dataset;
	r.images.list = c.list;
	r.images.count = c.count;
	record_encode(&body, &r);
	if (buf_failed(&body))
		return err_set(ENOMEM, "no memory for images");
	entry.body = body.data;
	entry.body_len = body.len;
	rc = record_decode(&entry, &copy, &out->memory);
	if (rc)
		return rc == -ENOMEM ? rc : table_damaged(catalog, TABLE_IMAGE);
	out->count = copy.images.count;
	out->list = malloc(out->count * sizeof *out->list);
	if (!out->list) {
		images_free(out);
		return err_set(ENOMEM, "no memory for images");
	}
	memcpy(out->list, copy.images.list, out->count * sizeof *out->list);
	return 0;
}

void images_free(struct images *images)
{
	free(images->list);
	record_memory_free(images->memory);
	*images = (struct images) { 0 };
}

static int image_by_id(struct catalog *catalog, uint32_t id, struct record_image *image, uint32_t *dataset,
		       struct record_memory **memory)
{
	struct table_key k = key_of_u32(TABLE_IMAGE_ID, id);
	uint64_t place;
	int rc = table_get_u64(catalog, &k, &place);

	if (rc)
		return rc;
	*dataset = (uint32_t)(place >> 32);
	rc = image_at(catalog, *dataset, (uint32_t)place, image, memory);
	return rc == -ENOENT || (!rc && image->id != id) ? table_damaged(catalog, TABLE_IMAGE_ID) : rc;
}

int catalog_image(struct catalog *catalog, uint32_t id, struct record_image *image, uint32_t *dataset,
		  struct record_memory **memory)
{
	int rc;

	*memory = NULL;
	kv_read_begin(catalog->kv);
	rc = image_by_id(catalog, id, image, dataset, memory);
	kv_read_end(catalog->kv);
	if (rc) {
		record_memory_free(*memory);
		*memory = NULL;
	}
	return rc == -ENOENT ? err_set(ENOENT, "image %u is gone", id) : rc;
}
