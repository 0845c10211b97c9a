/*
 * check: the one assertion of the C tests. CHECK(x) prints the place and the failed expression and counts it; a test's
 * main() ends with `return check_done();`, which is 0 only when every check held. CHECK_RC(call) also prints err_text()
 * when the call is not 0.
 */
#ifndef TOMOFS_CHECK_H
#define TOMOFS_CHECK_H

#include "store/err.h"

void check_that(int ok, const char *file, int line, const char *what, const char *detail);
int check_done(void);

/* A fresh folder under $TMPDIR or /tmp, removed with all in it by check_done(). The string lives until then. */
const char *check_tmpdir(void);

#define CHECK(x) check_that(!!(x), __FILE__, __LINE__, #x, "")
#define CHECK_RC(call)                                                                                                 \
	do {                                                                                                           \
		long long check_rc_ = (call);                                                                          \
		check_that(check_rc_ == 0, __FILE__, __LINE__, #call, check_rc_ ? err_text() : "");                    \
	} while (0)

#endif
