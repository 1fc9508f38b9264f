#!/usr/bin/env bash
# The story of a small mesh, with real processes: services behind a gateway, one gets slow, a shadow differs, a process
# dies without a goodbye, the node is killed and comes back the same.
#
# Usage: scripts/demo.sh
#
#   DURATION=90s   end by itself after so long (default: on Ctrl-C; the story takes about a minute); the exit status says
#                  whether all went as told
#   LATTICE=path   the program (default: .build/release/lattice)
#   EXAMPLE=path   the service of the mesh (default: .build/release/example-service)
#   GATEWAY=address  where the gateway listens (default: any free port on loopback)
#
# Everything it writes lies in a directory below TMPDIR that goes at the end.
set -u
set -m # a process group per job, so that Ctrl-C reaches this script alone and the mesh is ended in order

root=$(cd "$(dirname "$0")/.." && pwd)
lattice=${LATTICE:-$root/.build/release/lattice}
example=${EXAMPLE:-$root/.build/release/example-service}
directory=$(mktemp -d "${TMPDIR:-/tmp}/lattice-demo.XXXXXX")
data=$directory/data
seconds=0
case ${DURATION:-} in
    "") ;;
    *m) seconds=$((${DURATION%m} * 60)) ;;
    *) seconds=${DURATION%s} ;;
esac
case $seconds in *[!0-9]*) echo "DURATION takes 90s or 2m, not '$DURATION'" >&2; exit 2 ;; esac
for program in "$lattice" "$example"; do
    [ -x "$program" ] || { echo "$program is not built: make run builds it" >&2; exit 1; }
done

declare -A processes=() # name → process id
isEnding=no
told=() # the steps of the story that came about

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
ask() { "$lattice" "$@" --data "$data" 2>/dev/null; }
show() {
    echo "\$ lattice $*"
    ask "$@" | head -24 | sed 's/^/  /'
}

# Waits until time is up, the mesh is told to end, or the command succeeds. False: it did not come to that.
waitFor() { # SECONDS COMMAND…
    local end=$((SECONDS + $1))
    shift
    while [ "$SECONDS" -lt "$end" ] && [ $isEnding = no ]; do
        if "$@"; then return 0; fi
        isTimeUp && return 1
        sleep 0.3
    done
    return 1
}
isTimeUp() { [ "$seconds" -gt 0 ] && [ "$SECONDS" -ge "$seconds" ]; }

launch() { # NAME COMMAND…: in the background, its output into a file of its own
    local name=$1
    shift
    "$@" >"$directory/$name.out" 2>&1 &
    processes[$name]=$!
}

end() { # NAME SIGNAL
    local process=${processes[$1]:-}
    [ -n "$process" ] || return 0
    kill "-$2" "$process" 2>/dev/null
    { wait "$process"; } 2>/dev/null
    local status=$?
    unset "processes[$1]"
    return $status
}

startNode() {
    # Short times, so that the story fits into a minute.
    launch node "$lattice" serve --data "$data" --nats "$nats" --allow-loopback --stale-after 3s --evict-after 4s \
        --http 127.0.0.1:0 --otlp-http none --otlp-grpc none --zipkin none --jaeger 127.0.0.1:0 --log-level error \
        --disk-pressure none # a few megabytes fit on a disk on which captures would be refused
}

startService() { # ID SERVICE OPTION…
    local id=$1 service=$2
    shift 2
    launch "$id" "$example" --name "$service" --id "$id" --port 0 --nats "$nats" --sampling 100 --heartbeat 1s \
        --region eu-west "$@"
}

freePort() { # one that nobody listens on now; the shadow is in no registry, so its port must be known beforehand
    local port
    while port=$((20000 + RANDOM % 12000)) && (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do :; done
    echo "$port"
}

isReady() { [ -s "$data/node.json" ] && ask query status >/dev/null; }
hasNATS() { ls "$directory"/nats/*.ports >/dev/null 2>&1; }
hasGateway() { grep -q '"listen"' "$directory/gateway.out" 2>/dev/null; }
hasServices() { [ "$(ask query resolve cart --json | grep -o '"instance_id"' | wc -l)" -ge 3 ]; }
answers() { curl -s -f -o /dev/null -m 3 "$gateway/"; }
isEjected() { curl -s -m 3 "$admin/instances" | tr '{' '\n' | grep cart-3 | grep -q '"ejected":true'; }
isStale() { curl -s -m 3 "$admin/status" | grep -q '"freshness":"[^c]'; }
hasTraces() { ask trace ls --service web --json --limit 1 | grep -q trace_id; }
hasSlowTrace() { slow=$(traceID --min 250ms) && [ -n "$slow" ]; }
traceID() { ask trace ls --service gateway --limit 1 --json "$@" | grep -o '"trace_id":"[0-9a-f]*"' | head -1 | cut -d'"' -f4; }
differs() { ask mirror diffs cart-next | grep -q '/total'; }
isEvicted() { ask query removals cart | grep cart-2 | grep -q evicted; }
isOver() { [ $isEnding = yes ] || ! kill -0 "${processes[node]:-0}" 2>/dev/null; }

digestAt() { ask query digest --at "$1" | sort; }

finish() {
    local status=0
    say "The mesh says goodbye"
    for name in "${!processes[@]}"; do
        case $name in node | nats | gateway) ;; *) kill -TERM "${processes[$name]}" 2>/dev/null ;; esac
    done
    for name in "${!processes[@]}"; do
        case $name in node | nats | gateway) ;; *) { wait "${processes[$name]}"; } 2>/dev/null ;; esac
    done
    end gateway TERM
    show query removals
    end node TERM || status=1
    end nats TERM
    say "What the log says without a node: folded anew from its first record"
    "$lattice" replay --data "$data" --from-zero | sed 's/^/  /'
    "$lattice" verify --data "$data" >/dev/null 2>&1 && echo "  lattice verify: chain, checkpoints and replay agree" || status=1
    local missing=()
    if [ "$seconds" -ge 90 ]; then
        for step in ejected slower shadow evicted same; do
            [[ " ${told[*]} " == *" $step "* ]] || missing+=("$step")
        done
    fi
    if [ ${#missing[@]} -gt 0 ]; then
        echo "not all of the story came about: ${missing[*]}"
        status=1
    fi
    if [ $status != 0 ]; then tail -n 5 "$directory"/*.out; fi
    rm -rf "$directory"
    exit $status
}

abandon() {
    [ $isEnding = yes ] || tail -n 5 "$directory"/*.out
    for name in "${!processes[@]}"; do end "$name" TERM; done
    rm -rf "$directory"
    [ $isEnding = yes ] && exit 0
    exit 1
}

trap 'isEnding=yes' INT TERM HUP

say "Starting nats-server, node and gateway"
mkdir -p "$directory/nats"
server=$(command -v nats-server || echo /usr/sbin/nats-server)
launch nats "$server" -a 127.0.0.1 -p -1 --ports_file_dir "$directory/nats"
waitFor 10 hasNATS || abandon
nats=$(grep -o 'nats://[0-9.:]*' "$directory"/nats/*.ports | head -1)
startNode
waitFor 20 isReady || abandon
launch gateway "$lattice" gateway --config "$root/Examples/mesh/gateway.yaml" --nats "$nats" \
    --listen "${GATEWAY:-127.0.0.1:0}" --admin 127.0.0.1:0 --sample 100 --region eu-west --json --log-level error
waitFor 10 hasGateway || abandon
gateway=$(grep -o '"listen":"[^"]*"' "$directory/gateway.out" | cut -d'"' -f4)
admin=$(grep -o '"admin":"[^"]*"' "$directory/gateway.out" | cut -d'"' -f4)
echo "  NATS     $nats"
echo "  gateway  $gateway (operators: $admin/status)"
echo "  Jaeger   $(sed -n 's/.*traces *\(http[^ ]*\).*/\1/p' "$directory/node.out" | head -1)"
echo "  data     $data"

say "1  Services register: web calls cart through the gateway; cart has three instances"
startService web-1 web --next cart --gateway "$gateway" --zone eu-west-1a
startService cart-1 cart --zone eu-west-1a
startService cart-2 cart --zone eu-west-1b
startService cart-3 cart --zone eu-west-1c
waitFor 15 hasServices || abandon
show query topology
waitFor 15 answers || abandon

say "2  Traffic flows through the gateway"
load() { while :; do curl -s -o /dev/null -m 5 "$gateway/"; sleep 0.05; done; }
load &
processes[load]=$!
curl -s -m 5 "$gateway/cart/" | sed 's/^/  /'
echo
waitFor 20 hasTraces && sleep 2
good=$(traceID)
[ -z "$good" ] || show trace show "$good"

say "3  cart-3 gets slow: its process starts anew and needs 400 ms, more than the gateway waits (300 ms)"
end cart-3 TERM
startService cart-3 cart --zone eu-west-1c --delay 400ms
if waitFor 25 isEjected; then
    told+=(ejected)
    echo "  the gateway has ejected it; requests that only read went to another instance meanwhile:"
    curl -s -m 3 "$admin/instances" | tr '{' '\n' | grep cart- |
        sed 's/.*"instance_id":"\([^"]*\)".*"healthy":\([a-z]*\),"ejected":\([a-z]*\).*/  \1  healthy: \2  ejected: \3/'
fi

say "4  The trace of a slow request: the critical path has moved to the attempt that was given up"
if waitFor 15 hasSlowTrace; then
    told+=(slower)
    show trace critical-path "$slow"
    [ -z "$good" ] || show trace compare "$good" "$slow"
fi

say "5  A shadow of cart's next version gets copies; one field of its answers differs"
shadow=127.0.0.1:$(freePort)
launch cart-next "$example" --name cart --id cart-next --version 2 --port "${shadow#*:}" --nats "$nats" --no-announce \
    --sampling 0 --field total=43
hasShadow() { curl -s -f -o /dev/null -m 1 "http://$shadow/health"; }
if waitFor 10 hasShadow; then
    sed "s/cart-next:8080/$shadow/" "$root/Examples/mesh/cart-next.yaml" >"$directory/cart-next.yaml"
    ask mirror allow cart --endpoint '127.0.0.1:*' --loopback >/dev/null
    ask mirror add "$directory/cart-next.yaml" >/dev/null
    if waitFor 20 differs; then
        told+=(shadow)
        show mirror diffs cart-next --color never
    fi
fi

say "6  cart-2 dies without a goodbye (SIGKILL): no request fails, and the registry says who, when and why"
end cart-2 KILL
if waitFor 25 isEvicted; then
    told+=(evicted)
    show query removals cart
fi

say "7  The node is killed (SIGKILL) and comes back; the gateway goes on meanwhile"
sequence=$(ask query status --json | grep -o '"durable_sequence":[0-9]*' | grep -o '[0-9]*')
before=$(digestAt "${sequence:-1}")
end node KILL
waitFor 15 isStale
answers && echo "  without a node the gateway answers; $(curl -s -m 3 "$admin/status" | grep -o '"freshness":"s[^"]*"' | head -1)"
startNode
if waitFor 30 isReady; then
    after=$(digestAt "${sequence:-1}")
    echo "$after" | sed 's/^/  /'
    if [ -n "$before" ] && [ "$before" = "$after" ]; then
        told+=(same)
        echo "  the same digests as before at sequence $sequence"
    else
        echo "  the digests differ at sequence $sequence; before: $before"
    fi
fi

if [ $isEnding = no ]; then
    say "Try it yourself, in another terminal"
    program=${lattice#"$PWD"/}
    for command in "query topology" "services" "dependencies" "trace ls --errors" "mirror stats" "audit" "query digest"; do
        echo "  $program $command --data $data"
    done
    echo "  curl $gateway/"
    [ "$seconds" -gt 0 ] || echo "  Ctrl-C ends the demo"
fi
until isOver; do
    isTimeUp && break
    sleep 0.3
done
finish
