#!/bin/bash
# The daemon is killed with -9 in the middle of a large ingest, several times, at random moments. Afterwards everything that was fsynced, or
# closed more than 5 s before, is there whole, and `tomofs verify` is clean. The store stays: later kills must not hurt earlier rounds.
#   SIZE_MB=2048   of the ingest in each round     ROUNDS=4     SEED=...   the moments
. "$(dirname "$0")/lib/mount.sh"

size_mb=${SIZE_MB:-2048} rounds=${ROUNDS:-4} seed=${SEED:-$$}
RANDOM=$seed # seeds bash's generator
src=$work/src
longest=8
longer_than=5 # seconds after a close
writers=()

# A mark in every 64 KiB of every slice, another one each round, so that no chunk is known already; pages written once.
mark_source() { # ROUND
	"$python" - "$src" "$1" <<-'PY' || die "cannot change the source"
		import os, sys
		for name in os.listdir(sys.argv[1]):
		    with open(os.path.join(sys.argv[1], name), 'r+b') as f:
		        for at in range(4096, os.fstat(f.fileno()).st_size - 64, 65536):
		            f.seek(at)
		            f.write(b'%8s %s' % (sys.argv[2].encode(), name.encode()[:48]))
	PY
	(cd "$src" && sha256sum -- * >"$work/sums") || die "cannot read the source"
}

# Copies one file after another and notes "MOMENT close|fsync NAME" for each. Every 16th is fsynced.
copy_all() { # FOLDER
	local n=0 f
	mkdir -p "$1" || return
	for f in "$src"/*; do
		cp "$f" "$1/" || return
		echo "$EPOCHREALTIME close $(basename "$f")" >>"$work/done"
		[ $((n++ % 16)) = 7 ] || continue
		sync "$1/$(basename "$f")" || return
		echo "$EPOCHREALTIME fsync $(basename "$f")" >>"$work/done"
	done
}

# One file that grows by 3,000,000 bytes at a time with an fsync after each, and stays open; its fsynced length is noted.
stream_program=$(cat <<'PY'
import hashlib, os, sys
def block(i):
    return hashlib.shake_128(b'%d of %s' % (i, sys.argv[3].encode())).digest(3000000)
if sys.argv[1] == 'write':
    with open(sys.argv[2], 'wb', buffering=0) as f, open(sys.argv[4], 'w') as lengths:
        for i in range(100000):
            f.write(block(i))
            os.fsync(f.fileno())
            print((i + 1), file=lengths, flush=True)
else:
    with open(sys.argv[2], 'rb') as f:
        for i in range(int(sys.argv[4])):
            if f.read(3000000) != block(i):
                sys.exit('block %d of the fsynced %s is not whole' % (i, sys.argv[4]))
PY
)

promised() { awk -v at="$1" -v more=$longer_than '$2 == "fsync" || $1 < at - more {print $3}' "$work/done" | sort -u; }

# What was promised at MOMENT and is missing or not whole
lost() { # FOLDER MOMENT
	promised "$2" >"$work/promised"
	(cd "$1" && xargs -r -d '\n' sha256sum -- <"$work/promised" 2>&1) | sort >"$work/got"
	sort "$work/sums" | comm -23 "$work/got" -
	[ "$(wc -l <"$work/got")" = "$(wc -l <"$work/promised")" ] || echo "$(wc -l <"$work/promised") files were promised, $(wc -l <"$work/got") are there"
}

one_round() { # ROUND
	local into=$mnt/datasets/round-$1 moment waited copied streamed
	mark_source "$1"
	mount_store
	mkdir -p "$mnt/datasets/stream-$1"
	: >"$work/done"; : >"$work/streamed"
	copy_all "$into" 2>/dev/null &
	writers=($!)
	"$python" -c "$stream_program" write "$mnt/datasets/stream-$1/s.raw" "$1" "$work/streamed" 2>/dev/null &
	writers+=($!)
	waited=$(awk -v r=$RANDOM -v most="$longest" 'BEGIN {printf "%.2f", 1 + r / 32768 * most}')
	sleep "$waited"
	moment=$EPOCHREALTIME
	kill_daemon
	wait "${writers[@]}"
	umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt"
	copied=$(grep -c close "$work/done") streamed=$(tail -n 1 "$work/streamed")
	check "verify after the kill of round $1" "$tomofs" verify "$store"
	mount_store
	lost "$into" "$moment" >"$work/lost"
	[ ! -s "$work/lost" ] || { fail "round $1, killed after $waited s"; head -n 5 "$work/lost"; }
	[ -z "$streamed" ] || check "the fsynced part of the open file" "$python" -c "$stream_program" read "$mnt/datasets/stream-$1/s.raw" "$1" "$streamed"
	echo "round $1: killed after $waited s with $copied files copied, of which $(wc -l <"$work/promised") promised, and ${streamed:-0} blocks fsynced"
	sum=$((${sum:-0} + $(wc -l <"$work/promised")))
	cat "$work/promised" >"$work/promised-$1"
	cat "$work/sums" >"$work/sums-$1"
	umount_store
	check "verify after round $1" "$tomofs" verify "$store"
	[ "$copied" -eq 0 ] || longest=$(awk -v w="$waited" -v n="$copied" -v all="$(ls "$src" | wc -l)" 'BEGIN {t = w / n * all * 0.9; print (t > 60 ? 60 : t)}')
}

"$here/$BUILD/phantom" "$src" scan 1024 $((size_mb / 2)) || die "no phantom"
echo "SEED=$seed"
for ((round = 1; round <= rounds; round++)); do one_round "$round"; done
[ "${sum:-0}" -gt 0 ] || fail "nothing was promised before any of the kills; nothing was tested"

mount_store
for ((round = 1; round <= rounds; round++)); do
	(cd "$mnt/datasets/round-$round" && grep -F -f "$work/promised-$round" "$work/sums-$round" | sha256sum --quiet -c) >"$work/later" 2>&1 ||
		{ [ ! -s "$work/promised-$round" ] || fail "round $round, after all the kills"; head -n 5 "$work/later"; }
done
umount_store
