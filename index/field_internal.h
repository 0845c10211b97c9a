/* field_internal: shared by field_number.c and field_normal.c. */
#ifndef TOMOFS_FIELD_INTERNAL_H
#define TOMOFS_FIELD_INTERNAL_H

#include "index/field.h"

enum { UNIT_ROOM = 24 };

/* "1.5 mm" -> 1.5 and "mm" (blanks around and between are fine). False: no decimal number, or one out of range. */
bool number_split(const char *text, double *value, char unit[UNIT_ROOM]);
/* From a written unit ("": the field's own) to the field's. False: not a unit that it can have. */
bool number_convert(const struct field *f, const char *unit, double *value);

#endif
