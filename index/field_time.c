/* field_time: dates and times, as people and RFC 3339 write them. Days by the civil calendar (H. Hinnant,
 * "chrono-compatible low-level date algorithms"). */
#include <string.h>

#include "index/field.h"

#define SECOND_US INT64_C(1000000)
#define MINUTE_US (60 * SECOND_US)
#define DAY_US (24 * 60 * MINUTE_US)

/* Exactly digits digits, between least and most. */
static bool number(const char **at, unsigned digits, int least, int most, int *value)
{
	*value = 0;
	for (unsigned i = 0; i < digits; i++, ++*at) {
		if (**at < '0' || **at > '9')
			return false;
		*value = *value * 10 + (**at - '0');
	}
	return *value >= least && *value <= most;
}

static bool skip(const char **at, char c)
{
	if (**at != c)
		return false;
	++*at;
	return true;
}

static int64_t days_before(int year, int month)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t day = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;

	return 365 * y + y / 4 - y / 100 + y / 400 + day - 719468;
}

static void days_span(int64_t from, int64_t until, struct field_span *span)
{
	span->from_us = from * DAY_US;
	span->until_us = until * DAY_US;
}

/* YYYY[-MM[-DD]]; *whole: with its day. */
static bool read_date(const char **at, struct field_span *span, bool *whole)
{
	int year, month, day;
	int64_t first, next;

	*whole = false;
	if (!number(at, 4, 1, 9999, &year))
		return false;
	days_span(days_before(year, 1), days_before(year + 1, 1), span);
	if (!skip(at, '-'))
		return true;
	if (!number(at, 2, 1, 12, &month))
		return false;
	first = days_before(year, month);
	next = month == 12 ? days_before(year + 1, 1) : days_before(year, month + 1);
	days_span(first, next, span);
	if (!skip(at, '-'))
		return true;
	if (!number(at, 2, 1, (int)(next - first), &day))
		return false;
	days_span(first + day - 1, first + day, span);
	return *whole = true;
}

/* Digits of a fraction of a second; those beyond microseconds are read and dropped. */
static bool read_fraction(const char **at, struct field_span *span)
{
	int64_t unit = SECOND_US;

	if (**at < '0' || **at > '9')
		return false;
	for (; **at >= '0' && **at <= '9'; ++*at) {
		if (unit == 1)
			continue;
		unit /= 10;
		span->from_us += unit * (**at - '0');
	}
	span->until_us = span->from_us + unit;
	return true;
}

/* HH:MM[:SS[.fraction]], or with '.' for ':'. */
static bool read_clock(const char **at, struct field_span *span)
{
	int hour, minute, second;
	char colon;

	if (!number(at, 2, 0, 23, &hour))
		return false;
	colon = **at;
	if ((colon != ':' && colon != '.') || !skip(at, colon) || !number(at, 2, 0, 59, &minute))
		return false;
	span->from_us += (hour * 60 + minute) * MINUTE_US;
	span->until_us = span->from_us + MINUTE_US;
	if (!skip(at, colon))
		return true;
	if (!number(at, 2, 0, 60, &second)) /* 60: a leap second */
		return false;
	span->from_us += second * SECOND_US;
	span->until_us = span->from_us + SECOND_US;
	return skip(at, '.') ? read_fraction(at, span) : true;
}

/* Z, or +HH:MM, +HH.MM, +HHMM, +HH. */
static bool read_zone(const char **at, struct field_span *span)
{
	int sign, hours, minutes = 0;

	if (skip(at, 'Z') || skip(at, 'z')) {
		span->zoned = true;
		return true;
	}
	sign = skip(at, '+') ? 1 : skip(at, '-') ? -1 : 0;
	if (!sign)
		return true;
	if (!number(at, 2, 0, 23, &hours))
		return false;
	if ((skip(at, ':') || skip(at, '.') || **at) && !number(at, 2, 0, 59, &minutes))
		return false;
	span->zoned = true;
	span->zone_minutes = sign * (hours * 60 + minutes);
	return true;
}

bool field_time(const char *text, struct field_span *span)
{
	bool whole;

	*span = (struct field_span) { 0 };
	if (!read_date(&text, span, &whole))
		return false;
	if (whole && (skip(&text, 'T') || skip(&text, 't') || skip(&text, ' '))) {
		if (!read_clock(&text, span))
			return false;
		while (skip(&text, ' '))
			;
		if (!read_zone(&text, span))
			return false;
	}
	return !*text;
}
