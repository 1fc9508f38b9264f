#!/bin/sh
# Installs what is missing on Debian 12 or Ubuntu 24.04.
#
# Usage: scripts/dependencies.sh [test]
#
# Always: what the build and the node need: libnats (headers and library), nats-server, pkg-config; and curl, with which
# `make run` asks.
# With `test`: openssl for certificates, python3 and, in a virtual environment below .build, nats-py: the publisher in another language of the kill
# test. Where PyPI can not be reached this says so and goes on; the test then says that it was skipped.
set -eu
cd "$(dirname "$0")/.."
mode=${1:-build}
environment=.build/python
export DEBIAN_FRONTEND=noninteractive

missing=""
needs() { missing="$missing $1"; }
command -v nats-server >/dev/null 2>&1 || [ -x /usr/sbin/nats-server ] || needs nats-server
[ -f /usr/include/nats/nats.h ] || pkg-config --exists libnats 2>/dev/null || needs libnats-dev
command -v pkg-config >/dev/null 2>&1 || needs pkg-config
command -v curl >/dev/null 2>&1 || needs curl
[ "$mode" != test ] || command -v openssl >/dev/null 2>&1 || needs openssl
hasPublisher() { "$environment/bin/python3" -c 'import nats' >/dev/null 2>&1; }
if [ "$mode" = test ] && ! hasPublisher; then
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3 python3-venv"
fi
if ! command -v swift >/dev/null 2>&1; then
    echo "Swift 6.2 or later is missing: see https://www.swift.org/install/linux/" >&2
    exit 1
fi

if [ -n "$missing" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "missing:$missing; this machine has no apt-get: install them by its own means" >&2
        exit 1
    fi
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || { echo "missing:$missing; run as root: apt-get install$missing" >&2; exit 1; }
        as_root="sudo DEBIAN_FRONTEND=noninteractive"
    fi
    echo "installing$missing by apt-get"
    $as_root apt-get update -qq
    # shellcheck disable=SC2086
    $as_root apt-get install -y -qq $missing
fi

if [ "$mode" = test ] && ! hasPublisher; then
    echo "installing nats-py into $environment"
    # An environment of its own: Debian and Ubuntu let pip change no other (PEP 668).
    if ! { python3 -m venv --clear "$environment" &&
        "$environment/bin/python3" -m pip install --quiet --disable-pip-version-check nats-py; }; then
        echo "nats-py can not be had here: the kill test will be skipped" >&2
    fi
fi
