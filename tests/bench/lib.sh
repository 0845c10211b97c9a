# Sourced by bench.sh: the temporary folder and what is mounted in it, the clock, medians, rows of the table.
BUILD=${BUILD:-build}
tomofs=$here/$BUILD/tomofs
tools=$here/$BUILD/bench
python=/usr/bin/python3
size_mb=${SIZE_MB:-512}
rounds=${ROUNDS:-3}
cache=${CACHE:-256M}
shared=$here/../shared

say() { echo "bench: $*" >&2; }
die() { say "$*"; exit 1; }
has() { type -P "$1" >/dev/null; }

# --- the folder -------------------------------------------------------------------------------------------------------
begin_work() {
	[ -x "$tools/nullfs" ] || die "start it as make bench: $tools is not built"
	if [ -n "${WORK:-}" ]; then
		work=$WORK
		mkdir -p "$work"
	else
		work=$(mktemp -d "${DIR:-/var/tmp}/tomofs-bench.XXXXXX") || exit 1
	fi
	disk=$work/disk store=$work/store mnt=$work/mnt
	mkdir -p "$disk" "$mnt" "$work/rows" "$work/memory" "$work/times" "$work/other"
	trap end EXIT
	trap 'exit 130' INT TERM
	need_scan
}

# Unmounts only what is mounted inside the folder, and ends only what was started from here.
end() {
	local point
	trap - EXIT
	while read -r point; do
		case $point in
		"$mnt") "$tomofs" umount "$mnt" >&2 || umount -l "$mnt" ;;
		*) umount "$point" 2>/dev/null || fusermount3 -u "$point" 2>/dev/null || umount -l "$point" ;;
		esac
	done < <(awk -v w="$work/" 'index($2, w) == 1 {print $2}' /proc/mounts | tac)
	[ -n "${WORK:-}" ] || rm -rf "$work"
}

# --- time -------------------------------------------------------------------------------------------------------------
now() { date +%s.%N; }
calc() { awk "BEGIN {printf \"${2:-%.3f}\", ($1)}"; } # calc EXPRESSION [FORMAT]
# timed COMMAND...: sets $seconds
timed() {
	local start
	start=$(now)
	"$@" >/dev/null 2>>"$work/log" || say "failed: $*"
	seconds=$(calc "$(now) - $start")
}
median() { sort -n "$1" | awk '{a[NR] = $1} END {print NR ? (NR % 2 ? a[(NR + 1) / 2] : (a[NR / 2] + a[NR / 2 + 1]) / 2) : 0}'; }
drop() {
	sync -f "$work"
	if [ -w /proc/sys/vm/drop_caches ]; then echo 3 >/proc/sys/vm/drop_caches; else can_drop=no; fi
}
warm() { cat "$1"/* >/dev/null; }

# versus NAME A B [ROUNDS]: runs functions A and B, which set $seconds, in turn. Sets $time_a, $time_b, $ratio.
versus() {
	local name=$1 a=$2 b=$3 n=${4:-$rounds} i order one
	local t=$work/times/$name
	: >"$t.a"; : >"$t.b"; : >"$t.ratio"
	for ((i = 0; i < n; i++)); do
		order="a b"
		[ $((i % 2)) = 0 ] || order="b a"
		for one in $order; do
			seconds=0
			"${!one}"
			echo "$seconds" >>"$t.$one"
		done
		calc "$(tail -n 1 "$t.b") > 0 ? $(tail -n 1 "$t.a") / $(tail -n 1 "$t.b") : 0" "%.4f\n" >>"$t.ratio"
	done
	time_a=$(median "$t.a") time_b=$(median "$t.b") ratio=$(median "$t.ratio")
	say "$name: $(paste -sd' ' "$t.a") against $(paste -sd' ' "$t.b")"
}

# --- the mount ----------------------------------------------------------------------------------------------------------
daemon_pid() { head -n 1 "$store/lock" 2>/dev/null | grep -oE '^[0-9]+'; }
new_store() {
	umount_store
	rm -rf "$store"
	"$tomofs" init "$store" >/dev/null || die "cannot make a store"
}
mount_store() {
	mountpoint -q "$mnt" && return
	[ -e "$store/tomofs.json" ] || new_store
	"$tomofs" mount "$store" "$mnt" -o "cache=$cache,settle=3600" 2>>"$work/log" || die "cannot mount; $(tail -n 1 "$work/log")"
	"$tools/watch" "$(daemon_pid)" "$work/memory/$(date +%s.%N)" &
	watcher=$!
}
umount_store() {
	mountpoint -q "$mnt" || return 0
	"$tomofs" umount "$mnt" || die "cannot unmount"
	[ -z "${watcher:-}" ] || wait "$watcher" 2>/dev/null
}
cold_store() { umount_store; drop; mount_store; }
# ticks of the daemon so far
daemon_ticks() { awk '{sub(/^.*\) /, ""); print $12 + $13}' "/proc/$(daemon_pid)/stat"; }
# busy COMMAND...: as timed, and sets $cores, how many cores the daemon kept busy meanwhile
busy() {
	local before
	before=$(daemon_ticks)
	timed "$@"
	cores=$(calc "($(daemon_ticks) - $before) / $(getconf CLK_TCK) / ($seconds + 1e-9)" %.2f)
}
# a number from `tomofs stats`
stat_of() { "$tomofs" stats "$mnt" --json | awk -F'[:,]' -v name="  \"$1\"" '$1 == name {print $2 + 0}'; }
copy_in() { cp -r "$1" "$2" && sync "$2"; }       # sync FOLDER reaches the daemon, which commits everything
copy_disk() { cp -r "$1" "$2" && sync -f "$2"; }  # a folder's sync on ext4 would not write its files
read_all() { cat "$1"/*; }

# --- the table ----------------------------------------------------------------------------------------------------------
rows_begin() { rows=$work/rows/$1; : >"$rows"; }
# row WHAT TOMOFS OTHER RATIO TARGET LIMIT; a target is "<= N" or ">= N" of RATIO, or empty
row() {
	local met=
	[ -z "$5" ] || [ -z "$4" ] || met=$(awk -v r="$4" -v t="$5" 'BEGIN {split(t, p, " "); print (p[1] == "<=" ? r <= p[2] : r >= p[2]) ? "yes" : "no"}')
	printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "$2" "$3" "$4" "$5" "$met" "${6%, }" >>"$rows"
}
skip() { say "left out: $*"; printf '%s\tleft out: %s\t\t\t\t\t\n' "$1" "$2" >>"$rows"; }
# row_times WHAT TARGET LIMIT: after versus
row_times() { row "$1" "$(calc "$time_a" %.2f) s" "$(calc "$time_b" %.2f) s" "$(calc "$ratio" %.2f)" "$2" "$3"; }
mb() { calc "$1 / 1e6" "%.1f MB"; }
# limit WORDS MB RATE: "WORDS 1.2 s, ", or nothing when the rate was not measured
limit() { awk -v w="$1" -v mb="$2" -v rate="$3" 'BEGIN {if (rate > 0) printf "%s %.2f s, ", w, mb / rate}'; }
# limit_fuse NAME: what the same takes through FUSE alone
limit_fuse() { [ "$(kept "$1")" = 0 ] || calc "$(kept "$1")" "FUSE %.2f s, "; }
# a remembered number: keep NAME VALUE; kept NAME
keep() { echo "$2" >"$work/times/$1.kept"; }
kept() { cat "$work/times/$1.kept" 2>/dev/null || echo "${2:-0}"; }

print_table() {
	local all=$work/rows.tsv group
	for group in limits copy known read views small fsync verify dense size dedup incompressible others others_read others_dense keys memory; do
		cat "$work/rows/$group" 2>/dev/null
	done >"$all"
	{
		printf 'what\ttomofs\tother\tratio\ttarget\tmet\tlimit, or how\n'
		printf -- '---\t---\t---\t---\t---\t---\t---\n'
		cat "$all"
	} | awk -F'\t' '{for (i = 1; i <= 7; i++) {c[NR, i] = $i; if (i < 7 && length($i) > w[i]) w[i] = length($i)}}
		END {for (r = 1; r <= NR; r++) {printf "|"; for (i = 1; i <= 7; i++) printf " %-*s |", w[i], c[r, i]; printf "\n"}}' >"$work/table.md"
	echo
	cat "$work/scan.txt"
	[ "${can_drop:-yes}" = yes ] || echo "Caches could not be dropped (not root): what is called cold is not."
	echo
	cat "$work/table.md"
	[ -z "${OUT:-}" ] || { cat "$work/scan.txt"; echo; cat "$work/table.md"; } >"$OUT"
}
