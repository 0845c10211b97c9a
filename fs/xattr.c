#include "fs/xattr.h"

#include <errno.h>
#include <linux/xattr.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

#include "fs/access.h"
#include "fs/arrival.h"
#include "fs/facts_text.h"
#include "fs/protect.h"
#include "index/acl.h"
#include "index/field.h"
#include "store/err.h"

enum { XATTR_VALUE_MAX = 64 << 10 };

#define PREFIX_FIELD "user.tomofs."
#define NAME_TAGS "user.xdg.tags"
#define NAME_COMMENT "user.xdg.comment"

void user_name(uint32_t uid, char *name, size_t room)
{
	char memory[4096];
	struct passwd pw, *found = NULL;

	*name = 0;
	if (!getpwuid_r(uid, &pw, memory, sizeof memory, &found) && found)
		snprintf(name, room, "%s", pw.pw_name);
}

int tag_check(const char *tag)
{
	if (!*tag)
		return err_set(EINVAL, "a tag cannot be empty");
	if (strlen(tag) > NAME_BYTES_MAX)
		return err_set(ENAMETOOLONG, "a tag is at most %d bytes long", NAME_BYTES_MAX);
	for (const char *c = tag; *c; c++)
		if (*c == '/' || *c == ',' || (unsigned char)*c < 0x20 || *c == 0x7f)
			return err_set(EINVAL, "tag \"%s\": no '/', ',' or control characters in a tag", tag);
	if (name_is_junk(tag))
		return err_set(EINVAL, "\"%s\" is a name that file managers make up, not a tag", tag);
	return 0;
}

int tag_change(struct fs *fs, const struct caller *who, uint32_t dataset, const char *tag, bool remove)
{
	struct actor actor = caller_actor(who);
	struct record r = { .kind = REC_TAG };
	int rc = remove ? 0 : tag_check(tag);

	if (rc)
		return rc;
	r.tag.dataset = dataset;
	r.tag.tag = tag;
	r.tag.remove = remove;
	return catalog_apply(fs->catalog, &actor, &r);
}

static char *trimmed(char *text)
{
	char *end;

	while (*text == ' ')
		text++;
	end = text + strlen(text);
	while (end > text && end[-1] == ' ')
		*--end = 0;
	return text;
}

/* Is tag one of the comma list (compared whole)? */
static bool list_has(const char *list, const char *tag)
{
	scope_free char *copy = strdup(list);
	char *save = NULL;

	for (char *t = copy ? strtok_r(copy, ",", &save) : NULL; t; t = strtok_r(NULL, ",", &save))
		if (strcmp(trimmed(t), tag) == 0)
			return true;
	return false;
}

int tags_set(struct fs *fs, const struct caller *who, uint32_t dataset, const char *list)
{
	scope_free char *copy = strdup(list), *check = strdup(list);
	scope_free struct term *now = NULL;
	char *save = NULL;
	size_t count = 0;
	int rc;

	if (!copy || !check)
		return err_set(ENOMEM, "no memory");
	for (char *t = strtok_r(check, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
		char *tag = trimmed(t);

		rc = *tag ? tag_check(tag) : 0;
		if (rc)
			return rc;
	}
	rc = catalog_tags(fs->catalog, dataset, &now, &count);
	for (size_t i = 0; !rc && i < count; i++)
		if (!list_has(list, now[i].text))
			rc = tag_change(fs, who, dataset, now[i].text, true);
	save = NULL;
	for (char *t = strtok_r(copy, ",", &save); t && !rc; t = strtok_r(NULL, ",", &save)) {
		char *tag = trimmed(t);

		if (*tag)
			rc = tag_change(fs, who, dataset, tag, false);
	}
	return rc;
}

int fact_set(struct fs *fs, const struct caller *who, uint32_t dataset, const char *name, const char *text)
{
	const struct field *field = field_find(name);
	scope_free char *normal = NULL;
	struct actor actor = caller_actor(who);
	struct record r = { .kind = REC_FACT };
	int rc;

	rc = field && strcmp(field->name, "comment") != 0 ? protect_facts(fs, dataset) : 0;
	if (rc)
		return rc;
	if (!field)
		return err_set(EINVAL, "there is no field \"%s\" (README.txt lists them)", name);
	if (field->origin == FIELD_DERIVED)
		return err_set(EINVAL, "%s is found out by the file system and cannot be set", field->name);
	if (text && *text) {
		rc = field_normal(field, text, &normal);
		if (rc)
			return rc;
	}
	r.fact.dataset = dataset;
	r.fact.field = field->name;
	r.fact.value = normal ? normal : "";
	rc = catalog_apply(fs->catalog, &actor, &r);
	if (!rc)
		arrival_facts_changed(fs->arrival, dataset);
	return rc;
}

/* The dataset whose top this node is; NULL row->number when it is none. */
static bool top_of(struct fs *fs, const struct node *node, struct dataset_row *row)
{
	struct node_row n;

	return !catalog_node(fs->catalog, node->number, &n) && n.dataset &&
	       !catalog_dataset(fs->catalog, n.dataset, row);
}

static int get_tags(struct fs *fs, uint32_t dataset, struct buf *value)
{
	scope_free struct term *list = NULL;
	size_t count = 0;
	int rc = catalog_tags(fs->catalog, dataset, &list, &count);

	for (size_t i = 0; !rc && i < count; i++)
		buf_printf(value, "%s%s", i ? "," : "", list[i].text);
	return !rc && !count ? -ENODATA : rc;
}

static int get_field(struct fs *fs, const struct dataset_row *row, const char *name, struct buf *value)
{
	scope_free char *text = NULL;
	const struct field *field = field_find(name);

	if (strcmp(name, "frozen") == 0)
		text = protect_is_frozen(fs, row->number) ? strdup("1") : NULL;
	else if (strcmp(name, "role") == 0)
		text = strdup(row->role == ROLE_COLLECTION ? "collection" : "dataset");
	else if (field)
		text = facts_value(fs, row, field->name);
	if (!text)
		return -ENODATA;
	buf_put(value, text, strlen(text));
	return 0;
}

int xattr_real_get(struct fs *fs, const struct caller *who, const struct node *node, const char *name, struct buf *value)
{
	struct dataset_row row;

	(void)who;
	if (strcmp(name, NAME_TAGS) == 0 || strcmp(name, NAME_COMMENT) == 0 ||
	    strncmp(name, PREFIX_FIELD, strlen(PREFIX_FIELD)) == 0) {
		if (top_of(fs, node, &row)) {
			if (strcmp(name, NAME_TAGS) == 0)
				return get_tags(fs, row.number, value);
			if (strcmp(name, NAME_COMMENT) == 0)
				return get_field(fs, &row, "comment", value);
			return get_field(fs, &row, name + strlen(PREFIX_FIELD), value);
		}
	}
	return catalog_xattr(fs->catalog, node->number, name, value);
}

static void name_put(struct buf *names, const char *prefix, const char *name)
{
	buf_put(names, prefix, strlen(prefix));
	buf_put(names, name, strlen(name) + 1);
}

/* Only root sees these. */
static void drop_trusted(struct buf *names)
{
	size_t kept = 0, len;

	for (size_t at = 0; at < names->len; at += len) {
		const char *name = (const char *)names->data + at;

		len = strlen(name) + 1;
		if (strncmp(name, "trusted.", 8) == 0)
			continue;
		memmove(names->data + kept, name, len);
		kept += len;
	}
	names->len = kept;
}

int xattr_real_list(struct fs *fs, const struct caller *who, const struct node *node, struct buf *names)
{
	struct dataset_row row;
	scope_buf struct buf all = { 0 };
	int rc = catalog_xattr_list(fs->catalog, node->number, &all);

	for (size_t at = 0, len; !rc && at < all.len; at += len + 1) { /* others are our own */
		const char *name = (const char *)all.data + at;

		len = strlen(name);
		if (strncmp(name, "tomofs.", 7) != 0)
			buf_put(names, name, len + 1);
	}
	if (who->uid)
		drop_trusted(names);
	if (!rc && top_of(fs, node, &row)) {
		scope_facts struct facts facts = { 0 };
		scope_buf struct buf tags = { 0 };

		if (!get_tags(fs, row.number, &tags))
			name_put(names, "", NAME_TAGS);
		rc = catalog_facts(fs->catalog, row.number, &facts);
		for (size_t i = 0; !rc && i < facts.count; i++) {
			if (!facts.list[i].effective || facts.list[i].rank != RANK_PERSON)
				continue; /* rsync -X and cp -a copy what is listed: only what a person said */
			if (strcmp(facts.list[i].field, "comment") == 0)
				name_put(names, "", NAME_COMMENT);
			else
				name_put(names, PREFIX_FIELD, facts.list[i].field);
		}
	}
	return rc;
}

static int set_role(struct fs *fs, const struct caller *who, uint64_t ino, const char *text)
{
	if (strcmp(text, "dataset") == 0)
		return arrival_set_role(fs->arrival, who, ino, ROLE_DATASET);
	if (strcmp(text, "collection") == 0)
		return arrival_set_role(fs->arrival, who, ino, ROLE_COLLECTION);
	return err_set(EINVAL, "user.tomofs.role is \"dataset\" or \"collection\"");
}

static int set_state(struct fs *fs, const struct dataset_row *row, const char *text)
{
	if (strcmp(text, "ready") != 0)
		return err_set(EINVAL, "user.tomofs.state can only be set to \"ready\"");
	return arrival_ready(fs->arrival, row->number);
}

/* What a dataset's top understands. 1: not one of those. */
static int set_known(struct fs *fs, const struct caller *who, const struct dataset_row *row, uint64_t ino,
		     const char *name, const char *text)
{
	int rc;

	if (strcmp(name, NAME_TAGS) == 0)
		return tags_set(fs, who, row->number, text);
	if (strcmp(name, NAME_COMMENT) == 0)
		return fact_set(fs, who, row->number, "comment", text);
	if (strncmp(name, PREFIX_FIELD, strlen(PREFIX_FIELD)) != 0)
		return 1;
	rc = may(fs, row, who, VERB_WRITE);
	if (rc)
		return rc;
	name += strlen(PREFIX_FIELD);
	if (strcmp(name, "frozen") == 0)
		return protect_set_frozen(fs, who, row, text);
	if (strcmp(name, "role") == 0)
		return set_role(fs, who, ino, text);
	if (strcmp(name, "state") == 0)
		return set_state(fs, row, text);
	return fact_set(fs, who, row->number, name, text);
}

/* chmod by somebody who is not of the file's group takes the set-group-id bit away; so does this. */
static int drop_set_group(struct fs *fs, const struct caller *who, const struct node *node)
{
	struct actor actor = caller_actor(who);
	struct record r = { .kind = REC_ATTR };
	struct node_row row;
	int rc = catalog_node(fs->catalog, node->number, &row);

	if (rc || !who->uid || !(row.mode & S_ISGID) || S_ISDIR(row.mode) || access_in_group(who, row.gid) == 1)
		return rc;
	r.attr.ino = node->number;
	r.attr.set = ATTR_MODE;
	r.attr.mode = row.mode & 07777 & ~(uint32_t)S_ISGID;
	r.attr.owner = "";
	return catalog_apply(fs->catalog, &actor, &r);
}

/* Does the list say what is so already? cp -a copies the list of each file, most of which are modes. */
static bool says_nothing_new(struct fs *fs, const struct node *node, const char *name, const void *value, size_t len)
{
	struct acl acl, now;
	struct node_row row;

	return value && strcmp(name, ACL_NAME_ACCESS) == 0 && !acl_decode(value, len, &acl) && acl.count && acl_is_mode(&acl) &&
	       catalog_acl(fs->catalog, node->number, name, &now) == -ENODATA && !catalog_node(fs->catalog, node->number, &row) &&
	       acl_mode(&acl) == (row.mode & 0777);
}

/* value NULL: none any more. The kernel has checked that the caller is the owner. */
static int set_acl(struct fs *fs, const struct caller *who, const struct node *node, const char *name, const void *value,
		   size_t len)
{
	struct actor actor = caller_actor(who);
	struct record r = { .kind = REC_XATTR };
	int rc = 0;

	if (says_nothing_new(fs, node, name, value, len))
		return 0;
	r.xattr.ino = node->number;
	r.xattr.name = name;
	r.xattr.remove = !value;
	r.xattr.value = value;
	r.xattr.value_len = len;
	if (value && strcmp(name, ACL_NAME_ACCESS) == 0)
		rc = drop_set_group(fs, who, node);
	return rc ? rc : catalog_apply(fs->catalog, &actor, &r);
}

int xattr_real_set(struct fs *fs, const struct caller *who, const struct node *node, const char *name,
		   const void *value, size_t len, int flags)
{
	struct record r = { .kind = REC_XATTR };
	struct actor actor = caller_actor(who);
	struct dataset_row row;
	struct node_row n;

	if (acl_is_name(name))
		return set_acl(fs, who, node, name, value, len);
	if (strncmp(name, "user.", 5) != 0 && strncmp(name, "trusted.", 8) != 0)
		return err_set(EOPNOTSUPP, "%s: only user.* and trusted.* attributes are kept", name);
	if (len > XATTR_VALUE_MAX)
		return err_set(E2BIG, "%s: an attribute is at most 64 KiB", name);
	if (top_of(fs, node, &row)) {
		scope_free char *text = strndup(value ? value : "", len);
		int rc = text ? set_known(fs, who, &row, node->number, name, text) : err_set(ENOMEM, "no memory");

		if (rc <= 0)
			return rc;
	} else if (strcmp(name, PREFIX_FIELD "role") == 0 && !catalog_node(fs->catalog, node->number, &n) &&
		   S_ISDIR(n.mode)) {
		scope_free char *text = strndup(value ? value : "", len);

		return set_role(fs, who, node->number, text ? text : "");
	}
	if (flags) {
		scope_buf struct buf old = { 0 };
		int there = catalog_xattr(fs->catalog, node->number, name, &old);

		if ((flags & XATTR_CREATE) && !there)
			return err_set(EEXIST, "%s: is there already", name);
		if ((flags & XATTR_REPLACE) && there)
			return err_set(ENODATA, "%s: is not there", name);
	}
	r.xattr.ino = node->number;
	r.xattr.name = name;
	r.xattr.value = value;
	r.xattr.value_len = len;
	return catalog_apply(fs->catalog, &actor, &r);
}

int xattr_real_remove(struct fs *fs, const struct caller *who, const struct node *node, const char *name)
{
	struct record r = { .kind = REC_XATTR };
	struct actor actor = caller_actor(who);
	struct dataset_row row;
	scope_buf struct buf old = { 0 };
	int rc;

	if (acl_is_name(name))
		return set_acl(fs, who, node, name, NULL, 0);
	rc = xattr_real_get(fs, who, node, name, &old);

	if (rc)
		return rc;
	if (top_of(fs, node, &row)) {
		rc = set_known(fs, who, &row, node->number, name, "");
		if (rc <= 0)
			return rc;
	}
	r.xattr.ino = node->number;
	r.xattr.name = name;
	r.xattr.remove = true;
	return catalog_apply(fs->catalog, &actor, &r);
}
