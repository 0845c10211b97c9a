#!/bin/bash
# Views: every voxel against numpy, for every layout of TIFF and raw; sizes against the bytes delivered; ImageJ opens them.
. "$(dirname "$0")/lib/mount.sh"
lib=$(dirname "$0")/lib

"$python" -c 'import numpy, tifffile' 2>/dev/null || { echo "no python3-numpy, python3-tifffile"; exit 77; }
scans=$work/scans
mkdir "$scans"
"$python" "$lib/make_scans.py" "$scans" || die "cannot make scans"
cp -r "$scans/plain" "$scans/lzw" && cp "$scans/plain.npy" "$scans/lzw.npy"
for f in "$scans/lzw"/*.tif; do tiffcp -c lzw:2 "$f" "$work/x.tif" && mv "$work/x.tif" "$f"; done

mount_store
for npy in "$scans"/*.npy; do
	name=$(basename "$npy" .npy)
	check "cp of $name" cp -r "$scans/$name" "$mnt/datasets/"
	voxel=
	[ "$name" = raw ] && voxel=12.5
	check "views of $name" "$python" "$lib/views_check.py" "$mnt" "$name" "$npy" $voxel
done

# every listed size is what cat delivers; the pictures are pictures
while IFS= read -r -d '' f; do
	size=$(stat -c %s "$f")
	bytes=$(cat "$f" | wc -c)
	equal "bytes of $f" "$bytes" "$size"
done < <(find "$mnt/views" "$mnt/gallery" "$mnt/info" -type f -print0)
for f in "$mnt"/gallery/*.png; do
	equal "kind of $f" "$(head -c 8 "$f" | od -An -tx1 | tr -d ' \n')" 89504e470d0a1a0a
done

# ls -lR of the whole mount computes nothing
before=$(grep -o '"cache_bytes": [0-9]*' "$mnt/.tomofs/status.json")
umount_store
mount_store
ls -lR "$mnt" >/dev/null
equal "decoded bytes after ls -lR" "$(grep -o '"level_bytes": [0-9]*' "$mnt/.tomofs/status.json")" '"level_bytes": 0'
[ -n "$before" ] || fail "status.json has no cache_bytes"

# a broken image says why
mkdir "$work/broken"
head -c 3000 "$scans/plain/s_0000.tif" >"$work/broken/a.tif"
cp -r "$work/broken" "$mnt/datasets/"
grep -q 'a.tif' "$mnt/info/broken/facts.json" || fail "facts.json does not say why a.tif cannot be viewed"

# so does one whose damage only shows when its pixels are read; that is an error then, and never a wrong pixel
mkdir "$work/late"
cp "$scans"/deflate/s_000[0-3].tif "$work/late/"
"$python" - "$work/late/s_0002.tif" <<'PY'
import sys
import tifffile
with tifffile.TiffFile(sys.argv[1]) as t:
    at = t.pages[0].dataoffsets[-1]
b = bytearray(open(sys.argv[1], "rb").read())
b[at:at + 2] = bytes(2)  # the head of the compressed strip
open(sys.argv[1], "wb").write(b)
PY
cp -r "$work/late" "$mnt/datasets/"
refuse "reading a damaged slice" cat "$mnt/views/late/2x/z0001.tif"
check "reading a whole one" cat "$mnt/views/late/2x/z0000.tif"
grep -q 's_0002.tif' "$mnt/info/late/error.txt" || fail "error.txt does not name the damaged slice"

# ImageJ opens a slice and the stack with the right dimensions and voxel size
if command -v xvfb-run >/dev/null && [ -e /usr/share/java/ij.jar ]; then
	cat >"$work/open.ijm" <<'IJM'
name = split(getArgument(), ",");
for (i = 0; i < name.length; i++) {
	open(name[i]);
	getVoxelSize(w, h, d, unit);
	print(getWidth() + " " + getHeight() + " " + nSlices + " " + w + " " + d + " " + unit);
	close();
}
IJM
	out=$(timeout 120 xvfb-run -a java -jar /usr/share/java/ij.jar -ijpath "$work" -batch "$work/open.ijm" \
		"$mnt/views/raw/4x/z0000.tif,$mnt/views/raw/raw_4x.tif" 2>"$work/ij.err" | tr '\n' ';')
	equal "what ImageJ sees" "$out" "70 76 1 50 50 microns;70 76 4 50 50 microns;"
else
	echo "ImageJ is not tried: no xvfb-run, or no ij.jar"
	[ -z "${CI:-}" ] || fail "ImageJ must be there in CI"
fi
