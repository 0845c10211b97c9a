#!/bin/bash
# make-store-v1.sh SOURCE BUILD OUT.tar.gz: a small store as the first version of the format has it, for tests/mount_oldstore.sh.
# SOURCE is a source tree of a version that writes that format (git archive 24c2f8e), BUILD what `make` made of it. The archive in
# this folder was made once with exactly that; it is not made again, since newer versions would write something else.
#
#   store/                tomofs.json, packs (codecs 0, 1, 2; all predictors, sample widths and byte orders), journal, index
#   files.sha256          of every file in datasets/
#   chunks.txt            chunks that no file has: KEY BYTES SHA-256
#   tags.txt              what by-tag/ shows
set -eu
here=$(cd "$(dirname "$0")" && pwd)
source=$1 build=$2 out=$(realpath -m "$3")
work=$(mktemp -d)
mnt=$work/mnt
end() { ! mountpoint -q "$mnt" || "$build/tomofs" umount "$mnt"; rm -rf "$work"; }
trap end EXIT

mkdir "$mnt" "$work/in"
"$build/phantom" "$work/in/scan" scan 56 6
python3 - "$work/in" <<'PY'
import os, random, struct, sys
r, d = random.Random(7), sys.argv[1] + '/more'
os.mkdir(d)
def put(name, data): open(f'{d}/{name}', 'wb').write(data)
put('notes.txt', ''.join(f'slice {i}: pores {r.randrange(40)}, looked at by nobody\n' for i in range(400)).encode())
put('random.bin', r.randbytes(20000))
put('empty', b'')
put('one', b'1')
put('labels_96x96x96_8bit.raw', bytes((x // 12 + y // 16 + z // 24) % 5 for z in range(96) for y in range(96) for x in range(96)))
put('ramp_64x64x4_16bit.raw', struct.pack('<16384H', *(300 * (i // 64 % 64) + 40 * (i % 64) + r.randrange(8) for i in range(16384))))
put('ramp_big_endian.raw', struct.pack('>8192H', *(9000 + 30 * (i % 64) + r.randrange(8) for i in range(8192))))
put('float_32x32x8.raw', struct.pack('<8192f', *(1 + r.random() / 64 for i in range(8192))))
put('hole.bin', b'begin' + bytes(700000) + b'end')
PY
"$build/tomofs" init "$work/store" >/dev/null
"$build/tomofs" mount "$work/store" "$mnt"
cp -r "$work/in/scan" "$work/in/more" "$mnt/datasets/"
printf 'written over\n' | dd of="$mnt/datasets/more/notes.txt" bs=1 seek=5000 conv=notrunc status=none
truncate -s 3000000 "$mnt/datasets/more/sparse"
mkdir "$mnt/by-tag/bone"
ln -s ../../datasets/scan "$mnt/by-tag/bone/scan"
sync "$mnt/datasets"
(cd "$mnt/datasets" && find . -type f | sort | xargs -d '\n' sha256sum) >"$work/files.sha256"
(cd "$mnt/by-tag" && find . | sort) >"$work/tags.txt"
"$build/tomofs" umount "$mnt"
gcc -std=gnu11 -O2 -D_GNU_SOURCE -I"$source" "$here/store-v1-chunks.c" -o "$work/chunks" "$build/store.a" \
	-lzstd -lxxhash -lcrypto -ljansson -pthread
"$work/chunks" "$work/store" >"$work/chunks.txt"
rm -f "$work/store/lock"
tar -C "$work" --sort=name --owner=0 --group=0 -cf - store files.sha256 chunks.txt tags.txt | gzip -9n >"$out"
ls -l "$out"
