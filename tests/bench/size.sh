# Sourced by bench.sh. How much is stored: beside zstd -19 and JPEG-LS, of one volume in several forms, of what cannot be made smaller.

# added FOLDER NAME: what a folder adds to the mounted store, in bytes; it becomes datasets/NAME
added() {
	local before
	before=$(stat_of stored_bytes)
	copy_in "$1" "$mnt/datasets/$2"
	sleep 0.2
	echo $(($(stat_of stored_bytes) - before))
}

zstd19() { local f; for f in "$1"/*; do zstd -19 -q -c "$f" | wc -c; done | awk '{n += $1} END {print n}'; }

# speeds SHAPE: both coders over the slices in turn, CODER_ROUNDS times; jls and codec are the fastest of each, for one core of a machine that
# is shared is slowed by others and never hurried.
CODER_ROUNDS=7
speeds() {
	local i a b
	jls=() codec=()
	for ((i = 0; i < CODER_ROUNDS; i++)); do
		a=($("$tools/jpegls" "$work/size.raw" $1)) b=($("$tools/codec" "$work/size.raw" $1 dense))
		[ ${#a[@]} = 4 ] && [ ${#b[@]} = 4 ] || return
		jls=("${a[@]:0:2}" "$(larger "${a[2]}" "${jls[2]:-0}")" "$(larger "${a[3]}" "${jls[3]:-0}")")
		codec=("${b[@]:0:2}" "$(larger "${b[2]}" "${codec[2]:-0}")" "$(larger "${b[3]}" "${codec[3]:-0}")")
	done
}
larger() { awk -v a="$1" -v b="$2" 'BEGIN {print (a + 0 > b + 0 ? a : b)}'; }

# size_rows WORDS FOLDER TARGET: a folder of slices; the target is against zstd -19
size_rows() {
	local words=$1 folder=$2 plain arrived stored z shape jls codec # jls, codec: set by speeds
	plain=$(du -sbL "$folder" | cut -f1)
	stored=$(stat_of stored_bytes)
	arrived=$(added "$folder" "size-$(basename "$folder")")
	timed "$tomofs" densify "$mnt"
	stored=$(($(stat_of stored_bytes) - stored))
	if has zstd; then
		z=$(zstd19 "$folder")
		row "stored on arrival, $words, against zstd -19 of the files" "$(mb "$arrived")" "$(mb "$z")" "$(calc "$arrived / $z")" "" "$(calc "$plain / $arrived" "%.2f"):1"
		row "stored at rest, $words, against zstd -19 of the files" "$(mb "$stored")" "$(mb "$z")" "$(calc "$stored / $z")" "$3" "$(calc "$plain / $stored" "%.2f"):1"
	fi
	[ -x "$tools/jpegls" ] || { skip "stored, $words, against JPEG-LS" "no CharLS (libcharls-dev)"; return; }
	shape=$("$tools/pixels" "$work/size.raw" "$folder"/* 2>>"$work/log") || return
	speeds "$shape" || { skip "stored, $words, against JPEG-LS" "it cannot take these"; rm -f "$work/size.raw"; return; }
	rm -f "$work/size.raw"
	row "stored at rest, $words, against JPEG-LS of the slices" "$(mb "$stored")" "$(mb "${jls[1]}")" "$(calc "$stored / ${jls[1]}")" "<= 1.05" \
		"the codec alone $(calc "${codec[1]} / ${jls[1]}")"
	row "decoding, $words, against CharLS, one core" "${codec[3]} MB/s" "${jls[3]} MB/s" "$(calc "${codec[3]} / ${jls[3]}" %.1f)" ">= 20" \
		"encoding ${codec[2]} MB/s, check included, against ${jls[2]}; the fastest of $CODER_ROUNDS, in turn"
}

bench_size() {
	local d=$work/size
	rm -rf "$d"
	mkdir -p "$d/ct" "$d/neutron" "$d/grown"
	new_store
	mount_store
	if [ -d "$shared/data/neutron_stepwedge" ]; then
		cp "$shared"/data/neutron_stepwedge/*.tif "$d/neutron/"
		size_rows "neutron frames" "$d/neutron" "<= 0.80"
	else
		skip "stored, neutron frames" "no ../shared/data"
	fi
	if [ -d "$shared/data/ct_abdomen_dicom" ]; then
		cp "$shared"/data/ct_abdomen_dicom/*.dcm "$d/ct/"
		size_rows "CT (DICOM)" "$d/ct" "<= 0.80"
	else
		skip "stored, CT" "no ../shared/data"
	fi
	find "$scan/" -name '*.tif' | sort | awk -v n="$scan_files" 'NR % (int(n / 12) + 1) == 0' | xargs -d '\n' -I{} cp {} "$d/grown/"
	size_rows "slices of the scan" "$d/grown" "$(grep -q phantom "$work/scan.txt" || echo "<= 0.80")"
	"$here/$BUILD/phantom" "$d/phantom" p 512 16 && rm "$d/phantom/p.pca"
	size_rows "phantom" "$d/phantom" ""
	rm -rf "$d"
	umount_store
	rm -rf "$store"
	keep copied no
}

bench_dedup() {
	local d=$work/dedup base kind n target
	"$python" -c 'import numpy, tifffile' 2>/dev/null || { skip "one volume in several forms" "no numpy and tifffile"; return; }
	rm -rf "$d"
	mkdir -p "$d/stack"
	find "$scan/" -name '*.tif' | sort | head -n 48 | xargs -d '\n' -I{} cp {} "$d/stack/"
	"$python" "$here/tests/bench/variants.py" "$d/stack" "$d" || { skip "one volume in several forms" "variants.py failed"; return; }
	new_store
	mount_store
	base=$(added "$d/stack" stack)
	for kind in raw multipage imagej header crop bigendian; do
		target="<= 0.01"
		[ $kind != bigendian ] || target="<= 1.00"
		n=$(added "$d/$kind" "again-$kind")
		row "after a stack of 48 slices, added by: $kind" "$(mb "$n")" "$(mb "$base")" "$(calc "$n / $base" "%.4f")" "$target" \
			"$([ $kind = bigendian ] && echo "other bytes: needs chunks named by sample values, not bytes")"
	done
	rm -rf "$d"
	umount_store
	rm -rf "$store"
	keep copied no
}

# Real files that zstd cannot make 2 % smaller: EM, JPEG, compressed HDF5 and TIFF.
incompressible_real() {
	local d=$work/hard plain n f
	[ -d "$shared/data" ] && has zstd || return 0
	mkdir -p "$d"
	find "$shared/data/" -type f -size +200k -not -path '*/bad_tiff/*' | while read -r f; do
		[ $(($(zstd -q -c "$f" | wc -c) * 100)) -lt $(($(stat -c %s "$f") * 98)) ] || cp "$f" "$d/"
	done
	plain=$(find "$d/" -type f -printf '%s\n' | awk '{n += $1} END {print n + 0}')
	if [ "$plain" -gt 0 ]; then
		new_store
		mount_store
		n=$(added "$d" hard)
		row "stored: files that zstd cannot make 2 % smaller" "$(mb "$n")" "$(mb "$plain")" "$(calc "$n / $plain" "%.4f")" "<= 1.002" "$(ls "$d" | wc -l) real ones: $(ls "$d" | sed "s/.*\.//" | sort | uniq -c | awk "{printf \"%s %s \", \$1, \$2}")"
	fi
	rm -rf "$d"
}
hard_tomofs() {
	new_store
	mount_store
	drop
	warm "$work/random"
	busy copy_in "$work/random" "$mnt/datasets/random"
	echo "$cores" >>"$work/times/hard.cores"
}
hard_ext4() {
	rm -rf "$disk/random"
	drop
	warm "$work/random"
	timed copy_disk "$work/random" "$disk/random"
}
bench_incompressible() {
	local i bytes=$((size_mb / 2 * 1000000)) each=16000000
	incompressible_real
	mkdir -p "$work/random"
	for ((i = 0; i * each < bytes; i++)); do
		{ printf '\211HDF\r\n\032\n'; head -c $((each - 8)) /dev/urandom; } >"$work/random/frames_$i.h5"
	done
	bytes=$((i * each))
	: >"$work/times/hard.cores"
	versus hard hard_tomofs hard_ext4
	row "stored: .h5 of random bytes" "$(mb "$(stat_of stored_bytes)")" "$(mb $bytes)" "$(calc "$(stat_of stored_bytes) / $bytes" "%.4f")" "<= 1.002" ""
	row_times "cp -r of these $((bytes / 1000000)) MB and sync, against ext4" "<= 1.1" \
		"$(limit "disk write" "$(calc "$bytes / 1e6")" "$(kept disk_w)")daemon busy on $(median "$work/times/hard.cores") cores"
	rm -rf "$work/random" "$disk/random"
	umount_store
	rm -rf "$store"
	keep copied no
}
