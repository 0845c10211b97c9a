#!/bin/bash
# POSIX where people write: some thousand small cases (tests/posix) in a dataset of a mount, as several users. What is refused on purpose
# is expected to be refused (README). After that the store is mounted anew: everything is still there, and the index is what a
# rebuild makes of the journal.
. "$(dirname "$0")/lib/mount.sh"

[ "$(id -u)" = 0 ] || { echo "needs root, to be several users"; exit 77; }
chmod 755 "$work"
mount_store allow_other
mkdir "$mnt/datasets/set" || die "no dataset"
chmod 777 "$mnt/datasets/set"
# tree DIR: what can be seen of each file; links by their number
tree() { (cd "$1" && find . -printf '%p %y %m %U %G %s %n %T@ %C@ %l %i\n' | sort && getfacl -Rnp . 2>/dev/null); }

"$here/$BUILD/posix" -r "$mnt/datasets/set" >"$work/out" 2>&1 || { fail "cases of POSIX"; tail -n 25 "$work/out"; }
tree "$mnt/datasets/set" >"$work/before"
bytes=$(getfattr --absolute-names --only-values -n user.tomofs.bytes "$mnt/datasets/set")
umount_store
mount_store allow_other
tree "$mnt/datasets/set" >"$work/after"
check "the same after another mount" cmp "$work/before" "$work/after"
umount_store
check "a rebuild" "$tomofs" rebuild "$store"
mount_store allow_other
tree "$mnt/datasets/set" >"$work/after"
check "the same after a rebuild" cmp "$work/before" "$work/after"
equal "bytes of the dataset: each file once" "$bytes" \
	"$(find "$mnt/datasets/set" -type f -printf '%i %s\n' | sort -u | awk '{n += $2} END {print n}')"
refuse "a link across datasets" ln "$mnt/datasets/set/model/model" "$mnt/datasets/other"
equal "is told as such" "$(grep -ci 'cross-device' "$work/check.out")" 1
