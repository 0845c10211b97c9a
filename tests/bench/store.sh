# Sourced by bench.sh. The daemon's memory in everything that ran before; the store with very many keys.

bench_memory() {
	local budget resident hwm
	umount_store # the watcher writes when its daemon ends
	read -r resident hwm < <(cat "$work"/memory/* 2>/dev/null | awk '{if ($1 > a) a = $1; if ($2 > b) b = $2} END {print a + 0, b + 0}')
	[ "$resident" -gt 0 ] || { skip "memory of the daemon" "nothing was mounted"; return; }
	case $cache in
	*G) budget=$((${cache%G} * 1024)) ;;
	*M) budget=${cache%M} ;;
	*) budget=$((cache >> 20)) ;;
	esac
	budget=$((budget + 128))
	row "most memory of the daemon (RssAnon + RssShmem)" "$((resident / 1024)) MiB" "$budget MiB" "$(calc "$resident / 1024 / $budget" %.2f)" "<= 1.0" \
		"cache=$cache and 128 MiB; VmHWM, with mapped files, $((hwm / 1024)) MiB; $(ls "$work/memory" | wc -l) mounts"
}

# The rate of ingest with very many keys in the index against an empty one. Takes minutes and some GB of memory: with KEYS=1 only.
bench_keys() {
	[ -n "${KEYS:-}" ] || return 0
	[ -x "$here/$BUILD/tests/bench_keys" ] || { skip "ingest rate with very many keys" "tests/bench_keys is not built"; return; }
	"$here/$BUILD/tests/bench_keys" "$work/keys" >"$work/keys.txt" 2>>"$work/log"
	row "ingest rate with very many keys, against none" "$(head -n 1 "$work/keys.txt")" "" "" "" "tests/bench_keys"
}
