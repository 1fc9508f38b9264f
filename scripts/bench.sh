#!/bin/sh
# Every benchmark of the first issue, one run each; logs are written to a directory of their own and removed.
set -eu
cd "$(dirname "$0")/.."
bench=.build/release/lattice-bench
directory=$(mktemp -d ./lattice-bench.XXXXXX)
trap 'rm -rf "$directory"' EXIT
for arguments in "ingest --batch 64" "ingest --batch 1" "ingest --batch 64 --source jetstream" "replay" \
    "publish --publishers 1" "publish --publishers 32" "query --background-rate 50000" "query --clients 64" \
    "log --batch 1000" "start" "memory --instances 100000"; do
    echo "== lattice-bench $arguments"
    # shellcheck disable=SC2086
    $bench $arguments --runs "${RUNS:-1}" --directory "$directory"
done
