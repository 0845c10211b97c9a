#!/bin/bash
# Builds and runs the quick tests: ./tests/run.sh [NAME...]. Quiet: a line for each test that fails or is left out, and one
# at the end. With LONG=1 the slow ones (long_*) too.
#   tests/<layer>_<module>.c   one program a module, linked with its layer only
#   tests/mount_*.sh           real mounts with real programs
set -u
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
export BUILD SAN=${SAN:-}
[ -d ../shared/data ] && TOMOFS_DATA=$(realpath ../shared/data) && export TOMOFS_DATA
[ -n "${TOMOFS_DATA:-}" ] || echo "skipped: the parts that use ../shared/data, which is not here"
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1} TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}
work=$(mktemp -d "${TMPDIR:-/tmp}/tomofs-run.XXXXXX") || exit 1
chmod 755 "$work" # the tests with several users pass through it
export TMPDIR=$work
trap 'rm -rf "$work"' EXIT

names=()
for f in tests/store_*.c tests/fuzz_*.c tests/index_*.c tests/fs_*.c tests/crash_*.c tests/mount_*.sh ${LONG:+tests/long_*}; do
	[ -e "$f" ] || continue
	name=$(basename "${f%.*}")
	[ $# -eq 0 ] || [[ " $* " == *" $name "* ]] || continue
	names+=("$f")
done
if [ ${#names[@]} -eq 0 ]; then
	echo "there is no test named $*" >&2
	exit 2
fi

goals="$BUILD/tomofs $BUILD/phantom"
for f in "${names[@]}"; do
	case $f in
	*.c) goals="$goals $BUILD/${f%.c}" ;;
	*_posix*.sh) goals="$goals $BUILD/posix" ;;
	esac
done
if ! make -j"$(nproc)" --no-print-directory BUILD="$BUILD" SAN="$SAN" $goals >"$work/build.log" 2>&1; then
	grep -E 'error|undefined|\*\*\*' "$work/build.log" | head -n 20 >&2
	echo "the build failed" >&2
	exit 1
fi

passed=0 failed=0 skipped=0
finish() { # NAME STATUS SECONDS
	case $2 in
	0) passed=$((passed + 1)) ;;
	77) skipped=$((skipped + 1)); echo "skipped: $1: $(tail -n 1 "$work/out")" ;;
	*) failed=$((failed + 1)); echo "FAILED: $1 (status $2, $3 s)"; tail -n 30 "$work/out" ;;
	esac
	[ -z "${TIMES:-}" ] || echo "$1 $3 s"
}

if [ $# -eq 0 ]; then
	./tests/check-layers.sh >"$work/out" 2>&1
	finish check-layers $? 0
fi
for f in "${names[@]}"; do
	name=$(basename "${f%.*}")
	start=$SECONDS
	case $f in
	*.c) timeout 300 "$BUILD/tests/$name" >"$work/out" 2>&1 ;;
	tests/long_*) timeout 7200 bash "$f" >"$work/out" 2>&1 ;;
	*) timeout 600 bash "$f" >"$work/out" 2>&1 ;;
	esac
	finish "$name" $? $((SECONDS - start))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
