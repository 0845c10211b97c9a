#include "fs/node_search.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "fs/access.h"
#include "fs/arrival.h"
#include "fs/node_dataset.h"
#include "store/err.h"

enum { REMEMBERED = 4096, HASH_BITS = 58 };

enum search_thing { SEARCH_FOLDER = 0, SEARCH_ERROR = 1 };

struct searches {
	pthread_mutex_t lock;
	uint64_t clock;
	struct {
		uint64_t hash, used;
		char *text; /* owned; NULL: free slot */
	} slot[REMEMBERED];
};

struct searches *searches_new(void)
{
	struct searches *s = calloc(1, sizeof *s);

	if (s)
		pthread_mutex_init(&s->lock, NULL);
	return s;
}

void searches_free(struct searches *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < REMEMBERED; i++)
		free(s->slot[i].text);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

const struct node_ops *node_search_resolve(uint64_t what)
{
	return what >> HASH_BITS == SEARCH_FOLDER ? &node_ops_search : &node_ops_search_error;
}

static uint64_t hash_of_number(uint64_t number)
{
	return node_what(number) & ((1ULL << HASH_BITS) - 1);
}

static uint64_t search_number(enum search_thing thing, uint64_t hash)
{
	return node_number(CLASS_SEARCH, (uint64_t)thing << HASH_BITS | hash);
}

/* Eight slots from the hash on are looked at; the longest unused one makes room. */
enum { WAYS = 8 };

static int remember(struct searches *s, const char *text, uint64_t *hash)
{
	size_t best = 0;
	char *copy = strdup(text);

	if (!copy)
		return err_set(ENOMEM, "no memory");
	*hash = XXH3_64bits(text, strlen(text)) & ((1ULL << HASH_BITS) - 1);
	scope_lock(&s->lock);
	for (size_t i = 0; i < WAYS; i++) {
		size_t at = (*hash + i) % REMEMBERED;

		if (s->slot[at].text && s->slot[at].hash == *hash) {
			s->slot[at].used = ++s->clock;
			free(copy);
			return 0;
		}
		if (i == 0 || s->slot[at].used < s->slot[best].used)
			best = at;
	}
	free(s->slot[best].text);
	s->slot[best].text = copy;
	s->slot[best].hash = *hash;
	s->slot[best].used = ++s->clock;
	return 0;
}

static char *recall(struct searches *s, uint64_t hash)
{
	scope_lock(&s->lock);
	for (size_t i = 0; i < WAYS; i++) {
		size_t at = (hash + i) % REMEMBERED;

		if (s->slot[at].text && s->slot[at].hash == hash) {
			s->slot[at].used = ++s->clock;
			return strdup(s->slot[at].text);
		}
	}
	err_set(ESTALE, "this search was forgotten; open it again by its name");
	return NULL;
}

int searches_save(struct searches *s, struct buf *to)
{
	scope_lock(&s->lock);
	for (size_t i = 0; i < REMEMBERED; i++)
		if (s->slot[i].text)
			buf_string(to, s->slot[i].text);
	return buf_failed(to) ? err_set(ENOMEM, "no memory for the searches") : 0;
}

int searches_load(struct searches *s, const void *bytes, size_t len)
{
	struct cursor c = cursor_of(bytes, len);
	int rc = 0;

	while (!rc && cursor_left(&c)) {
		scope_free char *text = cursor_string(&c);
		uint64_t hash;

		rc = text ? remember(s, text, &hash) : err_set(EINVAL, "the list of searches is not whole");
	}
	return rc;
}

/* ---- search/ ---- */

static int searches_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	node_attr_folder(fs, 0777, st);
	return 0;
}

static int searches_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			   struct node *out)
{
	uint64_t hash;
	int rc;

	(void)who, (void)folder;
	if (name_is_junk(name))
		return err_set(ENOENT, "%s: not a query", name);
	rc = remember(fs->searches, name, &hash);
	if (!rc)
		*out = (struct node){ .number = search_number(SEARCH_FOLDER, hash), .ops = &node_ops_search };
	return rc;
}

static int searches_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	scope_buf struct buf texts = { 0 };
	int rc = catalog_queries(fs->catalog, &texts);
	uint64_t hash;

	(void)who, (void)folder;
	for (size_t at = 0; !rc && at < texts.len;) {
		const char *text = (const char *)texts.data + at;

		rc = remember(fs->searches, text, &hash);
		if (!rc)
			rc = node_emit_one(emit, ctx, &node_ops_search, search_number(SEARCH_FOLDER, hash), text);
		at += strlen(text) + 1;
	}
	return rc < 0 ? rc : 0;
}

static int change_kept(struct fs *fs, const struct caller *who, const char *name, bool drop)
{
	struct actor actor = caller_actor(who);
	struct record r = { .kind = REC_QUERY };

	r.query.text = name;
	r.query.drop = drop;
	return catalog_apply(fs->catalog, &actor, &r);
}

static int searches_mkdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			  uint32_t mode, struct node *out)
{
	struct query *query = NULL;
	size_t at;
	int rc;

	(void)mode;
	if (name_is_junk(name))
		return err_set(EINVAL, "\"%s\" is a name that file managers make up, not a query", name);
	rc = query_parse(name, &query, &at);
	query_free(query);
	if (!rc)
		rc = change_kept(fs, who, name, false);
	return rc ? rc : searches_lookup(fs, who, folder, name, out);
}

static int searches_rmdir(struct fs *fs, const struct caller *who, const struct node *folder, const char *name)
{
	(void)folder;
	return change_kept(fs, who, name, true);
}

static int searches_rename_into(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
				const struct node *to, const char *new_name, unsigned flags)
{
	struct node made;
	int rc;

	if (folder->number != to->number || flags)
		return err_set(EPERM, "%s: only a search can be renamed here", name);
	rc = searches_mkdir(fs, who, to, new_name, 0, &made);
	return rc ? rc : change_kept(fs, who, name, true);
}

const struct node_ops node_ops_searches = {
	.kind = "search",
	.type = S_IFDIR,
	.attr = searches_attr,
	.lookup = searches_lookup,
	.list = searches_list,
	.mkdir = searches_mkdir,
	.rmdir = searches_rmdir,
	.rename_into = searches_rename_into,
};

/* ---- search/QUERY ---- */

static int search_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	(void)node;
	node_attr_folder(fs, 0555, st);
	return 0;
}

/* The parsed query of a folder. -EINVAL: it cannot be understood; -ESTALE. */
static int parsed(struct fs *fs, uint64_t number, struct query **query, char **text, size_t *at)
{
	*text = recall(fs->searches, hash_of_number(number));
	return *text ? query_parse(*text, query, at) : -ESTALE;
}

struct asker {
	struct fs *fs;
	const struct caller *who;
};

static bool allowed(void *ctx, const struct dataset_row *row)
{
	struct asker *a = ctx;

	return row->role == ROLE_DATASET && may(a->fs, row, a->who, VERB_LOOK) == 0;
}

static int search_list(struct fs *fs, const struct caller *who, const struct node *folder, node_emit emit, void *ctx)
{
	struct asker asker = { .fs = fs, .who = who };
	struct query *query = NULL;
	scope_free char *text = NULL;
	scope_free uint32_t *list = NULL;
	size_t count = 0, at = 0;
	int rc = parsed(fs, folder->number, &query, &text, &at);

	arrival_look_into_new(fs->arrival); /* so that what was just copied in is found */
	if (rc == -EINVAL) {
		uint64_t number = search_number(SEARCH_ERROR, hash_of_number(folder->number));

		rc = node_emit_one(emit, ctx, &node_ops_search_error, number, "ERROR.txt");
	} else if (!rc) {
		rc = catalog_search(fs->catalog, query, allowed, &asker, &list, &count);
		if (!rc)
			rc = dataset_emit_links(fs, who, list, count, SCOPE_SCANS, LINK_SEARCH, emit, ctx);
	}
	query_free(query);
	return rc < 0 ? rc : 0;
}

static bool is_this(void *ctx, const struct dataset_row *row)
{
	return row->number == *(uint32_t *)ctx;
}

static int search_lookup(struct fs *fs, const struct caller *who, const struct node *folder, const char *name,
			 struct node *out)
{
	struct query *query = NULL;
	scope_free char *text = NULL;
	scope_free uint32_t *list = NULL;
	struct dataset_row row;
	size_t count = 0, at = 0;
	int rc = parsed(fs, folder->number, &query, &text, &at);

	arrival_look_into_new(fs->arrival); /* so that what was just copied in is found */
	if (rc == -EINVAL && strcmp(name, "ERROR.txt") == 0) {
		uint64_t number = search_number(SEARCH_ERROR, hash_of_number(folder->number));

		*out = (struct node){ .number = number, .ops = &node_ops_search_error };
		return 0;
	}
	if (rc)
		return rc == -EINVAL ? err_set(ENOENT, "%s: not found", name) : rc;
	rc = dataset_named(fs, who, name, SCOPE_SCANS, &row);
	if (!rc)
		rc = catalog_search(fs->catalog, query, is_this, &row.number, &list, &count);
	query_free(query);
	if (rc)
		return rc;
	if (!count)
		return err_set(ENOENT, "%s: does not match", name);
	*out = (struct node){ .number = link_number(LINK_SEARCH, row.number), .ops = &node_ops_link };
	return 0;
}

const struct node_ops node_ops_search = {
	.kind = "a search",
	.type = S_IFDIR,
	.attr = search_attr,
	.lookup = search_lookup,
	.list = search_list,
};

/* ---- search/BAD QUERY/ERROR.txt ---- */

static int error_text(struct fs *fs, const struct node *node, struct buf *out)
{
	struct query *query = NULL;
	scope_free char *text = NULL;
	size_t at = 0;
	int rc = parsed(fs, node->number, &query, &text, &at);

	query_free(query);
	if (!text)
		return rc;
	buf_printf(out, "This search could not be understood: %s\n\n    %s\n    %*s^\n\n", rc ? err_text() : "", text,
		   (int)(at < strlen(text) ? at : strlen(text)), "");
	buf_printf(out, "README.txt in the mount's root shows how to search.\n");
	return 0;
}

static int error_attr(struct fs *fs, const struct node *node, struct stat *st)
{
	scope_buf struct buf text = { 0 };
	int rc = error_text(fs, node, &text);

	st->st_mode = S_IFREG | 0444;
	st->st_size = (off_t)text.len;
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = fs->mounted_ns / 1000000000;
	return rc;
}

const struct node_ops node_ops_search_error = {
	.kind = "ERROR.txt",
	.type = S_IFREG,
	.attr = error_attr,
	.text = error_text,
};
