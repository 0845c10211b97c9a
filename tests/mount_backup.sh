#!/bin/bash
# Backup beside writers, then again with what is new, after packs were recoded and collected; each is mounted and compared. The
# same with plain rsync. What is copied twice, whose disk is full, or is of another store is said.
. "$(dirname "$0")/lib/mount.sh"

field() { $python -c 'import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2]))' "$1" "$2"; }
copy=$work/copy back=$work/back
mkdir "$back" "$work/in"
for i in $(seq 0 39); do head -c $((i * 60000 + 17)) /dev/urandom >"$work/in/f$i"; done

mount_store dense_after=never
put() { mkdir -p "$mnt/datasets/$1" && cp "$work/in/$2" "$mnt/datasets/$1/" && sync "$mnt/datasets/$1/$2"; }
for i in 0 1 2 3 4 5 6 7; do put first f$i; done

# Writers at work: what was synced before the backup began is in it, and whatever is in it can be read.
writer() {
	local n=$1
	while [ ! -e "$work/stop" ]; do
		for i in $(seq $((10 + n * 10)) $((19 + n * 10))); do
			put w$n f$i 2>/dev/null
			[ -e "$work/stop" ] && break
		done
		rm -rf "$mnt/datasets/w$n"
		echo expire >"$mnt/.tomofs/gc"
		echo now >"$mnt/.tomofs/densify"
	done
}
write_begin() { rm -f "$work/stop"; for n in 0 1 2; do writer $n & writers[n]=$!; done; sleep 1; }
write_end() { touch "$work/stop"; wait "${writers[@]}"; }
check_copy() { # DIR WHAT
	check "$2: verify" "$tomofs" verify "$1"
	"$tomofs" mount "$1" "$back" -o keep=forever,dense_after=never || { fail "$2: it cannot be mounted"; return; }
	for i in 0 1 2 3 4 5 6 7; do check "$2: same bytes, f$i" cmp "$work/in/f$i" "$back/datasets/first/f$i"; done
	for f in "$back"/datasets/w*/f*; do
		[ -e "$f" ] || continue
		cat "$f" >"$work/f" || fail "$2: $f cannot be read"
		cmp -s -n "$(stat -c %s "$work/f")" "$work/f" "$work/in/${f##*/}" || fail "$2: $f has other bytes"
	done
	"$tomofs" umount "$back"
}

write_begin
check "backup beside writers" "$tomofs" backup --json "$store" "$copy"
equal "packs are free again" "$(tr -d ' ' <"$mnt/.tomofs/hold")" free
write_end
cp -a "$copy" "$work/opened"
check_copy "$work/opened" "first"

put first f8
write_begin
check "backup of what is new" "$tomofs" backup --json "$store" "$copy"
write_end
rm -rf "$work/opened"
cp -a "$copy" "$work/opened"
check_copy "$work/opened" "second"

"$tomofs" gc --expire-now "$mnt" >/dev/null
sync "$mnt/datasets"
check "backup at rest" "$tomofs" backup --json "$store" "$copy"
check "backup with nothing new" "$tomofs" backup --json "$store" "$copy"
[ "$(field "$work/check.out" files)" -le 2 ] || fail "what is there is copied again: $(cat "$work/check.out")"

# Plain rsync, the journal first, packs held meanwhile.
write_begin
echo 600 >"$mnt/.tomofs/hold"
equal "held for rsync" "$(tr -d " " <"$mnt/.tomofs/hold")" held
rsync -a "$store/journal" "$work/plain/"
sync "$mnt/datasets"
$python -c 'import os, sys; f = os.open(sys.argv[1], os.O_RDONLY); os.fsync(f)' "$mnt/datasets"
rsync -a "$store/packs" "$store/tomofs.json" "$work/plain/" || fail "rsync: $?"
echo 0 >"$mnt/.tomofs/hold"
write_end
check_copy "$work/plain" "rsync"

umount_store
check "backup of a store that is not mounted" "$tomofs" backup --json "$store" "$copy"
for f in "$copy"/packs/*; do [ -e "$store/packs/${f##*/}" ] || fail "$f is in the backup still"; done
for f in "$store"/packs/*; do cmp -s "$f" "$copy/packs/${f##*/}" || fail "$f is not in the backup"; done
check_copy "$copy" "last"
refuse "a folder of something else" "$tomofs" backup "$store" "$work/in"
"$tomofs" init "$work/other" >/dev/null
refuse "another store" "$tomofs" backup "$work/other" "$copy"
refuse "no store" "$tomofs" backup "$work/in" "$work/x"
