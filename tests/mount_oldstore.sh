#!/bin/bash
# A store that the first version of the format wrote: sound, mounted read-write with every byte as it was, also when the index is made
# anew; and it goes on growing. tests/data/make-store-v1.sh says how it was made.
. "$(dirname "$0")/lib/mount.sh"

same_files() { (cd "$mnt/datasets" && sha256sum --quiet -c "$work/files.sha256"); }

rm -rf "$store"
tar -C "$work" -xzf "$here/tests/data/store-v1.tar.gz" || die "cannot unpack the old store"
check "verify" "$tomofs" verify "$store"
equal "damage" "$("$tomofs" verify --json "$store" | grep -o '"damaged": 0')" '"damaged": 0'

mount_store
check "the files' bytes" same_files
equal "the tags" "$(cd "$mnt/by-tag" && find . | sort)" "$(cat "$work/tags.txt")"
check "a new file" cp "$mnt/datasets/scan/scan_0001.tif" "$mnt/datasets/more/again.tif"
check "a change" dd if=/dev/zero of="$mnt/datasets/more/one" bs=1 count=1 status=none
umount_store

rm -rf "$store/index"
mount_store
check "the new file" cmp "$mnt/datasets/more/again.tif" "$mnt/datasets/scan/scan_0001.tif"
equal "the change" "$(od -An -tx1 "$mnt/datasets/more/one")" " 00"
sed -i '\|more/one$|d' "$work/files.sha256"
check "the files' bytes with a new index" same_files
umount_store
check "verify at the end" "$tomofs" verify "$store"
