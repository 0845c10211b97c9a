#include "fs/image/sidecar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "store/err.h"

enum { HEAD_BYTES = 4096 };

static const struct sidecar_ops *const kinds[] = {
	&sidecar_ge_pca,	&sidecar_ge_pcr,       &sidecar_ge_dtxml,
	&sidecar_nikon_xtekct,	&sidecar_nikon_ctdata, &sidecar_nikon_ctprofile,
	&sidecar_skyscan,	&sidecar_vgi,	       &sidecar_mhd,
	&sidecar_nrrd,		&sidecar_nsi,	       &sidecar_rigaku_datainfo,
	&sidecar_rigaku_volume, &sidecar_pyhst,	       &sidecar_tescan_xre,
	&sidecar_tescan_scan,	&sidecar_scicat,       &sidecar_json,
};

bool sidecar_wanted(const char *name, uint64_t size)
{
	static const char *const ends[] = {
		".pca",	 ".pcr",  ".dtxml",  ".xtekct", ".log",	 ".vgi", ".mhd",  ".mha",
		".nhdr", ".nrrd", ".nsipro", ".xml",	".info", ".txt", ".json",
	};
	scope_free char *lower = NULL;

	if (size == 0 || size > SIDECAR_BYTES_MAX)
		return false;
	lower = text_lower(name);
	for (size_t i = 0; lower && i < sizeof ends / sizeof *ends; i++)
		if (text_ends(lower, ends[i]))
			return true;
	return false;
}

int sidecar_parse(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	scope_free char *lower = text_lower(text_leaf(name));
	scope_free char *head = text_utf8(bytes, len < HEAD_BYTES ? len : HEAD_BYTES);

	*out = (struct sidecar) { 0 };
	if (!lower || !head)
		return err_set(ENOMEM, "no memory to read a sidecar");
	if (len > SIDECAR_BYTES_MAX)
		return err_set(ENOENT, "too large for a sidecar");
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		int rc;

		if (!kinds[i]->detect(lower, (const uint8_t *)head, strlen(head)))
			continue;
		rc = kinds[i]->parse(text_leaf(name), bytes, len, out);
		if (rc == 0)
			return 0;
		sidecar_free(out);
		return err_wrap(rc, "%s", kinds[i]->name);
	}
	return err_set(ENOENT, "no sidecar known here");
}

void sidecar_free(struct sidecar *s)
{
	findings_free(&s->facts);
	for (size_t i = 0; i < s->data_count; i++) {
		free(s->data[i].name);
		free(s->data[i].suffix);
	}
	free(s->data);
	*s = (struct sidecar) { 0 };
}
