#!/bin/bash
# Every real file goes in and comes out: at once, after a remount, after kill -9; again costs next to nothing.
. "$(dirname "$0")/lib/mount.sh"

src=$work/src
if [ -n "${TOMOFS_DATA:-}" ]; then
	src=$TOMOFS_DATA
else
	mkdir -p "$src/deep/er/est" "$src/odd"
	"$here/$BUILD/phantom" "$src/phantom" p 128 16 2>/dev/null || head -c 3000000 /dev/urandom >"$src/deep/er/est/random"
	head -c 5000000 /dev/zero >"$src/odd/zeros"
	printf x >"$src/odd/$(printf 'line\nbreak \xff\xfe')"
	: >"$src/odd/empty"
fi

# what the chunks take; the journal and the index need about 1.6 KB for each file beside that
stored() { du -s --apparent-size -B1 "$store/packs" | cut -f1; }

mount_store
empty=$(stored)
check "cp -a" cp -a "$src" "$mnt/datasets/data"
check "at once" diff -r "$src" "$mnt/datasets/data"
umount_store
first=$(($(stored) - empty))
mount_store
check "after a remount" diff -r "$src" "$mnt/datasets/data"
moved=$(rsync -a --itemize-changes "$src/" "$mnt/datasets/data/" | grep -c '^>f')
equal "files that rsync -a transfers again" "$moved" 0

check "cp -a again" cp -a "$src" "$mnt/datasets/again"
sleep 6
kill_daemon
mount_store
check "6 s after the copy, after kill -9" diff -r "$src" "$mnt/datasets/again"
# of two copies one was there already; the sums by codec are the whole
check "stats" "$tomofs" stats "$mnt"
"$tomofs" stats "$mnt" --json | "$python" -c '
import json, sys
s = json.load(sys.stdin)
codecs = s["codecs"].values()
assert sum(c["stored_bytes"] for c in codecs) == s["stored_bytes"], s
assert sum(c["plain_bytes"] for c in codecs) == s["unique_bytes"], s
assert s["logical_bytes"] == s["unique_bytes"] + s["deduplicated_bytes"] == s["stored_bytes"] + s["saved_bytes"], s
assert s["deduplicated_bytes"] >= s["logical_bytes"] / 2 * 0.98, s
' 2>"$work/stats.err" || { fail "stats do not add up"; tail -n 1 "$work/stats.err"; }
umount_store
second=$(($(stored) - first - empty))
[ $((second * 100)) -lt $((first * 2)) ] || fail "the same tree again stores $second bytes, the first time $first"
check "verify" "$tomofs" verify "$store"
