#!/bin/sh
# Installs what the build and the node need and this machine lacks: libnats (headers and library) and nats-server.
set -eu

missing=""
command -v nats-server >/dev/null 2>&1 || [ -x /usr/sbin/nats-server ] || missing="$missing nats-server"
[ -f /usr/include/nats/nats.h ] || missing="$missing libnats-dev"
command -v pkg-config >/dev/null 2>&1 || missing="$missing pkg-config"
if ! command -v swift >/dev/null 2>&1; then
    echo "Swift 6.2 or later is missing: see https://www.swift.org/install/linux/" >&2
    exit 1
fi
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "missing:$missing; this machine has no apt-get: install them by its own means" >&2
    exit 1
fi
as_root=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null 2>&1 || { echo "missing:$missing; run as root: apt-get install$missing" >&2; exit 1; }
    as_root=sudo
fi
echo "installing$missing by apt-get"
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq $missing
