/*
 * sidecar_tools: what the parsers of sidecars share, and the list of them. Only fs/image/sidecar*.c use it.
 */
#ifndef TOMOFS_IMAGE_SIDECAR_TOOLS_H
#define TOMOFS_IMAGE_SIDECAR_TOOLS_H

#include "fs/image/ini.h"
#include "fs/image/sidecar.h"

extern const struct sidecar_ops sidecar_ge_pca, sidecar_ge_pcr, sidecar_ge_dtxml;
extern const struct sidecar_ops sidecar_nikon_xtekct, sidecar_nikon_ctdata, sidecar_nikon_ctprofile;
extern const struct sidecar_ops sidecar_skyscan, sidecar_vgi, sidecar_mhd, sidecar_nrrd;
extern const struct sidecar_ops sidecar_tescan_xre, sidecar_tescan_scan;
extern const struct sidecar_ops sidecar_rigaku_datainfo, sidecar_rigaku_volume;
extern const struct sidecar_ops sidecar_nsi, sidecar_pyhst, sidecar_json, sidecar_scicat;

/* Adds voxel_size_um from sizes z, y, x in micrometres; nothing when one of them is not a plausible length. */
void sidecar_voxel(struct sidecar *s, double z, double y, double x, const char *vendor_key, const char *vendor_text);

/* Declares a data file: by name (the last component is kept), or by suffix when name is NULL. The format is set to
 * IMAGE_RAW. A geometry that is not sane, and more than 64 files, are dropped. */
void sidecar_declare(struct sidecar *s, const char *name, const char *suffix, struct geometry geo);

/* A text finding made of two values that may be NULL ("SkyScan1172 18O05071"). */
void sidecar_joined(struct sidecar *s, const char *field, const char *first, const char *second,
		    const char *vendor_key);

/* As struct ini_rule, for texts that are trees (xml.h, sidecar_nsi.c): path is compared as a whole. */
struct path_rule {
	const char *field, *path;
	enum ini_rule_kind kind;
	double factor;
};
struct path_rules {
	const struct path_rule *rules;
	size_t count;
	struct findings *facts;
};
/* To be called for each path and value; adds the finding of the rule that fits, if the field has none yet. */
void path_finding(const struct path_rules *rules, const char *path, const char *value);

/* The number of a finding, as images_declared wants it; 0 when there is none. */
uint64_t sidecar_number(const struct sidecar *s, const char *field);

#endif
