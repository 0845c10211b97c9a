#!/bin/bash
# What people do with a damaged store: verify says which files are hurt, repair keeps all others, and the hurt ones become whole again
# when they are copied into the mount once more or offered to repair. And a lost index, journal or end of it.
. "$(dirname "$0")/lib/mount.sh"

src=$work/src
mkdir -p "$src/scan1" "$src/scan2"
for i in 1 2 3 4; do
	head -c $((300000 + i * 1000)) /dev/urandom >"$src/scan1/p$i.raw"
	seq "$i" $((20000 + i)) >"$src/scan2/t$i.txt"
done
sums() { (cd "$1" && find . -type f | LC_ALL=C sort | xargs -d '\n' sha256sum) 2>/dev/null; }
want=$(sums "$src")


mount_store
cp -r "$src/scan1" "$mnt/datasets/"
sync "$mnt/datasets/scan1"
umount_store
mount_store # the next ones go into a pack of their own
cp -r "$src/scan2" "$mnt/datasets/"
mkdir "$mnt/by-tag/bone"
ln -s ../../datasets/scan2 "$mnt/by-tag/bone/"
"$tomofs" set -m "$mnt" scan2 voltage_kV=80 >/dev/null || fail "set"
ln "$mnt/datasets/scan2/t1.txt" "$mnt/datasets/scan2/linked.txt" && cp -l "$src/scan2/t1.txt" "$src/scan2/linked.txt" || fail "a further name"
setfattr -n user.note -v kept "$mnt/datasets/scan1"
ids() { (cd "$mnt/by-id" && for i in *; do echo "$i $(readlink "$i")"; done); }
id=$(ids)
[[ $id == *scan2* ]] || fail "no ids"
umount_store
want=$(sums "$src")
cp -a "$store" "$work/whole"
again() { rm -rf "$store"; cp -a "$work/whole" "$store"; }
same() { # WORDS: everything is as it was
	mount_store
	equal "$1" "$(sums "$mnt/datasets")" "$want"
	equal "$1: tag" "$(ls "$mnt/by-tag/bone")" scan2
	equal "$1: names of a file" "$(stat -c %h "$mnt/datasets/scan2/linked.txt")" 2
	equal "$1: xattr" "$(getfattr --only-values -n user.note "$mnt/datasets/scan1" 2>/dev/null)" kept
	equal "$1: ids" "$(ids)" "$id"
	grep -q '"voltage_kV": *80' "$mnt/info/scan2/facts.json" || fail "$1: fact"
	umount_store
	check "$1: verify" "$tomofs" verify "$store"
}
same "undamaged"

# A missing pack: verify names the files of one dataset and says that the others are whole.
again
rm "$(ls "$store"/packs/*.pack | head -n 1)"
refuse "verify of a missing pack" "$tomofs" verify "$store"
said=$("$tomofs" verify "$store")
for i in 1 2 3 4; do grep -q "hurt: datasets/scan1/p$i.raw: bytes 0 to" <<<"$said" || fail "verify does not name p$i.raw"; done
grep -q "scan2" <<<"$said" && fail "verify names what is whole"
grep -q "^4 of 9 files are hurt" <<<"$said" || fail "verify does not count"
[ "$("$tomofs" verify --json "$store" | "$python" -c 'import json,sys; print(json.load(sys.stdin)["files_hurt"])')" = 4 ] || fail "verify --json"
refuse "repair without the files" "$tomofs" repair "$store"
cp -a "$store" "$work/missing"
mount_store
cat "$mnt/datasets/scan1/p1.raw" >/dev/null 2>&1 && fail "a missing chunk was read"
cp "$src"/scan1/* "$mnt/datasets/scan1/" || fail "copying again"
umount_store
same "copied again"
rm -rf "$store"
mv "$work/missing" "$store"
mkdir "$work/offer"
for i in 1 2 3 4; do cp "$src/scan1/p$i.raw" "$work/offer/other-name-$i"; done
check "repair --from" "$tomofs" repair "$store" --from "$work/offer"
same "offered"

# A damaged byte in a pack: all else of the pack is kept, in a new one.
again
pack=$(ls "$store"/packs/*.pack | tail -n 1)
printf x | dd of="$pack" bs=1 seek=700 conv=notrunc 2>/dev/null
refuse "verify of a damaged byte" "$tomofs" verify "$store"
refuse "repair of a damaged byte" "$tomofs" repair "$store"
[ -e "$store/quarantine/$(basename "$pack")" ] || fail "the damaged pack is not in the quarantine"
equal "hurt after repair" "$("$tomofs" verify "$store" | grep "^hurt: " | sort -u | wc -l)" 1
check "repair --from of a damaged byte" "$tomofs" repair "$store" --from "$src"
same "damaged byte"

# A lost index is made again by the mount; a damaged one by repair.
again
rm -rf "$store/index"
same "lost index"
again
dd if=/dev/urandom of="$store/index/data.mdb" bs=4096 seek=3 count=2 conv=notrunc 2>/dev/null
check "repair of a damaged index" "$tomofs" repair "$store"
same "damaged index"

# What the journal has lost the index knows.
again
rm "$(ls "$store"/journal/*.log | tail -n 1)"
refuse "verify of a lost end of the journal" "$tomofs" verify "$store"
check "repair of a lost end of the journal" "$tomofs" repair "$store"
same "lost end of the journal"
again
rm "$store"/journal/*.log
check "repair of a lost journal" "$tomofs" repair "$store"
same "lost journal"
again
printf x | dd of="$(ls "$store"/journal/*.log | head -n 1)" bs=1 seek=400 conv=notrunc 2>/dev/null
refuse "verify of a damaged journal" "$tomofs" verify "$store"
check "repair of a damaged journal" "$tomofs" repair "$store"
same "damaged journal"

# And without an index: what is whole in front of the damage and behind it.
again
rm -rf "$store/index"
printf x | dd of="$(ls "$store"/journal/*.log | tail -n 1)" bs=1 seek=400 conv=notrunc 2>/dev/null
refuse "repair of a damaged journal alone" "$tomofs" repair "$store"
check "verify of what is left" "$tomofs" verify "$store"
mount_store
equal "what is in front of the damage" "$(sums "$mnt/datasets/scan1")" "$(sums "$src/scan1")"
umount_store
