/*
 * finding: one thing that a header or a sidecar says about a dataset, in the field's normal form, with the vendor's own
 * key and text kept beside it.
 *
 * field is a name of the field table (index/field.h): "voltage_kV", "voxel_size_um", "sample", ... value is text in that
 * field's normal form: numbers as "%.10g" in the field's unit, times as RFC 3339, lists joined by "," (voxel_size_um and
 * shape: z,y,x), text as UTF-8. vendor_key says where it stood ("[Xray] Voltage"), vendor_text what stood there (UTF-8).
 */
#ifndef TOMOFS_FINDING_H
#define TOMOFS_FINDING_H

#include <stddef.h>

#include "store/scope.h"

struct finding {
	char *field;
	char *value;
	char *vendor_key;
	char *vendor_text;
};

struct findings { /* zeroed = empty */
	struct finding *list;
	size_t count;
};

/* Copies all four texts. Bytes that are not UTF-8 are taken as Latin-1; control characters become spaces; texts are
 * trimmed and cut at 4 KiB. Empty values and, beyond 512 findings, further ones are dropped. */
void findings_add(struct findings *f, const char *field, const char *value, const char *vendor_key,
		  const char *vendor_text);
void findings_add_number(struct findings *f, const char *field, double value, const char *vendor_key,
			 const char *vendor_text);
/* The first value of a field; NULL when there is none. */
const char *findings_get(const struct findings *f, const char *field);
void findings_free(struct findings *f);
#define scope_findings SCOPE_CLEANUP(findings_free)

#endif
