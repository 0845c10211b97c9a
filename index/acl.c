#include "index/acl.h"

#include <errno.h>
#include <string.h>

#include "store/err.h"

enum { VERSION = 2, ENTRY_BYTES = 8 };

bool acl_is_name(const char *name)
{
	return strcmp(name, ACL_NAME_ACCESS) == 0 || strcmp(name, ACL_NAME_DEFAULT) == 0;
}

/* In the order of tags; the three of a mode and the mask once, and the mask where it must be. */
static bool is_valid(const struct acl *acl)
{
	uint32_t seen = 0;

	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->list[i];
		bool named = e->tag == TAG_USER || e->tag == TAG_GROUP, first = !(seen & e->tag);

		if (!e->tag || e->tag & (e->tag - 1) || e->tag > TAG_OTHER || e->perm > 7 || seen > (uint32_t)e->tag * 2 - 1)
			return false;
		if ((!first && !named) || (named && e->id == UINT32_MAX))
			return false;
		seen |= e->tag;
	}
	return (seen & (TAG_USER_OBJ | TAG_GROUP_OBJ | TAG_OTHER)) == (TAG_USER_OBJ | TAG_GROUP_OBJ | TAG_OTHER) &&
	       (!(seen & (TAG_USER | TAG_GROUP)) || seen & TAG_MASK);
}

int acl_decode(const void *bytes, size_t len, struct acl *acl)
{
	struct cursor c = cursor_of(bytes, len);

	acl->count = 0;
	if (len < 4 || (len - 4) % ENTRY_BYTES || (len - 4) / ENTRY_BYTES > ACL_ENTRIES_MAX)
		return err_set(EINVAL, "%zu bytes are no access control list", len);
	if (cursor_u32(&c) != VERSION)
		return err_set(EOPNOTSUPP, "an access control list of another version");
	for (; acl->count < (len - 4) / ENTRY_BYTES; acl->count++) {
		struct acl_entry *e = &acl->list[acl->count];

		e->tag = cursor_u16(&c);
		e->perm = cursor_u16(&c);
		e->id = cursor_u32(&c);
		if (e->tag != TAG_USER && e->tag != TAG_GROUP)
			e->id = UINT32_MAX;
	}
	return cursor_failed(&c) || (acl->count && !is_valid(acl)) ? err_set(EINVAL, "not a valid access control list") : 0;
}

void acl_encode(struct buf *out, const struct acl *acl)
{
	buf_u32(out, VERSION);
	for (size_t i = 0; i < acl->count; i++) {
		buf_u16(out, acl->list[i].tag);
		buf_u16(out, acl->list[i].perm);
		buf_u32(out, acl->list[i].id);
	}
}

static void add(struct acl *acl, enum acl_tag tag, uint32_t perm)
{
	acl->list[acl->count++] = (struct acl_entry){ .tag = (uint16_t)tag, .perm = (uint16_t)(perm & 7), .id = UINT32_MAX };
}

void acl_of_mode(struct acl *acl, uint32_t mode)
{
	acl->count = 0;
	add(acl, TAG_USER_OBJ, mode >> 6);
	add(acl, TAG_GROUP_OBJ, mode >> 3);
	add(acl, TAG_OTHER, mode);
}

static uint32_t perm_of(const struct acl *acl, enum acl_tag tag, uint32_t otherwise)
{
	for (size_t i = 0; i < acl->count; i++)
		if (acl->list[i].tag == tag)
			return acl->list[i].perm;
	return otherwise;
}

uint32_t acl_mode(const struct acl *acl)
{
	uint32_t group = perm_of(acl, TAG_GROUP_OBJ, 0);

	return perm_of(acl, TAG_USER_OBJ, 0) << 6 | perm_of(acl, TAG_MASK, group) << 3 | perm_of(acl, TAG_OTHER, 0);
}

bool acl_is_mode(const struct acl *acl)
{
	return acl->count <= 3; /* a mask is a fourth */
}

void acl_chmod(struct acl *acl, uint32_t mode)
{
	bool masked = perm_of(acl, TAG_MASK, 8) != 8;

	for (size_t i = 0; i < acl->count; i++) {
		struct acl_entry *e = &acl->list[i];

		if (e->tag == TAG_USER_OBJ)
			e->perm = mode >> 6 & 7;
		else if (e->tag == TAG_OTHER)
			e->perm = mode & 7;
		else if (e->tag == (masked ? TAG_MASK : TAG_GROUP_OBJ))
			e->perm = mode >> 3 & 7;
	}
}

/* The groups' entries: one that grants all of it is enough; one that is the caller's and does not keeps others' rights away. */
static int groups_allow(const struct acl *acl, uint32_t group, uint32_t want, acl_member member, void *ctx)
{
	uint32_t mask = perm_of(acl, TAG_MASK, 7);
	bool any = false;

	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->list[i];
		int in = 0;

		if (e->tag == TAG_GROUP_OBJ || e->tag == TAG_GROUP)
			in = member(ctx, e->tag == TAG_GROUP ? e->id : group);
		if (in < 0)
			return in;
		if (in && (e->perm & mask & want) == want)
			return 1;
		any |= in;
	}
	return any ? 0 : (perm_of(acl, TAG_OTHER, 0) & want) == want;
}

int acl_allows(const struct acl *acl, uint32_t owner, uint32_t group, uint32_t uid, uint32_t want, acl_member member, void *ctx)
{
	if (uid == owner)
		return (perm_of(acl, TAG_USER_OBJ, 0) & want) == want;
	for (size_t i = 0; i < acl->count; i++)
		if (acl->list[i].tag == TAG_USER && acl->list[i].id == uid)
			return (acl->list[i].perm & perm_of(acl, TAG_MASK, 7) & want) == want;
	return groups_allow(acl, group, want, member, ctx);
}
