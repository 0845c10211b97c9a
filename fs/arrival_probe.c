#include <errno.h>
#include <string.h>

#include "fs/arrival_internal.h"
#include "fs/file_source.h"
#include "fs/image/image.h"
#include "fs/image/sidecar.h"
#include "store/err.h"
#include "store/log.h"

/* What was found, in the shape of a record. Points into the owners below. */
struct found {
	struct record_probe probe;
	struct findings facts;
	struct sidecar sidecar;
	char error[512];
	struct record_fact *fact_list;       /* owned; all that there are */
	size_t fact_count;
	struct record_declared *declared_list; /* owned */
};

static void found_free(struct found *f)
{
	findings_free(&f->facts);
	sidecar_free(&f->sidecar);
	free(f->fact_list);
	free(f->declared_list);
}
#define scope_found SCOPE_CLEANUP(found_free)

static void keep_error(struct found *f)
{
	size_t n = strlen(err_text());

	if (n >= sizeof f->error)
		n = sizeof f->error - 1;
	memcpy(f->error, err_text(), n);
	f->error[n] = 0;
}

static int probe_sidecar(struct source *src, const struct node_row *row, struct found *f)
{
	scope_free uint8_t *bytes = NULL;
	int rc;

	if (!row->size || !sidecar_wanted(row->name, row->size))
		return -ENOENT;
	bytes = malloc(src->size ? src->size : 1);
	if (!bytes)
		return err_set(ENOMEM, "%s: no memory to read it", row->name);
	rc = source_read(src, 0, bytes, src->size);
	return rc ? rc : sidecar_parse(row->name, bytes, src->size, &f->sidecar);
}

/* The image's own header, else what a sidecar says, else what the name says. */
static int look_into(struct fs *fs, const struct node_row *row, struct found *f)
{
	struct source src;
	int rc = file_source_open(fs, row->ino, &src);

	if (rc)
		return rc;
	f->probe.rank = RANK_HEADER;
	rc = image_probe(&src, &f->probe.geo, &f->facts);
	f->probe.has_geometry = !rc;
	if (rc == -ENOENT) {
		rc = probe_sidecar(&src, row, f);
		if (!rc) {
			f->probe.rank = f->sidecar.acquisition ? RANK_ACQUISITION : RANK_SIDECAR;
			f->probe.acquisition = f->sidecar.acquisition;
			f->probe.images_declared = f->sidecar.images_declared;
		}
	}
	if (rc == -ENOENT) {
		rc = sidecar_from_name(row->name, row->size, &f->probe.geo);
		f->probe.has_geometry = !rc;
	}
	source_close(&src);
	return rc == -ENOENT ? 0 : rc;
}

static struct record_fact fact_of(const struct finding *x)
{
	return (struct record_fact){ .field = x->field, .value = x->value, .vendor_key = x->vendor_key,
				     .vendor_text = x->vendor_text };
}

static int fill_record(struct found *f, bool with_facts)
{
	const struct findings *facts = f->sidecar.facts.count ? &f->sidecar.facts : &f->facts;

	f->fact_count = facts->count;
	f->fact_list = calloc(f->fact_count + 1, sizeof *f->fact_list);
	f->declared_list = calloc(f->sidecar.data_count + 1, sizeof *f->declared_list);
	if (!f->fact_list || !f->declared_list)
		return err_set(ENOMEM, "no memory");
	for (size_t i = 0; i < f->fact_count; i++)
		f->fact_list[i] = fact_of(&facts->list[i]);
	for (size_t i = 0; i < f->sidecar.data_count; i++) {
		const struct sidecar_data *d = &f->sidecar.data[i];

		f->declared_list[i] = (struct record_declared){ .name = d->name ? d->name : "",
								.suffix = d->suffix ? d->suffix : "", .geo = d->geo };
	}
	f->probe.facts = f->fact_list;
	f->probe.fact_count = facts == &f->facts && !with_facts ? 0 : f->fact_count;
	f->probe.declared = f->declared_list;
	f->probe.declared_count = f->sidecar.data_count;
	f->probe.error = f->error;
	return 0;
}

static bool found_nothing(const struct record_probe *p)
{
	return !p->has_geometry && !*p->error && !p->fact_count && !p->declared_count && !p->acquisition &&
	       !p->images_declared;
}

static bool is_same(const struct record_probe *a, const struct record_probe *b)
{
	scope_buf struct buf x = { 0 }, y = { 0 };
	struct record r = { .kind = REC_PROBE, .probe = *a };

	record_encode(&x, &r);
	r.probe = *b;
	record_encode(&y, &r);
	return !buf_failed(&x) && !buf_failed(&y) && x.len == y.len && !memcmp(x.data, y.data, x.len);
}

/* Is there nothing to record: nothing was found, or what is known? The facts of a header that were recorded (with_facts, once) stay as
 * long as it says the same. */
static bool is_known(struct fs *fs, const struct found *f)
{
	struct record_memory *memory = NULL;
	struct record_probe old, all = f->probe;
	int rc = catalog_probe(fs->catalog, all.ino, &old, &memory);
	bool known;

	all.fact_count = f->fact_count;
	known = rc == -ENOENT ? found_nothing(&f->probe) : !rc && (is_same(&old, &f->probe) || is_same(&old, &all));
	record_memory_free(memory);
	return known;
}

int probe_file(struct fs *fs, uint64_t ino, bool with_facts)
{
	scope_found struct found f = { 0 };
	struct record r = { .kind = REC_PROBE };
	struct actor self = caller_actor(&caller_self);
	struct node_row row;
	int rc = catalog_node(fs->catalog, ino, &row);

	if (rc == -ENOENT || (!rc && (!S_ISREG(row.mode) || !row.nlink)))
		return 0;
	if (rc)
		return rc;
	f.probe.ino = ino;
	if (row.size && !name_is_hidden(row.name) && !name_is_temporary(row.name)) {
		rc = look_into(fs, &row, &f);
		if (rc) {
			keep_error(&f);
			log_info("%s: %s", row.name, f.error);
			f.probe.has_geometry = false;
		}
	}
	rc = fill_record(&f, with_facts);
	if (rc || (with_facts && !f.probe.fact_count) || is_known(fs, &f))
		return rc;
	r.probe = f.probe;
	rc = catalog_apply(fs->catalog, &self, &r);
	return rc == -ENOENT ? 0 : rc;
}

int probe_add_error(struct fs *fs, uint64_t ino, const char *sentence)
{
	struct record_memory *memory = NULL;
	struct record r = { .kind = REC_PROBE };
	struct actor self = caller_actor(&caller_self);
	int rc = catalog_probe(fs->catalog, ino, &r.probe, &memory);

	if (!rc && !*r.probe.error) {
		r.probe.ino = ino;
		r.probe.error = sentence;
		rc = catalog_apply(fs->catalog, &self, &r);
	}
	record_memory_free(memory);
	return rc;
}
