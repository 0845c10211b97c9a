# Sourced by tests/mount_*.sh: a store and a mount of its own in a temporary folder, gone at the end whatever happens.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
tomofs=$here/${BUILD:-build}/tomofs
python=/usr/bin/python3
work=$(mktemp -d "${TMPDIR:-/tmp}/tomofs-mount.XXXXXX") || exit 1
store=$work/store mnt=$work/mnt
mkdir "$mnt"
failures=0

[ -e /dev/fuse ] || { echo "no /dev/fuse here"; exit 77; }

end() {
	local status=$?
	mountpoint -q "$mnt" && { "$tomofs" umount "$mnt" >/dev/null 2>&1 || umount -l "$mnt" 2>/dev/null || fusermount3 -uz "$mnt"; }
	stop_daemon 2>/dev/null
	rm -rf "$work"
	[ "$status" -ne 0 ] && exit "$status"
	[ "$failures" -eq 0 ] || exit 1
}
trap end EXIT

daemon_pid() { head -n 1 "$store/lock" 2>/dev/null | grep -oE '^[0-9]+'; }
stop_daemon() {
	local pid
	pid=$(daemon_pid) || return 0
	[ "$(cat "/proc/$pid/comm" 2>/dev/null)" = tomofs ] && kill -9 "$pid"
}
# mount_store [OPTIONS]
mount_store() { "$tomofs" mount "$store" "$mnt" -o "settle=1${1:+,$1}" 2>>"$work/daemon.log" || { cat "$work/daemon.log"; die "cannot mount"; }; }
umount_store() { "$tomofs" umount "$mnt" || die "cannot unmount"; }
kill_daemon() { # as a power cut of the daemon alone
	kill -9 "$(daemon_pid)"
	while [ -d "/proc/$(daemon_pid)" ] && ! grep -q Z "/proc/$(daemon_pid)/stat" 2>/dev/null; do sleep 0.05; done
}
die() { echo "$*"; exit 1; }
fail() { echo "failed: $*"; failures=$((failures + 1)); }
# check WORDS COMMAND...: the command must succeed
check() { local words=$1; shift; "$@" >"$work/check.out" 2>&1 || { fail "$words: $*"; head -n 5 "$work/check.out"; }; }
# refuse WORDS COMMAND...: the command must fail
refuse() { local words=$1; shift; if "$@" >"$work/check.out" 2>&1; then fail "$words: succeeded: $*"; fi; }
# equal WORDS GOT WANTED
equal() { [ "$2" = "$3" ] || fail "$1: got \"$2\", expected \"$3\""; }
# wait_for SECONDS COMMAND...
wait_for() { local n=$(($1 * 10)); shift; while [ $n -gt 0 ]; do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; n=$((n - 1)); done; return 1; }

"$tomofs" init "$store" >/dev/null || die "cannot make a store"
