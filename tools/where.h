/*
 * where: finds the mount that a command is to talk to, and the datasets in it. Commands talk to a mount through its files only.
 */
#ifndef TOMOFS_WHERE_H
#define TOMOFS_WHERE_H

#include <jansson.h>

#include "tools/command.h"

/* -m, else $TOMOFS_MOUNT, else the mount that the current folder is in, else the only tomofs there is. A new string, or NULL
 * after saying why. */
char *where_mount(const struct invocation *in);

/* info/NAME/facts.json; NULL after saying why. Caller: json_decref(). name may be a path that leads to a dataset. */
json_t *where_facts(const char *mount, const char *name);
/* The same, and the absolute path of its originals (caller frees). */
json_t *where_dataset(const char *mount, const char *name, char **path);

#endif
