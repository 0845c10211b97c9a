#!/bin/bash
# The main job, shown on a real mount: drop a scan in, find it, open it smaller. DATA=/path/to/scan takes your own.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${BUILD:-build}
tomofs=$here/$BUILD/tomofs
work=$(mktemp -d "${TMPDIR:-/tmp}/tomofs-demo.XXXXXX")
store=$work/store mnt=$work/lab

end() {
	! mountpoint -q "$mnt" || "$tomofs" umount "$mnt" || true
	rm -rf "$work"
}
trap end EXIT
say() { printf '\n%s\n' "$*"; }
show() { printf '  $ %s\n' "$*"; "$@" | sed 's/^/    /'; }

if [ -n "${DATA:-}" ]; then
	scan=$(realpath "$DATA")
	name=$(basename "$scan")
	say "1. Your scan: $scan ($(du -sh "$scan" | cut -f1))"
else
	name=bone-phantom
	scan=$work/$name
	"$here/$BUILD/phantom" "$scan" "$name" 512 128
	say "1. A scan is made: 128 slices of 512 x 512 pixels, 16 bit, and the record that the scanner writes ($(du -sh "$scan" | cut -f1))"
fi

say "2. A new store is made and mounted. From now on it is a folder: $mnt"
"$tomofs" init "$store" >/dev/null
mkdir "$mnt"
"$tomofs" mount "$store" "$mnt"
show ls "$mnt"

say "3. The scan is dropped in, as a file manager would"
start=$(date +%s.%N)
printf '  $ cp -r %s %s/datasets/\n' "$scan" "$mnt"
cp -r "$scan" "$mnt/datasets/"
printf '    done in %.1f s\n' "$(echo "$(date +%s.%N) - $start" | awk '{print $1 - $3}')"

say "4. It gets a tag: a link in a folder"
printf '  $ mkdir %s/by-tag/porosity; ln -s ../../datasets/%s %s/by-tag/porosity/\n' "$mnt" "$name" "$mnt"
mkdir -p "$mnt/by-tag/porosity"
ln -s "../../datasets/$name" "$mnt/by-tag/porosity/"
show ls -l "$mnt/by-tag/porosity"

say "5. It is found, by what the scanner wrote down and by the tag"
show ls "$mnt/search/tag=porosity"
[ -n "${DATA:-}" ] || show ls "$mnt/search/voltage=80 voxel=..20um"
show "$tomofs" ls -m "$mnt"

say "6. It is opened smaller: 4x on each axis, computed when it is read"
show ls "$mnt/views/$name"
slice=$(find "$mnt/views/$name/4x/" -name 'z*.tif' 2>/dev/null | sort | awk '{a[NR] = $0} END {print a[int((NR + 1) / 2)]}')
if [ -n "$slice" ]; then
	show tiffinfo "$slice"
	ls -l "$slice" "$mnt/views/$name/"*.tif "$mnt/gallery/$name.png" 2>/dev/null | sed 's/^/    /'
else
	echo "    it has no image that can be made 4x smaller; info/$name/facts.json says what was found"
fi

say "7. The originals come out byte for byte"
show diff -r "$scan" "$mnt/datasets/$name"
echo "    identical"
show "$tomofs" stats "$mnt"

say "8. Unmounted, mounted again: everything is still there"
"$tomofs" umount "$mnt"
"$tomofs" mount "$store" "$mnt"
show ls "$mnt/by-tag/porosity"
diff -r "$scan" "$mnt/datasets/$name" && echo "    the originals are identical"

say "This was a temporary store, and is gone now. Your own:"
cat <<TEXT
  $BUILD/tomofs init /data/lab-store && mkdir -p ~/lab && $BUILD/tomofs mount /data/lab-store ~/lab
  then look at ~/lab/README.txt; datasets/ is where scans go, views/ and gallery/ where they are looked at.
TEXT
