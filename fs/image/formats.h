/* formats: the image formats that exist; the rows of the table in image.c. */
#ifndef TOMOFS_IMAGE_FORMATS_H
#define TOMOFS_IMAGE_FORMATS_H

#include "fs/image/image.h"

extern const struct image_ops image_tiff;
extern const struct image_ops image_raw;

#endif
