#!/bin/sh
# Imports go one way: tests, tools -> fs -> index -> store. Says where one does not, and fails.
cd "$(dirname "$0")/.." || exit 1
bad=$({
	grep -rnE '#include "(index|fs|tools|tests)/' store
	grep -rnE '#include "(fs|tools|tests)/' index
	grep -rnE '#include "(tools|tests)/' fs
	grep -rnE '#include "tests/' tools
	# tests/bench/nullfs.c is a file system of its own, to measure what FUSE takes
	grep -rlE --include='*.[ch]' '#include <fuse' store index fs tools tests |
		grep -vE '^fs/mount[a-z_]*\.[ch]$|^tests/bench/nullfs\.c$' | sed 's/$/: includes FUSE/'
} 2>/dev/null)
[ -z "$bad" ] && exit 0
printf 'imports that go up (DESIGN: tests, tools -> fs -> index -> store):\n%s\n' "$bad" >&2
exit 1
