#include <errno.h>
#include <stdio.h>

#include "store/codec.h"
#include "store/err.h"
#include "store/scratch.h"
#include "store/verify_internal.h"

/* A batch is handed over when it has so many bytes or chunks. The largest record is 2 MiB and a little. */
enum { BATCH_BYTES = 512 << 10, BATCH_CHUNKS = 64, BATCHES_MAX = 64 };

struct waiting { /* a chunk */
	struct pack_head head;
	uint64_t off;
	size_t at; /* its payload in the batch's bytes */
};

struct batch {
	struct verify *run;
	struct batch *next; /* free */
	char pack[PACK_NAME_MAX];
	struct waiting chunks[BATCH_CHUNKS];
	size_t count;
	struct buf bytes;
};

void verify_tell(void *ctx, const char *sentence)
{
	struct verify *run = ctx;

	scope_lock(&run->lock); /* one at a time, as the header promises */
	run->counts->damaged++;
	if (run->damaged)
		run->damaged(run->ctx, sentence);
}

void verify_complain(struct verify *run, const char *pack, const char *fmt, ...)
{
	scope_buf struct buf sentence = { 0 };
	va_list ap;

	suspect_add(run, pack);
	buf_printf(&sentence, "pack %s: ", pack);
	va_start(ap, fmt);
	buf_vprintf(&sentence, fmt, ap);
	va_end(ap);
	verify_tell(run, buf_text(&sentence));
}

/* 0 or -ENOMEM; damage is told. */
static int check_chunk(struct verify *run, const char *pack, const struct pack_head *head, uint64_t at,
		       const uint8_t *payload)
{
	struct buf *plain = scratch_take(SCRATCH_PLAIN);
	unsigned long long off = at;
	char text[KEY_TEXT_MAX];
	struct key found;
	int rc;

	if (!plain || !buf_reserve(plain, head->plain_len))
		return err_set(ENOMEM, "no memory to verify a chunk");
	key_text(&head->key, text);
	rc = codec_decode(head->codec, payload, head->stored_len, plain->data, head->plain_len);
	if (rc == -ENOMEM)
		return rc;
	if (rc) {
		verify_complain(run, pack, "chunk %s at %llu: %s", text, off, err_text());
		return 0;
	}
	found = key_of(run->store->settings.secret, plain->data, head->plain_len);
	if (!key_equal(&found, &head->key))
		verify_complain(run, pack, "chunk %s at %llu: the decoded bytes do not match the key", text, off);
	scope_lock(&run->lock);
	run->counts->chunks++;
	run->counts->plain_bytes += head->plain_len;
	return 0;
}

static struct batch *take_batch(struct verify *run, const char *pack)
{
	struct batch *b;

	pthread_mutex_lock(&run->lock);
	b = run->free_batches;
	if (b)
		run->free_batches = b->next;
	pthread_mutex_unlock(&run->lock);
	if (b)
		snprintf(b->pack, sizeof b->pack, "%s", pack);
	return b;
}

/* A job, or done by the one who filled it. */
static int check_batch(void *arg)
{
	struct batch *b = arg;
	struct verify *run = b->run;
	int rc = 0;

	for (size_t i = 0; !rc && i < b->count; i++)
		rc = check_chunk(run, b->pack, &b->chunks[i].head, b->chunks[i].off, b->bytes.data + b->chunks[i].at);
	b->count = 0;
	buf_clear(&b->bytes);
	scope_lock(&run->lock);
	b->next = run->free_batches;
	run->free_batches = b;
	return rc;
}

int verify_chunks_end(struct verify *run, struct batch **batch)
{
	struct batch *b = *batch;

	*batch = NULL;
	if (!b || pool_offer(run->store->pool, &run->group, check_batch, b))
		return 0;
	return check_batch(b);
}

int verify_chunk(struct verify *run, struct batch **batch, const char *pack, const struct pack_head *head, uint64_t off,
		 const uint8_t *payload)
{
	struct batch *b = *batch;

	if (!b && pool_has_idle(run->store->pool))
		b = *batch = take_batch(run, pack);
	if (b)
		buf_put(&b->bytes, payload, head->stored_len);
	if (!b || buf_failed(&b->bytes)) {
		if (b)
			b->bytes.failed = false;
		return check_chunk(run, pack, head, off, payload);
	}
	b->chunks[b->count++] = (struct waiting) { *head, off, b->bytes.len - head->stored_len };
	return b->count < BATCH_CHUNKS && b->bytes.len < BATCH_BYTES ? 0 : verify_chunks_end(run, batch);
}

int verify_batches(struct verify *run)
{
	size_t count = 2 + 2 * (size_t)pool_threads(run->store->pool);

	if (count > BATCHES_MAX)
		count = BATCHES_MAX;
	run->batches = calloc(count, sizeof *run->batches);
	if (!run->batches)
		return err_set(ENOMEM, "no memory to verify a store");
	for (size_t i = 0; i < count; i++) {
		run->batches[i].run = run;
		run->batches[i].next = i + 1 < count ? &run->batches[i + 1] : NULL;
	}
	run->free_batches = run->batches;
	return 0;
}

/* When all are free again. */
void verify_batches_free(struct verify *run)
{
	for (struct batch *b = run->free_batches; b; b = b->next)
		buf_free(&b->bytes);
	free(run->batches);
}
