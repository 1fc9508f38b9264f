#!/usr/bin/env bash
# One instance of a service, in plain bash: registers, sends a heartbeat a second, says goodbye on SIGTERM.
#
# Usage: demo-instance.sh HOST PORT PREFIX SERVICE ID ENDPOINT REGION ZONE
#
# It speaks the NATS protocol over /dev/tcp, to show how little a service needs: three JSON messages.
set -u
export LC_ALL=C # lengths are bytes
host=$1 port=$2 prefix=$3 service=$4 id=$5 endpoint=$6 region=$7 zone=$8
incarnation=$(date +%s%N) # when this process started: an older one can not remove a newer one
inbox=_INBOX.demo.$id

publish() { # EVENT PAYLOAD: a fact of this service; what became of it is told to the inbox
    printf 'PUB %s.events.registry.%s.%s %s %d\r\n%s\r\n' "$prefix" "$service" "$1" "$inbox" "${#2}" "$2" >&3
}

register() {
    publish registered "{\"service_name\":\"$service\",\"events\":[{\"instance_id\":\"$id\",\"endpoint\":\"$endpoint\",\
\"region\":\"$region\",\"zone\":\"$zone\",\"incarnation\":\"$incarnation\"}]}"
}

beat() {
    publish heartbeat "{\"service_name\":\"$service\",\"events\":[{\"instance_id\":\"$id\",\
\"incarnation\":\"$incarnation\"}]}"
}

leave() {
    publish deregistered "{\"service_name\":\"$service\",\"events\":[{\"instance_id\":\"$id\",\
\"incarnation\":\"$incarnation\",\"reason\":\"shutdown\"}]}"
    printf 'PING\r\n' >&3
    exit 0
}

# Reads what the server says, for about a second.
listen() {
    local until=$((SECONDS + 1)) line payload
    while [ "$SECONDS" -lt "$until" ]; do
        if IFS= read -r -t 1 line <&3; then
            case $line in
                PING*) printf 'PONG\r\n' >&3 ;;
                MSG*)
                    IFS= read -r -t 1 payload <&3 || true
                    # The node does not know us: it lost nothing, we were evicted. Register anew.
                    case $payload in *unknown_instance*) register ;; esac
                    ;;
            esac
        elif [ $? -le 128 ]; then
            exit 1 # the connection is gone
        fi
    done
}

exec 3<>"/dev/tcp/$host/$port" || exit 1
trap leave TERM
printf 'CONNECT {"verbose":false,"name":"%s"}\r\nSUB %s 1\r\n' "$id" "$inbox" >&3
register
while :; do
    listen
    beat
done
