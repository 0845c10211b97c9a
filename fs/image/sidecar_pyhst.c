/*
 * ESRF PyHST: NAME.vol.info beside NAME.vol, which holds 32-bit floats.
 *
 * Source: a file of the European Synchrotron and fasttomo's reader of it. voxelSize is in micrometres by PyHST's own
 * documents, but files with millimetres are about (0.05 for 50 um), so it is kept out of the facts.
 */

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "fs/image/sidecar_tools.h"
#include "fs/image/text.h"
#include "store/err.h"

static bool detect(const char *lower_name, const uint8_t *head, size_t head_len)
{
	return text_ends(lower_name, ".info") && text_contains(head, head_len, "NUM_X") &&
	       text_contains(head, head_len, "NUM_Z");
}

static int parse(const char *name, const uint8_t *bytes, size_t len, struct sidecar *out)
{
	struct geometry geo = { .samples = 1, .type = VOXEL_F32 };
	scope_free char *data = strdup(name);
	struct ini ini scope_ini = { 0 };
	const char *order;
	int rc = ini_parse(&ini, bytes, len, '=');

	if (rc < 0 || !data)
		return rc < 0 ? rc : err_set(ENOMEM, "no memory to read a header");
	if (!ini_count(&ini, NULL, "NUM_X", &geo.width) || !ini_count(&ini, NULL, "NUM_Y", &geo.height) ||
	    !ini_count(&ini, NULL, "NUM_Z", &geo.depth))
		return err_set(EBADMSG, "NUM_X, NUM_Y and NUM_Z are not numbers");
	order = ini_get(&ini, NULL, "BYTEORDER");
	geo.big_endian = order && !strcasecmp(order, "HIGHBYTEFIRST");
	data[strlen(data) - strlen(".info")] = 0;
	sidecar_declare(out, data, NULL, geo);
	return 0;
}

const struct sidecar_ops sidecar_pyhst = { .name = "PyHST .info", .detect = detect, .parse = parse };
