#!/bin/bash
# What was overwritten and removed comes back byte for byte: versions, trash, time travel; for its owner, and for nobody else; after a
# remount, a kill and a rebuild.
. "$(dirname "$0")/lib/mount.sh"

data=$mnt/datasets hist=$mnt/history
now() { date -u +%Y-%m-%dT%H:%M:%S; }
gmt() { date -u +@GMT-%Y.%m.%d-%H.%M.%S; }
pause() { sync -f "$mnt"; sleep 1.1; }
sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum); }
mkdir -p "$work/scan/sub"
for i in 1 2 3; do head -c 300000 /dev/urandom >"$work/scan/s$i.raw"; done
head -c 2000000 /dev/urandom >"$work/scan/sub/large.raw"
printf 'first\n' >"$work/scan/sub/notes.txt"
ln -s s1.raw "$work/scan/link"
chmod 640 "$work/scan/s2.raw"
sums "$work/scan" >"$work/sums"
mount_store allow_other

# ---- versions: cp, rsync, sed -i ----
check "a scan is dropped" cp -a "$work/scan" "$data/"
check "and tagged" setfattr -n user.xdg.tags -v good "$data/scan"
id=$(ls -l "$mnt/by-id" | awk '/scan$/ {print $9}')
pause
early=$(now) token=$(gmt)
pause
for word in second third; do
	printf '%s\n' "$word" >"$work/notes.txt"
	check "cp over a file" cp "$work/notes.txt" "$data/scan/sub/notes.txt"
	sync -f "$mnt"
done
check "rsync over a file" rsync -a --ignore-times "$work/scan/s1.raw" "$data/scan/s3.raw"
check "sed -i" sed -i s/third/fourth/ "$data/scan/sub/notes.txt"
sync -f "$mnt"
equal "what notes.txt held" "$(cat "$hist"/versions/scan/sub/notes.txt/*.txt)" $'first\nsecond\nthird'
equal "files with old contents" "$(find "$hist/versions" -mindepth 2 -type d -printf '%P\n' | sort | tr '\n' ' ')" \
	"scan/s3.raw scan/sub scan/sub/notes.txt "
check "the replaced file" cmp "$work/scan/s3.raw" "$hist"/versions/scan/s3.raw/*.raw
check "an old content comes back with cp" cp "$(ls -d "$hist"/versions/scan/sub/notes.txt/* | head -n 1)" "$data/scan/sub/notes.txt"
equal "which" "$(cat "$data/scan/sub/notes.txt")" first
refuse "old contents cannot be written" sh -c "echo x > $(ls -d "$hist"/versions/scan/sub/notes.txt/* | head -n 1)"

# ---- time travel ----
same_then() { # WORDS TIME
	sums "$hist/at/$2/datasets/scan" >"$work/then" 2>&1
	cmp -s "$work/then" "$work/sums" || fail "$1: not as it was"
}
same_then "at a time" "$early"
same_then "at a time as Samba says it" "$token"
equal "the link then" "$(readlink "$hist/at/$early/datasets/scan/link")" s1.raw
equal "mode then" "$(stat -c %a "$hist/at/$early/datasets/scan/s2.raw")" 440
equal "size then" "$(stat -c %s "$hist/at/$early/datasets/scan/sub/large.raw")" 2000000
equal "at/ lists" "$(ls "$hist/at")" ""
for t in 1999-01-01 2999-01-01 2026-02-30 rubbish .hidden; do refuse "no such time: $t" ls "$hist/at/$t"; done
refuse "the past cannot be written" touch "$hist/at/$early/datasets/scan/new"
refuse "nor removed" rm "$hist/at/$early/datasets/scan/s1.raw"
refuse "nor moved" mv "$hist/at/$early/datasets/scan/s1.raw" "$data/"

# ---- trash ----
check "a file is removed" rm "$data/scan/s1.raw"
check "it is in the trash" cmp "$work/scan/s1.raw" "$hist/trash/scan/s1.raw"
equal "and nothing else is" "$(find "$hist/trash/scan" -mindepth 1 -printf '%P ')" "s1.raw "
check "it comes back with mv" mv "$hist/trash/scan/s1.raw" "$data/scan/"
check "as it was" cmp "$work/scan/s1.raw" "$data/scan/s1.raw"
equal "the trash" "$(ls "$mnt/trash/")" ""
cp -a "$work/scan/s3.raw" "$data/scan/s3.raw"
pause
check "rm -r of the dataset" rm -r "$data/scan"

check "the whole of it is in the trash" sh -c "cd '$mnt/trash/scan' && sha256sum --quiet -c '$work/sums'"
same_then "at the time before" "$early"
check "cp -a out of the trash" cp -a "$hist/trash/scan" "$work/back"
check "is the same" sh -c "cd '$work/back' && sha256sum --quiet -c '$work/sums'"
check "made anew under the same name" mkdir "$data/scan"
check "the old one is still there" sh -c "cd '$mnt/trash/scan (20'* && sha256sum --quiet -c '$work/sums'"
rmdir "$data/scan"
trashed=$(ls "$mnt/trash" | grep '(20' | head -n 1)
check "mv out of the trash" mv "$mnt/trash/$trashed" "$data/scan"
check "brings all of it back" sh -c "cd '$data/scan' && sha256sum --quiet -c '$work/sums'"
equal "its mode" "$(stat -c '%a %Y' "$data/scan/s2.raw")" "$(stat -c '%a %Y' "$work/scan/s2.raw")"
equal "its tag" "$(getfattr --only-values -n user.xdg.tags "$data/scan" 2>/dev/null)" good
equal "the link that never breaks" "$(readlink "$mnt/by-id/$id")" ../datasets/scan
check "mv into the trash" mv "$data/scan" "$mnt/trash/"
refuse "takes it away" ls "$data/scan"
check "whole" sh -c "cd '$mnt/trash/scan' && sha256sum --quiet -c '$work/sums'"
refuse "nothing is made in the trash" mkdir "$mnt/trash/new"
check "and back again" mv "$mnt/trash/scan" "$data/scan"
check "as it was" sh -c "cd '$data/scan' && sha256sum --quiet -c '$work/sums'"
mkdir "$data/taken"
check "the trash again" mv "$data/taken" "$mnt/trash/"
mkdir "$data/taken"
refuse "a name that is taken" mv "$mnt/trash/taken (20"* "$data/taken/x/y"

# ---- a look at other people's ----
if [ "$(id -u)" = 0 ]; then
	chmod 755 "$work"
	other() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
	first() { setpriv --reuid=1 --regid=1 --clear-groups "$@"; }
	check "the first user's open file" first sh -c "mkdir '$data/own' '$data/own/sub'; echo secret > '$data/own/file'; echo old > '$data/own/sub/f'"
	pause
	open=$(now)
	check "which others read" other cat "$hist/at/$open/datasets/own/file"
	pause
	first sh -c "echo changed > '$data/own/sub/f'"
	first chmod 600 "$data/own/file"
	first chmod 700 "$data/own/sub"
	sync -f "$mnt"
	refuse "what is closed now is closed then" other cat "$hist/at/$open/datasets/own/file"
	refuse "also through a folder" other cat "$hist/at/$open/datasets/own/sub/f"
	refuse "and as an old content" other sh -c "cat '$hist'/versions/own/sub/f/*"
	check "but not for its owner" first cat "$hist/at/$open/datasets/own/file" "$hist/at/$open/datasets/own/sub/f"
	check "who reads old contents" first sh -c "grep -q old '$hist'/versions/own/sub/f/*"
	first mv "$data/own/file" "$data/own/sub/"
	first chmod 644 "$data/own/sub/file"
	refuse "moved to where others do not come" other cat "$hist/at/$open/datasets/own/file"
	check "and removed" first rm -r "$data/own"
	refuse "the trash is closed too" other cat "$hist/trash/own/sub/f"
	refuse "others do not take it out" other mv "$hist/trash/own" "$data/"
	check "its owner does" first mv "$hist/trash/own" "$data/own"
	equal "with its content" "$(first cat "$data/own/sub/f")" changed
	equal "and mode" "$(stat -c '%a %u' "$data/own/sub")" "700 1"
fi

# ---- the commands ----
printf 'one\n' >"$data/taken/f.txt"
sync -f "$mnt"
printf 'two\n' >"$data/taken/f.txt"
sync -f "$mnt"
equal "what history lists" "$("$tomofs" history -m "$mnt" taken | awk '{print $1, $2, $3}')" "held 4 taken/f.txt"
check "restore of what a file held" "$tomofs" restore -m "$mnt" "$data/taken/f.txt"
equal "which" "$(cat "$data/taken/f.txt")" one
rm "$data/taken/f.txt"
equal "what history lists of it then" "$("$tomofs" history --json -m "$mnt" taken/f.txt | "$python" -c 'import json, sys; d = json.load(sys.stdin); print([r["name"] for r in d["removed"]])')" "['taken/f.txt']"
check "restore of what was removed" "$tomofs" restore -m "$mnt" taken/f.txt
equal "its content" "$(cat "$data/taken/f.txt")" one
check "restore of what was so then, elsewhere" "$tomofs" restore -m "$mnt" scan --at "$early" --to "$work/elsewhere"
check "is the same" sh -c "cd '$work/elsewhere' && sha256sum --quiet -c '$work/sums'"
refuse "restore over what is there" "$tomofs" restore -m "$mnt" scan --at "$early"
refuse "restore of what never was" "$tomofs" restore -m "$mnt" never
refuse "restore of elsewhere" "$tomofs" restore -m "$mnt" /etc/passwd

# ---- it lasts ----
check "removed once more" rm -r "$data/scan"
umount_store
mount_store allow_other
same_then "after a remount" "$early"
check "the trash too" sh -c "cd '$mnt/trash/scan' && sha256sum --quiet -c '$work/sums'"
kill_daemon
umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt"
mount_store allow_other
same_then "after a kill" "$early"
umount_store
check "rebuild" "$tomofs" rebuild "$store"
mount_store allow_other
same_then "after a rebuild" "$early"
check "and it comes back" mv "$mnt/trash/scan" "$data/"
check "whole" sh -c "cd '$data/scan' && sha256sum --quiet -c '$work/sums'"
umount_store
check "verify" "$tomofs" verify "$store"
