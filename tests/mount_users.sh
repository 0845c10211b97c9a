#!/bin/bash
# Two real users: what is not theirs is denied by whatever path, also after the first has just looked at it. And a project
# folder with three scans becomes a collection of three datasets.
. "$(dirname "$0")/lib/mount.sh"

[ "$(id -u)" = 0 ] || { echo "needs root, to be two users"; exit 77; }
chmod 755 "$work"
scan=$work/secret
"$here/$BUILD/phantom" "$scan" secret 64 8 || die "no phantom"
mount_store allow_other
other() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
first() { setpriv --reuid=1 --regid=1 --clear-groups "$@"; }

check "the first user drops a scan" first cp -r "$scan" "$mnt/datasets/"
check "and closes it" first chmod 700 "$mnt/datasets/secret"
id=$(first ls -l "$mnt/by-id" | awk '/secret$/ {print $9}')
slice=$mnt/views/secret/2x/z0001.tif
check "the owner tags it" first mkdir "$mnt/by-tag/mine"
check "with a link" first ln -s ../../datasets/secret "$mnt/by-tag/mine/"
for f in "$mnt/datasets/secret/secret_0000.tif" "$slice" "$mnt/views/secret/secret.tif" "$mnt/gallery/secret.png" \
	"$mnt/info/secret/facts.json"; do
	check "the owner reads $f" first cat "$f"
	refuse "another user reads $f" other cat "$f"
	refuse "another user sees $f" other stat "$f"
done
for d in datasets/secret views/secret views/secret/2x info/secret by-id/"$id"/; do
	refuse "another user lists $d" other ls "$mnt/$d"
done
for d in by-id by-tag/mine search/secret search/tag:mine gallery views info; do
	equal "what another user finds in $d" "$(other ls "$mnt/$d" 2>/dev/null | grep -c secret)" 0
done
refuse "another user tags it" other ln -s ../../datasets/secret "$mnt/by-tag/mine/"
refuse "another user sets a fact" other setfattr -n user.tomofs.sample -v x "$mnt/datasets/secret"
refuse "another user removes it" other rm -rf "$mnt/datasets/secret"
refuse "another user renames it" other mv "$mnt/datasets/secret" "$mnt/datasets/mine"
check "the owner opens it for looking" first setfattr -n user.tomofs.look -v all "$mnt/datasets/secret"
check "the picture is shown" other cat "$mnt/gallery/secret.png"
check "a small level is shown" other cat "$slice"
refuse "the originals are not" other cat "$mnt/datasets/secret/secret_0000.tif"
check "and closes it again" first setfattr -n user.tomofs.look -v private "$mnt/datasets/secret"
refuse "the picture is not shown any more" other cat "$mnt/gallery/secret.png"

# names in a closed folder of an open dataset stay out of what is shown of the dataset
mkdir -p "$work/open/private"
cp "$scan/secret_0000.tif" "$work/open/"
head -c 1000 "$scan/secret_0001.tif" >"$work/open/private/patient.tif"
head -c 100000 /dev/zero >"$work/open/private/patient_100x100x10_8bit.raw"
chmod 700 "$work/open/private"
check "an open dataset with a closed folder" cp -a "$work/open" "$mnt/datasets/"
equal "what its texts and parts name" "$(other sh -c "cat '$mnt'/info/open/*; ls -R '$mnt/views/open'" 2>/dev/null | grep -c patient)" 0
equal "sha256 of what is open" "$(other cat "$mnt/info/open/sha256" | grep -c secret_0000)" 1

chmod 755 "$mnt/datasets"
refuse "making a dataset through a tag where datasets/ forbids it" other mkdir "$mnt/by-tag/mine/sneaked"
refuse "nor a file" other sh -c "echo x > '$mnt/by-tag/mine/sneaked.txt'"
chmod 1777 "$mnt/datasets"

# a project folder with three scans, each with its record
mkdir "$work/project"
for i in 1 2 3; do "$here/$BUILD/phantom" "$work/project/scan$i" "s$i" 64 4; done
echo "three femora" >"$work/project/notes.txt"
check "a project is dropped" cp -r "$work/project" "$mnt/datasets/"
# role NAME: dataset or collection
role() { getfattr --only-values -n user.tomofs.role "$mnt/datasets/$1" 2>/dev/null; }
wait_for 15 test -d "$mnt/views/scan3" || fail "the scans do not become datasets"
equal "role of the project" "$(role project)" collection
for i in 1 2 3; do
	equal "role of scan$i" "$(role "project/scan$i")" dataset
	check "view of scan$i" test -f "$mnt/views/scan$i/2x/z0000.tif"
done
check "the project is whole" diff -r "$work/project" "$mnt/datasets/project"
