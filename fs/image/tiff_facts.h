/*
 * tiff_facts: what the tags of a page say beside its pixels: voxel size, and what microscopes write.
 *
 * Sources: ImageJ's FileSaver/TiffDecoder (description "ImageJ=..."), the OME-TIFF specification
 * (docs.openmicroscopy.org), tags 34680 and 34682 of FEI/Thermo and 34118 of Zeiss as RosettaSciIO and tifffile read
 * them, TIFF 6.0 for the rest.
 */
#ifndef TOMOFS_IMAGE_TIFF_FACTS_H
#define TOMOFS_IMAGE_TIFF_FACTS_H

#include "fs/image/finding.h"
#include "fs/image/tiff_ifd.h"
#include "index/geometry.h"

struct tiff_said {	 /* what decides about geometry */
	uint64_t images; /* ImageJ's images=N; 0: not said */
};

/* ifd: the first slice's. Sets geo->voxel_um where known, and adds findings. */
void tiff_facts(struct tiff_file *file, const struct tiff_ifd *ifd, struct geometry *geo, struct findings *facts,
		struct tiff_said *said);

/* z, y, x as a voxel_size_um finding, when x and y are known (z 0: it is not said). */
void tiff_voxel_finding(const double voxel_um[3], struct findings *facts, const char *vendor_key,
			const char *vendor_text);

#endif
