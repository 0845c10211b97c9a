/*
 * ini: texts of "[section]" and "key = value" lines, as most scanners write them. Only fs/image uses it.
 *
 * Lines end with LF, CR LF or CR. Keys and sections are compared without regard to case and to white space at their
 * ends. Values in double quotes lose them. Lines that begin with ; or # and lines without a separator are passed over.
 */
#ifndef TOMOFS_IMAGE_INI_H
#define TOMOFS_IMAGE_INI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/image/finding.h"

struct ini_line {
	const char *section, *key, *value; /* "" when there is none; into text */
};

struct ini {
	char *text; /* owned */
	struct ini_line *lines;
	size_t count;
};

/* separator: '=' or ':'. 0, or -ENOMEM. Free also after a failure. */
int ini_parse(struct ini *ini, const uint8_t *bytes, size_t len, char separator);
void ini_free(struct ini *ini);
#define scope_ini SCOPE_CLEANUP(ini_free)

/* The first value of a key that is not empty; NULL when there is none. section NULL: in any section. */
const char *ini_get(const struct ini *ini, const char *section, const char *key);
bool ini_number(const struct ini *ini, const char *section, const char *key, double *value);
bool ini_count(const struct ini *ini, const char *section, const char *key, uint64_t *value);

/* What a header's lines mean: most sidecars are a table of these. */
enum ini_rule_kind {
	INI_TEXT,
	INI_NUMBER, /* times factor */
	INI_TIME,
};
struct ini_rule {
	const char *field, *section, *key;
	enum ini_rule_kind kind;
	double factor; /* 0: 1 */
};
/* Adds a finding for each rule whose key is there and fits; of rules with one field the first that does. */
void ini_findings(const struct ini *ini, const struct ini_rule *rules, size_t count, struct findings *facts);
/* "[section] key", as vendor keys are written; into a buffer of len bytes. */
const char *ini_vendor_key(char *to, size_t len, const char *section, const char *key);

#endif
