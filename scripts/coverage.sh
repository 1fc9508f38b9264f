#!/bin/sh
# Prints line coverage per module from the last `swift test --enable-code-coverage`.
set -eu
cd "$(dirname "$0")/.."
json=$(swift test --show-codecov-path)
python3 - "$json" "$(pwd)" <<'PY'
import json, sys
totals = {}
for file in json.load(open(sys.argv[1]))["data"][0]["files"]:
    path = file["filename"]
    prefix = sys.argv[2] + "/Sources/"
    if not path.startswith(prefix) or "/Generated/" in path:
        continue
    module = path[len(prefix):].split("/")[0]
    lines = file["summary"]["lines"]
    count, covered = totals.get(module, (0, 0))
    totals[module] = (count + lines["count"], covered + lines["covered"])
for module, (count, covered) in sorted(totals.items()):
    print(f"{module:16} {100 * covered / max(1, count):6.2f} %  {covered} of {count} lines")
PY
