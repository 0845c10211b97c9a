#!/bin/bash
# Garbage collection on a real mount: what was removed stays until it has expired, then its room comes back; what is there is whole,
# also when the same data is copied in again meanwhile; files that are open without a name are whole; kill -9 anywhere.
. "$(dirname "$0")/lib/mount.sh"

field() { $python -c 'import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2]))' "$1" "$2"; }
gc() { field "$mnt/.tomofs/gc" "$1"; }
on_disk() { du -sb "$store/packs" | cut -f1; }

$python - "$work" <<'PY'
import sys, numpy as np
r = np.random.default_rng(1)
for i in range(4):
    v = (np.arange(512, dtype=np.float32)[None, None, :] * 9 + r.normal(3000, 40, (8, 512, 512))).astype('<u2')
    v.tofile(f'{sys.argv[1]}/scan{i}.raw')
r.integers(0, 65536, 40_000_000, dtype='<u2').tofile(f'{sys.argv[1]}/big.raw') # with a tree
PY
put() { mkdir -p "$mnt/datasets/$1" && cp "$work/$2.raw" "$mnt/datasets/$1/" && sync "$mnt/datasets/$1/$2.raw"; }

mount_store dense_after=never
for i in 0 1 2 3; do put s$i scan$i; done
put big big
rm -r "$mnt/datasets/s1" "$mnt/datasets/big"
before=$(on_disk)
check "gc within retention" "$tomofs" gc --json "$mnt"
equal "nothing is given back" "$(field "$work/check.out" freed_bytes)" 0
exec 9<"$mnt/datasets/s2/scan2.raw"
rm -r "$mnt/datasets/s2"
check "gc of all" "$tomofs" gc --expire-now --json "$mnt"
[ "$(field "$work/check.out" freed_bytes)" -gt 60000000 ] || fail "freed: $(cat "$work/check.out")"
[ "$(on_disk)" -lt $((before - 60000000)) ] || fail "the packs did not shrink: $before to $(on_disk)"
check "same bytes, 0" cmp "$work/scan0.raw" "$mnt/datasets/s0/scan0.raw"
check "same bytes, 3" cmp "$work/scan3.raw" "$mnt/datasets/s3/scan3.raw"
check "same bytes, open and removed" cmp "$work/scan2.raw" /proc/self/fd/9
exec 9<&-
sleep 1
check "gc after the close" "$tomofs" gc --expire-now --json "$mnt"
[ "$(field "$work/check.out" freed_bytes)" -gt 1000000 ] || fail "what was open stays: $(cat "$work/check.out")"
check "verify" "$tomofs" verify "$store"
refuse "other words" $python -c 'import os, sys; f = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC); os.write(f, b"later"); os.close(f)' \
	"$mnt/.tomofs/gc"

# The same data comes again while it is collected.
put big big
put s1 scan1
for n in 1 2 3; do
	rm -r "$mnt/datasets/big" "$mnt/datasets/s1"
	sync "$mnt/datasets"
	"$tomofs" gc --expire-now "$mnt" >"$work/gc.out" 2>&1 &
	[ $n = 1 ] || sleep 0.$((n * 2 - 3))
	put big big
	put s1 scan1
	wait $! || { [ $? = 1 ] && ! grep -q stay "$work/gc.out" && fail "gc: $(cat "$work/gc.out")"; }
	check "same bytes, big, $n" cmp "$work/big.raw" "$mnt/datasets/big/big.raw"
	check "same bytes, 1, $n" cmp "$work/scan1.raw" "$mnt/datasets/s1/scan1.raw"
done

# Held: nothing goes until the time is over or the process has ended.
rm -r "$mnt/datasets/big"
sleep 60 9>&- & holder=$!
echo "100 $holder" >"$mnt/.tomofs/hold"
equal "held" "$(tr -d ' ' <"$mnt/.tomofs/hold")" held
before=$(on_disk)
"$tomofs" gc --expire-now "$mnt" >"$work/gc.out" 2>&1 & collecting=$!
sleep 1
equal "held: nothing goes" "$(on_disk)" "$before"
kill $holder
wait $holder 2>/dev/null
wait $collecting || fail "gc after a hold: $(cat "$work/gc.out")"
[ "$(on_disk)" -lt $((before - 60000000)) ] || fail "the packs did not shrink after the hold"

# Killed anywhere: all is there.
end_hard() { kill_daemon; umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt"; }
for i in 1 2 3 4 5; do
	put big big
	put s4 scan2
	rm -r "$mnt/datasets/big"
	sync "$mnt/datasets"
	echo expire >"$mnt/.tomofs/gc"
	sleep 0.$((i * 2 - 1))
	end_hard
	mount_store dense_after=never
	for k in "0 0" "1 1" "3 3" "4 2"; do
		check "same bytes after kill $i, $k" cmp "$work/scan${k#* }.raw" "$mnt/datasets/s${k% *}/scan${k#* }.raw"
	done
	check "verify after kill $i" "$tomofs" verify "$store"
done
umount_store
check "gc of a store" "$tomofs" gc --expire-now --json "$store"
[ "$(field "$work/check.out" stored_bytes_after)" -lt 20000000 ] || fail "garbage stays: $(cat "$work/check.out")"
check "verify" "$tomofs" verify "$store"
check "rebuild" "$tomofs" rebuild "$store"

# keep=0: what was removed goes by itself? Only when it is asked without more ado.
mount_store keep=0
for k in "0 0" "1 1" "3 3" "4 2"; do
	check "same bytes at the end, $k" cmp "$work/scan${k#* }.raw" "$mnt/datasets/s${k% *}/scan${k#* }.raw"
done
rm -r "$mnt/datasets/s4"
check "gc with keep=0" "$tomofs" gc --json "$mnt"
[ "$(field "$work/check.out" freed_bytes)" -gt 1000000 ] || fail "keep=0: $(cat "$work/check.out")"
umount_store
refuse "bad option" "$tomofs" mount "$store" "$mnt" -o keep=soon
check "verify" "$tomofs" verify "$store"
