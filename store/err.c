#include "store/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 1024 };

static _Thread_local char text[TEXT_MAX];

int err_set(int code, const char *fmt, ...)
{
	char next[TEXT_MAX]; /* the arguments may point into text */
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(next, sizeof next, fmt, ap);
	va_end(ap);
	memcpy(text, next, sizeof next);
	return -code;
}

int err_sys(const char *fmt, ...)
{
	int code = errno;
	char next[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(next, sizeof next, fmt, ap);
	va_end(ap);
	return err_set(code, "%s: %s", next, strerror(code));
}

int err_wrap(int rc, const char *fmt, ...)
{
	char noun[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(noun, sizeof noun, fmt, ap);
	va_end(ap);
	err_set(-rc, "%s: %s", noun, text);
	return rc;
}

const char *err_text(void)
{
	return text;
}
