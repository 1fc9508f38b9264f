#!/bin/sh
# Fails and names the files that `make format` would change.
set -eu
cd "$(dirname "$0")/.."
status=0
for file in $(scripts/sources.sh); do
    if ! swift format --configuration .swift-format "$file" | cmp -s - "$file"; then
        echo "not formatted: $file (make format)"
        status=1
    fi
done
exit $status
