/*
 * text: the words and numbers of foreign headers, whatever program and country they come from. Only fs/image uses it.
 *
 * No locale is looked at: "1.5" is one and a half everywhere, and "1,5" is taken as the same.
 * Any thread may call.
 */
#ifndef TOMOFS_IMAGE_TEXT_H
#define TOMOFS_IMAGE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a text file as UTF-8 in a new string (caller frees; NULL: no memory). UTF-16 is recognised by its byte order
 * mark, bytes that are not UTF-8 are Latin-1, NUL bytes become spaces, a byte order mark is dropped. */
char *text_utf8(const uint8_t *bytes, size_t len);
/* As above, but bytes are one byte each: UTF-8, or else Latin-1. */
char *text_utf8_or_latin1(const char *bytes, size_t len);
bool text_is_utf8(const uint8_t *bytes, size_t len);

/* Cuts white space off both ends, in place; returns the new start. */
char *text_trim(char *text);
/* Trims, then takes off one pair of double quotes, in place. */
char *text_unquote(char *text);
/* What follows the last / or \ of a path, in place. */
const char *text_leaf(const char *path);
/* A new copy of name in lower case (ASCII letters only), NULL: no memory. */
char *text_lower(const char *name);
bool text_ends(const char *text, const char *end);
/* strstr() over bytes that need not end in NUL; case-insensitive. */
bool text_contains(const uint8_t *bytes, size_t len, const char *word);

/* The number at the start of text (after white space); *end, when not NULL, is set behind it. False: there is none, or
 * it is not finite. */
bool text_number(const char *text, double *value, const char **end);
/* A whole number 0 .. 2^53. */
bool text_count(const char *text, uint64_t *value);
/* Up to max numbers separated by white space or any of ",;x()" (so a comma is no decimal point here). Returns how many
 * there were. */
size_t text_numbers(const char *text, double *values, size_t max);

/* Micrometres in one unit of length ("mm", "micron", "\302\265m", "nm", "inch"; case of one-letter units counts);
 * 0 when it is no length. */
double text_length_um(const char *unit);

/*
 * A time in any of the spellings that scanners use, as RFC 3339 into out. Headers hardly ever name a zone: without one
 * the time is written as it stands there with "Z", so that day and hour read as they do on the scanner. 2023-10-18
 * 11:22:08   2023-07-20T09:35:15.864   2020-11-06 09:34:16.0944437 UTC   2019:03:02 10:11:12 Jul 20, 2023  11:26:30 14
 * Mar 2023  09h:00m:40s   6/5/2024 11:25:18 AM (month first, unless that cannot be) False when it is none of them, or
 * no such day exists.
 */
enum { TEXT_TIME_MAX = 40 };
bool text_time(const char *text, char out[TEXT_TIME_MAX]);

#endif
