#include "store/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 2048 };

static enum log_level level_max = LOG_WARN;

void log_set_level(enum log_level level)
{
	level_max = level;
}

/* Copies text with control characters spelled out; returns the length, at most room. */
static size_t escape(char *out, size_t room, const char *text)
{
	size_t n = 0;

	for (; *text && n + 4 < room; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c != 0x7f)
			out[n++] = (char)c;
		else
			n += (size_t)snprintf(out + n, room - n, "\\x%02x", c);
	}
	return n;
}

void log_line(enum log_level level, const char *fmt, ...)
{
	static const char *const word[] = { "error", "warning", "info", "debug" };
	char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES * 2];
	va_list ap;
	int head;
	size_t n;

	if (level > level_max)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	head = snprintf(line, sizeof line, "tomofs: %s: ", word[level]);
	n = (size_t)head + escape(line + head, sizeof line - (size_t)head - 1, text);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* nobody left to tell */
}
