# Sourced by the tests of programs that write: a tree of files to copy, and what has to be the same about it afterwards.

# A tree with what people have: slices, notes, odd names, an empty file, times with nanoseconds, several modes, links.
make_tree() { # FOLDER
	mkdir -p "$1/scan/raw" "$1/odd names/deep/er" || return
	"$python" - "$1" <<-'PY' || return
		import os, random, sys
		top, r = sys.argv[1], random.Random(7)
		def put(name, data, mode, ns):
		    path = os.path.join(os.fsencode(top), name)
		    with open(path, 'wb') as f:
		        f.write(data)
		    os.chmod(path, mode)
		    os.utime(path, ns=(ns, ns))
		for i in range(6):
		    put(b'scan/raw/slice_%04d.raw' % i, r.randbytes(300000) + bytes(100000), 0o644, 1600000000123456789 + i)
		put(b'scan/notes.txt', b'kV 80\n' * 100, 0o600, 1500000000999999999)
		put(b'scan/run.sh', b'#!/bin/sh\n', 0o755, 1400000000000000001)
		put(b'odd names/line\nbreak \xff\xfe', b'x', 0o640, 1700000000500000000)
		put(b'odd names/' + 'Größe µm'.encode(), b'', 0o444, 981173106000000000)
		put(b'odd names/deep/er/' + b'n' * 250, r.randbytes(70000), 0o664, 1)
		os.symlink('../scan/notes.txt', os.path.join(top, 'odd names/link'))
	PY
	find "$1" -depth -type d -exec touch -d '2021-03-04 05:06:07.123456789' {} +
}

# What a copy has to keep: names, kinds, bytes, link targets, and what is asked for. tree_of FOLDER [modes] [times]
tree_of() {
	local of=$1 format='%P %y %s %l'
	shift
	[[ " $* " != *" modes "* ]] || format="$format %m"
	[[ " $* " != *" times "* ]] || format="$format %T@"
	# sizes of folders, and times and modes of links, are a file system's own
	(cd "$of" && find . -mindepth 1 -printf "$format\0" | sed -z -E 's/^(.*) d [0-9]+ /\1 d /; s/^(.* l [0-9]+ [^ ]*) .*$/\1/' | sort -z | tr '\0' '|'
		find . -type f -print0 | sort -z | xargs -0 -r sha256sum)
}
# same_tree WORDS FOLDER WANTED_FOLDER [modes] [times]
same_tree() {
	local words=$1 got=$2 wanted=$3
	shift 3
	tree_of "$wanted" "$@" >"$work/wanted"
	tree_of "$got" "$@" >"$work/got"
	cmp -s "$work/wanted" "$work/got" || { fail "$words: the copy is not the same"; tr '|' '\n' <"$work/wanted" >"$work/w" ; tr '|' '\n' <"$work/got" | diff -a "$work/w" - | head -n 6; }
}
# The same again, after a remount: what is on the disk.
again_later() { umount_store; mount_store; }
