#!/bin/bash
# make bench: how long the usual things take through the mount and how much they store, beside what people would use otherwise, in one
# run on one disk. Prints one table; ratios are what counts, machines are noisy. Nothing here fails a test.
#
#   SIZE_MB=512     16-bit slices of 2 MiB, grown from a real scan by ../shared/grow.py when it is there, else a noisy phantom
#   ROUNDS=3        times are medians; the order of the two turns with every round (A B, B A, ...); a ratio is the median of the rounds' ratios
#   DIR=/var/tmp    the disk (needs about 8 times SIZE_MB for a moment)
#   SMALL=100000    files of 1 KiB in the group small
#   CACHE=256M      the daemon's memory budget (-o cache=)
#   SCAN=FOLDER     measures with this folder of slices instead
#   ONLY="..."      some groups: limits copy known read views small fsync verify dense size dedup incompressible others others_read others_dense memory keys
#   WORK=FOLDER     works there and keeps everything, so that groups can be run one after another; ONLY=table prints all of them
#   OUT=FILE        the table also goes there, as Markdown
#   BENCH_DEPS=1    first installs what it compares with (`make bench-deps`); what is not there is left out with a word
#
# Copies: the source is in the page cache, the time includes sync inside the mount (sync FOLDER reaches the daemon) or of the disk's whole
# file system (sync -f). Cold: mounted anew and all caches dropped (needs root; else cold is warm, and says so).
set -u
here=$(cd "$(dirname "$0")/.." && pwd)
. "$here/tests/bench/lib.sh"
for group in limits copy read small store size others; do . "$here/tests/bench/$group.sh"; done

groups="limits copy known read views small fsync verify dense size dedup incompressible others others_read others_dense keys memory"
[ "${ONLY:-}" != table ] || ONLY=" "
begin_work
[ -z "${ONLY:-}" ] || groups=$ONLY
for group in $groups; do
	say "$group"
	rows_begin "$group"
	"bench_$group"
done
print_table
