#!/bin/sh
# Builds the release programs of a commit and keeps them outside the tree, for `lattice-bench … --against-program`.
#
# Usage: scripts/baseline.sh [COMMIT [DIRECTORY]]
#
# COMMIT: HEAD unless said otherwise. DIRECTORY: `../lattice-baseline/COMMIT` unless said otherwise; it is left as it is
# where it holds the programs already.
set -eu
cd "$(dirname "$0")/.."
commit=$(git rev-parse --verify "${1:-HEAD}^{commit}")
short=$(git rev-parse --short "$commit")
directory=${2:-../lattice-baseline/$short}
if [ -x "$directory/lattice-bench" ] && [ -x "$directory/lattice" ]; then
    echo "$directory holds the programs of $short"
    exit 0
fi
mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
tree=$directory/source
git worktree add --force --detach "$tree" "$commit" >/dev/null
trap 'git worktree remove --force "$tree"' EXIT
for product in lattice lattice-bench example-service; do
    (cd "$tree" && swift build -c release --product "$product")
    cp "$tree/.build/release/$product" "$directory/"
done
echo "$directory holds the programs of $short: lattice-bench NAME --against-program $directory"
