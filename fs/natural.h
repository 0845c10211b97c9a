/*
 * natural: the order of file names in which runs of digits count as numbers: slice_2 stands before slice_10. This order
 * is the order of slices in a stack, so whoever makes a stack of files sorts with it.
 */
#ifndef TOMOFS_NATURAL_H
#define TOMOFS_NATURAL_H

/* < 0, 0, > 0 as strcmp(). A total order: 0 only for equal strings (of "01" and "1", which are the same number, the one
 * with more zeros stands first). Digits are ASCII; other bytes are compared as they are. */
int natural_compare(const char *a, const char *b);

#endif
