#!/bin/bash
# What refuses changes does (frozen datasets; originals of ready ones under protect=ready), and what is kept for a time goes after it.
. "$(dirname "$0")/lib/mount.sh"

data=$mnt/datasets
[ "$(id -u)" = 0 ] || { echo "needs root, to be two users"; exit 77; }
chmod 755 "$work"
first() { setpriv --reuid=1 --regid=1 --clear-groups "$@"; }
errno_of() { "$python" -c 'import errno, os, sys
try: eval(sys.argv[1])
except OSError as e: print(errno.errorcode[e.errno])' "$1"; }

# ---- frozen ----
mount_store allow_other
check "a dataset" first sh -c "mkdir -p '$data/d/sub'; echo one > '$data/d/f'; echo two > '$data/d/sub/g'"
sync -f "$mnt"
check "its owner freezes it" first "$tomofs" freeze -m "$mnt" d
equal "which shows" "$(getfattr --only-values -n user.tomofs.frozen "$data/d" 2>/dev/null)" 1
frozen() { # by root, whom only we refuse
	equal "$1 of a frozen dataset" "$(errno_of "$2")" EROFS
}
frozen "write" "open('$data/d/f', 'r+b')"
frozen "append" "open('$data/d/sub/g', 'ab')"
frozen "truncate" "os.truncate('$data/d/f', 1)"
frozen "making" "open('$data/d/sub/new', 'xb')"
frozen "mkdir" "os.mkdir('$data/d/new')"
frozen "symlink" "os.symlink('f', '$data/d/link')"
frozen "unlink" "os.unlink('$data/d/f')"
frozen "rename" "os.rename('$data/d/f', '$data/d/h')"
frozen "moving away" "os.rename('$data/d/sub', '$data/away')"
frozen "rename" "os.rename('$data/d', '$data/e')"
frozen "trash" "os.rename('$data/d', '$mnt/history/trash/d')"
frozen "chmod" "os.chmod('$data/d/sub/g', 0o600)"
frozen "chown" "os.chown('$data/d', 5, 5)"
frozen "utime" "os.utime('$data/d/f', (1, 1))"
frozen "a fact" "os.setxattr('$data/d', 'user.tomofs.sample', b'x')"
frozen "an attribute" "os.setxattr('$data/d/f', 'user.x', b'x')"
check "tags go on" first setfattr -n user.xdg.tags -v good "$data/d"
check "comments too" first setfattr -n user.xdg.comment -v hello "$data/d"
equal "reading too" "$(cat "$data/d/f" "$data/d/sub/g")" $'one\ntwo'
check "others are not frozen" sh -c "mkdir '$data/o' && echo x > '$data/o/f' && rm -r '$data/o'"
refuse "its owner cannot end it" first setfattr -n user.tomofs.frozen -v "no more" "$data/d"
umount_store
mount_store allow_other
frozen "write after a remount" "open('$data/d/f', 'r+b')"
refuse "the end needs a reason" "$tomofs" freeze -m "$mnt" -d d
check "root ends it" "$tomofs" freeze -m "$mnt" -d d "wrong sample"
check "and it changes" sh -c "echo three > '$data/d/f'"
umount_store

# ---- protect=ready, as a setting of the store ----
refuse "a setting that is none" "$tomofs" init -o protect=maybe "$work/other"
rm -rf "$store"
check "a store that protects" "$tomofs" init -o protect=ready,keep=3s "$store"
mount_store settle=1
mkdir -p "$data/d/sub"
echo one >"$data/d/f"
echo two >"$data/d/sub/g"
check "before it is ready all is open" sh -c "echo uno > '$data/d/f'; mv '$data/d/sub/g' '$data/d/g'; mv '$data/d/g' '$data/d/sub/g'"
sync -f "$mnt"
check "ready" "$tomofs" ready -m "$mnt" d
protected() { equal "$1 of a ready dataset" "$(errno_of "$2")" EPERM; }
protected "write" "open('$data/d/f', 'r+b')"
protected "truncate" "open('$data/d/f', 'wb')"
protected "cut" "os.truncate('$data/d/f', 0)"
protected "unlink" "os.unlink('$data/d/sub/g')"
protected "rename" "os.rename('$data/d/f', '$data/d/h')"
protected "moving away" "os.rename('$data/d/sub', '$data/away')"
protected "replacing" "[open('$work/n', 'wb'), open('$data/d/n', 'wb'), os.rename('$data/d/n', '$data/d/f')]"
protected "trash of a part" "os.rename('$data/d/f', '$mnt/history/trash/f')"
check "files come in" sh -c "echo new > '$data/d/new' && echo newer > '$data/d/new'"
check "and go again" rm "$data/d/new" "$data/d/n"
refuse "rm -r" rm -r "$data/d"
equal "its originals are there" "$(cat "$data/d/f" "$data/d/sub/g")" $'uno\ntwo'
check "it may be called something else" mv "$data/d" "$data/e"
check "it leaves as a whole" mv "$data/e" "$mnt/trash/"
equal "into the trash" "$(cat "$mnt/trash/e/f")" uno

# ---- and after the time it is gone ----
gone() { "$tomofs" gc "$mnt" && [ ! -e "$mnt/history/trash/e" ]; }
wait_for 30 gone || fail "what was removed is still kept after its time"
equal "the trash" "$(ls "$mnt/trash/")" ""
refuse "the time before" ls "$mnt/history/at/$(date -u -d '-1 hour' +%Y-%m-%dT%H:%M)"
umount_store
check "verify" "$tomofs" verify "$store"
check "rebuild" "$tomofs" rebuild "$store"
mount_store
equal "the trash after a rebuild" "$(ls "$mnt/trash/")" ""
