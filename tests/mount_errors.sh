#!/bin/bash
# Bad input at the command line: one sentence that says what is wrong, the right exit status, nothing lost.
. "$(dirname "$0")/lib/mount.sh"

# says STATUS PATTERN COMMAND...: exit status, and one line on stderr that matches
says() {
	local status=$1 pattern=$2 got
	shift 2
	"$@" >/dev/null 2>"$work/err"
	got=$?
	equal "status of $*" "$got" "$status"
	grep -qE "$pattern" "$work/err" || fail "$*: says \"$(cat "$work/err")\", expected /$pattern/"
}
mkdir "$work/other"
says 1 'not (there|a tomofs)|no such|No such' "$tomofs" mount "$work/nothing" "$mnt"
mkdir "$work/nostore" && echo x >"$work/nostore/file"
says 1 'tomofs' "$tomofs" mount "$work/nostore" "$mnt"
says 1 'empty|already' "$tomofs" init "$work/nostore"
says 1 'already|empty|store' "$tomofs" init "$store"
says 1 'No such' "$tomofs" mount "$store" "$work/nowhere"
says 1 'not a folder|Not a directory' "$tomofs" mount "$store" "$work/nostore/file"
says 1 'inside' "$tomofs" mount "$store" "$work" -o nonempty
says 1 'not empty' "$tomofs" mount "$store" "$work/nostore"
says 1 'option "frobnicate"' "$tomofs" mount "$store" "$mnt" -o frobnicate
says 1 'cache=' "$tomofs" mount "$store" "$mnt" -o cache=lots
says 2 'no command' "$tomofs" frobnicate
says 2 'too few' "$tomofs" mount "$store"
says 2 'not known' "$tomofs" init -x "$work/new"
check "mount(8)'s own options" "$tomofs" mount "$store" "$mnt" -o rw,_netdev,nofail,x-systemd.automount,noatime
says 1 'in use' "$tomofs" mount "$store" "$mnt"
says 1 'open|mounted' "$tomofs" mount "$store" "$work/other"
says 1 'open|mounted' "$tomofs" rebuild "$store"
check "verify beside the mount" "$tomofs" verify "$store"
says 1 'no dataset' "$tomofs" info -m "$mnt" nothing
refuse "a name of 256 bytes" touch "$mnt/datasets/$(printf '%0256d' 0)"
check "a name of 255 bytes" touch "$mnt/datasets/$(printf '%0255d' 0)"
check "a name with newline" touch "$mnt/datasets/$(printf 'a\nb')"
check "a name that is no UTF-8" mkdir "$mnt/datasets/$(printf 'a\xff\xfeb')"
check "they are listed" test "$(find "$mnt/datasets" -mindepth 1 -maxdepth 1 -print0 | tr -dc '\0' | wc -c)" = 3
check "ls -lR with such names" ls -lR "$mnt"
refuse "a file in the root" touch "$mnt/file"
refuse "a file in a view folder" touch "$mnt/views/file"
umount_store
says 1 'no tomofs' "$tomofs" umount "$mnt"
