#!/bin/bash
# Data at rest is coded anew: by the command on a mount, and on a store; by the daemon itself when nobody reads or writes.
. "$(dirname "$0")/lib/mount.sh"

field() { $python -c 'import json, sys; print(json.load(open(sys.argv[1])).get(sys.argv[2]))' "$1" "$2"; }
densify() { field "$mnt/.tomofs/densify" "$1"; }

# Noise over a ramp: there is something to predict, and something to code.
$python - "$work" <<'EOF'
import sys, numpy as np
r = np.random.default_rng(1)
for i in range(3):
    v = (np.arange(512, dtype=np.float32)[None, None, :] * 9 + r.normal(3000, 40, (6, 512, 512))).astype('<u2')
    v.tofile(f'{sys.argv[1]}/scan{i}.raw')
EOF
put() { mkdir -p "$mnt/datasets/$1" && cp "$work/$1.raw" "$mnt/datasets/$1/" && sync "$mnt/datasets/$1/$1.raw"; }

mount_store dense_after=never
put scan0
put scan1
equal "nothing yet" "$(densify packs)" 0
refuse "other words" $python -c 'import os, sys; f = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC); os.write(f, b"later"); os.close(f)' \
	"$mnt/.tomofs/densify"
check "densify on a mount" "$tomofs" densify "$mnt"
[ "$(densify packs)" -ge 1 ] || fail "no pack was recoded"
[ "$(densify bytes_after)" -lt "$(densify bytes_before)" ] || fail "nothing was gained"
check "same bytes" cmp "$work/scan0.raw" "$mnt/datasets/scan0/scan0.raw"
check "verify beside the mount" "$tomofs" verify "$store"
check "once more" "$tomofs" densify --json "$mnt"
equal "nothing is left to do" "$($python -c 'import json, sys; print(json.load(open(sys.argv[1]))["chunks"])' "$work/check.out")" 0

# Killed anywhere in between: every byte is there, and nothing is damaged.
end_hard() { kill_daemon; umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt"; }
for i in 4 5 6; do
	head -c $((1500000 + i * 70001)) "$work/scan1.raw" | tail -c 1400001 >"$work/scan$i.raw"
	put scan$i
	"$tomofs" densify "$mnt" >/dev/null 2>&1 &
	sleep 0.$((i * 3 - 10))
	end_hard
	wait $!
	mount_store dense_after=never
	check "same bytes, $i" cmp "$work/scan$i.raw" "$mnt/datasets/scan$i/scan$i.raw"
	check "same bytes, 1" cmp "$work/scan1.raw" "$mnt/datasets/scan1/scan1.raw"
	check "verify" "$tomofs" verify "$store"
done

put scan2
end_hard

check "densify on a store" "$tomofs" densify --json "$store"
equal "scan2" "$($python -c 'import json, sys; o = json.load(open(sys.argv[1])); print(o["chunks"] > 0 and o["bytes_after"] < o["bytes_before"])' \
	"$work/check.out")" True
refuse "no store" "$tomofs" densify "$work/nowhere"

# By itself: after a second of age and five of quiet.
mount_store dense_after=1
for i in 0 1 2; do check "same bytes, $i" cmp "$work/scan$i.raw" "$mnt/datasets/scan$i/scan$i.raw"; done
head -c 3000000 "$work/scan0.raw" | tail -c 600001 >"$work/scan3.raw"
put scan3
equal "not while it is written" "$(densify chunks)" 0
wait_for 120 bash -c "! grep -q '\"chunks\": 0' '$mnt/.tomofs/densify'" || fail "nothing was recoded by itself"
check "same bytes, 3" cmp "$work/scan3.raw" "$mnt/datasets/scan3/scan3.raw"
umount_store
check "verify" "$tomofs" verify "$store"
refuse "bad option" "$tomofs" mount "$store" "$mnt" -o dense_after=soon

# Packs that are dense already are not read, and it says so; one whose list of chunks is damaged is named.
out=$("$tomofs" densify "$store" 2>&1) || fail "densify with nothing to do: $out"
[[ $out == *"coded so already"* ]] || fail "nothing is said of packs that are dense: $out"
pack=$(ls -S "$store/packs" | head -n 1)
flip() { $python - "$store/packs/$pack" <<<'import sys; f = open(sys.argv[1], "r+b"); f.seek(-50, 2); b = f.read(1); f.seek(-50, 2); f.write(bytes([b[0] ^ 1]))'; }
flip
out=$("$tomofs" densify "$store" 2>&1) && fail "densify is content with a damaged pack: $out"
[[ $out == *"$pack"*"is left as it is"* && $out == *"1 packs stay as they are"* ]] || fail "the damaged pack is not named: $out"
flip
check "verify" "$tomofs" verify "$store"
