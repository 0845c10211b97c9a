# Sourced by bench.sh. The data, and what the machine can do at best: its disk, FUSE, one core of coding.

# Slices of 2 MiB, 16 bit: $scan
need_scan() {
	local want=$((size_mb / 2 > 16 ? size_mb / 2 : 16)) bytes
	scan=$work/scan
	[ -z "${SCAN:-}" ] || scan=$(realpath "$SCAN")
	if [ -z "${SCAN:-}" ] && [ ! -e "$work/scan.txt" ]; then
		grow_scan "$want" || make_phantom "$want" || die "cannot make a scan"
	fi
	bytes=$(du -sbL "$scan" | cut -f1)
	scan_bytes=$bytes
	scan_files=$(find "$scan/" -type f | wc -l)
	[ -e "$work/scan.txt" ] || printf '%s\n' "$(basename "${SCAN:-a folder of one}"): $scan_files files" >"$work/scan.txt"
	grep -q "rounds" "$work/scan.txt" ||
		printf '%d MB, %d rounds, %d cores, kernel %s, cache=%s, %s\n' $((bytes / 1000000)) "$rounds" "$(nproc)" "$(uname -r)" "$cache" \
			"$(df --output=fstype "$work" | tail -n 1)" >>"$work/scan.txt"
}

make_phantom() {
	say "making $1 slices of a phantom"
	"$here/$BUILD/phantom" "$scan" scan 1024 "$1" && echo "Noisy phantom, $1 slices of 1024 x 1024, 16 bit." >"$work/scan.txt"
}

# The real CT in the shared folder is 24 slices of 512 x 512: 2 x 2 of them side by side, then up to the size wanted. Two run beside each other.
grow_scan() {
	local source=$shared/data/ct_abdomen_dicom half=$((($1 + 47) / 48)) w h bytes slices bits part
	[ -x "$shared/grow.py" ] && [ -d "$source" ] && "$python" -c 'import numpy, tifffile' 2>/dev/null || return 1
	read -r w h bytes slices bits < <("$tools/pixels" "$work/source.raw" "$source"/*.dcm 2>>"$work/log") || return 1
	say "growing $1 slices from $slices real ones of $w x $h, $bits bit"
	for part in 1 2; do
		"$python" "$shared/grow.py" "RAW:$slices,$h,$w,<u$bytes:$work/source.raw" "$work/grown$part" --nx 2 --ny 2 --nz "$half" --seed $part \
			--fmt tiff >>"$work/log" 2>&1 &
	done
	wait
	mkdir -p "$scan"
	find "$work/grown1" "$work/grown2" -name '*.tif' | sort | head -n "$1" | awk -v to="$scan" '{printf "%s\n%s/slice_%05d.tif\n", $0, to, NR}' |
		while read -r from && read -r to; do mv "$from" "$to"; done
	rm -rf "$work/grown1" "$work/grown2" "$work/source.raw"
	echo "Real CT (${slices} slices, $bits of 16 bits), grown to $1 slices of $((2 * w)) x $((2 * h)) with its own noise." >"$work/scan.txt"
}

# The raw pixels of some slices spread over the scan: $sample_raw and $sample_shape
need_sample() {
	sample_raw=$work/sample.raw
	[ -e "$work/sample.shape" ] || {
		find "$scan/" -name '*.tif' | sort | awk -v n="$scan_files" 'NR % (int(n / 16) + 1) == 0' |
			xargs -d '\n' "$tools/pixels" "$sample_raw" >"$work/sample.shape" 2>>"$work/log"
	}
	sample_shape=$(cat "$work/sample.shape")
}

null_mount() {
	"$tools/nullfs" "$mnt" 2>>"$work/log" &
	null_pid=$!
	local i
	for i in 1 2 3 4 5 6 7 8 9 10; do mountpoint -q "$mnt" && return; sleep 0.1; done
	die "cannot mount nullfs"
}
null_umount() { umount "$mnt" 2>/dev/null || fusermount3 -u "$mnt"; wait "$null_pid"; }

bench_limits() {
	local w r encode decode plain stored i
	umount_store
	: >"$work/times/disk_w"; : >"$work/times/disk_r"; : >"$work/times/null_cp"; : >"$work/times/null_cold"; : >"$work/times/null_warm"
	for ((i = 0; i < rounds; i++)); do
		read -r w r < <("$tools/disk" speed "$work/speed" $((size_mb / 4 > 256 ? 256 : size_mb / 4)))
		echo "$w" >>"$work/times/disk_w"; echo "$r" >>"$work/times/disk_r"
	done
	keep disk_w "$(median "$work/times/disk_w")"; keep disk_r "$(median "$work/times/disk_r")"
	row "disk, O_DIRECT, 4 of 4 MiB in flight" "" "write $(kept disk_w) MB/s, read $(kept disk_r) MB/s" "" "" "random bytes, fsync included"
	warm "$scan"
	for ((i = 0; i < (rounds > 3 ? 3 : rounds); i++)); do
		null_mount
		timed cp -r "$scan" "$mnt/scan"; echo "$seconds" >>"$work/times/null_cp"
		null_umount
		null_mount
		cp -r "$scan" "$mnt/scan"
		[ ! -w /proc/sys/vm/drop_caches ] || echo 1 >/proc/sys/vm/drop_caches
		timed read_all "$mnt/scan"; echo "$seconds" >>"$work/times/null_cold"
		timed read_all "$mnt/scan"; echo "$seconds" >>"$work/times/null_warm"
		null_umount
		warm "$scan"
	done
	for i in null_cp null_cold null_warm; do keep $i "$(median "$work/times/$i")"; done
	row "FUSE alone: cp -r into a daemon that forgets" "" "$(calc "$(kept null_cp)" %.2f) s" "" "" "tests/bench/nullfs.c: no disk, no computing"
	row "FUSE alone: read, nothing cached / page cache" "" "$(calc "$(kept null_cold)" %.2f) / $(calc "$(kept null_warm)" %.2f) s" "" "" same
	need_sample
	read -r plain stored encode decode < <("$tools/codec" "$sample_raw" $sample_shape) || return
	keep encode "$encode"; keep decode "$decode"
	row "coding on one core, check included / decoding" "$encode / $decode MB/s" "" "" "" "tests/bench/codec.c on 16 of the slices"
	read -r plain stored encode decode < <("$tools/codec" "$sample_raw" $sample_shape dense) || return
	keep encode_dense "$encode"; keep decode_dense "$decode"
	row "the same for data at rest" "$encode / $decode MB/s" "" "" "" ""
}
