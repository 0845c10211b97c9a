#!/bin/bash
# The same volume in another file is stored once: after a stack of TIFF slices is in, the same slices as multi-page TIFF, raw volume (its
# geometry from its name, a sidecar, its neighbour, or its bytes alone), crop in z and with another header add next to nothing.
# Everything comes out as it went in.
. "$(dirname "$0")/lib/mount.sh"

"$python" -c 'import numpy, tifffile' 2>/dev/null || { echo "no python3-numpy, python3-tifffile"; exit 77; }
mkdir "$work/in"
"$python" - "$work/in" <<'PY'
import os, sys
import numpy as np, tifffile
out, rng = sys.argv[1], np.random.default_rng(7)
z, y, x = 12, 523, 700
yy, xx = np.mgrid[0:y, 0:x]
v = np.empty((z, y, x), np.uint16)
for k in range(z):
    part = np.where((yy - 260 - k) ** 2 + (xx - 350) ** 2 < 240 ** 2, 20000, 900) + 2500 * np.sin(xx / 31 + k / 5) * np.cos(yy / 17)
    v[k] = np.clip(part + rng.normal(0, 260, (y, x)), 0, 65535)
def folder(name):
    path = os.path.join(out, name)
    os.makedirs(path)
    return path
def stack(name, first, last, **how):
    f = folder(name)
    for k in range(first, last):
        tifffile.imwrite(f"{f}/slice_{k:04d}.tif", v[k], **how)
stack("stack", 0, z)
stack("strips", 0, z, rowsperstrip=1)
stack("header", 0, z, description="the same pixels, other words " * 20, software="something else")
stack("bigtiff", 0, z, bigtiff=True)
stack("crop", 3, 9)
tifffile.imwrite(folder("pages") + "/all.tif", v, photometric="minisblack", metadata=None, contiguous=False) \
    if "contiguous" in tifffile.TiffWriter.write.__code__.co_varnames else tifffile.imwrite(out + "/pages/all.tif", v)
tifffile.imwrite(folder("imagej") + "/all.tif", v, imagej=True)
v.tofile(folder("named") + f"/bone_{x}x{y}x{z}_16bit.raw")
v.tofile(folder("alone") + "/data.bin")
v[2:11].tofile(folder("cropped") + f"/bone_{x}x{y}x9_16bit.raw")
f = folder("sidecar")
open(f"{f}/vol.mhd", "w").write(f"ObjectType = Image\nNDims = 3\nDimSize = {x} {y} {z}\nElementType = MET_USHORT\nElementDataFile = vol.raw\n")
v.tofile(f"{f}/vol.raw")
v.astype(">u2").tofile(folder("bigendian") + f"/bone_{x}x{y}x{z}_16bit_be.raw")
PY
[ -d "$work/in/bigendian" ] || die "cannot make the volumes"
tiffcp -s "$work"/in/stack/*.tif "$work/in/pages/libtiff.tif" 2>/dev/null || fail "tiffcp"

stored() { "$tomofs" stats "$mnt" --json | "$python" -c 'import json, sys; print(json.load(sys.stdin)["stored_bytes"])'; }
# put NAME: how many bytes it adds
put() {
	local before
	before=$(stored)
	cp -r "$work/in/$1" "$mnt/datasets/" && sync "$mnt/datasets" || fail "cp of $1"
	echo $(($(stored) - before))
}

mount_store
first=$(put stack)
[ "$first" -gt 1000000 ] || fail "a stack of 8.8 MB adds only $first bytes"
for name in strips header bigtiff crop pages imagej named cropped alone sidecar; do
	added=$(put "$name")
	[ "$added" -le $((first / 100)) ] || fail "$name adds $added bytes to the stack's $first"
done
added=$(put bigendian)
[ "$added" -le "$first" ] || fail "the big-endian copy adds $added bytes, more than the stack's $first"
umount_store
mount_store
for name in "$work"/in/*; do
	check "what came out of $(basename "$name")" diff -r "$name" "$mnt/datasets/$(basename "$name")"
done
umount_store
check "verify" "$tomofs" verify "$store"
