#!/bin/bash
# Access control lists as people use them: setfacl, getfacl, cp -a, rsync -A; and what is shown of a dataset opens for exactly those whom
# the lists of its originals let read.
. "$(dirname "$0")/lib/mount.sh"

[ "$(id -u)" = 0 ] || { echo "needs root, to be several users"; exit 77; }
command -v setfacl >/dev/null || { echo "needs Debian's package acl"; exit 77; }
chmod 755 "$work"
"$here/$BUILD/phantom" "$work/scan" scan 64 8 || die "no phantom"
chmod -R go-rwx "$work/scan"
mount_store allow_other
set=$mnt/datasets/scan
cp -a "$work/scan" "$mnt/datasets/"
user() { local id=$1; shift; setpriv --reuid="$id" --regid="${group:-$id}" --clear-groups "$@"; }
slice=views/scan/2x/z0001.tif
shown="$slice views/scan/scan.tif gallery/scan.png info/scan/facts.json info/scan/sha256"
# sees USER / blind USER: all that is shown of the dataset, and its originals
sees() { for f in datasets/scan/scan_0000.tif $shown; do check "user $1 reads $f" user "$1" cat "$mnt/$f"; done; }
blind() {
	for f in datasets/scan/scan_0000.tif $shown; do refuse "user $1 reads $f" user "$1" cat "$mnt/$f"; done
	equal "what user $1 finds" "$(user "$1" ls "$mnt/search/scan" "$mnt/views" "$mnt/by-id" 2>/dev/null | grep -c '^scan')" 0
}

blind 1001
check "a user gets a list" setfacl -R -m u:1001:rX,d:u:1001:rX "$set"
sees 1001
blind 1002
group=7 blind 1002 # the owning group has nothing, though the mode's group bits are the mask
check "the list of a view" sh -c "getfacl -cnp '$mnt/$slice' | grep -q '^user:1001:r'"
refuse "which nobody writes" user 1001 sh -c "echo x >>'$mnt/datasets/scan/scan_0000.tif'"
check "a group gets one" setfacl -R -m g:7:rX "$set"
group=7 sees 1002
check "one file is closed to one user" setfacl -m u:1001:- "$set/scan_0003.tif"
refuse "the view of all slices" user 1001 cat "$mnt/views/scan/scan.tif"
refuse "or the picture" user 1001 cat "$mnt/gallery/scan.png"
equal "its line in sha256" "$(user 1001 cat "$mnt/info/scan/sha256" | grep -c scan_0003)" 0
group=7 check "is there for the group" user 1002 cat "$mnt/views/scan/scan.tif"
check "and opened again" setfacl -m u:1001:r "$set/scan_0003.tif"
sees 1001
check "the mask closes it for all of them" setfacl -m m::- "$set"
blind 1001
group=7 blind 1002
check "as chmod does" setfacl -m m::rx "$set"
sees 1001
chmod 700 "$set"
blind 1001
chmod 750 "$set"
sees 1001

# lists come along
echo new >"$set/new.txt"
check "what is new has the default list" sh -c "getfacl -cnp '$set/new.txt' | grep -q '^user:1001:r'"
check "cp -a inside" cp -a "$set" "$mnt/datasets/copy"
equal "lists of the copy" "$(cd "$mnt/datasets/copy" && getfacl -Rnp .)" "$(cd "$set" && getfacl -Rnp .)"
if command -v rsync >/dev/null; then
	check "rsync -A" rsync -aAX "$set/" "$mnt/datasets/synced/"
	equal "lists of what rsync made" "$(cd "$mnt/datasets/synced" && getfacl -Rnp .)" "$(cd "$set" && getfacl -Rnp .)"
fi
umount_store
mount_store allow_other
sees 1001
blind 1003
equal "lists after another mount" "$(cd "$mnt/datasets/copy" && getfacl -Rnp .)" "$(cd "$set" && getfacl -Rnp .)"
check "all lists go" setfacl -R -b "$set"
blind 1001
