#include "fs/history.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Takes count digits. */
static bool digits(const char **at, unsigned count, int *value)
{
	*value = 0;
	for (; count; count--, ++*at) {
		if (**at < '0' || **at > '9')
			return false;
		*value = *value * 10 + (**at - '0');
	}
	return true;
}

static bool one_of(const char **at, const char *set)
{
	if (!**at || !strchr(set, **at))
		return false;
	++*at;
	return true;
}

static bool time_of(struct tm *tm, int64_t *time_ns)
{
	struct tm wanted = *tm;
	time_t t;

	tm->tm_year -= 1900;
	tm->tm_mon -= 1;
	t = timegm(tm);
	if (t < 0 || t > UINT32_MAX) /* the index counts seconds so */
		return false;
	*time_ns = (int64_t)t * 1000000000;
	return tm->tm_year + 1900 == wanted.tm_year && tm->tm_mon + 1 == wanted.tm_mon &&
	       tm->tm_mday == wanted.tm_mday && tm->tm_hour == wanted.tm_hour && tm->tm_min == wanted.tm_min &&
	       tm->tm_sec == wanted.tm_sec; /* else it was no date, such as February 30 */
}

/* What Samba and Windows call a snapshot. */
static bool gmt_token(const char *at, struct tm *tm)
{
	return digits(&at, 4, &tm->tm_year) && one_of(&at, ".") && digits(&at, 2, &tm->tm_mon) && one_of(&at, ".") &&
	       digits(&at, 2, &tm->tm_mday) && one_of(&at, "-") && digits(&at, 2, &tm->tm_hour) && one_of(&at, ".") &&
	       digits(&at, 2, &tm->tm_min) && one_of(&at, ".") && digits(&at, 2, &tm->tm_sec) && !*at;
}

static bool iso_date(const char *at, struct tm *tm)
{
	if (!digits(&at, 4, &tm->tm_year) || !one_of(&at, "-") || !digits(&at, 2, &tm->tm_mon) || !one_of(&at, "-") ||
	    !digits(&at, 2, &tm->tm_mday))
		return false;
	if (!*at) {
		tm->tm_hour = 23;
		tm->tm_min = tm->tm_sec = 59;
		return true;
	}
	if (!one_of(&at, "T ") || !digits(&at, 2, &tm->tm_hour) || !one_of(&at, ":.") || !digits(&at, 2, &tm->tm_min))
		return false;
	if (one_of(&at, ":.") && !digits(&at, 2, &tm->tm_sec))
		return false;
	one_of(&at, "Z");
	return !*at;
}

bool history_time(const char *text, int64_t *time_ns)
{
	struct tm tm = { 0 };
	bool read = strncmp(text, "@GMT-", 5) == 0 ? gmt_token(text + 5, &tm) : iso_date(text, &tm);

	return read && time_of(&tm, time_ns);
}

void history_time_text(uint32_t second, char text[32])
{
	time_t t = (time_t)second;
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, 32, "%Y-%m-%dT%H.%M.%SZ", &tm);
}
