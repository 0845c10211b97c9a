#include "fs/rights.h"

#include <errno.h>
#include <string.h>

#include "fs/access.h"
#include "store/err.h"

static bool is_named(const struct acl_entry *e)
{
	return e->tag == TAG_USER || e->tag == TAG_GROUP;
}

static bool in_group_class(const struct acl_entry *e)
{
	return is_named(e) || e->tag == TAG_GROUP_OBJ;
}

/* What the mask takes away is gone, and the mask with it. */
static void flatten(struct acl *acl)
{
	uint16_t mask = 7;
	size_t kept = 0;

	for (size_t i = 0; i < acl->count; i++)
		if (acl->list[i].tag == TAG_MASK)
			mask = acl->list[i].perm;
	for (size_t i = 0; i < acl->count; i++) {
		struct acl_entry e = acl->list[i];

		if (e.tag == TAG_MASK)
			continue;
		if (in_group_class(&e))
			e.perm &= mask;
		acl->list[kept++] = e;
	}
	acl->count = kept;
}

int rights_of(struct fs *fs, const struct node_row *row, struct rights *r)
{
	int rc = catalog_acl(fs->catalog, row->ino, ACL_NAME_ACCESS, &r->acl);

	r->uid = row->uid;
	r->gid = row->gid;
	if (rc == -ENODATA)
		acl_of_mode(&r->acl, row->mode);
	else if (!rc)
		flatten(&r->acl);
	return rc == -ENODATA ? 0 : rc;
}

static int is_member(void *ctx, uint32_t group)
{
	return access_in_group(ctx, group);
}

int rights_allow(const struct rights *r, const struct caller *who, uint32_t want)
{
	struct caller asks = *who;

	return who->uid == 0 ? 1 : acl_allows(&r->acl, r->uid, r->gid, who->uid, want, is_member, &asks);
}

void rights_to_show(struct rights *r, bool is_folder, bool as_folder)
{
	uint16_t need = is_folder ? 5 : 4, give = as_folder ? 5 : 4;

	for (size_t i = 0; i < r->acl.count; i++)
		r->acl.list[i].perm = (r->acl.list[i].perm & need) == need ? give : 0;
}

static const struct acl_entry *find(const struct acl *acl, uint16_t tag, uint32_t id)
{
	for (size_t i = 0; i < acl->count; i++)
		if (acl->list[i].tag == tag && acl->list[i].id == id)
			return &acl->list[i];
	return NULL;
}

/* What a user or group has in r, as far as can be told without knowing who is in which group. */
static uint32_t perm_for(const struct rights *r, bool is_user, uint32_t id)
{
	const struct acl_entry *e = find(&r->acl, is_user ? TAG_USER : TAG_GROUP, id);

	if (id == (is_user ? r->uid : r->gid))
		e = find(&r->acl, is_user ? TAG_USER_OBJ : TAG_GROUP_OBJ, UINT32_MAX);
	if (!e)
		e = find(&r->acl, TAG_OTHER, UINT32_MAX);
	return e ? e->perm : 0;
}

/* The same for whom an entry of r speaks of, in `by`. */
static uint32_t perm_in(const struct rights *by, const struct rights *r, const struct acl_entry *e)
{
	switch (e->tag) {
	case TAG_USER_OBJ:
		return perm_for(by, true, r->uid);
	case TAG_USER:
		return perm_for(by, true, e->id);
	case TAG_GROUP_OBJ:
		return perm_for(by, false, r->gid);
	case TAG_GROUP:
		return perm_for(by, false, e->id);
	}
	return find(&by->acl, TAG_OTHER, UINT32_MAX) ? find(&by->acl, TAG_OTHER, UINT32_MAX)->perm : 0;
}

/* Somebody of whom r said nothing of its own has nothing. When there is no room for that, only the owner has. */
static void shut_out(struct rights *r, const struct acl_entry *who)
{
	struct acl *acl = &r->acl;
	size_t at = 0;

	if (who->id == (who->tag == TAG_USER ? r->uid : r->gid) || find(acl, who->tag, who->id))
		return; /* its entry was limited already */
	if (acl->count >= ACL_ENTRIES_MAX - 1) {
		for (size_t i = 1; i < acl->count; i++)
			acl->list[i].perm = 0;
		return;
	}
	while (at < acl->count && acl->list[at].tag <= who->tag)
		at++;
	memmove(acl->list + at + 1, acl->list + at, (acl->count - at) * sizeof *acl->list);
	acl->list[at] = (struct acl_entry){ .tag = who->tag, .id = who->id };
	acl->count++;
}

void rights_limit(struct rights *r, const struct rights *by, uint32_t bit)
{
	for (size_t i = 0; i < r->acl.count; i++)
		if (!(perm_in(by, r, &r->acl.list[i]) & bit))
			r->acl.list[i].perm = 0;
	for (size_t i = 0; i < by->acl.count; i++)
		if (is_named(&by->acl.list[i]) && !(by->acl.list[i].perm & bit))
			shut_out(r, &by->acl.list[i]);
}

void rights_widen(struct rights *r, bool all, uint32_t bits)
{
	for (size_t i = 0; i < r->acl.count; i++)
		if (all || r->acl.list[i].tag == TAG_USER_OBJ || r->acl.list[i].tag == TAG_GROUP_OBJ)
			r->acl.list[i].perm |= (uint16_t)bits;
}

bool rights_exceed(const struct rights *r, const struct rights *by, uint32_t need)
{
	for (size_t i = 0; i < r->acl.count; i++)
		if (r->acl.list[i].perm & 4 && (perm_in(by, r, &r->acl.list[i]) & need) != need)
			return true;
	for (size_t i = 0; i < by->acl.count; i++)
		if (is_named(&by->acl.list[i]) && (by->acl.list[i].perm & need) != need)
			return true;
	return false;
}

/* With the mask that lets all of it through; before the last entry, which is for others. */
static void add_mask(struct acl *acl)
{
	uint16_t mask = 0;
	struct acl_entry others = acl->list[acl->count - 1];

	for (size_t i = 0; i < acl->count; i++)
		if (in_group_class(&acl->list[i]))
			mask |= acl->list[i].perm;
	acl->list[acl->count - 1] = (struct acl_entry){ .tag = TAG_MASK, .perm = mask, .id = UINT32_MAX };
	acl->list[acl->count++] = others;
}

uint32_t rights_mode(const struct rights *r, struct acl *acl)
{
	struct acl list = r->acl;

	if (!acl_is_mode(&list))
		add_mask(&list);
	if (acl) {
		*acl = list;
		acl->count = acl_is_mode(&list) ? 0 : list.count;
	}
	return acl_mode(&list);
}
