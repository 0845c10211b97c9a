#!/bin/bash
# 100,000 states that a power cut may leave, and 20,000 after calls that failed, too (tests/lib/disk_run.h). Other sequences than the quick
# tests: SEED=... of the first one.
cd "$(dirname "$0")/.." || exit 1
BUILD=${BUILD:-build}
make -s BUILD="$BUILD" SAN="${SAN:-}" "$BUILD/tests/crash_power" "$BUILD/tests/crash_errors" || exit 1
export SEED=${SEED:-1000} JOBS=${JOBS:-$(nproc)}
POINTS=${POINTS:-100000} "$BUILD/tests/crash_power" || exit 1
POINTS=${ERROR_POINTS:-20000} "$BUILD/tests/crash_errors" || exit 1
