#include "store/directory_internal.h"

#include "store/err.h"
#include "store/log.h"
#include "store/scope.h"

struct directory_limits directory_limits = {
	.flush_entries = 1 << 17,
	.flush_packs = 64,
	.batch_entries = 1 << 19,
	.copies_entries = 1 << 16,
	.tier_entries = 1 << 15,
	.tier_runs = 4,
	.large_entries = 1 << 21,
	.filter_bytes = 14 << 20,
	.filters_bytes = 32 << 20,
};

void directory_sums_add(struct directory_sums *sums, const struct directory_entry *entry, int sign)
{
	struct directory_sum *of[] = { &sums->all,
				       entry->codec < DIRECTORY_CODECS ? &sums->codec[entry->codec] : NULL };
	uint64_t one = (uint64_t)(int64_t)sign;

	for (size_t i = 0; i < 2 && of[i]; i++) {
		of[i]->chunks += one;
		of[i]->plain_bytes += one * entry->plain_len;
		of[i]->stored_bytes += one * (PACK_HEAD_BYTES + (uint64_t)entry->stored_len);
	}
}

/* ---- the list of runs ---- */

static struct run_list *list_new(size_t count)
{
	struct run_list *list = calloc(1, sizeof *list + count * sizeof *list->runs);

	if (list)
		list->refs = 1;
	else
		err_set(ENOMEM, "no memory for a list of key runs");
	return list;
}

void run_list_drop(struct run_list *list)
{
	if (!list || __atomic_sub_fetch(&list->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < list->count; i++)
		keyrun_drop(list->runs[i]);
	free(list);
}

struct run_list *directory_list(struct directory *d)
{
	scope_lock(&d->lock);
	__atomic_add_fetch(&d->list->refs, 1, __ATOMIC_RELAXED);
	return d->list;
}

static bool among(const struct keyrun *run, struct keyrun *const *runs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (runs[i] == run)
			return true;
	return false;
}

static int newest_first(const void *a, const void *b)
{
	const struct keyrun *const *left = a, *const *right = b;

	return ((*left)->newest < (*right)->newest) - ((*left)->newest > (*right)->newest);
}

/* Called with the lock held: packs that were removed while the run was made. */
static void drop_gone(struct directory *d, struct keyrun *run)
{
	for (uint64_t i = 0; i < run->head.packs; i++) {
		uint32_t index = keyrun_index(run->packs, i);

		if (index < d->note_cap && d->notes[index].state == PACK_GONE)
			keyrun_forget(run, index);
	}
}

int directory_swap(struct directory *d, struct keyrun *const *fresh, size_t fresh_count, struct keyrun *const *old,
		   size_t old_count)
{
	struct run_list *before = directory_list(d), *list = list_new(before->count + fresh_count);

	if (!list) {
		run_list_drop(before);
		return -ENOMEM;
	}
	for (size_t i = 0; i < fresh_count; i++)
		list->runs[list->count++] = fresh[i];
	for (size_t i = 0; i < before->count; i++)
		if (!among(before->runs[i], old, old_count))
			list->runs[list->count++] = keyrun_ref(before->runs[i]);
	qsort(list->runs, list->count, sizeof(struct keyrun *), newest_first);
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < fresh_count; i++)
		drop_gone(d, fresh[i]);
	d->list = list; /* only one thread swaps, so `before` is what was there */
	pthread_mutex_unlock(&d->lock);
	run_list_drop(before);
	run_list_drop(before); /* the directory's own */
	return 0;
}

void directory_discard(struct directory *d, struct keyrun *run)
{
	int rc = d->place.read_only ? 0 : d->place.io->unlink(d->place.io, run->path);

	if (rc && rc != -ENOENT)
		log_warn("cannot remove %s: %s", run->path, strerror(-rc));
	keyrun_drop(run);
}

/* ---- making and ending ---- */

int directory_new(struct directory **out, const struct directory_place *place)
{
	struct directory *d = calloc(1, sizeof *d);

	if (!d)
		return err_set(ENOMEM, "no memory for the chunk directory");
	*d = (struct directory) { .place = *place, .next_number = 1 };
	pthread_mutex_init(&d->lock, NULL);
	pthread_mutex_init(&d->check_lock, NULL);
	pthread_cond_init(&d->wake, NULL);
	pthread_cond_init(&d->rested, NULL);
	d->place.folder = d->folder = strdup(place->folder);
	d->list = list_new(0);
	if (!d->folder || !d->list || recent_new(&d->recent)) {
		directory_free(d);
		return err_set(ENOMEM, "no memory for the chunk directory");
	}
	*out = d;
	return 0;
}

void directory_free(struct directory *d)
{
	if (!d)
		return;
	directory_stop(d);
	opening_free(d->opening);
	run_list_drop(d->list);
	recent_free(d->recent);
	free(d->notes);
	free(d->settled);
	free(d->folder);
	pthread_cond_destroy(&d->wake);
	pthread_cond_destroy(&d->rested);
	pthread_mutex_destroy(&d->lock);
	pthread_mutex_destroy(&d->check_lock);
	free(d);
}

/* ---- notes ---- */

struct pack_name directory_pack_name(struct directory *d, uint32_t index)
{
	char text[PACK_NAME_MAX];
	struct pack_name name = { 0, 0 };

	packs_name(d->place.packs, index, text);
	pack_name_parse(text, &name);
	return name;
}

uint64_t directory_number(struct directory *d)
{
	scope_lock(&d->lock);
	return d->next_number++;
}

/* Called with the lock held. */
static int room_for_note(struct directory *d, uint32_t index)
{
	size_t cap = (size_t)index + index / 2 + 64;
	struct note *notes;

	if (index < d->note_cap)
		return 0;
	notes = realloc(d->notes, cap * sizeof *notes);
	if (!notes)
		return err_set(ENOMEM, "no memory for the chunk directory");
	memset(notes + d->note_cap, 0, (cap - d->note_cap) * sizeof *notes);
	d->notes = notes;
	d->note_cap = cap;
	return 0;
}

/* Called with the lock held. */
static int put_settled(struct directory *d, uint32_t index)
{
	if (d->settled_count == d->settled_cap) {
		size_t cap = d->settled_cap * 2 + 16;
		uint32_t *settled = realloc(d->settled, cap * sizeof *settled);

		if (!settled)
			return err_set(ENOMEM, "no memory for the chunk directory");
		d->settled = settled;
		d->settled_cap = cap;
	}
	d->settled[d->settled_count++] = index;
	d->settled_entries += d->notes[index].entries;
	return 0;
}

int directory_note(struct directory *d, uint32_t index, uint32_t more, int state)
{
	scope_lock(&d->lock);
	if (room_for_note(d, index))
		return -ENOMEM;
	d->notes[index].entries += more;
	if (state <= (int)d->notes[index].state)
		return 0;
	if (state == PACK_SETTLED && put_settled(d, index))
		return -ENOMEM;
	d->notes[index].state = (unsigned)state;
	return 0;
}

bool directory_gone(struct directory *d, uint32_t index)
{
	scope_lock(&d->lock);
	return index < d->note_cap && d->notes[index].state == PACK_GONE;
}

/* Called with the lock held. */
void directory_forget_settled(struct directory *d, uint32_t index)
{
	for (size_t i = 0; i < d->settled_count; i++) {
		if (d->settled[i] != index)
			continue;
		d->settled[i] = d->settled[--d->settled_count];
		d->settled_entries -=
		    d->notes[index].entries < d->settled_entries ? d->notes[index].entries : d->settled_entries;
		break;
	}
	if (!d->settled_count)
		d->settled_entries = 0;
}

void directory_remove(struct directory *d, uint32_t index)
{
	struct run_list *list;
	bool shrunk = false;

	pthread_mutex_lock(&d->lock);
	__atomic_add_fetch(&d->removals, 1, __ATOMIC_SEQ_CST); /* before anybody can miss an entry */
	if (!room_for_note(d, index)) {
		d->notes[index].state = PACK_GONE;
		directory_forget_settled(d, index);
	}
	list = d->list;
	__atomic_add_fetch(&list->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&d->lock);
	for (size_t i = 0; i < list->count; i++)
		shrunk |= keyrun_forget(list->runs[i], index);
	run_list_drop(list);
	if (shrunk)
		directory_want(d);
}

void directory_settled(struct directory *d, uint32_t index)
{
	/* Without memory for the note its entries stay where they are. */
	if (!directory_note(d, index, 0, PACK_SETTLED) && directory_flush_due(d))
		directory_want(d);
}

/* ---- looking up ---- */

/* A pack that cannot be read, or not whole. 0: it holds nothing of this store; -errno. */
static int cannot_ask(struct directory *d, uint32_t index, int rc)
{
	if (directory_transient(rc) || directory_gone(d, index))
		return directory_gone(d, index) ? 0 : rc;
	log_error("%s; its chunks are missing", err_text());
	return rc == -ENOENT || rc == -EXDEV || rc == -EINVAL ? 0 : err_set(EIO, "%s", err_text());
}

/* What the footer of a pack says about a key. 1, 0, -EIO: it cannot be read, -errno. */
static int ask_footer(struct directory *d, uint32_t index, const struct key *key, struct directory_entry *entry)
{
	struct pack_name name = directory_pack_name(d, index);
	char text[PACK_NAME_MAX];
	struct recovered pack;
	int rc = recover_pack(d->place.io, d->place.settings, d->place.packs_folder, name, 0, &pack);

	if (rc)
		return cannot_ask(d, index, rc);
	for (uint64_t i = pack.records; !rc && i-- > 0;) {
		struct pack_entry e = pack_entry_get(pack.entries.data, i);

		*entry = directory_entry_of(&e, index);
		rc = e.head.kind == PACK_CHUNK && key_equal(&e.head.key, key);
	}
	buf_free(&pack.entries);
	pack_name_text(name, text);
	return rc || !pack.partial ? rc : err_set(EIO, "pack %s cannot be read whole; a chunk may be in it", text);
}

/* The slow way, for as long as a damaged run is not made again. */
static int ask_footers(struct directory *d, struct keyrun *run, const struct key *key, struct directory_entry *entry)
{
	int rc = 0, missed = 0;

	for (uint64_t i = run->head.packs; !rc && i-- > 0;) {
		uint32_t index = keyrun_index(run->packs, i);

		if (index != KEYRUN_GONE)
			rc = ask_footer(d, index, key, entry);
		if (rc == -EIO) { /* an older one may have it, too */
			missed = rc;
			rc = 0;
		}
	}
	return rc ? rc : missed;
}

/* surely: a run that is known to be damaged is not believed at all. */
static int ask_run(struct directory *d, struct keyrun *run, const struct key *key, struct directory_entry *entry, bool surely)
{
	bool whole = !__atomic_load_n(&run->damaged, __ATOMIC_RELAXED);
	int rc;

	if (surely && !whole)
		return ask_footers(d, run, key, entry);
	rc = keyrun_get(run, key, entry);
	if (whole && __atomic_load_n(&run->damaged, __ATOMIC_RELAXED)) {
		log_warn("%s; it is made again from the packs", err_text());
		directory_want(d);
	}
	return rc < 0 && rc != -ENOMEM ? ask_footers(d, run, key, entry) : rc;
}

/* Memory, then the runs. *list: the ones that were asked. */
static int look_up(struct directory *d, const struct key *key, struct directory_entry *entry, const struct run_list **asked,
		   bool surely)
{
	bool found = recent_get(d->recent, key, entry);
	struct run_list *list = directory_list(d); /* after the memory was asked: entries leave it for a run */
	int rc = 0, missed = 0;

	*asked = list;
	if (found && __atomic_load_n(&d->removals, __ATOMIC_SEQ_CST) && directory_gone(d, entry->pack))
		found = false; /* garbage that went away with its pack; its place in memory is not swept yet */
	for (size_t i = 0; i < list->count; i++)
		keyrun_expect(list->runs[i], key);
	for (size_t i = 0; rc >= 0 && i < list->count; i++) {
		struct directory_entry other;

		if (found && list->runs[i]->newest < entry->pack)
			break;
		rc = ask_run(d, list->runs[i], key, &other, surely);
		if (rc == 1 && (!found || directory_newer(&other, entry))) {
			*entry = other;
			found = true;
		}
		if (rc == -EIO) { /* another run may have it */
			missed = rc;
			rc = 0;
		}
	}
	run_list_drop(list);
	return rc < 0 ? rc : found ? 1 : missed;
}

static bool is_current(struct directory *d, const struct run_list *list, uint64_t removals)
{
	scope_lock(&d->lock);
	return d->list == list && d->removals == removals;
}

static int get(struct directory *d, const struct key *key, struct directory_entry *entry, bool surely)
{
	const struct run_list *asked;
	uint64_t removals;
	int rc;

	if (key_is_hole(key))
		return 0;
	do { /* entries of a damaged run may go back to memory meanwhile, those of a removed pack are in a newer one */
		removals = __atomic_load_n(&d->removals, __ATOMIC_SEQ_CST);
		rc = look_up(d, key, entry, &asked, surely);
	} while (!rc && !is_current(d, asked, removals));
	return rc;
}

int directory_get(struct directory *d, const struct key *key, struct directory_entry *entry)
{
	return get(d, key, entry, false);
}

int directory_search(struct directory *d, const struct key *key, struct directory_entry *entry)
{
	int rc = directory_check_once(d);

	if (!rc)
		rc = get(d, key, entry, true);
	if (rc == 1) /* directory_get() may know it from now on; best effort */
		recent_load(d->recent, key, entry, NULL);
	return rc;
}

int directory_set(struct directory *d, const struct key *key, const struct directory_entry *entry)
{
	struct directory_entry before;
	int rc = recent_set(d->recent, key, entry, &before);

	return rc < 0 ? rc : directory_note(d, entry->pack, 1, PACK_OPEN);
}

int directory_load(struct directory *d, uint32_t index, const struct recovered *pack, struct directory_sums *sums)
{
	for (uint64_t i = 0; i < pack->records; i++) {
		struct pack_entry e = pack_entry_get(pack->entries.data, i);
		struct directory_entry entry = directory_entry_of(&e, index);
		int rc = e.head.kind == PACK_CHUNK ? recent_load(d->recent, &e.head.key, &entry, sums) : 0;

		if (rc)
			return rc;
	}
	return directory_note(d, index, (uint32_t)pack->records, PACK_OPEN);
}
