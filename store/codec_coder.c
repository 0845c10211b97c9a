/* What each thread keeps for its next chunk, and the errors of coders. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include <zstd_errors.h>

#include "store/codec_internal.h"
#include "store/err.h"

static pthread_key_t coder_key;
static pthread_once_t coder_once = PTHREAD_ONCE_INIT;

static void coder_free(void *slot)
{
	struct coder *c = slot;

	for (int i = 0; i < ZSTD_SETUPS; i++)
		ZSTD_freeCCtx(c->encoder[i]);
	ZSTD_freeDCtx(c->decoder);
	buf_free(&c->filtered);
	buf_free(&c->check);
	bits_room_free(&c->bits);
	buf_free(&c->next);
	buf_free(&c->ranks);
	values_free(&c->values);
	buf_free(&c->planes);
	buf_free(&c->sample);
	buf_free(&c->sample_filtered);
	buf_free(&c->sample_out);
	free(c);
}

static void make_key(void)
{
	if (pthread_key_create(&coder_key, coder_free))
		abort(); /* at the first use only, and only when the process has used all its keys */
}

struct coder *coder_get(void)
{
	struct coder *c;

	pthread_once(&coder_once, make_key);
	c = pthread_getspecific(coder_key);
	if (c)
		return c;
	c = calloc(1, sizeof *c);
	if (c && pthread_setspecific(coder_key, c)) {
		free(c);
		c = NULL;
	}
	return c;
}

static ZSTD_CCtx *encoder_new(enum zstd_setup setup)
{
	static const int levels[ZSTD_SETUPS] = { [ZSTD_LEVEL1] = 1, [ZSTD_HUFFMAN] = -50, [ZSTD_PROBE] = 1, [ZSTD_DENSE] = 12 };
	ZSTD_CCtx *z = ZSTD_createCCtx();

	if (!z)
		return NULL;
	ZSTD_CCtx_setParameter(z, ZSTD_c_compressionLevel, levels[setup]);
	ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0);
	ZSTD_CCtx_setParameter(z, ZSTD_c_checksumFlag, 0);
	if (setup == ZSTD_HUFFMAN) {
		/* A libzstd without these still makes good frames, only larger ones, and the trial sees that. */
		ZSTD_CCtx_setParameter(z, ZSTD_c_literalCompressionMode, ZSTD_ps_enable);
		ZSTD_CCtx_setParameter(z, ZSTD_c_minMatch, 7);
		ZSTD_CCtx_setParameter(z, ZSTD_c_hashLog, 6);
	}
	if (setup == ZSTD_PROBE) {
		ZSTD_CCtx_setParameter(z, ZSTD_c_literalCompressionMode, ZSTD_ps_disable);
		ZSTD_CCtx_setParameter(z, ZSTD_c_hashLog, 12);
	}
	return z;
}

ZSTD_CCtx *coder_encoder(struct coder *c, enum zstd_setup setup)
{
	if (!c->encoder[setup])
		c->encoder[setup] = encoder_new(setup);
	return c->encoder[setup];
}

uint8_t *coder_scratch(struct buf *b, size_t len)
{
	buf_clear(b);
	return buf_reserve(b, len + PREDICT_SLACK);
}

int coder_zstd_error(const char *what, size_t code)
{
	if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
		return err_set(ENOMEM, "no memory for zstd");
	return err_set(EBADMSG, "%s: %s", what, ZSTD_getErrorName(code));
}

int coder_no_memory(void)
{
	return err_set(ENOMEM, "no memory to code a chunk");
}
