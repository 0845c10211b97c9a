/*
 * query_parse: text -> tree. Tokens are brackets, and words; quotes may stand anywhere in a word and keep what is in them together.
 *
 *     or    := and { "or" and }
 *     and   := not { not }
 *     not   := { "-" | "not" } item
 *     item  := "(" or ")" | word | word lt|le|gt|ge word
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "index/query_internal.h"
#include "index/utf8.h"
#include "store/buf.h"
#include "store/err.h"

enum { DEPTH_MAX = 64, WORD_MAX = QUERY_TEXT_MAX + 1 };

enum token_kind { TOKEN_END, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_WORD };

struct token {
	enum token_kind kind;
	size_t at;           /* byte in the text */
	char text[WORD_MAX]; /* without quotes */
	size_t plain;        /* bytes of text before the first quote: an operator in quotes is none */
};

struct parser {
	const char *text;
	size_t next; /* where the token after this one begins */
	struct token token;
	size_t bad; /* where it cannot be understood */
	unsigned depth;
};

struct query *query_node(enum query_op op, struct query *left, struct query *right)
{
	struct query *q = calloc(1, sizeof *q);

	if (!q) {
		query_free(left);
		query_free(right);
		err_set(ENOMEM, "no memory for a query");
		return NULL;
	}
	q->op = op;
	q->left = left;
	q->right = right;
	return q;
}

void query_free(struct query *q)
{
	if (!q)
		return;
	query_free(q->left);
	query_free(q->right);
	free(q->field);
	free(q->text);
	free(q->time_low);
	free(q->time_high);
	free(q);
}

/* ---- tokens ---- */

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A quote begins a quotation at the start of a word or behind an operator; inside a word (O'Brien) it is a letter. */
static bool opens_quote(const struct token *t, size_t len, char c)
{
	if (c != '"' && c != '\'')
		return false;
	return c == '"' || len == 0 || strchr(":=<>-", t->text[len - 1]);
}

static int read_word(struct parser *p)
{
	struct token *t = &p->token;
	const char *at = p->text + p->next;
	size_t len = 0;

	t->kind = TOKEN_WORD;
	t->plain = SIZE_MAX;
	while (*at && !is_space(*at) && *at != '(' && *at != ')') {
		char quote = *at;

		if (!opens_quote(t, len, quote)) {
			t->text[len++] = *at++;
			continue;
		}
		if (t->plain == SIZE_MAX)
			t->plain = len;
		for (at++; *at && *at != quote; at++)
			t->text[len++] = *at;
		if (!*at) {
			p->bad = t->at;
			return err_set(EINVAL, "a quote is opened and not closed: %s", p->text + t->at);
		}
		at++;
	}
	t->text[len] = 0;
	if (t->plain == SIZE_MAX)
		t->plain = len;
	p->next = (size_t)(at - p->text);
	return 0;
}

static int advance(struct parser *p)
{
	while (is_space(p->text[p->next]))
		p->next++;
	p->token.at = p->next;
	switch (p->text[p->next]) {
	case 0:
		p->token.kind = TOKEN_END;
		return 0;
	case '(':
	case ')':
		p->token.kind = p->text[p->next++] == '(' ? TOKEN_OPEN : TOKEN_CLOSE;
		return 0;
	}
	return read_word(p);
}

static bool is_keyword(const struct token *t, const char *word)
{
	return t->kind == TOKEN_WORD && t->plain == strlen(t->text) && strcasecmp(t->text, word) == 0;
}

/* ---- comparisons ---- */

static int bad_value(struct parser *p, const struct field *f, const char *value)
{
	p->bad = p->token.at;
	if (f->kind == FIELD_TIME)
		return err_set(EINVAL, "%s: \"%s\" is no date; expected one as 2026-11 or 2026-11-23", f->name, value);
	return err_set(EINVAL, "%s: \"%s\" is no number%s%s", f->name, value, *f->unit ? " in " : "", f->unit);
}

/* A date or a beginning of one: 2026, 2026-11, 2026-11-23T14. */
static bool is_date(const char *text)
{
	size_t n = strspn(text, "0123456789");

	return n == 4 && (text[4] == 0 || text[4] == '-') && strspn(text, "0123456789-T:Z.+ ") == strlen(text);
}

static int set_border(struct parser *p, struct query *q, const struct field *f, const char *value, bool low, bool open)
{
	if (f->kind == FIELD_TIME) {
		char **border = low ? &q->time_low : &q->time_high;

		if (!is_date(value))
			return bad_value(p, f, value);
		*border = strdup(value);
		if (!*border)
			return err_set(ENOMEM, "no memory for a query");
	} else if (!field_number(f, value, low ? &q->low : &q->high)) {
		return bad_value(p, f, value);
	}
	*(low ? &q->low_open : &q->high_open) = open;
	return 0;
}

/* field = value of a number or a time: one value, or a range a..b with either end left out. */
static int set_range(struct parser *p, struct query *q, const struct field *f, char *value)
{
	char *dots = strstr(value, "..");
	int rc = 0;

	if (!dots) {
		rc = set_border(p, q, f, value, true, false);
		return rc ? rc : set_border(p, q, f, value, false, false);
	}
	*dots = 0;
	if (!*value && !dots[2])
		return bad_value(p, f, "..");
	if (*value)
		rc = set_border(p, q, f, value, true, false);
	if (!rc && dots[2])
		rc = set_border(p, q, f, dots + 2, false, false);
	return rc;
}

/* op: ":", "=", "<", "<=", ">", ">=". */
static struct query *compare(struct parser *p, const struct field *f, const char *op, char *value)
{
	bool ordered = f->kind == FIELD_NUMBER || f->kind == FIELD_NUMBERS || f->kind == FIELD_TIME;
	struct query *q;
	int rc = 0;

	if (!*value) {
		p->bad = p->token.at;
		err_set(EINVAL, "%s%s: expected a value behind it", f->name, op);
		return NULL;
	}
	if (!ordered && *op != ':' && *op != '=') {
		p->bad = p->token.at;
		err_set(EINVAL, "%s is a text and has no order; expected %s=text", f->name, f->name);
		return NULL;
	}
	q = query_node(!ordered ? strcmp(f->name, "tag") == 0 ? OP_EXACT : OP_CONTAINS : f->kind == FIELD_TIME ? OP_TIME : OP_NUMBER,
		       NULL, NULL);
	if (!q)
		return NULL;
	q->kind = f->kind;
	q->low = -INFINITY;
	q->high = INFINITY;
	q->field = strdup(f->name);
	if (!ordered)
		q->text = utf8_folded(value);
	else if (*op == '<')
		rc = set_border(p, q, f, value, false, op[1] != '=');
	else if (*op == '>')
		rc = set_border(p, q, f, value, true, op[1] != '=');
	else
		rc = set_range(p, q, f, value);
	if (!rc && (!q->field || (!ordered && !q->text)))
		rc = err_set(ENOMEM, "no memory for a query");
	if (rc) {
		query_free(q);
		return NULL;
	}
	return q;
}

static struct query *word(struct parser *p)
{
	struct query *q = query_node(OP_WORD, NULL, NULL);

	(void)p;
	if (!q)
		return NULL;
	q->text = utf8_folded(p->token.text);
	if (!q->text) {
		query_free(q);
		err_set(ENOMEM, "no memory for a query");
		return NULL;
	}
	return q;
}

static bool is_name(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", text[i]) && !(text[i] & 0x80))
			return false;
	return len > 0 && !(text[0] >= '0' && text[0] <= '9');
}

static const struct field *known_field(struct parser *p, const char *name)
{
	const struct field *f = field_find(name);

	if (f)
		return f;
	p->bad = p->token.at;
	err_set(EINVAL, "\"%s\" is no field (README.txt lists them); put it in quotes to search for the text", name);
	return NULL;
}

/* A word of the form field OP value; NULL with *plain: it is not. */
static struct query *comparison(struct parser *p, bool *plain)
{
	struct token *t = &p->token;
	size_t len = strcspn(t->text, ":=<>");
	const struct field *f;
	char op[3] = "";

	*plain = len >= t->plain || !t->text[len] || !is_name(t->text, len);
	if (*plain)
		return NULL;
	op[0] = t->text[len];
	t->text[len++] = 0;
	if ((op[0] == '<' || op[0] == '>') && t->text[len] == '=')
		op[1] = t->text[len++];
	f = known_field(p, t->text);
	return f ? compare(p, f, op, t->text + len) : NULL;
}

static const char *spelled_op(const struct token *t)
{
	static const char *const words[][2] = { { "lt", "<" }, { "le", "<=" }, { "gt", ">" }, { "ge", ">=" } };

	for (size_t i = 0; i < 4; i++)
		if (is_keyword(t, words[i][0]))
			return words[i][1];
	return NULL;
}

/* "kV lt 80": the word is a field's name, and one of lt le gt ge follows. NULL with *plain: it is not. */
static struct query *spelled_comparison(struct parser *p, bool *plain)
{
	struct parser ahead = *p;
	const struct field *f = field_find(p->token.text);
	const char *op;
	struct query *q;

	*plain = true;
	if (!f || advance(&ahead))
		return NULL;
	op = spelled_op(&ahead.token);
	if (!op || advance(&ahead) || ahead.token.kind != TOKEN_WORD)
		return NULL;
	*plain = false;
	*p = ahead;
	q = compare(p, f, op, p->token.text);
	return q;
}

/* ---- grammar; each returns a tree, or NULL with the sentence set ---- */

static struct query *parse_or(struct parser *p);

static struct query *parse_brackets(struct parser *p)
{
	size_t at = p->token.at;
	struct query *q;

	if (advance(p))
		return NULL;
	q = parse_or(p);
	if (!q)
		return NULL;
	if (p->token.kind != TOKEN_CLOSE) {
		p->bad = at;
		err_set(EINVAL, "a bracket is opened and not closed");
		query_free(q);
		return NULL;
	}
	if (advance(p)) {
		query_free(q);
		return NULL;
	}
	return q;
}

static struct query *parse_item(struct parser *p)
{
	struct query *q;
	bool plain;

	if (p->token.kind == TOKEN_OPEN)
		return parse_brackets(p);
	if (p->token.kind != TOKEN_WORD) {
		p->bad = p->token.at;
		err_set(EINVAL, p->token.kind == TOKEN_CLOSE ? "a bracket is closed that was not opened, or nothing is in it"
							    : "the query ends where a word is expected");
		return NULL;
	}
	q = comparison(p, &plain);
	if (plain)
		q = spelled_comparison(p, &plain);
	if (plain)
		q = word(p);
	if (q && advance(p)) {
		query_free(q);
		return NULL;
	}
	return q;
}

/* "-word": takes the sign off the token. */
static bool take_minus(struct token *t)
{
	if (t->kind != TOKEN_WORD || t->text[0] != '-' || !t->text[1] || !t->plain)
		return false;
	memmove(t->text, t->text + 1, strlen(t->text));
	t->plain--;
	t->at++;
	return true;
}

static struct query *parse_not(struct parser *p)
{
	struct query *q;

	if (p->depth >= DEPTH_MAX) {
		p->bad = p->token.at;
		err_set(EINVAL, "the query is nested more than %d deep", DEPTH_MAX);
		return NULL;
	}
	p->depth++;
	if (take_minus(&p->token)) {
		q = parse_item(p);
	} else if (is_keyword(&p->token, "not") || (is_keyword(&p->token, "-") && p->text[p->next] == '(')) {
		q = advance(p) ? NULL : parse_not(p);
	} else {
		q = parse_item(p);
		p->depth--;
		return q;
	}
	p->depth--;
	return q ? query_node(OP_NOT, q, NULL) : NULL;
}

static struct query *parse_and(struct parser *p)
{
	struct query *left = parse_not(p), *right;

	while (left && p->token.kind != TOKEN_END && p->token.kind != TOKEN_CLOSE && !is_keyword(&p->token, "or")) {
		if (is_keyword(&p->token, "and") && advance(p)) {
			query_free(left);
			return NULL;
		}
		right = parse_not(p);
		if (!right) {
			query_free(left);
			return NULL;
		}
		left = query_node(OP_AND, left, right);
	}
	return left;
}

static struct query *parse_or(struct parser *p)
{
	struct query *left = parse_and(p), *right;

	while (left && is_keyword(&p->token, "or")) {
		right = advance(p) ? NULL : parse_and(p);
		if (!right) {
			query_free(left);
			return NULL;
		}
		left = query_node(OP_OR, left, right);
	}
	return left;
}

int query_parse(const char *text, struct query **out, size_t *at)
{
	struct parser p = { .text = text };

	*out = NULL;
	*at = 0;
	if (strlen(text) > QUERY_TEXT_MAX)
		return err_set(EINVAL, "a query is at most %d bytes long", QUERY_TEXT_MAX);
	if (!advance(&p)) {
		*out = p.token.kind == TOKEN_END ? query_node(OP_ALL, NULL, NULL) : parse_or(&p);
		if (*out && p.token.kind != TOKEN_END) {
			p.bad = p.token.at;
			err_set(EINVAL, "a bracket is closed that was not opened");
			query_free(*out);
			*out = NULL;
		}
	}
	*at = p.bad;
	return *out ? 0 : -EINVAL;
}
