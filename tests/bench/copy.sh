# Sourced by bench.sh. Putting a scan in.

copy_tomofs() {
	new_store
	mount_store
	drop
	warm "$scan"
	busy copy_in "$scan" "$mnt/datasets/scan"
	echo "$cores" >>"$work/times/copy.cores"
	keep copied yes
}
copy_ext4() {
	rm -rf "$disk/scan"
	drop
	warm "$scan"
	timed copy_disk "$scan" "$disk/scan"
}
# A store with the scan in it, and the scan on the disk; for groups that run alone.
need_copies() {
	[ "$(kept copied)" = yes ] && [ -d "$disk/scan" ] && { mount_store; return; }
	copy_tomofs
	copy_ext4
}
bench_copy() {
	: >"$work/times/copy.cores"
	versus copy copy_tomofs copy_ext4
	keep cp_time "$time_a"
	keep stored "$(stat_of stored_bytes)"
	row_times "cp -r of $((scan_bytes / 1000000)) MB and sync, against ext4" "<= 1.0" \
		"$(limit "disk write" "$(calc "$(kept stored) / 1e6")" "$(kept disk_w)")$(limit_fuse null_cp)$(limit "coding on all cores" \
			"$(calc "$scan_bytes / 1e6 / $(nproc)")" "$(kept encode)")daemon busy on $(median "$work/times/copy.cores") cores"
	row "stored, of all bytes" "$(mb "$(kept stored)")" "$(mb "$scan_bytes")" "$(calc "$(kept stored) / $scan_bytes")" "" ""
}

known_tomofs() {
	known=$((${known:-0} + 1))
	cold_store
	warm "$scan"
	busy copy_in "$scan" "$mnt/datasets/again$$-$known"
	echo "$cores" >>"$work/times/known.cores"
}
known_ext4() {
	rm -rf "$disk/again"
	drop
	warm "$scan"
	timed copy_disk "$scan" "$disk/again"
}
bench_known() {
	local before after
	need_copies
	: >"$work/times/known.cores"
	before=$(stat_of stored_bytes)
	versus known known_tomofs known_ext4
	after=$(stat_of stored_bytes)
	rm -rf "$disk/again"
	row_times "the same when all is known" "<= 0.7" \
		"$(limit "disk read" "$(calc "$(kept stored) / 1e6")" "$(kept disk_r)")$(limit_fuse null_cp)$(limit "decoding on all cores" \
			"$(calc "$scan_bytes / 1e6 / $(nproc)")" "$(kept decode)")daemon busy on $(median "$work/times/known.cores") cores; $((after - before)) bytes more stored"
}
