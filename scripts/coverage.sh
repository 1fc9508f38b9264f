#!/bin/sh
# Prints line coverage per module from the last `swift test --enable-code-coverage`; fails where one is below the goal.
#
# Processes of `lattice` that tests start count too. Generated code and the benchmarks do not.
set -eu
cd "$(dirname "$0")/.."
json=$(swift test --show-codecov-path)
python3 - "$json" "$(pwd)" <<'PY'
import json, sys

GOAL = 90.0
totals = {}
for file in json.load(open(sys.argv[1]))["data"][0]["files"]:
    path = file["filename"]
    prefix = sys.argv[2] + "/Sources/"
    if not path.startswith(prefix) or "/Generated/" in path:
        continue
    module = path[len(prefix):].split("/")[0]
    if module == "lattice-bench":
        continue
    lines = file["summary"]["lines"]
    count, covered = totals.get(module, (0, 0))
    totals[module] = (count + lines["count"], covered + lines["covered"])

print(f"{'module':16} {'lines':>7} {'covered':>8} {'share':>9}")
below = []
for module, (count, covered) in sorted(totals.items()):
    share = 100 * covered / max(1, count)
    if share < GOAL:
        below.append(module)
    print(f"{module:16} {count:7} {covered:8} {share:7.2f} %{'' if share >= GOAL else '  below the goal'}")
if below:
    sys.exit(f"below {GOAL:.0f} %: {', '.join(below)}")
PY
