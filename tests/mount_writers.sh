#!/bin/bash
# Programs that people copy and write data with, through a real mount: what they leave is what they leave on any other disk, in bytes, names,
# times and modes; at once, and after a remount. The heavier programs: tests/long_writers.sh.
. "$(dirname "$0")/lib/mount.sh"
. "$(dirname "$0")/lib/writers.sh"
src=$work/src in=$mnt/datasets
unset TOMOFS_DATA # always the same tree

make_tree "$src" || die "cannot make a tree"
mount_store

# --- copies ---
check "cp -r" cp -r "$src" "$in/cp"
check "cp -a" cp -a "$src" "$in/cp-a"
check "rsync, plain" rsync -r "$src/" "$in/rsync"
check "rsync -a --inplace" rsync -a --inplace "$src/" "$in/rsync-inplace"
check "rsync -a --partial-dir" rsync -a --partial-dir=.part "$src/" "$in/rsync-partial"
check "rsync -a --preallocate" rsync -a --preallocate "$src/" "$in/rsync-preallocate"
check "rsync -aX --delete" rsync -aX --delete "$src/" "$in/rsync-delete"
check "tar" bash -c 'set -o pipefail; tar -C "$1" --format=posix -cf - . | (mkdir "$2" && tar -C "$2" -xpf -)' - "$src" "$in/tar"

copies() {
	same_tree "cp -r$1" "$in/cp" "$src"
	same_tree "rsync -r$1" "$in/rsync" "$work/plain"
	for one in cp-a rsync-inplace rsync-partial rsync-preallocate rsync-delete tar; do
		same_tree "$one$1" "$in/$one" "$src" modes times
	done
}
mkdir "$work/plain" && rsync -r "$src/" "$work/plain" >/dev/null # leaves links out
copies ""
equal "files that rsync -a --inplace transfers again" "$(rsync -a --inplace --itemize-changes "$src/" "$in/rsync-inplace" | wc -l)" 0

# a second run after changes at both ends
cp -a "$src" "$work/next"
echo more >>"$work/next/scan/notes.txt"
rm "$work/next/scan/raw/slice_0003.raw"
setfattr -n user.note -v "second run" "$work/next/scan/run.sh" 2>/dev/null
printf changed | dd of="$work/next/scan/raw/slice_0001.raw" bs=1 seek=200000 conv=notrunc status=none
find "$work/next" -depth -type d -exec touch -d '2022-03-04 05:06:07.5' {} + # rsync takes times of folders within a second for the same
for how in "--inplace rsync-inplace" "--partial-dir=.part rsync-partial" "--preallocate rsync-preallocate" "-X rsync-delete"; do
	check "second rsync -a --delete $how" rsync -a --delete ${how% *} "$work/next/" "$in/${how#* }"
	same_tree "the second rsync -a --delete $how" "$in/${how#* }" "$work/next" modes times
done
equal "the attribute after rsync -X" "$(getfattr --only-values -n user.note "$in/rsync-delete/scan/run.sh" 2>/dev/null)" \
	"$(getfattr --only-values -n user.note "$work/next/scan/run.sh" 2>/dev/null)"
check "tar, read back" bash -c 'tar -C "$1" --sort=name -cf - . | tar -C "$2" -df -' - "$in/cp-a" "$src"
refuse "tar finds what differs" bash -c 'tar -C "$1" -cf - . | tar -C "$2" -df -' - "$in/rsync-delete" "$src"

# --- the same commands in a folder here and there, then the same tree ---
edits() {
	cd "$1" || return
	dd if=/dev/zero of=zeros bs=64K count=20 conv=fsync status=none
	dd if="$src/scan/raw/slice_0000.raw" of=zeros bs=10000 seek=3 count=7 conv=notrunc status=none
	dd if="$src/scan/raw/slice_0002.raw" of=sparse bs=4096 seek=1000 count=2 status=none
	dd if="$src/scan/raw/slice_0002.raw" of=trunc bs=1M status=none
	dd if="$src/scan/notes.txt" of=trunc bs=1M status=none
	dd if="$src/scan/raw/slice_0004.raw" of=appended bs=7777 oflag=append conv=notrunc status=none
	dd if="$src/scan/raw/slice_0005.raw" of=appended bs=7777 oflag=append conv=notrunc status=none
	truncate -s 123457 appended
	truncate -s 900000 appended
	cp "$src/scan/notes.txt" text
	chmod 640 text
	sed -i 's/kV 80/kV 120/' text
	sed -i.bak '1d' text
	mv text.bak before
	ln -s text short
	mkdir -p a/b && mv before a/b/ && mv a c
	for i in 1 2 3; do echo "$i" >>log; done
	rm zeros && : >zeros
}
mkdir "$work/edits" "$in/edits"
(edits "$work/edits") || fail "edits on the disk"
(edits "$in/edits") || fail "edits in the mount"
same_tree "dd, sed -i, truncate, mv" "$in/edits" "$work/edits" modes

# --- programs with Python ---
python_writers() {
	"$python" - "$1" <<-'PY'
		import os, sys
		import numpy, tifffile
		os.chdir(sys.argv[1])
		pixels = (numpy.arange(24 * 200 * 300, dtype=numpy.uint32) * 2654435761 >> 16).astype(numpy.uint16).reshape(24, 200, 300)
		tifffile.imwrite('stack.tif', pixels, imagej=True, metadata={'unit': 'micron', 'spacing': 2})
		tifffile.imwrite('big.ome.tif', pixels, bigtiff=True, rowsperstrip=1)
		with tifffile.TiffWriter('pages.tif') as tif:
		    for page in pixels:
		        tif.write(page, contiguous=True)
		mapped = tifffile.memmap('mapped.tif', shape=pixels.shape, dtype=pixels.dtype)
		mapped[3:9] = pixels[3:9]
		mapped.flush()
		del mapped
		volume = numpy.memmap('volume.raw', dtype='<u2', mode='w+', shape=pixels.shape)
		volume[::2] = pixels[::2]
		volume.flush()
		again = numpy.memmap('volume.raw', dtype='<u2', mode='r+', shape=pixels.shape)
		again[1] = pixels[5]
		del again, volume
		numpy.save('array.npy', pixels)
		for name in 'stack.tif', 'big.ome.tif', 'pages.tif':
		    assert (tifffile.imread(name) == pixels).all(), name
		assert (numpy.load('array.npy', mmap_mode='r') == pixels).all()
	PY
}
if "$python" -c 'import numpy, tifffile' 2>/dev/null; then
	mkdir "$work/python" "$in/python"
	python_writers "$work/python" >"$work/check.out" 2>&1 || fail "Python on the disk: $(tail -n 1 "$work/check.out")"
	python_writers "$in/python" >"$work/check.out" 2>&1 || fail "Python in the mount: $(tail -n 1 "$work/check.out")"
	rm -f "$work/python/big.ome.tif" "$in/python/big.ome.tif" # carries an UUID
	same_tree "tifffile and numpy" "$in/python" "$work/python" modes
else
	echo "left out: tifffile and numpy, which are not installed"
fi

# --- listings that the kernel keeps ---
mkdir "$in/listed"
touch "$in/listed/a" "$in/listed/b"
names() { (cd "$in/listed" && find . -mindepth 1 | sort | tr '\n' ' '); }
equal "a listing" "$(names)" "./a ./b "
equal "the listing again" "$(names)" "./a ./b "
touch "$in/listed/c" && rm "$in/listed/a"
equal "after a file came and one went" "$(names)" "./b ./c "
mv "$in/listed/c" "$in/listed/d" && mkdir "$in/listed/e" && touch -d 2020-01-01 "$in/listed"
equal "after a rename" "$(names)" "./b ./d ./e "
touch -d 2020-01-01 "$in/listed" && rm "$in/listed/b" && touch -d 2020-01-01 "$in/listed"
equal "with a time that is put back" "$(names)" "./d ./e "
ls "$in" >/dev/null && ls "$in" >/dev/null
check "a dataset by way of a tag" bash -c 'mkdir "$1/by-tag/t" && mkdir "$1/by-tag/t/from-tag"' - "$mnt"
ls "$in" | grep -qx from-tag || fail "what was made through a tag is not listed in datasets/"

# --- and all of it once more from the disk ---
again_later
same_tree "cp-a, later" "$in/cp-a" "$src" modes times
for how in rsync-inplace rsync-partial rsync-preallocate rsync-delete; do
	same_tree "$how, later" "$in/$how" "$work/next" modes times
done
same_tree "tar, later" "$in/tar" "$src" modes times
same_tree "dd, sed -i, truncate, mv, later" "$in/edits" "$work/edits" modes
[ ! -d "$work/python" ] || same_tree "tifffile and numpy, later" "$in/python" "$work/python" modes
umount_store
check "verify" "$tomofs" verify "$store"
