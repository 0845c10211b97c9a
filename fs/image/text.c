#include "fs/image/text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/buf.h"

static size_t utf8_length(const uint8_t *at, size_t left)
{
	size_t more = *at < 0x80 ? 0 : *at >= 0xc2 && *at < 0xe0 ? 1 : *at >= 0xe0 && *at < 0xf0 ? 2 : 3;

	if (*at >= 0x80 && (*at < 0xc2 || *at > 0xf4))
		return 0;
	if (more >= left)
		return 0;
	for (size_t i = 1; i <= more; i++)
		if ((at[i] & 0xc0) != 0x80)
			return 0;
	if ((*at == 0xe0 && at[1] < 0xa0) || (*at == 0xed && at[1] > 0x9f) || (*at == 0xf0 && at[1] < 0x90) ||
	    (*at == 0xf4 && at[1] > 0x8f))
		return 0;
	return more + 1;
}

bool text_is_utf8(const uint8_t *bytes, size_t len)
{
	for (size_t at = 0, n; at < len; at += n) {
		n = utf8_length(bytes + at, len - at);
		if (!n)
			return false;
	}
	return true;
}

static void put_code(struct buf *b, uint32_t code)
{
	if (code == 0)
		code = ' ';
	if (code < 0x80) {
		buf_u8(b, (uint8_t)code);
	} else if (code < 0x800) {
		buf_u8(b, (uint8_t)(0xc0 | code >> 6));
		buf_u8(b, (uint8_t)(0x80 | (code & 0x3f)));
	} else if (code < 0x10000) {
		buf_u8(b, (uint8_t)(0xe0 | code >> 12));
		buf_u8(b, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
		buf_u8(b, (uint8_t)(0x80 | (code & 0x3f)));
	} else {
		buf_u8(b, (uint8_t)(0xf0 | code >> 18));
		buf_u8(b, (uint8_t)(0x80 | (code >> 12 & 0x3f)));
		buf_u8(b, (uint8_t)(0x80 | (code >> 6 & 0x3f)));
		buf_u8(b, (uint8_t)(0x80 | (code & 0x3f)));
	}
}

static void put_utf16(struct buf *b, const uint8_t *bytes, size_t len, bool big)
{
	for (size_t i = 0; i + 1 < len; i += 2) {
		uint32_t code = big ? (uint32_t)bytes[i] << 8 | bytes[i + 1] : (uint32_t)bytes[i + 1] << 8 | bytes[i];

		if (code >= 0xd800 && code < 0xdc00 && i + 3 < len) {
			uint32_t low = big ? (uint32_t)bytes[i + 2] << 8 | bytes[i + 3]
					   : (uint32_t)bytes[i + 3] << 8 | bytes[i + 2];

			if (low >= 0xdc00 && low < 0xe000) {
				code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
				i += 2;
			}
		}
		put_code(b, code >= 0xd800 && code < 0xe000 ? '?' : code);
	}
}

static char *finish(struct buf *b)
{
	char *text;

	buf_u8(b, 0);
	if (b->failed)
		return NULL;
	text = (char *)b->data;
	*b = (struct buf) { 0 };
	return text;
}

char *text_utf8_or_latin1(const char *bytes, size_t len)
{
	const uint8_t *raw = (const uint8_t *)bytes;
	bool utf8 = text_is_utf8(raw, len);
	scope_buf struct buf b = { 0 };

	buf_reserve(&b, len + 1);
	if (utf8)
		buf_put(&b, raw, len);
	for (size_t i = 0; i < len && !b.failed; i++) {
		if (!utf8)
			put_code(&b, raw[i]);
		else if (!b.data[i])
			b.data[i] = ' ';
	}
	return finish(&b);
}

char *text_utf8(const uint8_t *bytes, size_t len)
{
	scope_buf struct buf b = { 0 };

	if (len >= 2 && ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff))) {
		put_utf16(&b, bytes + 2, len - 2, bytes[0] == 0xfe);
		return finish(&b);
	}
	if (len >= 3 && !memcmp(bytes, "\xef\xbb\xbf", 3)) {
		bytes += 3;
		len -= 3;
	}
	return text_utf8_or_latin1((const char *)bytes, len);
}

char *text_trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = 0;
	return text;
}

char *text_unquote(char *text)
{
	size_t len;

	text = text_trim(text);
	len = strlen(text);
	if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
		text[len - 1] = 0;
		return text_trim(text + 1);
	}
	return text;
}

const char *text_leaf(const char *path)
{
	for (const char *at = path; *at; at++)
		if (*at == '/' || *at == '\\')
			path = at + 1;
	return path;
}

char *text_lower(const char *name)
{
	char *lower = strdup(name);

	for (char *at = lower; at && *at; at++)
		if (*at >= 'A' && *at <= 'Z')
			*at = (char)(*at - 'A' + 'a');
	return lower;
}

bool text_ends(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && !strcmp(text + len - n, end);
}

bool text_contains(const uint8_t *bytes, size_t len, const char *word)
{
	size_t n = strlen(word);

	/* The first letter first, whatever its case: most places end there. */
	for (size_t i = 0; i + n <= len; i++)
		if (!n || (((bytes[i] ^ (uint8_t)*word) & 0xdf) == 0 && !strncasecmp((const char *)bytes + i, word, n)))
			return true;
	return false;
}

static bool scan_number(const char *text, bool comma_too, double *value, const char **end)
{
	char plain[64];
	size_t n = 0, digits = 0;
	bool point = false, exponent = false;
	const char *at = text;
	char *stop;

	while (isspace((unsigned char)*at))
		at++;
	for (; *at && n < sizeof plain - 1; at++) {
		char c = *at;

		if (isdigit((unsigned char)c)) {
			digits++;
		} else if ((c == '.' || (c == ',' && comma_too)) && !point && !exponent) {
			/* a comma is a decimal point only between digits: "1,5", not "1, 5" */
			if (c == ',' && !(digits && isdigit((unsigned char)at[1])))
				break;
			point = true;
			c = '.';
		} else if ((c == 'e' || c == 'E') && digits && !exponent) {
			const char *next = at + 1 + (at[1] == '+' || at[1] == '-');

			if (!isdigit((unsigned char)*next))
				break;
			exponent = true;
		} else if ((c == '+' || c == '-') && (n == 0 || plain[n - 1] == 'e' || plain[n - 1] == 'E')) {
			;
		} else {
			break;
		}
		plain[n++] = c;
	}
	plain[n] = 0;
	if (!digits)
		return false;
	*value = strtod(plain, &stop);
	if (*stop) { /* the process runs in a locale with another decimal point */
		char *dot = strchr(plain, '.');

		if (!dot)
			return false;
		*dot = ',';
		*value = strtod(plain, &stop);
		if (*stop)
			return false;
	}
	if (end)
		*end = at;
	return isfinite(*value);
}

bool text_count(const char *text, uint64_t *value)
{
	double number;

	if (!text_number(text, &number, NULL) || number < 0 || number > 9007199254740992.0 || number != floor(number))
		return false;
	*value = (uint64_t)number;
	return true;
}

bool text_number(const char *text, double *value, const char **end)
{
	return scan_number(text, true, value, end);
}

size_t text_numbers(const char *text, double *values, size_t max)
{
	size_t n = 0;

	while (n < max) {
		const char *end;

		text += strspn(text, " \t\r\n,;x()");
		if (!scan_number(text, false, &values[n], &end))
			break;
		n++;
		text = end;
	}
	return n;
}

double text_length_um(const char *unit)
{
	static const struct {
		const char *name;
		double um;
	} units[] = {
		{ "um", 1 },	       { "\302\265m", 1 },     { "\316\274m", 1 },    { "micron", 1 },
		{ "microns", 1 },      { "micrometer", 1 },    { "micrometre", 1 },   { "micrometers", 1 },
		{ "micrometres", 1 },  { "\\u00B5m", 1 },      { "\\u00b5m", 1 },     { "nm", 1e-3 },
		{ "nanometer", 1e-3 }, { "nanometers", 1e-3 }, { "pm", 1e-6 },	      { "mm", 1e3 },
		{ "millimeter", 1e3 }, { "millimeters", 1e3 }, { "millimetre", 1e3 }, { "cm", 1e4 },
		{ "centimeter", 1e4 }, { "m", 1e6 },	       { "meter", 1e6 },      { "metre", 1e6 },
		{ "inch", 25400 },     { "in", 25400 },	       { "\303\205", 1e-4 },  { "angstrom", 1e-4 },
	};

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (!strcmp(unit, units[i].name) || (strlen(unit) > 2 && !strcasecmp(unit, units[i].name)))
			return units[i].um;
	return 0;
}

/* --- time --- */

struct moment {
	int year, month, day, hour, minute;
	double second;
};

static int month_number(const char *word)
{
	static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12; i++)
		if (!strncasecmp(word, names + 3 * i, 3))
			return i + 1;
	return 0;
}

static bool exists(const struct moment *m)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (m->year % 4 == 0 && m->year % 100 != 0) || m->year % 400 == 0;

	return m->year >= 1895 && m->year <= 9999 && m->month >= 1 && m->month <= 12 && m->day >= 1 &&
	       m->day <= days[m->month - 1] + (m->month == 2 && leap) && m->hour >= 0 && m->hour <= 23 &&
	       m->minute >= 0 && m->minute <= 59 && m->second >= 0 && m->second < 61;
}

/* The day at the start of text; returns how many bytes it took, 0 when there is none. */
static int scan_day(const char *text, struct moment *m)
{
	char word[16];
	int n = 0, a, b, c;

	if (sscanf(text, "%4d-%2d-%2d%n", &m->year, &m->month, &m->day, &n) == 3 && n)
		return n;
	if (sscanf(text, "%4d:%2d:%2d%n", &m->year, &m->month, &m->day, &n) == 3 && n)
		return n;
	if (sscanf(text, "%15[A-Za-z] %2d, %4d%n", word, &m->day, &m->year, &n) == 3 && n) {
		m->month = month_number(word);
		return n;
	}
	if (sscanf(text, "%2d%*1[ -]%15[A-Za-z]%*1[ -]%4d%n", &m->day, word, &m->year, &n) == 3 && n) {
		m->month = month_number(word);
		return n;
	}
	if (sscanf(text, "%4d/%2d/%2d%n", &a, &b, &c, &n) == 3 && n && a > 31) {
		m->year = a, m->month = b, m->day = c;
		return n;
	}
	if (sscanf(text, "%2d/%2d/%4d%n", &a, &b, &m->year, &n) == 3 && n) {
		m->month = a <= 12 ? a : b;
		m->day = a <= 12 ? b : a;
		return n;
	}
	if (sscanf(text, "%2d.%2d.%4d%n", &m->day, &m->month, &m->year, &n) == 3 && n)
		return n;
	return 0;
}

static int scan_clock(const char *text, struct moment *m)
{
	int n = 0, end = 0, fraction;

	if (sscanf(text, "%2dh:%2dm:%2lfs%n", &m->hour, &m->minute, &m->second, &n) == 3 && n)
		return n;
	if (sscanf(text, "%2d:%2d%n", &m->hour, &m->minute, &n) != 2 || !n)
		return 0;
	m->second = 0;
	if (text[n] == ':' && isdigit((unsigned char)text[n + 1])) {
		int seconds;

		if (sscanf(text + n, ":%2d%n", &seconds, &end) != 1)
			return 0;
		m->second = seconds;
		n += end;
		if (text[n] == '.' && isdigit((unsigned char)text[n + 1])) {
			double scale = 0.1;

			for (n++; isdigit((unsigned char)text[n]); n++, scale /= 10) {
				fraction = text[n] - '0';
				m->second += scale * fraction;
			}
		}
	}
	return n;
}

bool text_time(const char *text, char out[TEXT_TIME_MAX])
{
	struct moment m = { 0 };
	char zone[8] = "Z";
	int n, zone_hour, zone_minute;
	char sign;

	text += strspn(text, " \t");
	n = scan_day(text, &m);
	if (!n)
		return false;
	text += n;
	text += strspn(text, " \tT,");
	n = scan_clock(text, &m);
	text += n;
	text += strspn(text, " \t");
	if (n && !strncasecmp(text, "pm", 2) && m.hour < 12)
		m.hour += 12;
	else if (n && !strncasecmp(text, "am", 2) && m.hour == 12)
		m.hour = 0;
	else if (n && sscanf(text, "%c%2d:%2d", &sign, &zone_hour, &zone_minute) == 3 && (sign == '+' || sign == '-') &&
		 zone_hour >= 0 && zone_hour < 15 && zone_minute >= 0 && zone_minute < 60)
		snprintf(zone, sizeof zone, "%c%02d:%02d", sign, zone_hour % 100, zone_minute % 100);
	if (!exists(&m))
		return false;
	if (n)
		snprintf(out, TEXT_TIME_MAX, "%04d-%02d-%02dT%02d:%02d:%02d%s", m.year % 10000, m.month % 100,
			 m.day % 100, m.hour % 100, m.minute % 100, (int)m.second % 100, zone);
	else
		snprintf(out, TEXT_TIME_MAX, "%04d-%02d-%02d", m.year % 10000, m.month % 100, m.day % 100);
	return true;
}
