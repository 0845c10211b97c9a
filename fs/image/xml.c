#include "fs/image/xml.h"

#include <errno.h>
#include <expat.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "fs/image/text.h"
#include "store/err.h"
#include "store/scope.h"

enum { DEPTH_MAX = 64 };

struct parse {
	XML_Parser parser;
	int (*visit)(void *ctx, const char *path, const char *value);
	void *ctx;
	size_t depth;
	size_t path_len[DEPTH_MAX + 1]; /* of path at each depth */
	char path[XML_PATH_MAX + 256];
	char text[XML_TEXT_MAX + 1];
	size_t text_len;
	int stopped;
};

static const char *plain_name(const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon ? colon + 1 : name;
}

static void tell(struct parse *p, const char *value)
{
	if (!p->stopped && p->visit(p->ctx, p->path, value) != 0) {
		p->stopped = 1;
		XML_StopParser(p->parser, XML_FALSE);
	}
}

static void on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	struct parse *p = ctx;
	size_t at = p->path_len[p->depth], len;

	name = plain_name(name);
	if (p->depth == DEPTH_MAX || at + strlen(name) + 1 > XML_PATH_MAX) {
		p->stopped = -1;
		XML_StopParser(p->parser, XML_FALSE);
		return;
	}
	at += (size_t)sprintf(p->path + at, "%s%s", at ? "/" : "", name);
	p->path_len[++p->depth] = at;
	p->text_len = 0;
	tell(p, NULL);
	for (; *attributes && !p->stopped; attributes += 2) {
		len = strlen(plain_name(attributes[0]));
		if (at + 1 + len >= sizeof p->path)
			continue;
		sprintf(p->path + at, "@%s", plain_name(attributes[0]));
		tell(p, attributes[1]);
	}
	p->path[at] = 0;
}

static void on_text(void *ctx, const XML_Char *text, int len)
{
	struct parse *p = ctx;
	size_t n = len > 0 ? (size_t)len : 0;

	if (n > XML_TEXT_MAX - p->text_len)
		n = XML_TEXT_MAX - p->text_len;
	memcpy(p->text + p->text_len, text, n);
	p->text_len += n;
}

static void on_end(void *ctx, const XML_Char *name)
{
	struct parse *p = ctx;
	char *value;

	(void)name;
	p->text[p->text_len] = 0;
	value = text_trim(p->text);
	if (*value)
		tell(p, value);
	p->text_len = 0;
	p->depth--;
	p->path[p->path_len[p->depth]] = 0;
}

static void on_entity(void *ctx, const XML_Char *name, int is_parameter, const XML_Char *value, int value_len,
		      const XML_Char *base, const XML_Char *system_id, const XML_Char *public_id,
		      const XML_Char *notation)
{
	struct parse *p = ctx;

	(void)name, (void)is_parameter, (void)value, (void)value_len, (void)base, (void)system_id, (void)public_id,
	    (void)notation;
	p->stopped = -1;
	XML_StopParser(p->parser, XML_FALSE);
}

static void scope_parser_free(XML_Parser *parser)
{
	if (*parser)
		XML_ParserFree(*parser);
}

static void scope_parse_free(struct parse **p)
{
	free(*p);
}

int xml_visit(const char *text, size_t len, int (*visit)(void *ctx, const char *path, const char *value), void *ctx)
{
	XML_Parser parser SCOPE_CLEANUP(scope_parser_free) = XML_ParserCreate("UTF-8");
	struct parse *p SCOPE_CLEANUP(scope_parse_free) = calloc(1, sizeof *p);

	if (!parser || !p)
		return err_set(ENOMEM, "no memory to read XML");
	if (len > INT_MAX / 2)
		return err_set(EBADMSG, "too much XML");
	p->parser = parser;
	p->visit = visit;
	p->ctx = ctx;
	XML_SetUserData(parser, p);
	XML_SetElementHandler(parser, on_start, on_end);
	XML_SetCharacterDataHandler(parser, on_text);
	XML_SetEntityDeclHandler(parser, on_entity);
	if (XML_Parse(parser, text, (int)len, 1) == XML_STATUS_OK || p->stopped > 0)
		return 0;
	if (p->stopped < 0)
		return err_set(EBADMSG, "line %lu: XML too deep, or with entities", XML_GetCurrentLineNumber(parser));
	return err_set(EBADMSG, "line %lu: %s", XML_GetCurrentLineNumber(parser),
		       XML_ErrorString(XML_GetErrorCode(parser)));
}
