#!/bin/bash
# Power loss on a real file system of the kernel: the store lies on ext4 (ordered; writeback without its care for replaced files) or xfs on
# a loop device, which is shut down without flushing its log while 8 programs write, then unmounted and mounted again (journal replay).
# `tomofs verify` is clean, and every file is as it was at its last fsync or as some later write left it. An fsync that was under way at
# the shutdown is not counted: ext4 says 0 to some of them although nothing reaches the disk any more (also to programs that write to
# it without tomofs).
#   ROUNDS=10 (each)   SEED=...
. "$(dirname "$0")/lib/mount.sh"

[ "$(id -u)" = 0 ] || { echo "needs root"; exit 77; }
export PATH=$PATH:/usr/sbin:/sbin
rounds=${ROUNDS:-10} writers=8 seed=${SEED:-$$}
RANDOM=$seed
disk=$work/disk image=$work/disk.img
store=$disk/store
mkdir "$disk"
truncate -s 600M "$image"

leave_disk() { mountpoint -q "$disk" && { umount "$disk" 2>/dev/null || umount -l "$disk"; }; }
trap 'leave_disk; end' EXIT

# FS_IOC_SHUTDOWN, no flush of the log: what is not on the disk now never will be
shut_down() { "$python" -c 'import fcntl, os, struct, sys; fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack("I", 2))' "$disk"; }

one_round() { # ROUND
	local into=$mnt/datasets/round-$1 pids=() believed=() w counts
	mount_store
	rm -f "$work"/log-*
	mkdir -p "$into"
	for ((w = 0; w < writers; w++)); do
		"$python" "$here/tests/lib/disk_writer.py" write "$into/w$w" "$work/log-$w" "$seed-$1-$w" 2>"$work/err-$w" &
		pids+=($!)
	done
	wait_for 30 grep -qs done "$work"/log-* # a busy machine may take long to begin
	sleep "$(awk -v r=$RANDOM 'BEGIN {printf "%.2f", 0.5 + r / 32768 * 3}')"
	daemon=$(daemon_pid)
	for ((w = 0; w < writers; w++)); do believed[w]=$(stat -c %s "$work/log-$w" 2>/dev/null || echo 0); done
	shut_down || die "cannot shut the file system down"
	kill_known_daemon
	wait "${pids[@]}"
	umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt"
	umount "$disk" || die "cannot unmount the disk"
	mount -o "$options" "$image" "$disk" || die "cannot mount the disk again"
	check "verify after round $1" "$tomofs" verify "$store"
	mount_store
	for ((w = 0; w < writers; w++)); do
		if counts=$("$python" "$here/tests/lib/disk_writer.py" check "$into/w$w" "$work/log-$w" "${believed[w]}" 2>&1); then
			read -r promised files <<<"$counts"
			syncs=$((syncs + promised)) all=$((all + files))
		else
			fail "round $1 on $type $options (SEED=$seed): $counts"
		fi
	done
	rm -rf "$into"
	umount_store
}

# The lock file that names the daemon lies on the disk that is gone, so it is read before.
kill_known_daemon() { kill -9 "$daemon"; while [ -d "/proc/$daemon" ] && ! grep -q ') Z' "/proc/$daemon/stat" 2>/dev/null; do sleep 0.05; done; }

try_on() { # TYPE OPTIONS
	type=$1 options=loop${2:+,$2}
	command -v "mkfs.$type" >/dev/null || { echo "no mkfs.$type here"; return; }
	case $type in
	ext4) mkfs.ext4 -q -F "$image" ;;
	xfs) mkfs.xfs -q -f "$image" ;;
	esac || die "mkfs.$type"
	mount -o "$options" "$image" "$disk" 2>"$work/mount.out" || { echo "no loop mount here: $(head -n 1 "$work/mount.out")"; return 1; }
	"$tomofs" init "$store" >/dev/null || die "cannot make a store"
	for ((round = 1; round <= rounds && failures < 3; round++)); do one_round "$round"; done
	leave_disk
	tried=$((tried + 1))
}

syncs=0 all=0 tried=0
try_on ext4 "" || exit 77
try_on ext4 data=writeback,noauto_da_alloc
try_on xfs ""
[ "$syncs" -gt 0 ] || fail "nothing was synced before any of the cuts; nothing was tested"
echo "SEED=$seed: $((tried * rounds)) cuts, $syncs fsyncs, $all files looked at, $failures failures"
