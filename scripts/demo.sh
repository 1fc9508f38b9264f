#!/usr/bin/env bash
# A node with a nats-server of its own and a small mesh of real processes: one dies without a goodbye, and one can watch.
#
# Usage: scripts/demo.sh
#
#   DURATION=20s   end by itself after so long (default: on Ctrl-C); the exit status says whether all went as told
#   LATTICE=path   the program (default: .build/release/lattice)
#   HTTP=address   where the node listens for HTTP (default: any free port on loopback)
#
# Everything it writes lies in a directory below TMPDIR that goes at the end.
set -uo pipefail
set -m # a process group per job, so that Ctrl-C reaches this script alone and the mesh is ended in order

root=$(cd "$(dirname "$0")/.." && pwd)
lattice=${LATTICE:-$root/.build/release/lattice}
directory=$(mktemp -d "${TMPDIR:-/tmp}/lattice-demo.XXXXXX")
data=$directory/data
seconds=0
case ${DURATION:-} in
    "") ;;
    *m) seconds=$((${DURATION%m} * 60)) ;;
    *) seconds=${DURATION%s} ;;
esac
case $seconds in *[!0-9]*) echo "DURATION takes 20s or 2m, not '$DURATION'" >&2; exit 2 ;; esac
[ -x "$lattice" ] || { echo "$lattice is not built: make build" >&2; exit 1; }

node=0
declare -A instances=()
isEnding=no
hasEvicted=no

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
ask() { "$lattice" query "$@" --data "$data" 2>/dev/null; }
show() {
    echo "\$ lattice query $*"
    ask "$@" | sed 's/^/  /'
}

start() { # ID SERVICE ENDPOINT REGION ZONE
    "$root/scripts/demo-instance.sh" "$host" "$port" lattice "$2" "$1" "$3" "$4" "$5" 2>/dev/null &
    instances[$1]=$!
}

# Waits until time is up, the mesh is told to end, or the command succeeds. False: it did not come to that.
waitFor() { # SECONDS COMMAND…
    local end=$((SECONDS + $1))
    shift
    while [ "$SECONDS" -lt "$end" ] && [ $isEnding = no ]; do
        if "$@"; then return 0; fi
        [ "$seconds" -gt 0 ] && [ "$SECONDS" -ge "$seconds" ] && return 1
        sleep 0.3
    done
    return 1
}

isReady() { [ -s "$data/node.json" ] && ask status >/dev/null; }
isStale() { ! ask resolve checkout | grep -q checkout-2; }
isEvicted() { ask removals checkout | grep -q evicted; }
isOver() { [ $isEnding = yes ] || ! kill -0 "$node" 2>/dev/null; }

finish() {
    local status=0 atEnd=0
    say "The mesh says goodbye"
    for id in "${!instances[@]}"; do kill -TERM "${instances[$id]}" 2>/dev/null; done
    sleep 1.3
    show services
    local sequence live
    sequence=$(ask status --json | sed -n 's/.*"durable_sequence":"\([0-9]*\)".*/\1/p')
    live=$(ask digest --at "${sequence:-1}" | awk '$1 == "registry" { print $2 }')
    kill -TERM "$node" 2>/dev/null
    wait "$node"
    atEnd=$?
    say "The node has drained and ended with $atEnd; its log is folded anew, without node and NATS"
    local story replayed
    story=$("$lattice" replay --data "$data" --at "${sequence:-1}" --from-zero)
    echo "$story"
    replayed=$(awk '$1 == "registry" { print $2 }' <<<"$story")
    if [ -n "$live" ] && [ "$live" = "$replayed" ]; then
        echo "the node and the replay have the same digest at sequence $sequence: $live"
    else
        echo "the digests differ at sequence $sequence: node $live, replay $replayed"
        status=1
    fi
    [ $atEnd = 0 ] || status=1
    if [ "$seconds" -ge 20 ] && [ $hasEvicted = no ]; then
        echo "checkout-2 was not evicted in time"
        status=1
    fi
    rm -rf "$directory"
    exit $status
}

trap 'isEnding=yes' INT TERM HUP

say "Starting nats-server and node"
"$lattice" serve --data "$data" --stale-after 3s --evict-after 3s --http "${HTTP:-127.0.0.1:0}" \
    --log-level error >"$directory/serve.out" &
node=$!
if ! waitFor 20 isReady; then
    [ $isEnding = yes ] || cat "$directory/serve.out"
    kill -TERM "$node" 2>/dev/null
    wait "$node" 2>/dev/null
    rm -rf "$directory"
    [ $isEnding = yes ] && exit 0
    exit 1
fi
url=$(sed -n 's/.*"nats":"\([^"]*\)".*/\1/p' "$data/node.json")
http=$(sed -n 's/.*"http":"\([^"]*\)".*/\1/p' "$data/node.json")
address=${url#nats://}
host=${address%:*}
port=${address##*:}
echo "  NATS  $url"
[ -z "$http" ] || echo "  HTTP  $http"
echo "  data  $data"

say "Six processes register (plain bash: scripts/demo-instance.sh) and send a heartbeat a second"
start checkout-1 checkout 127.0.0.1:8081 eu-west eu-west-1a
start checkout-2 checkout 127.0.0.1:8082 eu-west eu-west-1b
start checkout-3 checkout 127.0.0.1:8083 us-east us-east-1a
start payment-1 payment 127.0.0.1:8091 eu-west eu-west-1a
start payment-2 payment 127.0.0.1:8092 eu-west eu-west-1b
start payment-3 payment 127.0.0.1:8093 us-east us-east-1a
hasSix() { [ "$(ask topology | grep -c east)" -ge 2 ]; }
waitFor 5 hasSix
show resolve checkout

if [ $isEnding = no ]; then
    say "checkout-2 dies without a goodbye (SIGKILL)"
    kill -KILL "${instances[checkout-2]}" 2>/dev/null
    { wait "${instances[checkout-2]}"; } 2>/dev/null
    unset 'instances[checkout-2]'
fi
if waitFor 20 isStale; then
    say "No heartbeat for more than three seconds: it is stale, and resolve leaves it out"
    show stale
    show resolve checkout
fi
if waitFor 20 isEvicted; then
    hasEvicted=yes
    say "Three seconds more: it is evicted; who, when and why stays in the log"
    show removals checkout
fi
if [ $isEnding = no ]; then
    say "Where to go if the whole region fails"
    show failover checkout --exclude-region eu-west
    say "Try it yourself, in another terminal"
    program=${lattice#"$PWD"/}
    for command in "query topology" "query select checkout --strategy round_robin" "query resolve checkout --at 20" \
        "query removals" "query digest" "replay"; do
        echo "  $program $command --data $data"
    done
    [ "$seconds" -gt 0 ] || echo "  Ctrl-C ends the demo"
fi
until isOver; do
    [ "$seconds" -gt 0 ] && [ "$SECONDS" -ge "$seconds" ] && break
    sleep 0.3
done
finish
