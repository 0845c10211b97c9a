#!/bin/bash
# Tags, facts and searches: each way of setting shows in all ways of looking, and survives a remount.
. "$(dirname "$0")/lib/mount.sh"

scan=$work/femur
"$here/$BUILD/phantom" "$scan" femur 64 8 || die "no phantom"
cp -r "$scan" "$work/tibia"
cp -r "$scan" "$work/skull"
mount_store
cp -r "$scan" "$work/tibia" "$mnt/datasets/"

# tagging: mkdir + ln -s, xattr, cp -r into the tag
check "mkdir of a tag" mkdir "$mnt/by-tag/porosity"
check "ln -s" ln -s ../../datasets/femur "$mnt/by-tag/porosity/"
check "mkdir of another" mkdir "$mnt/by-tag/bone"
check "setfattr" setfattr -n user.xdg.tags -v porosity,bone "$mnt/datasets/tibia"
check "cp -r into a tag" cp -r "$work/skull" "$mnt/by-tag/porosity/"
cp -a "$scan" "$work/ulna"
check "cp -a into a tag" cp -a "$work/ulna" "$mnt/by-tag/porosity/"
check "rm of its link" rm "$mnt/by-tag/porosity/ulna"
check "mkdir of a dataset tags it" mkdir "$mnt/by-tag/porosity/ulna"
check "rm of its link again" rm "$mnt/by-tag/porosity/ulna"
check "it is whole" diff -r "$work/ulna" "$mnt/datasets/ulna"
check "rm -r of a dataset" rm -r "$mnt/datasets/ulna"
look() {
	equal "by-tag/porosity ($1)" "$(ls "$mnt/by-tag/porosity" | tr '\n' ' ')" "femur skull tibia "
	equal "by-tag/bone ($1)" "$(ls "$mnt/by-tag/bone")" tibia
	equal "search tag:porosity ($1)" "$(ls "$mnt/search/tag:porosity" | tr '\n' ' ')" "femur skull tibia "
	equal "search tag=bone ($1)" "$(ls "$mnt/search/tag=bone")" tibia
	equal "xattr ($1)" "$(getfattr --only-values -n user.xdg.tags "$mnt/datasets/skull" 2>/dev/null)" porosity
	[ -L "$mnt/by-tag/porosity/skull" ] || fail "by-tag/porosity/skull is no link ($1)"
	check "through the link ($1)" diff -r "$work/skull" "$mnt/by-tag/porosity/skull/"
	check "originals ($1)" diff -r "$work/skull" "$mnt/datasets/skull"
}
look "at once"
umount_store
mount_store
look "after a remount"

# untag: the dataset stays
check "rm of a link" rm "$mnt/by-tag/porosity/femur"
check "the dataset stays" diff -r "$scan" "$mnt/datasets/femur"
equal "untagged" "$(ls "$mnt/by-tag/porosity" | tr '\n' ' ')" "skull tibia "
check "mv of a link to another tag" mv "$mnt/by-tag/bone/tibia" "$mnt/by-tag/porosity/"
equal "by-tag/bone after mv" "$(ls "$mnt/by-tag/bone")" ""
check "mv of a dataset into a tag" mv "$mnt/datasets/femur" "$mnt/by-tag/bone/"
check "it stays where it is" test -d "$mnt/datasets/femur"
equal "by-tag/bone" "$(ls "$mnt/by-tag/bone")" femur
check "rename of a tag" mv "$mnt/by-tag/bone" "$mnt/by-tag/ossa"
equal "by-tag/ossa" "$(ls "$mnt/by-tag/ossa")" femur
refuse "a junk tag" mkdir "$mnt/by-tag/New folder"
refuse "a link to nothing" ln -s ../../datasets/nothing "$mnt/by-tag/porosity/"

# facts: from the sidecar, from a person, in queries
wait_for 5 test -L "$mnt/search/voltage=80/femur" || fail "the sidecar's voltage is not found"
equal "search voxel and kV" "$(ls "$mnt/search/voxel=..20um kV=80.." | tr '\n' ' ')" "femur skull tibia "
check "tomofs set" "$tomofs" set -m "$mnt" femur sample=mouse-7 operator=Ada
equal "by-sample" "$(ls "$mnt/by-sample/mouse-7")" femur
equal "search sample:mouse" "$(ls "$mnt/search/sample:mouse")" femur
check "mkdir by-sample" mkdir "$mnt/by-sample/rat-3"
check "ln -s by-sample" ln -s ../../datasets/tibia "$mnt/by-sample/rat-3/"
equal "sample of tibia" "$(getfattr --only-values -n user.tomofs.sample "$mnt/datasets/tibia")" rat-3
check "facts.json is JSON" "$python" -m json.tool "$mnt/info/femur/facts.json"
equal "by-user" "$(ls "$mnt/by-user/$(id -un)" | tr '\n' ' ')" "femur skull tibia "
id=$(ls -l "$mnt/by-id" | awk '/femur$/ {print $9}')
check "rename of a dataset" mv "$mnt/datasets/femur" "$mnt/datasets/femur-left"
equal "the permanent id" "$(readlink "$mnt/by-id/$id")" ../datasets/femur-left
check "through by-id" test -d "$mnt/by-id/$id/"
equal "the tag follows" "$(ls "$mnt/by-tag/ossa")" femur-left

# wrong input
grep -q 'voltag' "$mnt/search/voltag=80/ERROR.txt" || fail "a bad query does not say what is wrong"
equal "what a bad query lists" "$(ls "$mnt/search/voltag=80")" ERROR.txt
refuse "set of an unknown field" "$tomofs" set -m "$mnt" femur-left nonsense=1
refuse "set of a wrong unit" "$tomofs" set -m "$mnt" femur-left "voltage_kV=80 mm"
equal "a probe for .hidden" "$(ls "$mnt/search/.hidden" 2>&1 | grep -c 'No such file')" 1
check "search of the tool" "$tomofs" search -m "$mnt" tag:porosity

# the index is what the journal adds up to
umount_store
check "rebuild" "$tomofs" rebuild "$store"
mount_store
equal "after rebuild: tags" "$(ls "$mnt/by-tag/porosity" | tr '\n' ' ')" "skull tibia "
equal "after rebuild: sample" "$(ls "$mnt/by-sample/mouse-7")" femur-left

# what is still arriving is looked into again after a mount, and nothing is recorded when it says the same
umount_store
mount_store settle=3600
cp -r "$scan" "$mnt/datasets/radius"
facts=$(cat "$mnt/info/radius/facts.json")
records() { grep -o '"journal_records": [0-9]*' "$mnt/.tomofs/status.json"; }
before=$(records)
umount_store
mount_store settle=3600
equal "facts of what is arriving, after a remount" "$(cat "$mnt/info/radius/facts.json")" "$facts"
equal "records of what is known" "$(records)" "$before"
