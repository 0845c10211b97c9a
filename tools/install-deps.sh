#!/bin/sh
# Installs what is missing on a Debian machine to build tomofs and run its tests. Does nothing, and needs no rights, when all is
# there. With --build only what the build and the demo need; with --bench also what `make bench` compares with; with --long also the
# programs whose writing `make test-long` tries.
set -eu

build="gcc make pkg-config libc6-dev fuse3 libfuse3-dev libzstd-dev libxxhash-dev libssl-dev liblmdb-dev libtiff-dev
	libjansson-dev libexpat1-dev zlib1g-dev libtiff-tools attr"
tests="python3-minimal python3-numpy python3-tifffile rsync imagej xvfb xauth util-linux acl"

bench="borgbackup python3-pyfuse3 restic casync btrfs-progs squashfs-tools squashfuse libcharls-dev zstd"
long="samba smbclient libglib2.0-bin libvips-tools python3-h5py git stress-ng fio"

want=$build
[ "${1:-}" = --build ] || want="$build $tests"
[ "${1:-}" != --bench ] || want="$want $bench"
[ "${1:-}" != --long ] || want="$want $long"

missing=
for package in $want; do
	state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
	[ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
	echo "install-deps: this is no Debian; please install what corresponds to:$missing" >&2
	exit 1
fi
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
echo "Installing:$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { $as_root apt-get update &&
	$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
	tail -n 20 "$log" >&2
	echo "install-deps: apt-get could not install:$missing" >&2
	exit 1
fi
