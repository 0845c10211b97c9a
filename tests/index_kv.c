#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "index/kv.h"
#include "store/err.h"
#include "store/io.h"
#include "tests/lib/check.h"
#include "tests/lib/random.h"

/* --- a model: a sorted array of all keys there can be ------------------------------------------------------------- */

enum { KEYS = 700, GROUPS = 7, BIG = 37 };

struct model_value {
	uint64_t seed; /* 0: absent */
	size_t len;
};

struct model {
	struct model_value now[KEYS], committed[KEYS];
};

/* The i-th key in order: a group letter, a number, and sometimes much more. */
static size_t key_of_index(unsigned i, uint8_t key[KV_KEY_MAX])
{
	int len = snprintf((char *)key, KV_KEY_MAX, "%c/%04u", 'a' + i * GROUPS / KEYS, i);
	size_t more = i % 11 == 3 ? i % 90 * 5 : 0;

	memset(key + len, 'a' + i % 5, more);
	return (size_t)len + more;
}

static bool holds(const struct model_value *v, const uint8_t *bytes, size_t len)
{
	scope_free uint8_t *want = malloc(v->len + 1);

	random_fill(want, v->len, v->seed);
	return len == v->len && !memcmp(want, bytes, len);
}

static void put_value(struct kv *kv, unsigned i, const struct model_value *v)
{
	scope_free uint8_t *bytes = malloc(v->len + 1);
	uint8_t key[KV_KEY_MAX];

	random_fill(bytes, v->len, v->seed);
	kv_put(kv, key, key_of_index(i, key), bytes, v->len);
}

static size_t random_length(uint64_t *dice)
{
	switch (random_below(dice, 40)) {
	case 0:
		return random_below(dice, 20000);
	case 1:
		return 1900 + random_below(dice, 200); /* around what LMDB keeps in a leaf */
	case 2:
		return 0;
	default:
		return random_below(dice, 200);
	}
}

/* One batch of changes. */
static void change(struct kv *kv, struct model *m, uint64_t *dice, unsigned count)
{
	kv_write_begin(kv);
	while (count--) {
		unsigned i = (unsigned)random_below(dice, KEYS);
		uint8_t key[KV_KEY_MAX];

		if (random_below(dice, 3)) {
			m->now[i] = (struct model_value) { random_next(dice) | 1, random_length(dice) };
			put_value(kv, i, &m->now[i]);
		} else {
			m->now[i] = (struct model_value) { 0 };
			kv_del(kv, key, key_of_index(i, key));
		}
	}
	kv_write_end(kv);
}

static void check_gets(struct kv *kv, const struct model *m)
{
	scope_buf struct buf value = { 0 };
	uint8_t key[KV_KEY_MAX];

	for (unsigned i = 0; i < KEYS; i++) {
		int rc = kv_get(kv, key, key_of_index(i, key), &value);

		CHECK(rc == (m->now[i].seed ? 0 : -ENOENT));
		CHECK(rc || holds(&m->now[i], value.data, value.len));
	}
}

/* What a cursor gives is what the model has between from and the end of the prefix. */
static void check_cursor(struct kv *kv, const struct model *m, const char *prefix, unsigned from)
{
	uint8_t start[KV_KEY_MAX] = { 0 }, key[KV_KEY_MAX];
	size_t start_len = from < KEYS ? key_of_index(from, start) : 0, prefix_len = strlen(prefix);
	struct kv_cursor *c = kv_seek(kv, prefix, prefix_len, start, start_len);
	const uint8_t *k, *v;
	size_t k_len, v_len, len;

	for (unsigned i = from < KEYS ? from : 0; i < KEYS; i++) {
		len = key_of_index(i, key);
		if (!m->now[i].seed || len < prefix_len || memcmp(key, prefix, prefix_len))
			continue;
		CHECK(kv_next(c, &k, &k_len, &v, &v_len) == 1);
		CHECK(k_len == len && !memcmp(k, key, len) && holds(&m->now[i], v, v_len));
	}
	CHECK(kv_next(c, &k, &k_len, &v, &v_len) == 0);
	CHECK(kv_next(c, &k, &k_len, &v, &v_len) == 0);
	kv_cursor_free(c);
}

static void check_all(struct kv *kv, const struct model *m, uint64_t *dice)
{
	static const char *const prefixes[] = { "", "a", "c/", "c/02", "g/0699", "h", "\xff" };

	kv_read_begin(kv);
	check_gets(kv, m);
	check_cursor(kv, m, "", KEYS);
	for (int i = 0; i < 4; i++)
		check_cursor(kv, m, prefixes[random_below(dice, 7)], (unsigned)random_below(dice, KEYS + 50));
	kv_read_end(kv);
}

static void test_model(void)
{
	char dir[300];
	struct model *m = calloc(1, sizeof *m);
	uint64_t dice = 42;
	struct kv *kv = NULL;

	snprintf(dir, sizeof dir, "%s/index", check_tmpdir());
	CHECK_RC(kv_open(&kv, dir, 1 << 28));
	check_all(kv, m, &dice);
	for (int step = 0; step < 60; step++) {
		change(kv, m, &dice, 1 + (unsigned)random_below(&dice, step % 3 ? 20 : 200));
		if (random_below(&dice, 2)) {
			CHECK(kv_pending(kv) > 0);
			CHECK_RC(kv_commit(kv));
			CHECK(kv_pending(kv) == 0);
			memcpy(m->committed, m->now, sizeof m->now);
		}
		if (random_below(&dice, 6) == 0) {
			kv_close(kv);
			CHECK_RC(kv_open(&kv, dir, 1 << 28));
			memcpy(m->now, m->committed, sizeof m->now);
		}
		check_all(kv, m, &dice);
	}
	kv_write_begin(kv); /* all gone */
	for (unsigned i = 0; i < KEYS; i++) {
		uint8_t key[KV_KEY_MAX];

		kv_del(kv, key, key_of_index(i, key));
	}
	kv_write_end(kv);
	memset(m->now, 0, sizeof m->now);
	check_all(kv, m, &dice);
	CHECK_RC(kv_commit(kv));
	check_all(kv, m, &dice);
	CHECK_RC(kv_commit(kv)); /* nothing to do */
	kv_close(kv);
	free(m);
}

static void test_limits(void)
{
	char dir[300];
	uint8_t key[KV_KEY_MAX + 1] = { 0 };
	scope_free uint8_t *value = malloc(KV_VALUE_MAX);
	scope_buf struct buf got = { 0 };
	struct kv *kv = NULL;

	snprintf(dir, sizeof dir, "%s/index", check_tmpdir());
	CHECK_RC(kv_open(&kv, dir, 0));
	random_fill(value, KV_VALUE_MAX, 5);
	for (int i = 0; i < 3; i++) {
		kv_write_begin(kv);
		memset(key, i ? 0xff : 0, sizeof key);
		kv_put(kv, key, KV_KEY_MAX, value, KV_VALUE_MAX);
		kv_put(kv, key, 1, value, 0);
		CHECK_RC(kv_get(kv, key, 1, &got));
		kv_write_end(kv);
		CHECK_RC(kv_commit(kv));
		kv_read_begin(kv);
		CHECK_RC(kv_get(kv, key, KV_KEY_MAX, &got));
		CHECK(got.len == KV_VALUE_MAX && !memcmp(got.data, value, KV_VALUE_MAX));
		CHECK_RC(kv_get(kv, key, 1, &got));
		CHECK(got.len == 0);
		CHECK(kv_get(kv, key, KV_KEY_MAX + 1, &got) == -ENOENT); /* where the stamp lies */
		CHECK(kv_get(kv, key, 0, &got) == -ENOENT);
		CHECK(kv_get(kv, key, 2, &got) == -ENOENT);
		kv_read_end(kv);
	}
	kv_close(kv);
}

/* --- commits that fail -------------------------------------------------------------------------------------------- */

static void test_map_full(void)
{
	struct model *m = calloc(1, sizeof *m);
	uint64_t dice = 7;
	char dir[300];
	struct kv *kv = NULL;
	int rc = 0;

	snprintf(dir, sizeof dir, "%s/index", check_tmpdir());
	CHECK_RC(kv_open(&kv, dir, 256 << 10));
	kv_limit_map(kv, 256 << 10);
	for (int i = 0; i < 40 && !rc; i++) {
		change(kv, m, &dice, 40);
		rc = kv_commit(kv);
		check_all(kv, m, &dice);
		if (!rc)
			memcpy(m->committed, m->now, sizeof m->now);
	}
	CHECK(rc == -ENOSPC && strstr(err_text(), "map"));
	change(kv, m, &dice, 40);
	CHECK(kv_commit(kv) == -ENOSPC);
	CHECK(kv_pending(kv) > 0);
	check_all(kv, m, &dice);
	kv_close(kv);
	CHECK_RC(kv_open(&kv, dir, 1 << 24)); /* a larger map will do */
	memcpy(m->now, m->committed, sizeof m->now);
	check_all(kv, m, &dice);
	change(kv, m, &dice, 400);
	CHECK_RC(kv_commit(kv));
	check_all(kv, m, &dice);
	kv_close(kv);
	free(m);
}

/* A full map becomes larger by itself, and what could not be written while it might not is written then. */
static void test_map_grows(void)
{
	struct model *m = calloc(1, sizeof *m);
	uint64_t dice = 11;
	char dir[300];
	struct kv *kv = NULL;
	int rc = 0;

	snprintf(dir, sizeof dir, "%s/index", check_tmpdir());
	CHECK_RC(kv_open(&kv, dir, 64 << 10));
	kv_limit_map(kv, 128 << 10);
	for (int i = 0; i < 40 && !rc; i++) {
		change(kv, m, &dice, 40);
		rc = kv_commit(kv);
	}
	CHECK(rc == -ENOSPC);
	check_all(kv, m, &dice);
	kv_limit_map(kv, 1 << 24);
	for (int i = 0; i < 10; i++) {
		CHECK_RC(kv_commit(kv));
		check_all(kv, m, &dice);
		change(kv, m, &dice, 200);
	}
	CHECK_RC(kv_commit(kv));
	CHECK(kv_pending(kv) == 0);
	kv_close(kv);
	CHECK_RC(kv_open(&kv, dir, 64 << 10)); /* a file larger than the map that is asked for */
	check_all(kv, m, &dice);
	change(kv, m, &dice, 400);
	CHECK_RC(kv_commit(kv));
	check_all(kv, m, &dice);
	kv_close(kv);
	free(m);
}

/* Writes fail for a while: what was put stays, and goes in when they work again, newer changes too. */
static void test_failed_writes(void)
{
	struct model *m = calloc(1, sizeof *m);
	struct rlimit old, small;
	uint64_t dice = 8;
	char dir[300];
	struct kv *kv = NULL;

	snprintf(dir, sizeof dir, "%s/index", check_tmpdir());
	CHECK_RC(kv_open(&kv, dir, 1 << 24));
	change(kv, m, &dice, 100);
	CHECK_RC(kv_commit(kv));
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 20 << 10;
	for (int i = 0; i < 3; i++) {
		change(kv, m, &dice, 300);
		setrlimit(RLIMIT_FSIZE, &small);
		CHECK(kv_commit(kv) == -EIO);
		change(kv, m, &dice, 300);
		CHECK(kv_commit(kv) == -EIO);
		setrlimit(RLIMIT_FSIZE, &old);
		check_all(kv, m, &dice);
		if (i == 1) {
			CHECK_RC(kv_commit(kv));
			check_all(kv, m, &dice);
		}
	}
	CHECK_RC(kv_commit(kv));
	CHECK(kv_pending(kv) == 0);
	kv_close(kv);
	CHECK_RC(kv_open(&kv, dir, 1 << 24));
	check_all(kv, m, &dice);
	kv_close(kv);
	free(m);
}

/* --- threads ------------------------------------------------------------------------------------------------------ */

enum { PAIRS = 50, ROUNDS = 150 };

struct shared {
	struct kv *kv;
	atomic_bool done;
};

static size_t pair_key(char *key, size_t room, char side, unsigned i)
{
	return (size_t)snprintf(key, room, "%c%03u", side, i);
}

/* Both sides of a pair always change in one batch, so a reader sees them equal, and no more and no less than PAIRS of
 * each once they are there. */
static void *read_pairs(void *arg)
{
	struct shared *s = arg;
	scope_buf struct buf left = { 0 }, right = { 0 };
	const uint8_t *k, *v;
	size_t k_len, v_len;
	char key[16];

	for (unsigned i = 0; !atomic_load(&s->done); i = (i + 7) % (PAIRS - 1)) {
		struct kv_cursor *c;
		unsigned count = 0;
		int a, b;

		kv_read_begin(s->kv);
		a = kv_get(s->kv, key, pair_key(key, sizeof key, 'l', i), &left);
		b = kv_get(s->kv, key, pair_key(key, sizeof key, 'r', i), &right);
		CHECK(a == 0 && b == 0 && left.len == right.len && !memcmp(left.data, right.data, left.len));
		c = kv_seek(s->kv, "l", 1, NULL, 0);
		while (kv_next(c, &k, &k_len, &v, &v_len) == 1)
			count++;
		kv_cursor_free(c);
		CHECK(count == PAIRS || count == PAIRS - 1);
		CHECK((count == PAIRS - 1) == (kv_get(s->kv, "gone", 4, &left) == 0));
		kv_read_end(s->kv);
	}
	return NULL;
}

static void *commit_often(void *arg)
{
	struct shared *s = arg;

	while (!atomic_load(&s->done)) {
		CHECK_RC(kv_commit(s->kv));
		usleep(300);
	}
	return NULL;
}

static void put_pair(struct kv *kv, unsigned i, const char *value, size_t len)
{
	char key[16];

	kv_put(kv, key, pair_key(key, sizeof key, 'l', i), value, len);
	kv_put(kv, key, pair_key(key, sizeof key, 'r', i), value, len);
}

static void test_threads(void)
{
	struct shared s = { 0 };
	pthread_t readers[3], committer;
	char dir[300], value[64], key[16];

	snprintf(dir, sizeof dir, "%s/index", check_tmpdir());
	CHECK_RC(kv_open(&s.kv, dir, 1 << 26));
	kv_write_begin(s.kv);
	for (unsigned i = 0; i < PAIRS; i++)
		put_pair(s.kv, i, "start", 5);
	kv_write_end(s.kv);
	for (int i = 0; i < 3; i++)
		pthread_create(&readers[i], NULL, read_pairs, &s);
	pthread_create(&committer, NULL, commit_often, &s);
	for (unsigned n = 0; n < ROUNDS; n++) {
		size_t len = (size_t)snprintf(value, sizeof value, "round %u", n);

		kv_write_begin(s.kv);
		for (unsigned i = n % 3; i < PAIRS - 1; i += 3)
			put_pair(s.kv, i, value, len);
		pair_key(key, sizeof key, 'l', PAIRS - 1); /* comes and goes, with a note that says so */
		if (n % 2) {
			kv_del(s.kv, key, strlen(key));
			kv_put(s.kv, "gone", 4, "", 0);
		} else {
			kv_put(s.kv, key, strlen(key), value, len);
			kv_del(s.kv, "gone", 4);
		}
		kv_write_end(s.kv);
		usleep(200);
	}
	atomic_store(&s.done, true);
	for (int i = 0; i < 3; i++)
		pthread_join(readers[i], NULL);
	pthread_join(committer, NULL);
	kv_close(s.kv);
}

/* --- damage ------------------------------------------------------------------------------------------------------- */

struct file {
	char path[400];
	uint8_t *bytes;
	size_t len;
};

static void load(struct file *f, const char *dir)
{
	void *bytes = NULL;

	snprintf(f->path, sizeof f->path, "%s/data.mdb", dir);
	CHECK_RC(io_read_file(&io_system, f->path, 1 << 28, &bytes, &f->len));
	f->bytes = bytes;
}

static void put_file(const struct file *f, size_t len)
{
	FILE *out = fopen(f->path, "w");

	CHECK(out && fwrite(f->bytes, 1, len, out) == len && !fclose(out));
}

/* 1 when something is wrong and not reported. */
static int wrong_gets(struct kv *kv, const struct model *m, unsigned *errors)
{
	scope_buf struct buf value = { 0 };
	uint8_t key[KV_KEY_MAX];
	int wrong = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		int rc = kv_get(kv, key, key_of_index(i, key), &value);

		*errors += rc == -EIO;
		if (rc == 0)
			wrong |= !m->now[i].seed || !holds(&m->now[i], value.data, value.len);
		else if (rc != -EIO)
			wrong |= rc != -ENOENT || m->now[i].seed;
	}
	return wrong;
}

static int wrong_cursor(struct kv *kv, const struct model *m)
{
	struct kv_cursor *c = kv_seek(kv, "", 0, "", 0);
	unsigned i = 0, errors = 0, steps = 0;
	uint8_t key[KV_KEY_MAX];
	const uint8_t *k, *v;
	size_t k_len, v_len;
	int rc, wrong = 0;

	while ((rc = kv_next(c, &k, &k_len, &v, &v_len)) != 0 && !wrong && steps++ < 3 * KEYS) {
		if (rc < 0) {
			errors++;
			continue;
		}
		for (;; i++) { /* to this key; what is left out must have been reported */
			size_t len = i < KEYS ? key_of_index(i, key) : 0;

			if (i == KEYS || (len == k_len && !memcmp(key, k, len)))
				break;
			wrong |= m->now[i].seed && !errors;
		}
		wrong |= i == KEYS || !holds(&m->now[i], v, v_len);
		i++;
	}
	for (; i < KEYS; i++)
		wrong |= m->now[i].seed && !errors;
	kv_cursor_free(c);
	return wrong || steps > 3 * KEYS;
}

#ifdef __SANITIZE_THREAD__
enum { DAMAGES = 15 }; /* a fork is slow there */
#else
enum { DAMAGES = 120 };
#endif
enum { FINE, REFUSED, REPORTED, WRONG };

/* Opens a damaged index, reads all, writes, reads again. */
static int try_damaged(const char *dir, const struct model *was, uint64_t dice)
{
	struct model *m = malloc(sizeof *m);
	struct kv *kv = NULL;
	unsigned errors = 0;
	int rc = kv_open(&kv, dir, 1 << 24), wrong;

	memcpy(m, was, sizeof *m);
	if (rc) {
		free(m);
		return rc == -EIO && strstr(err_text(), "tomofs rebuild") ? REFUSED : WRONG;
	}
	kv_read_begin(kv);
	wrong = wrong_gets(kv, m, &errors) | wrong_cursor(kv, m);
	kv_read_end(kv);
	for (int i = 0; i < 3 && !wrong; i++) {
		change(kv, m, &dice, 60);
		rc = kv_commit(kv);
		errors += rc != 0;
		kv_read_begin(kv);
		wrong |= (rc && rc != -EIO) | wrong_gets(kv, m, &errors) | wrong_cursor(kv, m);
		kv_read_end(kv);
	}
	kv_close(kv);
	free(m);
	return wrong ? WRONG : errors ? REPORTED : FINE;
}

/* In a child, since LMDB itself trusts its file. */
static int try_in_child(const char *dir, const struct model *m, uint64_t dice)
{
	pid_t pid = fork();
	int status = 0;

	if (!pid)
		_exit(try_damaged(dir, m, dice));
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void build(const char *dir, struct model *m)
{
	uint64_t dice = 99;
	struct kv *kv = NULL;

	CHECK_RC(kv_open(&kv, dir, 1 << 24));
	for (int i = 0; i < 8; i++) {
		change(kv, m, &dice, 200);
		CHECK_RC(kv_commit(kv));
	}
	kv_close(kv);
}

/* Damages the file: mostly one bit (a third of them in metas and heads of pages, where it hurts most), else a sector.
 */
static size_t damage(struct file *f, unsigned n, uint64_t *dice)
{
	size_t at =
	    n % 3 ? random_below(dice, f->len) : random_below(dice, f->len / 4096) * 4096 + random_below(dice, 160);

	if (n % 5) {
		f->bytes[at] ^= (uint8_t)(1 << random_below(dice, 8));
		return at;
	}
	at &= ~(size_t)511;
	if (n % 2)
		memset(f->bytes + at, 0, 512);
	else
		random_fill(f->bytes + at, 512, random_next(dice));
	return at;
}

/* DAMAGES=5000 tries harder. */
static void test_damage(void)
{
	const char *count = getenv("DAMAGES");
	unsigned damages = count ? (unsigned)atoi(count) : DAMAGES, results[256] = { 0 };
	struct model *m = calloc(1, sizeof *m);
	struct file f;
	char dir[300];
	uint64_t dice = 1234;

	snprintf(dir, sizeof dir, "%s/index", check_tmpdir());
	build(dir, m);
	load(&f, dir);
	for (unsigned n = 0; n < damages; n++) {
		scope_free uint8_t *kept = malloc(f.len);
		int result;
		size_t at;

		memcpy(kept, f.bytes, f.len);
		at = damage(&f, n, &dice);
		put_file(&f, f.len);
		result = try_in_child(dir, m, dice);
		results[result]++;
		if (result > REPORTED)
			fprintf(stderr, "damage %u at byte %zu: %d\n", n, at, result);
		CHECK(result <= REPORTED);
		memcpy(f.bytes, kept, f.len);
	}
	if (count)
		printf("fine %u, refused %u, reported %u\n", results[FINE], results[REFUSED], results[REPORTED]);
	CHECK(damages < 100 || (results[FINE] && results[REFUSED] && results[REPORTED]));
	free(f.bytes);
	free(m);
}

static void test_truncated(void)
{
	struct model *m = calloc(1, sizeof *m);
	struct file f;
	char dir[300];
	struct kv *kv = NULL;

	snprintf(dir, sizeof dir, "%s/index", check_tmpdir());
	build(dir, m);
	load(&f, dir);
	for (size_t len = f.len - 4096; len > 4096 + 152; len = len > 20000 ? len - 10000 : len * 2 / 3) {
		put_file(&f, len);
		CHECK(kv_open(&kv, dir, 1 << 24) == -EIO && strstr(err_text(), "tomofs rebuild"));
	}
	random_fill(f.bytes, f.len, 3);
	put_file(&f, f.len);
	CHECK(kv_open(&kv, dir, 1 << 24) == -EIO);
	free(f.bytes);
	free(m);
}

/* A power cut before the first commit was synced leaves pieces of it, with no meta but those of the very first write, or
 * pieces of that too: a new index. */
static void test_first_commit_torn(void)
{
	struct model *m = calloc(1, sizeof *m);
	struct kv *kv = NULL;
	struct file f;
	char dir[300];

	snprintf(dir, sizeof dir, "%s/index", check_tmpdir());
	build(dir, m);
	load(&f, dir);
	for (unsigned n = 0; n < 16; n++) {
		struct kv *fresh = NULL;
		struct file first;
		char other[320];
		size_t len = n & 8 ? f.len : 4096 + 512;

		snprintf(other, sizeof other, "%s-%u", dir, n);
		CHECK_RC(kv_open(&fresh, other, 1 << 24)); /* only LMDB's first write */
		kv_close(fresh);
		load(&first, other);
		CHECK(first.len == 8192);
		memcpy(f.bytes, first.bytes, 8192);
		if (n & 1)
			memset(f.bytes, 0, 4096);
		if (n & 2)
			memset(f.bytes + 4096, 0, 4096);
		if (n & 4)
			memset(f.bytes + 512, 0, 512);
		put_file(&f, len);
		CHECK_RC(kv_open(&kv, dir, 1 << 24));
		kv_close(kv);
		free(first.bytes);
	}
	free(f.bytes);
	free(m);
}

int main(void)
{
	test_model();
	test_limits();
	test_map_full();
	test_map_grows();
	test_failed_writes();
	test_threads();
	test_truncated();
	test_first_commit_torn();
	test_damage();
	return check_done();
}
