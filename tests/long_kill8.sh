#!/bin/bash
# kill -9 of the daemon while 8 programs write at once: new files, appends, overwriting in place, replacing by rename, truncation and
# removal, with an fsync after each or not. After each kill `tomofs verify` is clean, and every file is as it was at its last fsync
# or as some later write left it. One store for all rounds.
#   ROUNDS=200   WRITERS=8   SEED=...   LONGEST=2 (seconds until the kill)   PLACE=/dev/shm (folder)
# In memory if that is there: a killed process loses nothing that it wrote, and a slow disk would leave few fsyncs to look at.
[ -n "${PLACE:=$([ -w /dev/shm ] && echo /dev/shm)}" ] && export TMPDIR=$PLACE
. "$(dirname "$0")/lib/mount.sh"

rounds=${ROUNDS:-200} writers=${WRITERS:-8} seed=${SEED:-$$} longest=${LONGEST:-2}
RANDOM=$seed

one_round() { # ROUND
	local into=$mnt/datasets/round-$1 pids=() w counts
	mount_store
	rm -f "$work"/log-*
	mkdir -p "$into"
	for ((w = 0; w < writers; w++)); do
		"$python" "$here/tests/lib/disk_writer.py" write "$into/w$w" "$work/log-$w" "$seed-$1-$w" 2>"$work/err-$w" &
		pids+=($!)
	done
	wait_for 30 sh -c 'grep -qs done "$1"/log-*' sh "$work" # a busy machine may take long to begin
	sleep "$(awk -v r=$RANDOM -v most="$longest" 'BEGIN {printf "%.2f", 0.3 + r / 32768 * most}')"
	kill_daemon
	wait "${pids[@]}"
	umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt"
	for ((w = 0; w < writers; w++)); do
		[ ! -s "$work/err-$w" ] || { fail "a writer of round $1"; tail -n 3 "$work/err-$w"; }
	done
	check "verify after the kill of round $1" "$tomofs" verify "$store"
	mount_store
	for ((w = 0; w < writers; w++)); do
		if counts=$("$python" "$here/tests/lib/disk_writer.py" check "$into/w$w" "$work/log-$w" 2>&1); then
			read -r promised files <<<"$counts"
			syncs=$((syncs + promised)) all=$((all + files))
		else
			fail "round $1 (SEED=$seed): $counts"
		fi
	done
	rm -rf "$into"
	umount_store
}

syncs=0 all=0
for ((round = 1; round <= rounds && failures < 3; round++)); do one_round "$round"; done
[ "$syncs" -gt 0 ] || fail "nothing was synced before any of the kills; nothing was tested"
check "verify at the end" "$tomofs" verify "$store"
echo "SEED=$seed: $rounds kills, $writers writers, $syncs fsyncs, $all files looked at, $failures failures"
