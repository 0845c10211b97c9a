#!/bin/bash
# What an administrator does to a mount: SIGTERM with and without busy programs, kill -9 and mounting again, a second daemon, a store and
# a mount point inside each other by whatever name, stores of other versions.
. "$(dirname "$0")/lib/mount.sh"

# says PATTERN COMMAND...: fails with a sentence
says() {
	local pattern=$1
	shift
	if timeout 20 "$@" >/dev/null 2>"$work/err"; then fail "succeeded: $*"; fi
	grep -qE "$pattern" "$work/err" || fail "$*: says \"$(cat "$work/err")\", expected /$pattern/"
}
ended() { ! [ -d "/proc/$pid" ] || grep -q 'State:.Z' "/proc/$pid/status"; }
terminate() { # and wait
	pid=$(daemon_pid)
	kill -TERM "$pid"
	wait_for 20 ended || fail "the daemon does not end: $1"
	refuse "still mounted: $1" mountpoint -q "$mnt"
}

# SIGTERM
mount_store
head -c 3000000 /dev/urandom >"$work/bytes"
check "a file" cp "$work/bytes" "$mnt/datasets/one"
terminate "with nobody in it"
mount_store
check "what was closed before SIGTERM" cmp "$work/bytes" "$mnt/datasets/one"
cat >"$work/busy.py" <<'END'
import mmap, os, sys
fd = os.open(sys.argv[1] + "/two", os.O_RDWR | os.O_CREAT)
os.write(fd, b"written but neither closed nor synced")
mapped = os.open(sys.argv[1] + "/three", os.O_RDWR | os.O_CREAT)
os.ftruncate(mapped, 4096)
m = mmap.mmap(mapped, 4096)
m[:6] = b"mapped"
print("ready", flush=True)
sys.stdin.readline()
try:
    os.write(fd, b"x")
    print("written")
except OSError as e:
    print(e.errno != 0)
END
coproc busy { $python "$work/busy.py" "$mnt/datasets" 2>"$work/busy.err"; }
to=${busy[1]} from=${busy[0]}
read -r -t 20 -u "$from" line
terminate "with files open"
echo >&"$to"
read -r -t 20 -u "$from" line
equal "a write after the end fails at once" "$line" True
mount_store
equal "what was written" "$(cat "$mnt/datasets/two")" "written but neither closed nor synced"
equal "what was mapped" "$(head -c 6 "$mnt/datasets/three")" mapped

# two daemons
mkdir "$work/other"
says "process $(daemon_pid), mounted at $mnt" "$tomofs" mount "$store" "$work/other"

# kill -9, and a new mount says a word about it
kill_daemon
refuse "the dead mount answers" ls "$mnt"
"$tomofs" mount "$store" "$mnt" 2>"$work/err" || fail "mounting over a dead mount: $(cat "$work/err")"
grep -q 'dead mount' "$work/err" || fail "no word about the dead mount: $(cat "$work/err")"
check "it answers" cmp "$work/bytes" "$mnt/datasets/one"
umount_store

# inside each other
mkdir -p "$work/outer/mnt" "$store/inner"
ln -s "$store/inner" "$work/link"
says 'inside the store' "$tomofs" mount "$store" "$work/link"
ln -s "$store" "$work/outer/link"
says 'inside the mount point' "$tomofs" mount "$work/outer/link" "$work" -o nonempty
if [ "$(id -u)" = 0 ] && mkdir "$work/bound" && mount --bind "$store" "$work/bound" 2>/dev/null; then
	says 'inside the store' "$tomofs" mount "$store" "$work/bound/inner"
	says 'inside the (store|mount point)' "$tomofs" mount "$store" "$work/bound" -o nonempty
	umount "$work/bound"
fi
rmdir "$store/inner"

# other versions
cp "$store/tomofs.json" "$work/settings"
edit() { $python - "$work/settings" "$store/tomofs.json" "$1" <<'END'
import json, sys
s = json.load(open(sys.argv[1])); exec(sys.argv[3]); json.dump(s, open(sys.argv[2], "w"))
END
}
edit 's["version"] = 2'
says 'version|newer' "$tomofs" mount "$store" "$mnt"
edit 's["features_to_read"].append("holograms")'
says 'feature "holograms" is needed' "$tomofs" mount "$store" "$mnt"
edit 's["features_to_write"].append("holograms")'
says 'feature "holograms" is needed' "$tomofs" mount "$store" "$mnt"
cp "$work/settings" "$store/tomofs.json"

# a disk that cannot be written
if [ "$(id -u)" = 0 ] && mkdir "$work/ro" && mount --bind "$store" "$work/ro" && mount -o remount,ro,bind "$work/ro" 2>/dev/null; then
	check "mounting a store on it" sh -c '"$0" mount "$1" "$2" -o settle=1 2>"$3"' "$tomofs" "$work/ro" "$mnt" "$work/ro.log"
	grep -q 'for reading only' "$work/ro.log" || fail "no word about a disk that cannot be written: $(cat "$work/ro.log")"
	check "a read from it" cmp "$work/bytes" "$mnt/datasets/one"
	check "the root of it" ls -lR "$mnt"
	$python -c 'import errno, sys
try: open(sys.argv[1], "w")
except OSError as e: sys.exit(e.errno != errno.EROFS)
sys.exit(2)' "$mnt/datasets/new" || fail "a write to it does not say EROFS"
	says 'is open' "$tomofs" mount "$store" "$work/other"
	sleep 2
	"$tomofs" umount "$mnt" || fail "cannot unmount it"
	wait_for 20 sh -c '! grep -q "^$0 " /proc/self/mounts' "$mnt"
	equal "complaints about it" "$(grep -v 'for reading only' "$work/ro.log")" ""
	check "verify of a store on it" "$tomofs" verify "$work/ro"
	umount "$work/ro"
fi
mount_store ro
refuse "a write to a mount with -o ro" touch "$mnt/datasets/new"
check "a read" cmp "$work/bytes" "$mnt/datasets/one"
terminate "read-only"
check "verify" "$tomofs" verify "$store"
