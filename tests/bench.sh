#!/bin/bash
# make bench [SIZE_MB=512] [DIR=/var/tmp]: how long the usual things take through the mount, beside the same on the disk's own file
# system, in one run. Ratios are what counts: machines are noisy. Nothing here fails a test.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${BUILD:-build}
tomofs=$here/$BUILD/tomofs
work=$(mktemp -d "${DIR:-/var/tmp}/tomofs-bench.XXXXXX")
size=${SIZE_MB:-512}
slices=$((size / 2 > 16 ? size / 2 : 16))
mnt=$work/mnt
end() { ! mountpoint -q "$mnt" || "$tomofs" umount "$mnt"; rm -rf "$work"; }
trap end EXIT

now() { date +%s.%N; }
drop() { sync; [ ! -w /proc/sys/vm/drop_caches ] || echo 3 >/proc/sys/vm/drop_caches; }
# timed COMMAND...: seconds
timed() { local start; start=$(now); "$@" >/dev/null; awk -v a="$start" -v b="$(now)" 'BEGIN {printf "%.2f", b - a}'; }
row() { awk -v w="$1" -v a="$2" -v b="$3" 'BEGIN {printf "%-44s %8.2f s %8.2f s   %.2f\n", w, a, b, (b > 0 ? a / b : 0)}'; }
# sync DIR reaches the daemon and commits everything; on ext4 it would sync the folder only, so there the whole file system is synced
copy_synced() { cp -r "$1" "$2" && sync "$2"; }
copy_synced_disk() { cp -r "$1" "$2" && sync -f "$2"; }
read_all() { cat "$1"/*.tif; }

"$here/$BUILD/phantom" "$work/scan" scan 1024 "$slices"
mkdir "$work/disk" "$mnt"
"$tomofs" init "$work/store" >/dev/null
"$tomofs" mount "$work/store" "$mnt"
bytes=$(du -sb "$work/scan" | cut -f1)
cat "$work"/scan/* >/dev/null
printf '%s slices of 1024 x 1024, 16 bit, %d MB (noisy phantom)\n\n' "$slices" $((bytes / 1000000))
printf '%-44s %10s %10s   %s\n' "" tomofs disk ratio

b=$(timed copy_synced_disk "$work/scan" "$work/disk/scan")
a=$(timed copy_synced "$work/scan" "$mnt/datasets/scan")
row "cp -r and sync" "$a" "$b"
rm -rf "$work/disk/again"
b=$(timed copy_synced_disk "$work/scan" "$work/disk/again")
a=$(timed copy_synced "$work/scan" "$mnt/datasets/again")
row "the same again, all known" "$a" "$b"
"$tomofs" umount "$mnt"
drop
"$tomofs" mount "$work/store" "$mnt"
b=$(timed read_all "$work/disk/scan")
drop
a=$(timed read_all "$mnt/datasets/scan")
row "read, cold" "$a" "$b"
a=$(timed read_all "$mnt/datasets/scan")
b=$(timed read_all "$work/disk/scan")
row "read, warm" "$a" "$b"
a=$(timed ls -lR "$mnt/datasets")
b=$(timed ls -lR "$work/disk")
row "ls -lR" "$a" "$b"
a=$(timed cat "$mnt/views/scan/scan_4x.tif")
printf '%-44s %8.2f s\n' "4x of the whole volume, first time" "$a"
a=$(timed cat "$mnt/views/scan/4x/z0003.tif")
printf '%-44s %8.2f s\n' "one 4x slice" "$a"
printf '\n'
"$tomofs" stats "$mnt"
