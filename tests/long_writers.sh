#!/bin/bash
# As mount_writers.sh, with what is larger to install: a Samba share of the mount, GNOME's gio, HDF5, vips, git. What cannot be installed here
# is left out with a word (tools/install-deps.sh --long, which is tried at the beginning when something is missing).
. "$(dirname "$0")/lib/mount.sh"
. "$(dirname "$0")/lib/writers.sh"
unset TOMOFS_DATA
src=$work/src in=$mnt/datasets
smbd=
end_long() {
	local status=$?
	[ -z "$smbd" ] || { kill "$smbd" 2>/dev/null; wait "$smbd" 2>/dev/null; }
	(exit "$status") || :
	failures=$((failures + (status != 0)))
	end
}
trap end_long EXIT

has() { type -P "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }
has smbd && has smbclient && has gio && has vips && has git && "$python" -c 'import h5py' 2>/dev/null ||
	"$here/tools/install-deps.sh" --long >"$work/install.log" 2>&1 || tail -n 1 "$work/install.log"
left=0
left_out() { echo "left out: $*, not installed and not to be installed here"; left=$((left + 1)); }

make_tree "$src" || die "cannot make a tree"
mount_store

if has git; then
	git_here() { git -c user.name=x -c user.email=x@y -c init.defaultBranch=main -c safe.directory='*' "$@"; }
	check "git init" git_here init -q "$work/origin"
	cp -r "$src/scan" "$work/origin/"
	check "git commit" bash -c 'cd "$1" && git add . && git -c user.name=x -c user.email=x@y commit -qm one' - "$work/origin"
	check "git clone" git_here clone -q --no-local "$work/origin" "$in/clone"
	check "git fsck" git_here -C "$in/clone" fsck --strict
	equal "git status of the clone" "$(git_here -C "$in/clone" status --porcelain)" ""
	echo more >>"$in/clone/scan/notes.txt"
	check "git commit in the mount" git_here -C "$in/clone" commit -qam two
	check "git gc in the mount" git_here -C "$in/clone" gc -q
	check "git pull from the mount" git_here -C "$work/origin" pull -q "$in/clone" main
	same_tree "what git carried" "$in/clone/scan" "$work/origin/scan"
else
	left_out git
fi

if has gio; then
	mkdir "$in/gio"
	while IFS= read -r -d '' one; do
		mkdir -p "$in/gio/$(dirname "$one")"
		check "gio copy" gio copy -P -p "$src/$one" "$in/gio/$one"
		check "gio copy, again over it" gio copy -P -p "$src/$one" "$in/gio/$one"
	done < <(cd "$src" && find . \( -type f -o -type l \) -print0)
	same_tree "gio copy" "$in/gio" "$src"
	equal "modes and times after gio copy -p" "$(cd "$in/gio" && stat -c '%n %a %.6Y' scan/raw/* scan/run.sh)" \
		"$(cd "$src" && stat -c '%n %a %.6Y' scan/raw/* scan/run.sh)"
	check "gio rename" gio rename "$in/gio/scan/run.sh" gone.sh
	check "gio remove" gio remove "$in/gio/scan/gone.sh"
	[ ! -e "$in/gio/scan/gone.sh" ] || fail "gio remove left it there"
else
	left_out gio
fi

hdf5() {
	"$python" - "$1" <<-'PY'
		import os, sys
		import h5py, numpy
		os.chdir(sys.argv[1])
		pixels = (numpy.arange(20 * 128 * 256, dtype=numpy.uint32) * 2654435761 >> 16).astype(numpy.uint16).reshape(20, 128, 256)
		with h5py.File('scan.h5', 'w') as f:
		    f.create_dataset('entry/data/data', data=pixels[:10], maxshape=(None, 128, 256), chunks=(1, 128, 256), compression='gzip')
		    f['entry/instrument/name'] = 'beamline'
		    f.create_dataset('plain', data=pixels)
		with h5py.File('scan.h5', 'r+') as f:
		    f['entry/data/data'].resize(20, axis=0)
		    f['entry/data/data'][10:] = pixels[10:]
		    f['plain'][3] = 7
		    del f['entry/instrument/name']
		    f.flush()
		with h5py.File('latest.h5', 'w', libver='latest') as f:
		    d = f.create_dataset('d', (0, 128, 256), maxshape=(None, 128, 256), chunks=(1, 128, 256), dtype='u2')
		    f.swmr_mode = True
		    for i in range(20):
		        d.resize(i + 1, axis=0)
		        d[i] = pixels[i]
		        d.flush()
		with h5py.File('scan.h5', 'r') as f, h5py.File('latest.h5', 'r') as g:
		    assert (f['entry/data/data'][:] == pixels).all() and (g['d'][:] == pixels).all()
		    assert (f['plain'][3] == 7).all() and (f['plain'][4:] == pixels[4:]).all()
	PY
}
if "$python" -c 'import h5py' 2>/dev/null; then
	mkdir "$work/h5" "$in/h5"
	hdf5 "$work/h5" >"$work/check.out" 2>&1 || fail "h5py on the disk: $(tail -n 1 "$work/check.out")"
	hdf5 "$in/h5" >"$work/check.out" 2>&1 || fail "h5py in the mount: $(tail -n 1 "$work/check.out")"
	equal "sizes that h5py wrote" "$(cd "$in/h5" && stat -c '%n %s' *)" "$(cd "$work/h5" && stat -c '%n %s' *)"
else
	left_out h5py
fi

if has vips; then
	mkdir "$work/vips" "$in/vips"
	for to in "$work/vips" "$in/vips"; do
		check "vips, an image" vips gaussnoise "$work/noise.v" 900 700 --seed 5
		check "vips --pyramid" vips tiffsave "$work/noise.v" "$to/pyramid.tif" --pyramid --tile --tile-width 256 --tile-height 256
		check "vips --pyramid --bigtiff" vips tiffsave "$work/noise.v" "$to/big.tif" --pyramid --tile --bigtiff --compression deflate
		check "vips raw" vips rawsave "$work/noise.v" "$to/pixels.raw"
	done
	same_tree "vips" "$in/vips" "$work/vips"
	check "vips reads it back" vips avg "$in/vips/pyramid.tif"
else
	left_out vips
fi

# A share of the mount, as root, with everything of smbd's in the test's own folder.
share_start() {
	port=$((20000 + RANDOM % 20000))
	while ss -ltn 2>/dev/null | grep -q ":$port "; do port=$((port + 1)); done
	mkdir -p "$work/samba/private" "$work/samba/ncalrpc"
	cat >"$work/samba/smb.conf" <<-CONF
		[global]
		server role = standalone server
		map to guest = Bad User
		guest account = root
		interfaces = 127.0.0.1
		bind interfaces only = yes
		smb ports = $port
		disable netbios = yes
		load printers = no
		printing = bsd
		private dir = $work/samba/private
		lock directory = $work/samba
		state directory = $work/samba
		cache directory = $work/samba
		pid directory = $work/samba
		ncalrpc dir = $work/samba/ncalrpc
		log file = $work/samba/log
		[scans]
		path = $mnt
		read only = no
		guest ok = yes
		force user = root
	CONF
	# in a group of its own, to which it passes on the signal that ends it
	setsid "$(type -P smbd || echo /usr/sbin/smbd)" --foreground --no-process-group -s "$work/samba/smb.conf" -l "$work/samba" >"$work/samba/out" 2>&1 &
	smbd=$!
	wait_for 20 smb ls
}
smb() { smbclient -s "$work/samba/smb.conf" -N -p "$port" //127.0.0.1/scans -c "$*"; }
if has smbd && has smbclient && [ "$(id -u)" = 0 ]; then
	if share_start; then
		check "smb: mkdir and put" smb "cd datasets; mkdir smb; cd smb; lcd $src/scan; prompt; put notes.txt; put run.sh; lcd raw; mput *.raw"
		mkdir "$work/smb"
		cp "$src/scan/notes.txt" "$src/scan/run.sh" "$src"/scan/raw/*.raw "$work/smb"
		same_tree "smb: put" "$in/smb" "$work/smb"
		mkdir "$work/back"
		check "smb: get" smb "cd datasets/smb; lcd $work/back; prompt; mget *"
		same_tree "smb: get" "$work/back" "$work/smb"
		check "smb: put over it" smb "cd datasets/smb; lcd $src/scan/raw; put slice_0000.raw notes.txt"
		cmp -s "$src/scan/raw/slice_0000.raw" "$in/smb/notes.txt" || fail "smb: what was put over a file is not there"
		check "smb: rename" smb "cd datasets/smb; rename notes.txt renamed.txt; mkdir deep; rename run.sh deep/run.sh"
		check "smb: del" smb "cd datasets/smb; del slice_0001.raw"
		equal "smb: names afterwards" "$(cd "$in/smb" && find . -type f | sort | tr '\n' ' ')" \
			"./deep/run.sh ./renamed.txt ./slice_0000.raw ./slice_0002.raw ./slice_0003.raw ./slice_0004.raw ./slice_0005.raw "
		smb "cd datasets/smb; ls" 2>/dev/null | grep -q slice_0005.raw || fail "smb: ls does not show what is there"
		check "smb: ls of all that is computed" smb "recurse; cd by-tag; ls"
		check "smb: setting a time" smb "cd datasets/smb; utimes renamed.txt 2020:01:02-03:04:05 2020:01:02-03:04:05 2020:01:02-03:04:05 -1"
		check "smb: deltree" smb "cd datasets/smb; deltree deep"
		[ ! -e "$in/smb/deep" ] || fail "smb: deltree left it there"
		check "smb: del of all" smb "cd datasets; deltree smb"
		[ ! -e "$in/smb" ] || fail "smb: deltree left the dataset there"
	else
		fail "smbd does not start: $(tail -n 2 "$work/samba/out" "$work/samba/log"* 2>/dev/null | tr '\n' ' ')"
	fi
	kill "$smbd" 2>/dev/null
	wait "$smbd" 2>/dev/null
	smbd=
else
	left_out "smbd and smbclient (as root)"
fi

again_later
[ ! -d "$in/clone" ] || check "git fsck, later" git_here -C "$in/clone" fsck --strict
[ ! -d "$work/vips" ] || same_tree "vips, later" "$in/vips" "$work/vips"
umount_store
check "verify" "$tomofs" verify "$store"
[ "$left" -lt 5 ] || { echo "none of the programs is here"; exit 77; }
