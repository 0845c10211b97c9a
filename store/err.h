/*
 * err: how every layer reports that something went wrong.
 *
 * A function returns 0 (or a count) on success and -errno on failure. The code is for the machine; the sentence kept
 * beside it is for the person. The lowest layer says what it saw, each layer up may put its own noun in front:
 *
 *     import bone-1: slice_0412.tif: strip 3: chunk 9f2c.. in pack 17 does not match its checksum
 *
 * Whoever stops the error prints or logs err_text() once. The text belongs to the calling thread and stays until that
 * thread's next err_set() or err_sys(). "Not there" is -ENOENT, "damaged" is -EIO, "cannot be understood" is
 * -EINVAL (a request) or -EBADMSG (foreign bytes); they are never mixed.
 */
#ifndef TOMOFS_ERR_H
#define TOMOFS_ERR_H

/* Remembers a sentence and returns -code. code is a positive errno value. */
int err_set(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* As err_set() with the current errno, and ": " and strerror(errno) appended. Returns -errno. */
int err_sys(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Puts "noun: " in front of the sentence and returns rc unchanged (rc is what the lower layer returned). */
int err_wrap(int rc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The calling thread's last sentence; "" when there was none. Valid until the next call from this file. */
const char *err_text(void);

#endif
