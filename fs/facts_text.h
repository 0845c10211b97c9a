/*
 * facts_text: what is known of a dataset as text: one value, or info/NAME/facts.json whole, and back.
 */
#ifndef TOMOFS_FACTS_TEXT_H
#define TOMOFS_FACTS_TEXT_H

#include "fs/fs.h"

/* The value of a field, derived ones included, in normal form; NULL when there is none. Caller frees. */
char *facts_value(struct fs *fs, const struct dataset_row *row, const char *field);

/* facts.json: sorted keys, two spaces, a newline at the end. */
int facts_json(struct fs *fs, const struct dataset_row *row, struct buf *out);

/*
 * Takes an edited facts.json: every settable field that differs from what is known becomes a person's fact, null or a missing
 * key clears a person's fact, "tags" sets the tags. Derived fields and unchanged ones are ignored. Nothing is changed
 * when something is wrong: -EINVAL and a sentence with the line or the field.
 */
int facts_edit(struct fs *fs, const struct caller *who, const struct dataset_row *row, const void *text, size_t len);

#endif
