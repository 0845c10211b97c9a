#!/bin/bash
# Damage at a random place of a store, many times (tests/fs_flip.c): no wrong byte, no crash, and verify names what is hurt.
#   TRIES=12000   SEED=...   JOBS=2
cd "$(dirname "$0")/.." || exit 1
tries=${TRIES:-12000} seed=${SEED:-$$} jobs=${JOBS:-2} status=0
make --no-print-directory -s BUILD="${BUILD:-build}" SAN="${SAN:-}" "${BUILD:-build}/tests/fs_flip" >/dev/null || exit 1
[ -w /dev/shm ] && [ "$(df --output=avail -k /dev/shm | tail -n 1)" -gt 200000 ] && export TMPDIR=/dev/shm
pids=()
for i in $(seq "$jobs"); do
	TRIES=$((tries / jobs)) SEED=$((seed + i)) "${BUILD:-build}/tests/fs_flip" &
	pids+=($!)
done
for pid in "${pids[@]}"; do
	wait "$pid" || status=1
done
exit $status
