#!/bin/sh
# Writes Sources/EventModel/Generated from schemas/lattice/v1/*.proto and Sources/TraceFormats/Generated from
# schemas/opentelemetry; with --check only says whether they are current.
#
# Usage: schemas/generate.sh [--check]
#
# Needs protoc (Debian: protobuf-compiler). The plugin is built from the swift-protobuf that the package depends on
# (.build/checkouts, after `swift package resolve`), so that generated code and library agree. Another checkout can be
# named by SWIFT_PROTOBUF_CHECKOUT, a plugin that is built already by PROTOC_GEN_SWIFT.
# Exit status: 0 current or written, 1 not current, 2 a tool is missing.
set -eu
export LC_ALL=C

root=$(cd "$(dirname "$0")/.." && pwd)
sums=$root/schemas/.generated-from
mode=write
case ${1-} in
    "") ;;
    --check) mode=check ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac

fail() {
    echo "generate.sh: $2" >&2
    exit "$1"
}

# The plugin's path.
find_plugin() {
    if [ -n "${PROTOC_GEN_SWIFT-}" ]; then
        [ -x "$PROTOC_GEN_SWIFT" ] || fail 2 "PROTOC_GEN_SWIFT=$PROTOC_GEN_SWIFT can not be run"
        echo "$PROTOC_GEN_SWIFT"
        return
    fi
    checkout=${SWIFT_PROTOBUF_CHECKOUT-$root/.build/checkouts/swift-protobuf}
    [ -f "$checkout/Package.swift" ] || fail 2 "no swift-protobuf in $checkout; run 'swift package resolve' first"
    scratch=$root/.build/protoc-gen-swift
    swift build --package-path "$checkout" --scratch-path "$scratch" -c release --product protoc-gen-swift >&2 ||
        fail 2 "protoc-gen-swift does not build"
    echo "$scratch/release/protoc-gen-swift"
}

# Generates into the folder $1, visible as $2 says, what stands behind.
generate_into() {
    folder=$1
    visibility=$2
    shift 2
    mkdir "$folder"
    (cd "$root/schemas" && protoc --plugin=protoc-gen-swift="$plugin" --proto_path=. --swift_out="$folder" \
        --swift_opt=Visibility="$visibility" --swift_opt=UseAccessLevelOnImports=true \
        --swift_opt=FileNaming=DropPath "$@")
    # The generator does not know strict memory safety yet: messages of more than sixteen fields share one immutable
    # default storage, which it declares nonisolated(unsafe) and then reads without saying `unsafe`.
    for file in "$folder"/*.pb.swift; do
        sed 's/var _storage = _StorageClass\.defaultInstance$/var _storage = unsafe _StorageClass.defaultInstance/' \
            "$file" >"$file.safe"
        mv "$file.safe" "$file"
    done
}

# Checksum, size and name of every schema, for the test that runs without protoc.
write_sums() {
    (cd "$root/schemas" && cksum lattice/v1/*.proto && find opentelemetry -name "*.proto" | sort | xargs cksum)
}

command -v protoc >/dev/null || fail 2 "protoc is missing; install protobuf-compiler"
plugin=$(find_plugin)
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
generate_into "$fresh/EventModel" Package $(cd "$root/schemas" && ls lattice/v1/*.proto)
generate_into "$fresh/TraceFormats" Internal $(cd "$root/schemas" && find opentelemetry -name '*.proto' | sort)
write_sums >"$fresh/sums"

for target in EventModel TraceFormats; do
    generated=$root/Sources/$target/Generated
    if [ "$mode" = check ]; then
        diff -ru "$generated" "$fresh/$target" >&2 ||
            fail 1 "Sources/$target/Generated is not current; run schemas/generate.sh"
        continue
    fi
    mkdir -p "$generated"
    rm -f "$generated"/*.pb.swift
    cp "$fresh/$target"/*.pb.swift "$generated"/
    echo "wrote $(ls "$generated" | wc -l | tr -d ' ') files of $target"
done
if [ "$mode" = check ]; then
    diff -u "$sums" "$fresh/sums" >&2 || fail 1 "schemas/.generated-from is not current; run schemas/generate.sh"
    echo "generated code is current"
    exit 0
fi
cp "$fresh/sums" "$sums"
