#!/bin/bash
# A full disk: the store fills it up to its reserve, and then somebody else fills it to the last byte. Writes fail with ENOSPC at the
# right call, what was fsynced is whole, reading goes on, status.json says so; and when there is room again, writing goes on by itself.
. "$(dirname "$0")/lib/mount.sh"

[ "$(id -u)" = 0 ] || { echo "needs root, to mount a small disk"; exit 77; }
rm -rf "$store"
disk=$work/disk store=$work/disk/store
mkdir "$disk"
mount -t tmpfs -o size=64m tmpfs "$disk" 2>"$work/err" || { echo "no small disk here: $(cat "$work/err")"; exit 77; }
leave() {
	local status=$?
	"$tomofs" umount "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null
	umount "$disk" || { sleep 1; umount -l "$disk"; }
	(exit $status); end
}
trap leave EXIT
"$tomofs" init "$store" >/dev/null || die "cannot make a store"
state() { $python -c 'import json,sys; print(json.load(open(sys.argv[1]))["state"].split(":")[0])' "$mnt/.tomofs/status.json"; }
writable() { [ "$(state)" = writable ]; }
same() { (cd "$mnt/datasets" && sha256sum --quiet -c "$work/whole"); }

cat >"$work/fill.py" <<'END'
# Writes until the disk is full. Says at which call it was told; each file whose fsync succeeded is noted.
import os, sys, hashlib, errno
folder, whole, prefix, size = sys.argv[1], open(sys.argv[2], "a"), sys.argv[3], int(sys.argv[4])
for i in range(10000):
    name, body = f"{prefix}{i}", os.urandom(size)
    call = "open"
    try:
        fd = os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT)
        try:
            call = "write"
            for at in range(0, size, 65536):
                os.write(fd, body[at:at + 65536])
            call = "fsync"
            os.fsync(fd)
            call = "close"
        finally:
            os.close(fd)
    except OSError as e:
        print(call, errno.errorcode[e.errno])
        break
    print(hashlib.sha256(body).hexdigest(), "", name, file=whole, flush=True)
END

head -c 30M /dev/urandom >"$disk/filler"
mount_store
equal "the state before" "$(state)" writable
equal "where it is told" "$($python "$work/fill.py" "$mnt/datasets" "$work/whole" a 1500000)" "write ENOSPC"
test "$(wc -l <"$work/whole")" -ge 15 || fail "only $(wc -l <"$work/whole") files fit"

equal "the state when it is full" "$(state)" full
check "what was fsynced" same
check "removing a file" rm "$mnt/datasets/a0"
sed -i '/ a0$/d' "$work/whole"
rm "$disk/filler"
wait_for 10 writable || fail "it stays $(state) though there is room"
check "a new file" touch "$mnt/datasets/new"
check "what is written then" cp "$tomofs" "$mnt/datasets/program"
check "is there" cmp "$tomofs" "$mnt/datasets/program"

# to the last byte, while a file is being written
exec 7>"$mnt/datasets/open"
echo before >&7
sync "$mnt/datasets/open"
head -c 100M /dev/zero >"$disk/filler" 2>/dev/null
sleep 1.1
got=$($python "$work/fill.py" "$mnt/datasets" "$work/whole" b 100000)
[[ $got = *ENOSPC ]] || fail "on a disk without a byte: $got"
refuse "a write to the open file that is to stay" $python -c 'import os; os.write(7, b"x" * 100000); os.fsync(7)'
check "a file that is removed" rm "$mnt/datasets/a1"
sed -i '/ a1$/d' "$work/whole"
check "what was fsynced" same
rm "$disk/filler"
wait_for 10 writable || fail "it stays $(state) though there is room again"
check "a new file again" touch "$mnt/datasets/new2"
check "a new file with fsync" dd if=/dev/urandom of="$mnt/datasets/c" bs=100k count=3 conv=fsync status=none
exec 7>&-
equal "what the open file begins with" "$(head -n 1 "$mnt/datasets/open")" before
umount_store
check "verify" "$tomofs" verify "$store"
mount_store
check "what was fsynced, after all" same
refuse "what was removed" stat "$mnt/datasets/a1"
grep -q 'is full' "$work/daemon.log" || fail "the log does not say that the disk is full"
grep -q 'room again' "$work/daemon.log" || fail "the log does not say that there is room again"
