/* Times as people, Samba and Windows write them; numbers of nodes of the past. */
#include <errno.h>
#include <string.h>

#include "fs/history.h"
#include "tests/lib/check.h"

static void test_times(void)
{
	static const struct {
		const char *text;
		int64_t second;
	} good[] = {
		{ "@GMT-2023.11.14-22.13.20", 1700000000 }, { "2023-11-14T22:13:20", 1700000000 },
		{ "2023-11-14T22.13.20Z", 1700000000 },	    { "2023-11-14 22:13:20", 1700000000 },
		{ "2023-11-14T22:13", 1699999980 },	    { "2023-11-14T22.13Z", 1699999980 },
		{ "2023-11-14", 1700006399 },		    { "2024-02-29", 1709251199 },
		{ "1970-01-01T00:00", 0 },
	};
	static const char *const bad[] = { "", "2023", "2023-11", "2023-02-29", "2023-13-01", "2023-11-14T", "2023-11-14T24:00",
					   "2023-11-14T22:60", "2023-11-14T22:13:20+01", "2023-11-14x", "@GMT-2023-11-14",
					   "@GMT-2023.11.14-22.13.20Z", "@GMT-", "1969-12-31", "2023-11-14T2:13", "-2023-11-14",
					   "2023-11-14T22:13:", "2023-00-10", "99999-01-01", "2999-01-01", "9999-12-31T23:59:59" };
	int64_t ns;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		check_that(history_time(good[i].text, &ns) && ns == good[i].second * 1000000000, __FILE__, __LINE__, "time",
			   good[i].text);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		check_that(!history_time(bad[i], &ns), __FILE__, __LINE__, "no time", bad[i]);
	for (uint32_t s = 0; s < 2000000000; s += 123456789) { /* what is written is read */
		char text[32];

		history_time_text(s, text);
		CHECK(history_time(text, &ns) && ns == (int64_t)s * 1000000000);
	}
}

static void test_numbers(void)
{
	enum past_place place;
	uint64_t number, seq, ino;

	for (uint64_t i = 0; i < 65000; i += 13) {
		CHECK_RC(past_number(i * i, i + 1, &number));
		CHECK(number >> 62 == 1 && past_of_number(number, &place, &seq, &ino));
		CHECK(place == PLACE_MOMENTS && seq == i * i && ino == i + 1);
		CHECK(node_past_resolve(number) == (ino == INO_ROOT ? &node_ops_moment : &node_ops_past));
	}
	CHECK(past_number(1, 1ULL << PAST_INO_BITS, &number) == -EOVERFLOW);
	CHECK(past_number((1ULL << PAST_MOMENT_BITS) - PLACE_MOMENTS, 1, &number) == -EOVERFLOW);
	CHECK_RC(past_number((1ULL << PAST_MOMENT_BITS) - PLACE_MOMENTS - 1, (1ULL << PAST_INO_BITS) - 1, &number));
	CHECK(number == (1ULL << 63) - 1);
	CHECK_RC(place_number(PLACE_OLD, 77, &number));
	CHECK(past_of_number(number, &place, &seq, &ino) && place == PLACE_OLD && ino == 77);
	CHECK(node_past_resolve(number) == &node_ops_old);
	/* Places that there are not. */
	for (uint64_t p = PLACE_OLD + 1; p < PLACE_MOMENTS; p++)
		CHECK(!node_past_resolve(NODE_PAST | p << PAST_INO_BITS | 5));
	CHECK(!node_past_resolve(NODE_PAST | 5));
}

int main(void)
{
	test_times();
	test_numbers();
	return check_done();
}
