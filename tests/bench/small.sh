# Sourced by bench.sh. Many small files: how long they take to come, to be listed and to go, beside the disk's own file system in the same run.
# Cold: mounted anew and all caches dropped; warm: the same again at once. SMALL files of 1 KiB, no two alike, a thousand in a folder.
small_count=${SMALL:-100000}

small_source() {
	[ ! -e "$small" ] || return 0
	"$python" - "$small" "$small_count" <<-'PY' || die "cannot make $small_count files"
		import os, sys
		for i in range(int(sys.argv[2])):
		    folder = '%s/%03d' % (sys.argv[1], i // 1000)
		    if i % 1000 == 0:
		        os.makedirs(folder)
		    with open('%s/f%06d.txt' % (folder, i), 'wb') as f:
		        f.write((b'%07d ' % i + os.urandom(24)) * 32)
	PY
}

small_note() { echo "$seconds" >>"$work/times/small-$1.$side"; } # WHAT
small_time() { # WHAT COMMAND...
	timed "${@:2}"
	small_note "$1"
}
# One side's turn: a is the mount, b the disk
small_turn() {
	local into=$disk/small-copy
	if [ "$side" = a ]; then
		mount_store
		into=$mnt/datasets/small
	fi
	find "$small" -type f -exec cat {} + >/dev/null
	small_time cp cp -r "$small" "$into"
	timed "small_sync_$side" "$into"
	small_note sync
	small_cold
	small_time find_cold find "$into"
	small_time find_warm find "$into"
	small_cold
	small_time ls_cold ls -lR "$into"
	small_time ls_warm ls -lR "$into"
	small_time rm rm -r "$into"
}
small_cold() { if [ "$side" = a ]; then cold_store; else drop; fi; }
small_sync_a() { sync "$1"; }
small_sync_b() { sync -f "$1"; }

small_row() { # WHAT WORDS TARGET LIMIT
	local t=$work/times/small-$1
	paste "$t.a" "$t.b" | awk '$2 > 0 {print $1 / $2}' >"$t.ratio"
	time_a=$(median "$t.a") time_b=$(median "$t.b") ratio=$(median "$t.ratio")
	say "small $1: $(paste -sd' ' "$t.a") against $(paste -sd' ' "$t.b")"
	row_times "$2, $small_count files of 1 KiB, against the disk" "$3" "$4"
}

bench_small() {
	local i side small=$disk/small
	rm -f "$work/times/small-"*
	small_source
	for ((i = 0; i < rounds; i++)); do
		for side in $([ $((i % 2)) = 0 ] && echo a b || echo b a); do small_turn; done
	done
	small_row cp "cp -r" "<= 3.00" "sync after it $(median "$work/times/small-sync.a") s, disk $(median "$work/times/small-sync.b") s"
	small_row rm "rm -r" "<= 3.00" ""
	small_row find_cold "find, cold" "<= 2.00" ""
	small_row ls_cold "ls -lR, cold" "<= 2.00" ""
	small_row find_warm "find, warm" "<= 1.30" ""
	small_row ls_warm "ls -lR, warm" "<= 1.30" ""
	[ -n "${WORK:-}" ] || rm -rf "$small"
}
