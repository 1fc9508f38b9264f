#!/bin/sh
# Runs the tests, then prints minutes by suite and the program that each ran on, and ends on the runner's own summary.
#
# Usage: scripts/test.sh [options of swift test]
#
# Tests that start a program start those in LATTICE_PROGRAMS, which are the release programs unless it is set.
set -eu
cd "$(dirname "$0")/.."
programs=${LATTICE_PROGRAMS:-.build/release}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
{ LATTICE_PROGRAMS="$programs" swift test --no-parallel "$@" 2>&1 || echo "$?" >"$log.status"; } | tee "$log"
if [ -f "$log.status" ]; then
    status=$(cat "$log.status")
    rm -f "$log.status"
fi
python3 scripts/suite-minutes.py "$log" "$programs" || true
grep -E 'Test run with .* (passed|failed)' "$log" || echo "the test runner printed no summary" >&2
exit "$status"
