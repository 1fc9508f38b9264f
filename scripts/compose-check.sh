#!/usr/bin/env bash
# Builds the images of docker-compose.yml, starts the mesh, and says whether it does what is promised of it: healthy and
# hardened containers, answers through the gateway, copies compared, the other node taking over when the leader is killed,
# nothing of the observations lost, the same digests on both nodes. Needs a Docker engine with compose, and the ports of
# the compose file: a mesh that is up already is left alone, since this one is a project of its own, whose containers and
# volumes are removed at the end. Not part of `make test`: most machines that run that have no engine.
#
# Usage: scripts/compose-check.sh
#
#   COMPOSE="docker compose"   the command
#   BUILD=no                   with the images that are there
#
# Exit status: 0 all as promised, 1 not, 2 no engine.
set -u
cd "$(dirname "$0")/.."
read -ra compose <<<"${COMPOSE:-docker compose} -p latticeforge-check"
failures=0

say() { printf '\n%s\n' "$*"; }
check() {
    if [ "$1" = 0 ]; then echo "  ok      $2"; else
        echo "  FAILED  $2"
        failures=$((failures + 1))
    fi
}
# Runs a command until it succeeds, for at most so many seconds.
within() {
    local limit=$1 end
    shift
    end=$((SECONDS + limit))
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 1
    done
}
on() { "${compose[@]}" exec -T "$@" </dev/null; }
lattice() { local node=$1 && shift && on "$node" lattice "$@"; }
ask() { lattice "$1" query status --nats nats://nats:4222 --json | grep -oE "\"$2\":\"[^\"]+\"" | cut -d'"' -f4; }
answers() { curl -fsS -m 5 -o /dev/null http://127.0.0.1:8080/; }
# Copies that were compared so far.
compared() { lattice "$1" mirror stats --nats nats://nats:4222 | awk '$1 == "cart-next" { print $5 + $6 + $7 }'; }
compares_more() { [ "$(compared "$1")" -gt "$2" ]; }
loses_nothing() {
    local ledger
    ledger=$(lattice "$1" mirror ledger --nats nats://nats:4222) && ! grep -qE 'cart-next +lost' <<<"$ledger"
}
# The node whose name the log of its container tells.
node_of() {
    local node
    for node in node-a node-b; do
        if "${compose[@]}" logs "$node" 2>&1 | grep -q "$1"; then echo $node; fi
    done
}
# Whether another node than this one leads, by the word of one that answers.
is_led_anew() {
    local leader
    leader=$(ask "$1" leader_id)
    [ -n "$leader" ] && [ "$leader" != "$2" ]
}
digests() { lattice "$1" at "$2" query digest --data /data/log | grep -v 'as of'; }
reaches() { lattice "$1" at "$2" query digest --data /data/log >/dev/null; }

docker version >/dev/null 2>&1 || { echo "compose-check: there is no Docker engine" >&2; exit 2; }
[ "${BUILD:-yes}" = no ] || "${compose[@]}" build || exit 1
trap '"${compose[@]}" down -v --remove-orphans >/dev/null 2>&1' EXIT
"${compose[@]}" up -d || exit 1

say "The mesh"
within 180 answers; check $? "the gateway answers"
for container in $("${compose[@]}" ps -q); do
    name=$(docker inspect -f '{{.Name}}' "$container")
    docker inspect -f '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}' "$container" | grep -q 'true \[ALL\]'
    check $? "${name#/}: a root file system that can not be written to, no capabilities"
done
for service in node-a node-b gateway web cart-1; do
    [ "$(on $service id -u)" -gt 0 ]; check $? "$service does not run as root"
done
lattice node-a query topology --nats nats://nats:4222 | grep -qE '^cart .* 2 +2 '; check $? "two healthy instances of cart"
within 60 compares_more node-a 20; check $? "copies reach cart-next and are compared"

say "The leader is killed"
leader=$(ask node-a leader_id)
dying=$(node_of "$leader")
living=$([ "$dying" = node-a ] && echo node-b || echo node-a)
before=$(compared "$living")
"${compose[@]}" kill -s KILL "$dying" >/dev/null 2>&1
failed=0
for _ in $(seq 20); do answers || failed=$((failed + 1)); sleep 0.2; done
[ $failed = 0 ]; check $? "the gateway goes on answering ($failed of 20 failed)"
within 30 is_led_anew "$living" "$leader"; check $? "$living leads instead of $dying"
within 30 compares_more "$living" $((before + 100)); check $? "$living compares copies"
loses_nothing "$living"; check $? "what waited at the takeover was sent once more"

say "The killed node comes back"
"${compose[@]}" up -d "$dying" >/dev/null 2>&1
sequence=$(lattice "$living" query status --nats nats://nats:4222 --json | grep -oE '"sequence":[0-9]+' | grep -oE '[0-9]+')
within 60 reaches "$dying" "$sequence"; check $? "$dying has caught up with record $sequence"
[ -n "$sequence" ] && [ "$(digests node-a "$sequence")" = "$(digests node-b "$sequence")" ]
check $? "both nodes have the same digests at record $sequence"
digests node-a "$sequence"
on gateway curl -fsS http://127.0.0.1:8502/status | grep -q '"lost":0}}'; check $? "the gateway lost no observation"

say "$([ $failures = 0 ] && echo "All as promised." || echo "$failures not as promised.")"
[ $failures = 0 ]
