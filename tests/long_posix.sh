#!/bin/bash
# POSIX for minutes: random changes of a file of each kind (write, map, truncate, punch, zero, preallocate) beside the same in memory, from
# many seeds; stress-ng's stressors of file systems, each checking itself; fio, which reads back every block that it wrote.
#   MODELS=20   seeds     STEPS=3000   changes from each     SECONDS_EACH=3   of a stressor
. "$(dirname "$0")/lib/mount.sh"

mount_store allow_other
set=$mnt/datasets/set
mkdir "$set" && chmod 777 "$set" || die "no dataset"
for ((i = 1; i <= ${MODELS:-20}; i++)); do
	mkdir "$set/$i"
	SEED=$i STEPS=${STEPS:-3000} "$here/$BUILD/posix" "$set/$i" model >"$work/out" 2>&1 || { fail "model"; tail -n 3 "$work/out"; }
	rm -rf "${set:?}/$i"
done

# What needs a mount or a device of its own, and what takes minutes to get through a mapping page by page (mmap), is left out.
stressors="access aio aiol chdir chmod chown copy-file dentry dir dirdeep dirmany dup fallocate fcntl fiemap filename flock fpunch fsize
	fstat getdent handle hdd inode-flags inotify io iomix lease link locka lockf lockofd mknod open readahead rename revio seek sendfile
	splice symlink sync-file touch utime xattr"
if command -v stress-ng >/dev/null; then
	for s in $stressors; do
		timeout 120 stress-ng --"$s" 2 --timeout "${SECONDS_EACH:-3}" --verify --temp-path "$set" --hdd-bytes 32m >"$work/out" 2>&1
		case $? in
		0) grep -q 'fail:' "$work/out" && fail "stress-ng $s: $(grep -m 1 fail: "$work/out")" ;;
		3 | 4) ;; # not on this machine
		*) fail "stress-ng $s: $(grep -m 1 -E 'fail|error' "$work/out")" ;;
		esac
	done
else
	echo "without stress-ng, which is not here"
fi

# job NAME OPTIONS...
job() {
	local name=$1; shift
	timeout 300 fio --name="$name" --directory="$set" --size=64m --verify=crc32c --verify_fatal=1 --do_verify=1 --verify_state_save=0 \
		--output-format=terse "$@" >"$work/out" 2>&1 || { fail "fio $name"; tail -n 3 "$work/out"; }
	rm -f "$set/$name".*
}
if command -v fio >/dev/null; then
	job in-order --rw=write --bs=1m --ioengine=psync
	job random --rw=randwrite --bs=4k --ioengine=psync
	job odd --rw=randwrite --bs=3337 --ioengine=psync
	job fsync --rw=write --bs=64k --fsync=32 --ioengine=psync
	job mapped --rw=randwrite --bs=4k --ioengine=mmap
	job direct --rw=randwrite --bs=4k --direct=1 --ioengine=libaio --iodepth=16
	job twenty --rw=randwrite --bs=8k --numjobs=20 --size=4m --ioengine=psync
else
	echo "without fio, which is not here"
fi
umount_store
check "the store is whole" "$tomofs" verify "$store"
