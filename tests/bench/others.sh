# Sourced by bench.sh. The same scan in what people would use otherwise: time to put it in, what is stored, cold read back. Each is left out
# with a word when it is not installed or this user may not mount it.
other=

stored_in() { du -sB1 "$1" | cut -f1; } # blocks on the disk

# other_row WHAT SECONDS BYTES: beside what tomofs needed in this run
other_row() {
	local t s
	t=$(kept cp_time) s=$(kept stored)
	row "cp -r and sync, against $1" "$(calc "$t" %.2f) s" "$(calc "$2" %.2f) s" "$(calc "$t / ($2 + 1e-9)" %.2f)" "" ""
	row "stored, against $1" "$(mb "$s")" "$(mb "$3")" "$(calc "$s / $3")" "" ""
}

# btrfs in a loop file: btrfs_mount LEVEL
btrfs_make() {
	local file=$work/other/btrfs$1.img
	[ ! -e "$file" ] || return 0
	truncate -s $((scan_bytes * 2 + (1 << 30))) "$file"
	mkfs.btrfs -q "$file" >>"$work/log" 2>&1
}
btrfs_mount() {
	mkdir -p "$work/other/btrfs$1"
	mount -o "loop,compress-force=zstd:$1" "$work/other/btrfs$1.img" "$work/other/btrfs$1" 2>>"$work/log"
}
other_btrfs() { # LEVEL
	local at=$work/other/btrfs$1 before after
	has mkfs.btrfs && [ "$(id -u)" = 0 ] || { skip "btrfs zstd:$1" "no btrfs-progs, or not root"; return; }
	rm -f "$at.img"
	btrfs_make "$1" && btrfs_mount "$1" || { skip "btrfs zstd:$1" "cannot be mounted here"; rm -f "$at.img"; return; }
	before=$(btrfs filesystem df -b "$at" | awk -F'used=' '/^Data/ {print $2 + 0}')
	drop
	warm "$scan"
	timed copy_disk "$scan" "$at/scan"
	after=$(btrfs filesystem df -b "$at" | awk -F'used=' '/^Data/ {print $2 + 0}')
	umount "$at"
	other_row "btrfs zstd:$1" "$seconds" $((after - before))
	[ "$1" = 1 ] || rm -f "$at.img"
}
other_squashfs() {
	local at=$work/other/scan.sqfs
	has mksquashfs || { skip "squashfs zstd" "no squashfs-tools"; return; }
	rm -f "$at"
	make_squashfs() { mksquashfs "$scan" "$at" -comp zstd -Xcompression-level 1 -quiet -no-progress && sync "$at"; }
	drop
	warm "$scan"
	timed make_squashfs
	other_row "squashfs zstd:1" "$seconds" "$(stored_in "$at")"
}
borg() { BORG_BASE_DIR=$work/other/borg-home BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK=yes BORG_RELOCATED_REPO_ACCESS_IS_OK=yes command borg "$@"; }
other_borg() {
	has borg || { skip borg "no borgbackup"; return; }
	rm -rf "$work/other/borg"
	borg init -e none "$work/other/borg" 2>>"$work/log"
	make_borg() { (cd "$scan/.." && borg create -C zstd,1 "$work/other/borg::a" "$(basename "$scan")" && sync -f "$work"); }
	drop
	warm "$scan"
	timed make_borg
	other_row "borg zstd,1" "$seconds" "$(stored_in "$work/other/borg")"
}
other_restic() {
	local at=$work/other/restic
	has restic || { skip restic "not installed"; return; }
	rm -rf "$at"
	export RESTIC_PASSWORD=x RESTIC_CACHE_DIR=$work/other/restic-cache
	restic init -q -r "$at" --repository-version 2 >>"$work/log" 2>&1
	make_restic() { restic backup -q -r "$at" "$scan" && sync -f "$work"; }
	drop
	warm "$scan"
	timed make_restic
	other_row restic "$seconds" "$(stored_in "$at")"
	rm -rf "$at" "$RESTIC_CACHE_DIR"
}
other_casync() {
	local at=$work/other/casync
	has casync || { skip casync "not installed"; return; }
	rm -rf "$at"
	mkdir -p "$at"
	make_casync() { casync make --store="$at/store.castr" "$at/scan.caidx" "$scan" && sync -f "$work"; }
	drop
	warm "$scan"
	timed make_casync
	other_row casync "$seconds" "$(stored_in "$at")"
	rm -rf "$at"
}
bench_others() {
	need_copies
	[ "$(kept cp_time)" != 0 ] || { copy_tomofs; keep cp_time "$seconds"; keep stored "$(stat_of stored_bytes)"; }
	other_btrfs 1
	other_squashfs
	other_borg
	other_restic
	other_casync
}
bench_others_dense() { need_copies; other_btrfs 15; } # takes minutes

# --- cold reads -----------------------------------------------------------------------------------------------------------
read_btrfs() {
	umount "$work/other/btrfs1" 2>/dev/null
	drop
	btrfs_mount 1
	timed read_all "$work/other/btrfs1/scan"
	umount "$work/other/btrfs1"
}
read_squashfs() {
	drop
	mount -t squashfs -o loop,ro "$work/other/scan.sqfs" "$work/other/mnt"
	timed read_all "$work/other/mnt"
	umount "$work/other/mnt"
}
read_squashfuse() {
	drop
	squashfuse "$work/other/scan.sqfs" "$work/other/mnt"
	timed read_all "$work/other/mnt"
	fusermount3 -u "$work/other/mnt" 2>/dev/null || umount "$work/other/mnt"
}
read_borg() {
	drop
	borg mount "$work/other/borg::a" "$work/other/mnt" 2>>"$work/log" || say "borg mount failed"
	timed read_all "$work/other/mnt/$(basename "$scan")"
	borg umount "$work/other/mnt"
}
# Targets are "at least 2.5 times faster"
read_rows() { # WORDS FUNCTION
	versus "cold-$2" cold_tomofs "$2" "$((rounds > 3 ? 3 : rounds))"
	row_times "read, cold, against $1" "${3-<= 0.40}" ""
}
bench_others_read() {
	need_copies
	mkdir -p "$work/other/mnt"
	[ ! -e "$work/other/btrfs1.img" ] || read_rows "btrfs zstd:1" read_btrfs
	if [ -e "$work/other/scan.sqfs" ]; then
		has squashfuse && read_rows squashfuse read_squashfuse
		[ "$(id -u)" = 0 ] && grep -q squashfs /proc/filesystems && read_rows "squashfs (kernel)" read_squashfs ""
	fi
	[ ! -d "$work/other/borg" ] || { borg mount --help >/dev/null 2>&1 && read_rows "borg mount" read_borg; }
	rm -rf "$work/other/borg" "$work/other/scan.sqfs" "$work/other/btrfs1.img"
}
