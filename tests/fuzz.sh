#!/bin/bash
# Fuzzing, called by make:
#   fuzz.sh run NAME...      each target for $TIME seconds with libFuzzer, from the saved inputs on
#   fuzz.sh minimize NAME... what new inputs add goes to tests/corpus, and what others say too goes away
#   fuzz.sh coverage         lines of the parsers that the saved inputs and the unit tests go through
set -u
cd "$(dirname "$0")/.." || exit 1
BIN=${BIN:-build-fuzz/fuzzers} NEW=${NEW:-build-fuzz/corpus} FAILED=build-fuzz/failed
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:allocator_may_return_null=1} UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
LIMITS="-rss_limit_mb=2048 -timeout=10"

longest() { # no input needs to be longer to say all that a parser may read
	case $1 in
	codec) echo 20000 ;;
	*) echo 8192 ;;
	esac
}

dict() {
	[ ! -f "tests/corpus/$1.dict" ] || echo "-dict=tests/corpus/$1.dict"
}

run() {
	local failed=0 name
	mkdir -p "$FAILED"
	for name; do
		mkdir -p "$NEW/$name" "tests/corpus/$name"
		# shellcheck disable=SC2046,SC2086
		if "$BIN/$name" $LIMITS -max_len="$(longest "$name")" $(dict "$name") -max_total_time="${TIME:-60}" -print_final_stats=1 \
			-artifact_prefix="$FAILED/$name-" "$NEW/$name" "tests/corpus/$name" ${SEEDS:+"$SEEDS/$name"} >"build-fuzz/$name.log" 2>&1; then
			printf '%-10s %s\n' "$name" "$(awk '/number_of_executed_units/ { n = $2 } /cov: / { c = $0 } END {
				sub(/.*cov: /, "", c); sub(/ .*/, "", c); print n " inputs, " c " places reached" }' "build-fuzz/$name.log")"
		else
			echo "FAILED: $name; see build-fuzz/$name.log"
			failed=1
		fi
	done
	return $failed
}

minimize() {
	local name
	for name; do
		rm -rf "$NEW/$name.min"
		mkdir -p "$NEW/$name.min"
		# shellcheck disable=SC2046,SC2086
		"$BIN/$name" $LIMITS -max_len="$(longest "$name")" -use_counters=0 -set_cover_merge=1 "$NEW/$name.min" "tests/corpus/$name" "$NEW/$name" >/dev/null 2>&1 ||
			{ echo "$name cannot be minimized"; continue; }
		# Inputs that were kept by name (found once, or written by hand) stay as they are.
		find "tests/corpus/$name" -type f -regextype egrep -regex '.*/[0-9a-f]{40}' -delete
		cp "$NEW/$name.min"/* "tests/corpus/$name/"
		echo "$name: $(find "tests/corpus/$name" -type f | wc -l) inputs, $(du -sb "tests/corpus/$name" | cut -f1) bytes"
	done
}

# The parsers of foreign and stored bytes.
PARSERS="fs/image/*.c fs/facts_edit.c fs/xattr.c index/query_parse.c index/query_match.c index/field*.c index/utf8.c
	index/record_*.c index/geometry.c index/kv_page.c index/kv_open.c index/kv_cursor.c
	index/catalog_table.c index/catalog_node.c index/catalog_dataset.c index/catalog_image.c index/catalog_fact_read.c index/catalog_term.c
	store/buf.c store/codec.c store/codec_bits.c store/codec_dense.c store/codec_zstd.c store/bitpack.c store/values.c
	store/planes.c store/residual_decode.c store/predict.c store/filter.c
	store/pack.c store/recover*.c store/keyrun_format.c store/keyrun_read.c store/journal_format.c store/journal_segment.c
	store/settings.c"

coverage() {
	local dir=build-coverage profile objects='' f
	rm -f "$dir"/*.profraw
	$CLANG_MAKE BUILD=$dir CFLAGS='-O0 -g -fprofile-instr-generate -fcoverage-mapping' \
		LDFLAGS='-fprofile-instr-generate' $(printf "$dir/%s " $(for f in tests/{store,index,fs,fuzz}_*.c; do echo "${f%.c}"; done)) || exit 1
	[ ! -d ../shared/data ] || export TOMOFS_DATA=${TOMOFS_DATA:-$(realpath ../shared/data)}
	for f in "$dir"/tests/*; do
		case $f in *.o | *.d) continue ;; esac
		objects="$objects -object $f"
		LLVM_PROFILE_FILE=$PWD/$dir/$(basename "$f").profraw timeout 600 "$f" >"$dir/out" 2>&1 || { echo "$f failed"; tail -n 5 "$dir/out"; }
	done
	profile=$dir/all.profdata
	llvm-profdata-14 merge -sparse "$dir"/*.profraw -o "$profile" 2>/dev/null || llvm-profdata merge -sparse "$dir"/*.profraw -o "$profile"
	# shellcheck disable=SC2086
	$(command -v llvm-cov-14 || echo llvm-cov) export -summary-only -instr-profile="$profile" ${objects# -object } $PARSERS |
		python3 -c '
import json, os, sys
rows = [(os.path.relpath(f["filename"]), f["summary"]["lines"]) for f in json.load(sys.stdin)["data"][0]["files"]]
for name, lines in sorted(rows):
    print("%-32s %5d lines %5d missed %6.1f %%" % (name, lines["count"], lines["count"] - lines["covered"], lines["percent"]))
count = sum(l["count"] for _, l in rows)
covered = sum(l["covered"] for _, l in rows)
print("%-32s %5d lines %5d missed %6.1f %%" % ("all", count, count - covered, 100 * covered / count))'
}

what=$1
shift
"$what" "$@"
