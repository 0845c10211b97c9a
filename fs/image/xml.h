/*
 * xml: an XML text as a sequence of (path, value) pairs, which is all that facts need. Expat does the parsing. Only
 * fs/image uses it.
 *
 * visit() is called for every attribute ("project/property@name", in the order written) and at the end of every element
 * that has text of its own ("CtAllInfo/SeriesInfo/KV"); name space prefixes are cut off. Elements that begin are
 * announced with value NULL.
 *
 * Hostile texts: entity declarations end the parse; names, texts and depth are bounded.
 */
#ifndef TOMOFS_IMAGE_XML_H
#define TOMOFS_IMAGE_XML_H

#include <stddef.h>

enum { XML_PATH_MAX = 512, XML_TEXT_MAX = 4096 };

/* text: UTF-8, whatever its header claims. visit() returns 0 to go on. 0, or -EBADMSG with the line; what was visited
 * before stays said. */
int xml_visit(const char *text, size_t len, int (*visit)(void *ctx, const char *path, const char *value), void *ctx);

#endif
