#!/bin/bash
# A stack read in order, backwards, in pieces and by several at once gives the bytes that were put in, while others write in the same
# folder and after remounts; pages that the kernel keeps are never old ones; a write takes set-user-id bits away.
. "$(dirname "$0")/lib/mount.sh"

slices=40 model=$work/model
mkdir "$model"
for i in $(seq -w $slices); do head -c 700001 /dev/urandom >"$model/s_$i.raw"; done
truncate -s 3000000 "$model/s_$slices.raw" # ends in a hole
head -c 20000000 /dev/urandom >"$model/volume.raw"
mount_store
check "cp" cp -r "$model" "$mnt/datasets/scan"
check "at once" diff -r "$model" "$mnt/datasets/scan"

again() { umount_store; mount_store "${1:-}"; }
sums() { (cd "$1" && shift && cat $* | sha256sum); } # names may be patterns
scan=$mnt/datasets/scan
again
equal "all in order" "$(sums "$scan" s_*.raw)" "$(sums "$model" s_*.raw)"
again cache=16M
equal "all in order, with little memory" "$(sums "$scan" s_*.raw volume.raw)" "$(sums "$model" s_*.raw volume.raw)"
again
backwards=$(cd "$model" && ls -r s_*.raw)
equal "all backwards" "$(sums "$scan" $backwards)" "$(sums "$model" $backwards)"
again
for bs in 777 4096 300000 1000000; do
	equal "in blocks of $bs" "$(dd if="$scan/s_07.raw" bs=$bs skip=1 status=none | sha256sum)" \
		"$(dd if="$model/s_07.raw" bs=$bs skip=1 status=none | sha256sum)"
done

# four readers and a writer who changes, grows and cuts the even slices, here and in the model
again
change() {
	local i
	for i in $(seq -w 2 2 $slices); do
		printf 'new %s' "$i" | dd of="$1/s_$i.raw" bs=1 seek=$((10#$i * 1000)) conv=notrunc status=none
		head -c 50000 "$model/volume.raw" >>"$1/s_$i.raw"
		truncate -s -1000 "$1/s_$i.raw"
	done
}
odd=$(cd "$model" && ls s_*[13579].raw)
want=$(sums "$model" $odd)
change "$scan" &
writer=$!
for k in 1 2 3 4; do
	[ "$(sums "$scan" $odd)" = "$want" ] || touch "$work/bad.$k" &
done
wait $writer
change "$model"
wait
for k in 1 2 3 4; do [ ! -e "$work/bad.$k" ] || fail "reader $k beside a writer"; done
check "what was written, from the kernel's pages" diff -r "$model" "$scan"
echo 1 >/proc/sys/vm/drop_caches 2>/dev/null
check "what was written, from the daemon" diff -r "$model" "$scan"
again
check "what was written, after a remount" diff -r "$model" "$scan"
check "verify" sh -c "'$tomofs' umount '$mnt' && '$tomofs' verify '$store'"

# a new file that one writes, with a handle that cannot read, while others read it and map it
mount_store
"$python" - "$mnt/datasets/growing" <<'PY' || fail "what is written to a new file is not what others read"
import mmap, os, random, sys
rng, path = random.Random(5), sys.argv[1]
model = bytearray(rng.randbytes(300_000))
w = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
os.write(w, model)
r = os.open(path, os.O_RDONLY)
m = mmap.mmap(r, 300_000, mmap.MAP_SHARED, mmap.PROT_READ)
for step in range(300):
    at, piece = rng.randrange(len(model)), rng.randbytes(rng.choice((1, 700, 4096, 40_000)))
    os.pwrite(w, piece, at)
    model[at:at + len(piece)] = piece
    at = rng.randrange(len(model))
    assert os.pread(r, 50_000, at) == model[at:at + 50_000], step
    assert m[:] == model[:300_000], step
os.close(w)
assert os.pread(r, len(model) + 1, 0) == model
PY
umount_store

[ "$(id -u)" = 0 ] || exit 0
chmod 755 "$work"
mount_store allow_other
f=$mnt/datasets/tool
other() { setpriv --reuid=65534 --regid=65534 --clear-groups sh -c "$1"; }
mode_after() { # WHAT WANTED COMMAND...
	local words=$1 wanted=$2
	shift 2
	echo text >"$f" && chmod 6777 "$f"
	check "$words" "$@"
	equal "mode after $words" "$(stat -c %a "$f")" "$wanted"
}
mode_after "an append by another user" 777 other "echo x >>'$f'"
mode_after "an overwrite by another user" 777 other "echo x >'$f'"
mode_after "a truncate by another user" 777 other "truncate -s 1 '$f'"
mode_after "a chown" 777 chown 1:1 "$f"
mode_after "an append by root" 6777 sh -c "echo x >>'$f'"
echo text >"$f"
"$python" - "$f" <<'PY' || fail "a write to a new file takes set-user-id bits away"
import os, sys
for flags in os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND | os.O_TRUNC:
    w = os.open(sys.argv[1], flags)
    os.chmod(sys.argv[1], 0o6777)
    pid = os.fork()
    if not pid:
        os.setgroups([]), os.setregid(65534, 65534), os.setreuid(65534, 65534)
        os.write(w, b"x" * 5000)
        os._exit(0)
    os.waitpid(pid, 0)
    assert os.stat(sys.argv[1]).st_mode & 0o7777 == 0o777
PY
