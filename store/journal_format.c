#include <endian.h>
#include <errno.h>
#include <string.h>
#include <xxhash.h>

#include "store/err.h"
#include "store/journal_internal.h"

static const char segment_magic[8] = "TOMOJRNL";
static const char record_magic[4] = "TJRC";

/* Offsets in a record; what lies from CHAINED to the end of the names is covered by the record's SHA-256. */
enum {
	AT_LENGTH = 4,
	AT_CHECK = 8,
	AT_BATCH = 16,
	AT_FLAGS = 20,
	CHAINED = 24,
	AT_TIME = 32,
	AT_UID = 40,
	AT_KIND = 44,
	AT_VERSION = 46,
	AT_BODY_LEN = 48,
	AT_USER_LEN = 52,
	AT_PROGRAM_LEN = 53,
	AT_PREV = 56,
	AT_DIGEST = 88,
};

int sha_open(struct sha *sha)
{
	sha->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	sha->ctx = EVP_MD_CTX_new();
	if (sha->md && sha->ctx && EVP_DigestInit_ex2(sha->ctx, sha->md, NULL))
		return 0;
	sha_close(sha);
	return err_set(ENOMEM, "libcrypto gives no SHA-256");
}

void sha_close(struct sha *sha)
{
	EVP_MD_CTX_free(sha->ctx);
	EVP_MD_free(sha->md);
	*sha = (struct sha) { 0 };
}

int sha_of(struct sha *sha, const void *bytes, size_t len, uint8_t out[SHA_BYTES])
{
	if (EVP_DigestInit_ex2(sha->ctx, NULL, NULL) && EVP_DigestUpdate(sha->ctx, bytes, len) &&
	    EVP_DigestFinal_ex(sha->ctx, out, NULL))
		return 0;
	return err_set(ENOMEM, "libcrypto cannot compute a SHA-256");
}

static uint16_t le16_at(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof v);
	return le16toh(v);
}

static uint32_t le32_at(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static uint64_t le64_at(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

static void le16_put(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof v);
}

static void le32_put(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

static void le64_put(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

void segment_head_encode(const struct segment_head *h, uint8_t out[SEGMENT_HEAD])
{
	memset(out, 0, SEGMENT_HEAD);
	memcpy(out, segment_magic, sizeof segment_magic);
	le16_put(out + 8, h->version);
	le16_put(out + 10, SEGMENT_HEAD);
	le32_put(out + 12, h->features);
	memcpy(out + 16, h->id, STORE_ID_BYTES);
	le64_put(out + 32, h->epoch);
	le64_put(out + 40, h->first);
	le64_put(out + 48, (uint64_t)h->time_ns);
	memcpy(out + 56, h->prev, SHA_BYTES);
	le64_put(out + 120, XXH3_64bits(out, 120));
}

int segment_head_decode(const uint8_t bytes[SEGMENT_HEAD], struct segment_head *h)
{
	if (memcmp(bytes, segment_magic, sizeof segment_magic) || le64_at(bytes + 120) != XXH3_64bits(bytes, 120))
		return -EBADMSG;
	h->version = le16_at(bytes + 8);
	h->features = le32_at(bytes + 12);
	memcpy(h->id, bytes + 16, STORE_ID_BYTES);
	h->epoch = le64_at(bytes + 32);
	h->first = le64_at(bytes + 40);
	h->time_ns = (int64_t)le64_at(bytes + 48);
	memcpy(h->prev, bytes + 56, SHA_BYTES);
	return 0;
}

size_t record_length(const uint8_t head[RECORD_HEAD])
{
	uint64_t length = le32_at(head + AT_LENGTH);
	uint64_t body = le16_at(head + AT_FLAGS) & RECORD_ERASED ? 0 : le32_at(head + AT_BODY_LEN);

	if (memcmp(head, record_magic, sizeof record_magic) || body > JOURNAL_BODY_MAX ||
	    length != RECORD_HEAD + (uint64_t)head[AT_USER_LEN] + head[AT_PROGRAM_LEN] + body)
		return 0;
	return (size_t)length;
}

/* Magic and length are in the check as its seed, the rest as its text. */
static uint64_t record_check(const uint8_t *bytes, size_t len)
{
	return XXH3_64bits_withSeed(bytes + AT_BATCH, len - AT_BATCH, le64_at(bytes));
}

int journal_record_decode(const uint8_t *bytes, size_t len, struct stored *s)
{
	if (le64_at(bytes + AT_CHECK) != record_check(bytes, len))
		return -EBADMSG;
	s->length = len;
	s->batch = le32_at(bytes + AT_BATCH);
	s->flags = le16_at(bytes + AT_FLAGS);
	s->chained = bytes + CHAINED;
	s->seq = le64_at(bytes + CHAINED);
	s->time_ns = (int64_t)le64_at(bytes + AT_TIME);
	s->uid = le32_at(bytes + AT_UID);
	s->kind = le16_at(bytes + AT_KIND);
	s->version = le16_at(bytes + AT_VERSION);
	s->body_len = le32_at(bytes + AT_BODY_LEN);
	s->user_len = bytes[AT_USER_LEN];
	s->program_len = bytes[AT_PROGRAM_LEN];
	s->prev = bytes + AT_PREV;
	s->body_digest = bytes + AT_DIGEST;
	s->names = bytes + RECORD_HEAD;
	s->chained_len = RECORD_HEAD - CHAINED + (size_t)s->user_len + s->program_len;
	s->body = s->flags & RECORD_ERASED ? NULL : s->chained + s->chained_len;
	return 0;
}

/* A longer name is cut, never refused: the change itself matters more. */
static size_t name_length(const char *name)
{
	return name ? strnlen(name, RECORD_NAME_MAX) : 0;
}

bool journal_record_encode(const struct journal_record *r, const struct record_place *place, struct sha *sha, struct buf *to,
		   uint8_t head[SHA_BYTES])
{
	size_t user = name_length(r->user), program = name_length(r->program);
	size_t names = user + program, len = RECORD_HEAD + names + r->body_len;
	uint8_t *p = buf_reserve(to, len);

	if (!p)
		return false;
	memset(p, 0, RECORD_HEAD);
	memcpy(p, record_magic, sizeof record_magic);
	le32_put(p + AT_LENGTH, (uint32_t)len);
	le32_put(p + AT_BATCH, place->batch);
	le64_put(p + CHAINED, r->seq);
	le64_put(p + AT_TIME, (uint64_t)r->time_ns);
	le32_put(p + AT_UID, r->uid);
	le16_put(p + AT_KIND, r->kind);
	le16_put(p + AT_VERSION, r->version);
	le32_put(p + AT_BODY_LEN, (uint32_t)r->body_len);
	p[AT_USER_LEN] = (uint8_t)user;
	p[AT_PROGRAM_LEN] = (uint8_t)program;
	memcpy(p + AT_PREV, place->prev, SHA_BYTES);
	memcpy(p + AT_DIGEST, place->body_digest, SHA_BYTES);
	if (user)
		memcpy(p + RECORD_HEAD, r->user, user);
	if (program)
		memcpy(p + RECORD_HEAD + user, r->program, program);
	if (r->body_len)
		memcpy(p + RECORD_HEAD + names, r->body, r->body_len);
	le64_put(p + AT_CHECK, record_check(p, len));
	if (sha_of(sha, p + CHAINED, RECORD_HEAD - CHAINED + names, head))
		return false;
	to->len += len;
	return true;
}
