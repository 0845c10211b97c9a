/*
 * Access control lists: what is a valid list, who may do what (against a plain reading of the standard, for random lists), and how
 * list, mode, chmod and inheritance stay in step in the catalog.
 */
#include <errno.h>

#include "index/acl.h"
#include "tests/lib/catalog_lab.h"

static struct acl made(size_t count, const struct acl_entry *list)
{
	struct acl acl = { .count = count };

	memcpy(acl.list, list, count * sizeof *list);
	return acl;
}

static int decoded(const struct acl *acl)
{
	scope_buf struct buf bytes = { 0 };
	struct acl back;
	int rc;

	acl_encode(&bytes, acl);
	rc = acl_decode(bytes.data, bytes.len, &back);
	CHECK(rc || (back.count == acl->count && memcmp(back.list, acl->list, acl->count * sizeof *acl->list) == 0));
	return rc;
}

#define NO UINT32_MAX
#define LIST(...) made(sizeof((struct acl_entry[]){ __VA_ARGS__ }) / sizeof(struct acl_entry), (struct acl_entry[]){ __VA_ARGS__ })

static void check_valid(void)
{
	struct acl good[] = {
		LIST({ TAG_USER_OBJ, 6, NO }, { TAG_GROUP_OBJ, 4, NO }, { TAG_OTHER, 0, NO }),
		LIST({ TAG_USER_OBJ, 6, NO }, { TAG_GROUP_OBJ, 4, NO }, { TAG_MASK, 7, NO }, { TAG_OTHER, 0, NO }),
		LIST({ TAG_USER_OBJ, 6, NO }, { TAG_USER, 7, 1 }, { TAG_USER, 0, 0 }, { TAG_GROUP_OBJ, 4, NO }, { TAG_GROUP, 4, 3 },
		     { TAG_MASK, 7, NO }, { TAG_OTHER, 0, NO }),
	};
	struct acl bad[] = {
		LIST({ TAG_USER_OBJ, 6, NO }, { TAG_GROUP_OBJ, 4, NO }),
		LIST({ TAG_USER_OBJ, 6, NO }, { TAG_OTHER, 0, NO }, { TAG_GROUP_OBJ, 4, NO }),
		LIST({ TAG_USER_OBJ, 6, NO }, { TAG_USER_OBJ, 6, NO }, { TAG_GROUP_OBJ, 4, NO }, { TAG_OTHER, 0, NO }),
		LIST({ TAG_USER_OBJ, 6, NO }, { TAG_USER, 6, 5 }, { TAG_GROUP_OBJ, 4, NO }, { TAG_OTHER, 0, NO }),
		LIST({ TAG_USER_OBJ, 8, NO }, { TAG_GROUP_OBJ, 4, NO }, { TAG_OTHER, 0, NO }),
		LIST({ TAG_USER_OBJ, 6, NO }, { 3, 4, NO }, { TAG_GROUP_OBJ, 4, NO }, { TAG_OTHER, 0, NO }),
		LIST({ TAG_USER_OBJ, 6, NO }, { TAG_USER, 6, NO }, { TAG_GROUP_OBJ, 4, NO }, { TAG_MASK, 7, NO }, { TAG_OTHER, 0, NO }),
	};
	uint8_t bytes[4 + 8 * (ACL_ENTRIES_MAX + 1)] = { 2 };
	struct acl acl;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		CHECK(decoded(&good[i]) == 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(decoded(&bad[i]) == -EINVAL);
	CHECK(acl_decode(bytes, 4, &acl) == 0 && acl.count == 0);
	for (size_t len = 0; len < 40; len++)
		CHECK(len == 4 || acl_decode(bytes, len, &acl) == -EINVAL);
	CHECK(acl_decode(bytes, sizeof bytes, &acl) == -EINVAL);
	bytes[0] = 1;
	CHECK(acl_decode(bytes, 4, &acl) == -EOPNOTSUPP);
	for (uint32_t mode = 0; mode < 01000; mode++) {
		acl_of_mode(&acl, mode);
		CHECK(acl_mode(&acl) == mode && acl_is_mode(&acl));
		acl_chmod(&acl, mode ^ 0525);
		CHECK(acl_mode(&acl) == (mode ^ 0525));
	}
}

/* Groups of the caller as bits. */
static int is_member(void *ctx, uint32_t group)
{
	return *(uint32_t *)ctx >> group & 1;
}

/* The algorithm of POSIX 1003.1e, 23.1.5, word by word. */
static bool by_the_standard(const struct acl *acl, uint32_t owner, uint32_t group, uint32_t uid, uint32_t want, uint32_t groups)
{
	uint32_t mask = 7, other = 0;
	bool matched = false;

	for (size_t i = 0; i < acl->count; i++) {
		mask = acl->list[i].tag == TAG_MASK ? acl->list[i].perm : mask;
		other = acl->list[i].tag == TAG_OTHER ? acl->list[i].perm : other;
	}
	if (uid == owner)
		return (acl->list[0].perm & want) == want;
	for (size_t i = 0; i < acl->count; i++)
		if (acl->list[i].tag == TAG_USER && acl->list[i].id == uid)
			return (acl->list[i].perm & mask & want) == want;
	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->list[i];
		bool mine = (e->tag == TAG_GROUP_OBJ && groups >> group & 1) || (e->tag == TAG_GROUP && groups >> e->id & 1);

		if (mine && (e->perm & mask & want) == want)
			return true;
		matched |= mine;
	}
	return !matched && (other & want) == want;
}

static void check_allows(void)
{
	uint64_t random = 7;

	for (int i = 0; i < 20000; i++) {
		struct acl acl = { .count = 0 };
		uint32_t users = lab_random(&random, 3), named = lab_random(&random, 3), groups = lab_random(&random, 32);
		uint32_t owner = lab_random(&random, 4), group = lab_random(&random, 4), uid = lab_random(&random, 4), want = lab_random(&random, 8);

		acl.list[acl.count++] = (struct acl_entry){ TAG_USER_OBJ, (uint16_t)lab_random(&random, 8), NO };
		for (uint32_t k = 0; k < users; k++)
			acl.list[acl.count++] = (struct acl_entry){ TAG_USER, (uint16_t)lab_random(&random, 8), lab_random(&random, 4) };
		acl.list[acl.count++] = (struct acl_entry){ TAG_GROUP_OBJ, (uint16_t)lab_random(&random, 8), NO };
		for (uint32_t k = 0; k < named; k++)
			acl.list[acl.count++] = (struct acl_entry){ TAG_GROUP, (uint16_t)lab_random(&random, 8), lab_random(&random, 5) };
		if (users || named || lab_random(&random, 2))
			acl.list[acl.count++] = (struct acl_entry){ TAG_MASK, (uint16_t)lab_random(&random, 8), NO };
		acl.list[acl.count++] = (struct acl_entry){ TAG_OTHER, (uint16_t)lab_random(&random, 8), NO };
		CHECK(decoded(&acl) == 0);
		CHECK(acl_allows(&acl, owner, group, uid, want, is_member, &groups) ==
		      by_the_standard(&acl, owner, group, uid, want, groups));
	}
}

static int set(struct lab *lab, uint64_t ino, const char *name, const struct acl *acl)
{
	scope_buf struct buf bytes = { 0 };
	struct record r = { .kind = REC_XATTR };

	if (acl)
		acl_encode(&bytes, acl);
	r.xattr.ino = ino;
	r.xattr.name = name;
	r.xattr.value = bytes.data;
	r.xattr.value_len = bytes.len;
	r.xattr.remove = !acl;
	return lab_apply(lab, &r);
}

static int change_mode(struct lab *lab, uint64_t ino, uint32_t mode)
{
	struct record r = { .kind = REC_ATTR };

	r.attr.ino = ino;
	r.attr.set = ATTR_MODE;
	r.attr.mode = mode;
	r.attr.owner = "";
	return lab_apply(lab, &r);
}

/* The list of a node as a mode, ~0: there is none. */
static uint32_t listed(struct lab *lab, uint64_t ino, const char *name)
{
	struct acl acl;
	int rc = catalog_acl(lab->catalog, ino, name, &acl);

	CHECK(!rc || rc == -ENODATA);
	return rc ? ~0U : acl_mode(&acl);
}

static uint32_t mode_of(struct lab *lab, uint64_t ino)
{
	struct node_row row = { 0 };

	CHECK_RC(catalog_node(lab->catalog, ino, &row));
	return row.mode & 07777;
}

static void check_catalog(void)
{
	struct acl plain = LIST({ TAG_USER_OBJ, 6, NO }, { TAG_GROUP_OBJ, 4, NO }, { TAG_OTHER, 0, NO });
	struct acl named = LIST({ TAG_USER_OBJ, 7, NO }, { TAG_USER, 6, 7 }, { TAG_GROUP_OBJ, 5, NO }, { TAG_MASK, 7, NO }, { TAG_OTHER, 1, NO });
	struct acl none = { .count = 0 };
	struct lab lab;
	uint64_t top, file, made_file, made_folder, link;

	lab_new(&lab);
	top = lab_folder(&lab, INO_DATASETS, "a");
	file = lab_file(&lab, top, "f");
	CHECK_RC(set(&lab, file, ACL_NAME_ACCESS, &plain));
	CHECK(mode_of(&lab, file) == 0640 && listed(&lab, file, ACL_NAME_ACCESS) == ~0U);
	CHECK_RC(change_mode(&lab, file, 04644));
	CHECK_RC(set(&lab, file, ACL_NAME_ACCESS, &named));
	CHECK(mode_of(&lab, file) == 04771 && listed(&lab, file, ACL_NAME_ACCESS) == 0771);
	CHECK_RC(change_mode(&lab, file, 0640));
	CHECK(mode_of(&lab, file) == 0640 && listed(&lab, file, ACL_NAME_ACCESS) == 0640);
	CHECK(set(&lab, file, ACL_NAME_DEFAULT, &named) == -EACCES);
	CHECK_RC(set(&lab, file, ACL_NAME_ACCESS, NULL));
	CHECK(mode_of(&lab, file) == 0640 && listed(&lab, file, ACL_NAME_ACCESS) == ~0U);
	CHECK_RC(set(&lab, top, ACL_NAME_DEFAULT, &named));
	CHECK_RC(lab_make(&lab, top, "g", S_IFREG | 0640, &made_file));
	CHECK_RC(lab_make(&lab, top, "d", S_IFDIR | 0751, &made_folder));
	CHECK_RC(lab_make(&lab, top, "l", S_IFLNK | 0777, &link));
	CHECK(listed(&lab, made_file, ACL_NAME_ACCESS) == 0640 && listed(&lab, made_file, ACL_NAME_DEFAULT) == ~0U);
	CHECK(listed(&lab, made_folder, ACL_NAME_ACCESS) == 0751 && listed(&lab, made_folder, ACL_NAME_DEFAULT) == 0771);
	CHECK(listed(&lab, link, ACL_NAME_ACCESS) == ~0U);
	CHECK(set(&lab, link, ACL_NAME_ACCESS, &named) == -EOPNOTSUPP);
	CHECK_RC(set(&lab, top, ACL_NAME_DEFAULT, &none));
	CHECK(listed(&lab, top, ACL_NAME_DEFAULT) == ~0U);
	lab_close(&lab);
}

int main(void)
{
	check_valid();
	check_allows();
	check_catalog();
	return check_done();
}
