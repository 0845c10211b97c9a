#include <errno.h>
#include <string.h>

#include "fs/file_internal.h"
#include "store/err.h"
#include "store/log.h"

enum { HASH_STEP = 1 << 20, LOOK_STEP = 64 << 20 };
#define HASH_BYTES_MAX (UINT64_C(1) << 40) /* a quarter of an hour; what is larger is sparse or better hashed by who wrote it */

/* The hash that went along with the writing, when nothing was missed. */
static bool sha_streamed(struct file *f, uint64_t size, uint8_t sha256[32])
{
	EVP_MD_CTX *copy;
	bool ok;

	if (!f->sha_valid || f->sha_off != size)
		return false;
	if (!size)
		return EVP_Digest("", 0, sha256, NULL, EVP_sha256(), NULL) == 1;
	copy = EVP_MD_CTX_new();
	ok = copy && f->sha && EVP_MD_CTX_copy_ex(copy, f->sha) == 1 && EVP_DigestFinal_ex(copy, sha256, NULL) == 1;
	EVP_MD_CTX_free(copy);
	return ok;
}

static bool is_removed(const struct file *f)
{
	struct node_row row;

	return catalog_node(f->files->catalog, f->ino, &row) || !row.nlink;
}

/* Who writes goes first, and who waits for `processing` when it would be long. */
static bool is_disturbed(const struct file *f, bool yields)
{
	return f->writers || (yields && f->awaited) || f->files->stop;
}

/* By reading it all once. Lock held, let go of between steps; processing held, so the map stays. Gives up when it is disturbed, or the
 * file is removed. 0 and content->sha256_known, or -errno. */
static int sha_by_reading(struct file *f, bool yields, struct content *content)
{
	uint64_t size = content->size;
	bool given_up = false;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	scope_free uint8_t *bytes = malloc(HASH_STEP);
	int rc = ctx && bytes && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1 ? 0 : err_set(ENOMEM, "no memory to hash");

	for (uint64_t at = 0; !rc && at < size;) {
		size_t n = size - at < HASH_STEP ? (size_t)(size - at) : HASH_STEP;

		given_up = is_disturbed(f, yields) || (at % LOOK_STEP == 0 && is_removed(f));
		if (given_up)
			break;
		rc = file_read_map(f, at, bytes, n);
		if (!rc) {
			pthread_mutex_unlock(&f->lock);
			EVP_DigestUpdate(ctx, bytes, n);
			pthread_mutex_lock(&f->lock);
		}
		at += n;
	}
	if (!rc && !given_up) {
		content->sha256_known = EVP_DigestFinal_ex(ctx, content->sha256, NULL) == 1;
		rc = content->sha256_known ? 0 : err_set(EIO, "SHA-256 failed");
	}
	EVP_MD_CTX_free(ctx);
	return rc;
}

static int record_content(struct file *f, const struct caller *caller, const struct content *content)
{
	struct record r = { .kind = REC_CONTENT };
	struct actor actor = caller_actor(caller);
	struct node_row row;
	int rc;

	r.content.ino = f->ino;
	r.content.mtime_ns = f->mtime_ns;
	r.content.content = *content;
	rc = catalog_apply(f->files->catalog, &actor, &r);
	if (rc == -ENOENT && (catalog_node(f->files->catalog, f->ino, &row) || !row.nlink))
		rc = 0; /* removed while it was open: nobody will look for it */
	if (!rc)
		f->saved = *content;
	return rc;
}

bool file_may_succeed_later(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || io_is_passing(rc);
}

/* Everything that was written so far into the map. Processing held. */
static int complete_map(struct file *f)
{
	uint64_t size = f->size, have;
	int rc = file_hand_over(f); /* what is left out would be recorded as a hole */

	if (!rc)
		rc = file_put_moving(f, true);
	have = content_size(f->map);
	if (!rc && have < size) {
		struct extent hole = { .len = size - have };

		rc = content_splice(f->map, have, 0, &hole, 1);
	}
	return rc;
}

/* What of it was written or promised meanwhile is for the next commit. */
static void committed(struct file *f, uint64_t size)
{
	f->committed = size;
	f->promised = f->flushed && file_is_pending(f);
	f->promised_ns = now_ns();
}

int file_commit_processing(struct file *f, const struct caller *caller)
{
	struct content content = { 0 };
	int rc = file_failed(f);

	if (rc || !file_is_pending(f)) {
		f->promised = false;
		return rc;
	}
	f->committing = true;
	f->changed = f->flushed = false; /* a write or flush from here on sets it again */
	rc = complete_map(f);
	if (!rc)
		rc = content_save(f->map, &content);
	if (!rc) {
		content.sha256_known = sha_streamed(f, content.size, content.sha256);
		rc = record_content(f, f->promised ? &f->promised_to : caller, &content);
	}
	f->committing = false;
	if (!rc) {
		committed(f, content.size);
		return 0;
	}
	f->changed = true;
	return f->promised && file_may_succeed_later(rc) ? rc : file_fail(f, rc);
}

int file_commit(struct file *f, const struct caller *caller)
{
	int rc;

	if (!file_is_pending(f))
		return file_failed(f); /* whoever hashes it need not be waited for */
	/* First wait for a commit that is going on: what it is about to record is not there yet, and it may fail. */
	file_processing_begin(f);
	rc = file_commit_processing(f, caller);
	file_processing_end(f);
	return rc;
}

bool file_needs_hash(const struct file *f)
{
	return !f->writers && !f->error && !file_is_pending(f) && f->saved.size && f->saved.size <= HASH_BYTES_MAX &&
	       !f->saved.sha256_known;
}

int file_hash_processing(struct file *f, bool yields)
{
	struct content content = f->saved;
	int rc = sha_by_reading(f, yields, &content);

	/* Damage in old parts does not undo what was written. */
	if (rc || !content.sha256_known)
		return !rc && file_needs_hash(f) && !is_removed(f);
	if (!file_needs_hash(f))
		return 0;
	return record_content(f, &caller_self, &content);
}
