/*
 * catalog_member: who is in which term. Two tables say the same from both ends (member: term, dataset; has: dataset,
 * facet, term). A tag is given and taken by records; of every other facet a dataset has at most one term, which follows
 * from its facts or owner.
 */
#include "index/catalog_internal.h"

static struct table_key has_key(uint32_t dataset, const struct term *term)
{
	struct table_key k = term_has_key(dataset, term->facet);

	key_u32(&k, term->id);
	return k;
}

static int member_add(struct change *ch, struct term *term, uint32_t dataset)
{
	struct table_key member = key_of_u32_u32(TABLE_MEMBER, term->id, dataset), has = has_key(dataset, term);
	int rc = table_has(ch->catalog, &member);

	if (rc)
		return rc == 1 ? 0 : rc;
	table_put_empty(ch->catalog, &member);
	table_put_empty(ch->catalog, &has);
	term->members++;
	return term_store(ch->catalog, term);
}

static int member_drop(struct change *ch, struct term *term, uint32_t dataset)
{
	struct table_key member = key_of_u32_u32(TABLE_MEMBER, term->id, dataset), has = has_key(dataset, term);
	int rc = table_has(ch->catalog, &member);

	table_del(ch->catalog, &has);
	if (rc != 1)
		return rc;
	table_del(ch->catalog, &member);
	term->members--;
	return term_store(ch->catalog, term);
}

/* Finds it or makes it. -ENOSPC: there are no more numbers. */
static int term_get(struct change *ch, enum facet facet, const char *text, struct term *term)
{
	struct table_key k = term_text_key(facet, text);
	int rc = term_find(ch->catalog, facet, text, term);

	if (rc != -ENOENT)
		return rc;
	*term = (struct term) { .id = ch->catalog->counters.term++, .facet = facet };
	strcpy(term->text, text);
	table_put_u64(ch->catalog, &k, term->id);
	return term_store(ch->catalog, term);
}

static int drop_by_id(struct change *ch, uint32_t id, uint32_t dataset)
{
	struct term term;
	int rc = term_load(ch->catalog, id, &term);

	return rc ? rc : member_drop(ch, &term, dataset);
}

int term_assign(struct change *ch, uint32_t dataset, enum facet facet, const char *text)
{
	scope_free uint32_t *now = NULL;
	struct term term = { 0 };
	size_t count = 0;
	bool stays = false;
	int rc = terms_of(ch->catalog, dataset, facet, &now, &count);

	if (!rc && *text)
		rc = term_get(ch, facet, text, &term);
	if (rc == -ENOSPC)
		rc = 0; /* it is in no folder then */
	for (size_t i = 0; !rc && i < count; i++) {
		if (now[i] == term.id)
			stays = true;
		else
			rc = drop_by_id(ch, now[i], dataset);
	}
	return rc || stays || !term.id ? rc : member_add(ch, &term, dataset);
}

/* Tags stay noted with the dataset, so that they are back when it comes back. */
int terms_leave(struct change *ch, uint32_t dataset)
{
	int rc = 0;

	for (int facet = 1; !rc && facet < FACETS; facet++) {
		scope_free uint32_t *ids = NULL;
		struct term term;
		size_t count = 0;

		rc = terms_of(ch->catalog, dataset, facet, &ids, &count);
		for (size_t i = 0; !rc && i < count; i++) {
			rc = term_load(ch->catalog, ids[i], &term);
			if (!rc)
				rc = member_drop(ch, &term, dataset);
			if (!rc && facet == FACET_TAG) {
				struct table_key has = has_key(dataset, &term);

				table_put_empty(ch->catalog, &has);
			}
		}
	}
	return rc;
}

int terms_return(struct change *ch, uint32_t dataset)
{
	scope_free uint32_t *ids = NULL;
	struct term term;
	size_t count = 0;
	int rc = terms_of(ch->catalog, dataset, FACET_TAG, &ids, &count);

	for (size_t i = 0; !rc && i < count; i++) {
		rc = term_load(ch->catalog, ids[i], &term);
		if (!rc) {
			rc = member_add(ch, &term, dataset);
		} else if (rc == -ENOENT) {
			struct table_key has = has_key(dataset, &(struct term) { .id = ids[i], .facet = FACET_TAG });

			table_del(ch->catalog, &has);
			rc = 0;
		}
	}
	return rc;
}

int apply_tag(struct change *ch)
{
	const struct record *r = ch->record;
	struct dataset d;
	struct term term;
	struct table_key member;
	int rc = dataset_load(ch->catalog, r->tag.dataset, &d), has = 0;

	if (!rc && d.row.removed)
		rc = err_set(ENOENT, "%s: the dataset was removed", d.row.name);
	if (!rc && !r->tag.remove)
		rc = folder_name_check("a tag", r->tag.tag);
	if (rc)
		return rc;
	rc = term_find(ch->catalog, FACET_TAG, r->tag.tag, &term);
	if (!rc) {
		member = key_of_u32_u32(TABLE_MEMBER, term.id, d.row.number);
		has = table_has(ch->catalog, &member);
	}
	if ((rc && rc != -ENOENT) || has < 0)
		return rc ? rc : has;
	if (r->tag.remove && !has)
		return err_set(ENOENT, "%s: has no tag %s", d.row.name, r->tag.tag);
	if (!r->tag.remove && has)
		return 0;
	if (ch->catalog->counters.term > TERM_ID_MAX)
		return err_set(ENOSPC, "there are too many tags");
	rc = change_accept(ch);
	if (rc)
		return rc;
	if (r->tag.remove)
		return member_drop(ch, &term, d.row.number);
	rc = term_get(ch, FACET_TAG, r->tag.tag, &term);
	return rc ? rc : member_add(ch, &term, d.row.number);
}

static int check_term(const struct record *r)
{
	enum facet facet = r->term.facet;
	int rc = 0;

	if (facet < FACET_TAG || facet >= FACETS || r->term.change < TERM_KEEP || r->term.change > TERM_RENAME)
		return err_set(EINVAL, "facet %u or change %u is not known", (unsigned)facet, (unsigned)r->term.change);
	if (facet == FACET_OWNER)
		return err_set(EPERM, "owners follow from the files");
	if (r->term.change != TERM_DROP)
		rc = folder_name_check("the name of this folder",
				       r->term.change == TERM_RENAME ? r->term.new_text : r->term.text);
	return rc;
}

static int term_keep(struct change *ch, struct term *term, bool there)
{
	const struct record *r = ch->record;
	int rc;

	if (there && term->kept)
		return 0;
	if (ch->catalog->counters.term > TERM_ID_MAX)
		return err_set(ENOSPC, "there are too many folders of this kind");
	rc = change_accept(ch);
	if (!rc)
		rc = term_get(ch, r->term.facet, r->term.text, term);
	term->kept = true;
	return rc ? rc : term_store(ch->catalog, term);
}

static int term_drop(struct change *ch, struct term *term)
{
	int rc;

	if (term->members)
		return err_set(ENOTEMPTY, "%s: has %u datasets in it", term->text, term->members);
	rc = change_accept(ch);
	term->kept = false;
	return rc ? rc : term_store(ch->catalog, term);
}

/* Gives every member the new text: a person's fact, or the other tag. */
static int move_members(struct change *ch, struct term *from, struct term *to)
{
	scope_free uint32_t *list = NULL;
	struct table_key prefix = key_of_u32(TABLE_MEMBER, from->id);
	const char *field = facet_field(from->facet);
	size_t count = 0;
	int rc = scan_u32(ch->catalog, &prefix, &list, &count);

	for (size_t i = 0; !rc && i < count; i++) {
		if (field) {
			rc = fact_person(ch, list[i], field, to->text);
			if (!rc)
				rc = facts_derive(ch, list[i]);
		} else if (from->id != to->id) {
			rc = member_drop(ch, from, list[i]);
			if (!rc)
				rc = member_add(ch, to, list[i]);
		}
	}
	return rc;
}

static int merge(struct change *ch, struct term *from, struct term *to)
{
	int rc = 0;

	to->kept |= from->kept;
	rc = term_store(ch->catalog, to);
	if (!rc && from->kept) {
		from->kept = false;
		rc = term_store(ch->catalog, from);
	}
	return rc ? rc : move_members(ch, from, to);
}

/* The term keeps its number: a folder that is renamed stays the same folder. `unused`: a term of that name that is not
 * listed, or NULL; it goes. */
static int retitle(struct change *ch, struct term *term, const char *text, const struct term *unused)
{
	struct table_key old = term_text_key(term->facet, term->text), new = term_text_key(term->facet, text), k;
	int rc;

	if (unused) {
		k = key_of_u32(TABLE_TERM, unused->id);
		table_del(ch->catalog, &k);
	}
	table_del(ch->catalog, &old);
	table_put_u64(ch->catalog, &new, term->id);
	strcpy(term->text, text);
	rc = term_store(ch->catalog, term);
	return rc ? rc : move_members(ch, term, term);
}

static int term_rename(struct change *ch, struct term *term)
{
	const struct record *r = ch->record;
	struct term there;
	int rc = term_find(ch->catalog, term->facet, r->term.new_text, &there), exists = !rc;

	if (rc && rc != -ENOENT)
		return rc;
	if (exists && there.id == term->id)
		return 0;
	rc = change_accept(ch);
	if (rc)
		return rc;
	if (exists && (there.kept || there.members))
		return merge(ch, term, &there);
	return retitle(ch, term, r->term.new_text, exists ? &there : NULL);
}

int apply_term(struct change *ch)
{
	const struct record *r = ch->record;
	struct term term = { 0 };
	int rc = check_term(r);
	bool there;

	if (rc)
		return rc;
	rc = term_find(ch->catalog, r->term.facet, r->term.text, &term);
	there = !rc;
	if (rc && rc != -ENOENT)
		return rc;
	if (r->term.change == TERM_KEEP)
		return term_keep(ch, &term, there);
	if (!there || (!term.kept && !term.members))
		return err_set(ENOENT, "%s: no such folder", r->term.text);
	return r->term.change == TERM_DROP ? term_drop(ch, &term) : term_rename(ch, &term);
}

int apply_query(struct change *ch)
{
	const struct record *r = ch->record;
	struct table_key k;
	int rc = folder_name_check("a search", r->query.text), there;

	if (rc)
		return rc;
	k = key_of_text(TABLE_QUERY, r->query.text);
	there = table_has(ch->catalog, &k);
	if (there < 0)
		return there;
	if (r->query.drop && !there)
		return err_set(ENOENT, "%s: is not a kept search", r->query.text);
	if (!r->query.drop && there)
		return 0;
	rc = change_accept(ch);
	if (rc)
		return rc;
	if (r->query.drop)
		table_del(ch->catalog, &k);
	else
		table_put_empty(ch->catalog, &k);
	return 0;
}
