/*
 * log: one line to stderr for the person who looks after the machine (journald keeps it under systemd).
 *
 * Any thread may call. A line is written by one write(2), so lines of different threads do not mix. Control characters
 * in it (a file name may hold any byte) are shown as \xNN.
 */
#ifndef TOMOFS_LOG_H
#define TOMOFS_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Lines above this level are dropped. Default LOG_WARN. Call before threads start. */
void log_set_level(enum log_level level);

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
