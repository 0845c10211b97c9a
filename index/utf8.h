/*
 * utf8: the little that names, facts and queries need of Unicode: is it UTF-8, and comparing without regard to case.
 *
 * Folding is simple (one character to one): Latin with its accents, Greek and Cyrillic; it does not depend on the locale.
 * Bytes that are not UTF-8 (file names may hold any) stand for themselves.
 */
#ifndef TOMOFS_UTF8_H
#define TOMOFS_UTF8_H

#include <stdbool.h>
#include <stdint.h>

/* The character at *text, which moves behind it; a byte that begins no character is 0x110000 + byte. 0 at the end. */
uint32_t utf8_next(const char **text);
bool utf8_valid(const char *text);
/* The character in lower case. */
uint32_t utf8_fold(uint32_t c);

/* A new string, folded; caller frees. Never longer than twice the text. NULL: no memory. */
char *utf8_folded(const char *text);
/* folded is already folded; text is not. */
bool utf8_contains(const char *text, const char *folded);
bool utf8_equal(const char *text, const char *folded);

#endif
