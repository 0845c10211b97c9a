#!/bin/bash
# SIGHUP: another program file takes the mount over while 20 programs read, write and fsync, a removed file is open, a folder is being
# listed and a text is being written. None of them sees an error. A program that cannot take over is not let near it.
. "$(dirname "$0")/lib/mount.sh"

installed=$work/tomofs
install() { cp "$1" "$installed.new" && mv "$installed.new" "$installed"; }
install "$tomofs"
runs_installed() { [ "$(readlink "/proc/$(daemon_pid)/exe")" = "$installed" ]; }
upgrade() {
	local pid=$(daemon_pid)
	install "$1"
	kill -HUP "$pid"
	wait_for 30 runs_installed || fail "the program was not replaced: $(cat "$work/daemon.log")"
	equal "the process" "$(daemon_pid)" "$pid"
}

cat >"$work/use.py" <<'END'
import os, sys, time, random
d, n, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
rng = random.Random(n)
path = f"{d}/file{n}"
fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
have = bytearray()
os.write(fd, b"x"); have += b"x"
rounds = 0
while not os.path.exists(stop):
    at = rng.randrange(0, len(have) + 1)
    piece = rng.randbytes(rng.randrange(1, 60000))
    assert os.pwrite(fd, piece, at) == len(piece)
    have[at:at + len(piece)] = piece
    if n % 4 == 0:
        os.fsync(fd)
    at = rng.randrange(0, len(have))
    want = bytes(have[at:at + 50000])
    got = os.pread(fd, 50000, at)
    assert got == want, f"other bytes at {at}"
    with open(f"{d}/small{n}", "wb") as f:
        f.write(piece)
    assert open(f"{d}/small{n}", "rb").read() == piece
    assert f"file{n}" in os.listdir(d)
    if len(have) > 400000:
        os.ftruncate(fd, 1000); del have[1000:]
    rounds += 1
    time.sleep(0.01)
os.close(fd)
assert open(path, "rb").read() == have, "other bytes at the end"
assert rounds > 3, rounds
END

cat >"$work/hold.py" <<'END'
# Things that are open all the time: steps are given by lines on stdin.
import os, sys, mmap
d, mnt = sys.argv[1], sys.argv[2]
gone = os.open(f"{d}/gone", os.O_RDWR | os.O_CREAT)
os.write(gone, b"first")
os.unlink(f"{d}/gone")
os.mkdir(f"{d}/many")
for i in range(300):
    open(f"{d}/many/{i:04}-{'n' * 100}", "w").close()
listing = os.scandir(f"{d}/many")
names = [next(listing).name for _ in range(3)]
app = os.open(f"{d}/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
found = os.open(f"{mnt}/search/held", os.O_RDONLY)
shared = os.open(f"{d}/shared", os.O_RDWR | os.O_CREAT)
os.ftruncate(shared, 8192)
m = mmap.mmap(shared, 8192)
print("ready", flush=True)
for k, line in enumerate(sys.stdin):
    os.pwrite(gone, b"%d" % k, 5 + k)
    os.write(app, b"%d\n" % k)
    m[k] = 65 + k
    assert os.pread(gone, 100, 0) == b"first" + b"".join(b"%d" % i for i in range(k + 1))
    assert os.fstat(gone).st_nlink == 0
    assert "held" in os.listdir(found)
    print("done", flush=True)
names += [e.name for e in listing]
assert sorted(names) == sorted(f"{i:04}-{'n' * 100}" for i in range(300)), len(names)
m.flush(); m.close()
assert os.pread(shared, 3, 0) == b"ABC", os.pread(shared, 3, 0)
END

"$installed" mount "$store" "$mnt" -o settle=1 2>>"$work/daemon.log" || die "cannot mount: $(cat "$work/daemon.log")"
mkdir "$mnt/datasets/busy" "$mnt/datasets/held"
pids=()
for n in $(seq 20); do
	$python "$work/use.py" "$mnt/datasets/busy" "$n" "$work/stop" 2>"$work/use$n.err" & pids+=($!)
done
coproc hold { $python "$work/hold.py" "$mnt/datasets/held" "$mnt" 2>"$work/hold.err"; }
hold_pid=$! to=${hold[1]} from=${hold[0]}
read -r -t 30 -u "$from" line || fail "the holder did not begin: $(cat "$work/hold.err")"
for i in 1 2 3; do
	upgrade "$tomofs"
	echo >&"$to" && read -r -t 30 -u "$from" line || fail "step $i of what is held open: $(cat "$work/hold.err")"
done

# what is installed is no tomofs that can take over; or says it can, and fails at it: then the old one is run again
stays() { # WORDS PATTERN
	kill -HUP "$(daemon_pid)"
	wait_for 10 grep -q "$2" "$work/daemon.log" || fail "no word about $1"
	check "the mount answers with $1" timeout 10 cat "$mnt/README.txt"
	equal "who serves with $1" "$(cat "/proc/$(daemon_pid)/comm")" tomofs
}
printf '#!/bin/sh\nexit 0\n' >"$work/other" && chmod 755 "$work/other"
install "$work/other"
stays "another program" 'does not take over'
LC_ALL=C sed 's/tomofs takeover/tomofs takeoveR/' "$tomofs" >"$work/newer" && chmod 755 "$work/newer"
install "$work/newer"
stays "one that cannot read the state" 'cannot be taken over'
upgrade "$tomofs"
rest=$(grep -vE 'does not take over|cannot be taken over' "$work/daemon.log")
touch "$work/stop"
for i in "${!pids[@]}"; do
	wait "${pids[$i]}" || fail "program $i: $(cat "$work/use$((i + 1)).err")"
done
eval "exec $to>&-"
wait "$hold_pid" || fail "what was held open: $(cat "$work/hold.err")"
equal "the log" "$(cat "$mnt/datasets/held/log" | tr -d '\n')" 012
equal "what was mapped" "$(head -c 3 "$mnt/datasets/held/shared")" ABC
"$tomofs" umount "$mnt" || die "cannot unmount"
check "verify" "$tomofs" verify "$store"
equal "complaints" "$rest" ""
