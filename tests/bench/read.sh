# Sourced by bench.sh. Getting a scan out.

cold_tomofs() {
	cold_store
	busy read_all "$mnt/datasets/scan"
	echo "$cores" >>"$work/times/cold.cores"
}
cold_ext4() { drop; timed read_all "$disk/scan"; }
warm_tomofs() { read_all "$mnt/datasets/scan" >/dev/null; timed read_all "$mnt/datasets/scan"; }
warm_ext4() { read_all "$disk/scan" >/dev/null; timed read_all "$disk/scan"; }

scatter() { # FOLDER: random reads of one round
	read -r seconds scatter_sum < <("$tools/scatter" "$1" 500 $((++draws / 2)))
	echo "$scatter_sum" >>"$work/times/scatter.sums"
}
random_tomofs() { cold_store; scatter "$mnt/datasets/scan"; }
random_ext4() { drop; scatter "$disk/scan"; }

bench_read() {
	local stored
	need_copies
	stored=$(kept stored "$scan_bytes")
	: >"$work/times/cold.cores"
	versus cold cold_tomofs cold_ext4
	keep cold_time "$time_a"
	row_times "read, cold, against ext4" "<= 1.0" \
		"$(limit "disk read" "$(calc "$stored / 1e6")" "$(kept disk_r)")$(limit_fuse null_cold)$(limit "decoding on all cores" \
			"$(calc "$scan_bytes / 1e6 / $(nproc)")" "$(kept decode)")daemon busy on $(median "$work/times/cold.cores") cores"
	versus warm warm_tomofs warm_ext4
	row_times "read, warm (page cache), against ext4" "<= 1.3" "page cache through $(limit_fuse null_warm)"
	draws=1
	: >"$work/times/scatter.sums"
	versus random random_tomofs random_ext4
	row_times "500 random reads of 64 KiB, cold, against ext4" "<= 3.0" \
		"$([ "$(sort "$work/times/scatter.sums" | uniq -c | awk '$1 % 2' | wc -l)" = 0 ] && echo "same bytes on both" || echo "BYTES DIFFER")"
}

# The same store when its data are at rest.
bench_dense() {
	need_copies
	busy "$tomofs" densify "$mnt"
	keep dense_stored "$(stat_of stored_bytes)"
	row "densify, all of it" "$(calc "$seconds" %.2f) s" "" "" "" "$(calc "$scan_bytes / 1e6 / $seconds" "%.0f MB/s") of slices; daemon busy on $cores cores; in the background when nothing else is to be done"
	row "stored at rest, of all bytes" "$(mb "$(kept dense_stored)")" "$(mb "$scan_bytes")" "$(calc "$(kept dense_stored) / $scan_bytes")" "" "$(calc "$(kept dense_stored) / $(kept stored)") of what it was on arrival"
	: >"$work/times/cold.cores"
	versus cold_dense cold_tomofs cold_ext4
	row_times "read, cold, at rest, against ext4" "" \
		"$(limit "disk read" "$(calc "$(kept dense_stored) / 1e6")" "$(kept disk_r)")$(limit_fuse null_cold)$(limit "decoding on all cores" \
			"$(calc "$scan_bytes / 1e6 / $(nproc)")" "$(kept decode_dense)")daemon busy on $(median "$work/times/cold.cores") cores"
	draws=1
	: >"$work/times/scatter.sums"
	versus random_dense random_tomofs random_ext4
	row_times "500 random reads of 64 KiB, cold, at rest, against ext4" "" "$([ "$(sort "$work/times/scatter.sums" | uniq -c | awk '$1 % 2' | wc -l)" = 0 ] && echo "same bytes on both" || echo "BYTES DIFFER")"
	keep copied no # later groups measure what arrived
}

bench_views() {
	need_copies
	timed ls -lR "$mnt/datasets/scan"
	local a=$seconds
	timed ls -lR "$disk/scan"
	row "ls -lR of the scan" "$(calc "$a" %.2f) s" "$(calc "$seconds" %.2f) s" "$(calc "$a / ($seconds + 1e-9)" %.2f)" "" ""
	if [ -e "$mnt/views/scan/scan_4x.tif" ]; then
		cold_store
		timed cat "$mnt/views/scan/scan_4x.tif"
		row "4x of the whole volume, first time" "$(calc "$seconds" %.2f) s" "" "" "" ""
		timed cat "$(find "$mnt/views/scan/4x/" -name 'z*.tif' | sort | sed -n 3p)"
		row "one 4x slice" "$(calc "$seconds" %.3f) s" "" "" "" ""
	fi
}

bench_fsync() {
	need_copies
	fsync_tomofs() { seconds=$("$tools/disk" fsync "$mnt/datasets/scan/fsync.bin" 100); }
	fsync_ext4() { seconds=$("$tools/disk" fsync "$disk/fsync.bin" 100); }
	versus fsync fsync_tomofs fsync_ext4
	row "append 4 KiB and fsync, against ext4" "$(calc "$time_a" %.2f) ms" "$(calc "$time_b" %.2f) ms" "$(calc "$ratio" %.2f)" "" "median of 100 in each round"
}

verify_tomofs() { drop; timed "$tomofs" verify "$store"; }
packs_read() { drop; timed cat "$store"/packs/*; }
bench_verify() {
	need_copies
	umount_store
	versus verify verify_tomofs packs_read
	row_times "verify, against reading the packs" "" "$(calc "$(du -sb "$store/packs" | cut -f1) / 1e6 / ($time_a + 1e-9)" "%.0f MB/s of packs")"
	mount_store
}
