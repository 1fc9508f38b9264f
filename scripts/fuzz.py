#!/usr/bin/env python3
"""Fuzzes every listener of the release programs: the node's HTTP, OTLP, Zipkin and Jaeger, its subjects, the gateway.

Usage: fuzz.py [--programs DIR] [--seconds N] [--seed N] [--only LISTENER]

Inputs are made from the seed and their number, so that one that fails can be made again. It fails where a program
ends, where an answer is a 5xx that does not ask the client to come again (503 and 429 do), where a listener stops
answering good requests, and where memory keeps growing. It prints one line of figures at the end.
"""
import argparse
import gzip
import json
import os
import random
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOSTILE = [
    b"", b"0", b"-1", b"1", b"99999999999999999999", b"0x10", b"1e9", b"NaN", b"true", b"null", b"{}", b"[]", b"\x00", b"\xff\xfe",
    b"\xed\xa0\x80", b"\xc2\x85", b"\xe2\x80\xae", b"%00", b"%2f..%2f", b"../../etc/passwd", b"a" * 300, b"a" * 9000, b"'\"<>&",
    b"-1S", b"1H", b"99999999H", b"chunked", b"gzip", b"gzip, gzip", b"identity", b"application/grpc", b"close", b"keep-alive",
    b"2020-01-01T00:00:00Z", b"9999-99-99", b"1h", b"-5m", b"1000000d", "\u0000\u202e\u009b".encode(),
]


def examples():
    """The golden examples: (name, JSON bytes, protobuf bytes)."""
    found = []
    for path in sorted((ROOT / "schemas/golden").glob("*.json")):
        binary = path.with_suffix(".hex")
        data = bytes.fromhex("".join(binary.read_text().split())) if binary.exists() else b""
        found.append((path.name.split(".")[0], path.read_bytes(), data))
    return found


def mutate(rng, data):
    """Some bytes of it in another way."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        how = rng.randrange(8)
        at = rng.randrange(len(data) + 1)
        if how == 0 and data:
            data[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
        elif how == 1:
            data[at:at] = rng.choice(HOSTILE)
        elif how == 2 and data:
            end = min(len(data), at + rng.randrange(1, 16))
            del data[at:end]
        elif how == 3 and data:
            end = min(len(data), at + rng.randrange(1, 64))
            data[at:at] = data[at:end] * rng.randrange(1, 5)
        elif how == 4:
            data = data[:at]
        elif how == 5:
            data[at:at] = rng.randbytes(rng.randrange(1, 24))
        elif how == 6:
            data[at:at] = rng.choice((b"\r\n", b"\n", b"\r\n\r\n", b":", b";", b",", b"?", b"&", b"=", b"%", b"+", b" "))
        elif data:
            data[min(at, len(data) - 1)] = rng.choice((0, 0x7F, 0x80, 0xFF, 0x22, 0x5C, 0x7B, 0x5B))
    return bytes(data)


class Upstream(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = self.headers.get("content-length", "0")
        if length.isdigit():
            self.rfile.read(min(int(length), 1 << 20))
        body = b"ok"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *_):
        pass


class Upstreams(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


class Program:
    """A program under test with its banner."""

    def __init__(self, name, command, folder):
        self.name = name
        self.errors = open(f"{folder}/{name}.err", "wb+")
        self.output = open(f"{folder}/{name}.out", "wb+")
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.output, stderr=self.errors, cwd=folder)
        deadline = time.monotonic() + 60
        self.banner = {}
        while time.monotonic() < deadline and not self.banner and self.process.poll() is None:
            time.sleep(0.05)
            text = Path(f"{folder}/{name}.out").read_text(errors="replace")
            if "\n" in text:
                self.banner = json.loads(text.splitlines()[0])
        if not self.banner:
            sys.exit(f"{name} did not start: {self.tail()}")

    def tail(self):
        self.errors.flush()
        return Path(self.errors.name).read_text(errors="replace")[-2000:]

    def resident(self):
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()


def place(url):
    host, _, port = url.split("//")[-1].split("/")[0].rpartition(":")
    return host, int(port)


def exchange(address, data, half_close, patience=1.0):
    """Sends bytes and reads what comes; None where the listener does not accept."""
    try:
        with socket.create_connection(address, timeout=5) as connection:
            connection.settimeout(patience)
            try:
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
                received = b""
                while len(received) < 1 << 20:
                    part = connection.recv(65536)
                    if not part:
                        break
                    received += part
                return received
            except OSError:
                return b""
    except OSError:
        return None


# HTTP/1.1

PATHS = {
    "http": [
        b"/healthz", b"/readyz", b"/metrics", b"/sd/prometheus", b"/", b"/v1/queries/registry/resolve", b"/v1/queries/registry/topology",
        b"/v1/queries/registry/select", b"/v1/queries/registry/instance", b"/v1/queries/node/status", b"/v1/queries/node/digest",
        b"/v1/queries/trace/search", b"/v1/queries/trace/trace", b"/v1/queries/mirror/captures", b"/v1/queries/audit/trail",
        b"/v1/registry/resolve?service_name=x", b"/v1/events/registry/checkout/registered", b"/v1/events/trace/checkout/spans",
    ],
    "otlp_http": [b"/v1/traces", b"/v1/metrics", b"/v1/logs", b"/"],
    "zipkin": [
        b"/api/v2/spans", b"/api/v2/traces?serviceName=x", b"/api/v2/trace/1", b"/api/v2/traceMany?traceIds=1,2,3", b"/api/v2/services",
        b"/api/v2/dependencies?endTs=1", b"/api/v2/autocompleteKeys", b"/zipkin/config.json",
    ],
    "jaeger": [
        b"/api/services", b"/api/traces?service=x", b"/api/traces/1", b"/api/traces?traceID=1&traceID=2", b"/api/dependencies?endTs=1&lookback=1",
        b"/api/v3/services", b"/api/v3/traces?query.service_name=x", b"/api/v3/operations?service=x", b"/api/operations?service=x",
    ],
    "gateway": [b"/", b"/a/b?c=d", b"/../x", b"/%2e%2e/", b"//", b"*"],
    "admin": [b"/healthz", b"/readyz", b"/routes", b"/status", b"/metrics", b"/"],
}
NAMES = [
    b"Host", b"Content-Type", b"Content-Length", b"Transfer-Encoding", b"Content-Encoding", b"Accept", b"Accept-Encoding", b"Connection",
    b"Upgrade", b"Expect", b"TE", b"Trailer", b"Authorization", b"Origin", b"Cookie", b"traceparent", b"tracestate", b"baggage", b"b3",
    b"uber-trace-id", b"Nats-Msg-Id", b"grpc-timeout", b"x-lattice-shadow", b"Range", b"If-Match", b"Via", b"X-Forwarded-For",
]


def http1(rng, listener, bodies):
    method = rng.choice((b"GET", b"GET", b"POST", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"PATCH", b"CONNECT", b"TRACE", b"X"))
    path = rng.choice(PATHS[listener])
    if rng.random() < 0.25:
        path = mutate(rng, path)
    if rng.random() < 0.3:
        key = rng.choice((b"limit", b"start", b"end", b"tags", b"minDuration", b"lookback", b"endTs", b"service_name", b"at", b"raw"))
        path += (b"&" if b"?" in path else b"?") + key + b"=" + rng.choice(HOSTILE)
    body = rng.choice(bodies) if method in (b"POST", b"PUT", b"PATCH") or rng.random() < 0.1 else b""
    if rng.random() < 0.6:
        body = mutate(rng, body)
    fields = [(b"Host", b"127.0.0.1")]
    if rng.random() < 0.2:
        body = gzip.compress(body)
        fields.append((b"Content-Encoding", b"gzip"))
    kind = rng.choice((b"application/json", b"application/x-protobuf", b"text/plain", b"application/grpc"))
    fields.append((b"Content-Type", kind))
    if rng.random() < 0.8:
        fields.append((b"Content-Length", str(len(body)).encode()))
    elif rng.random() < 0.7:
        fields.append((b"Transfer-Encoding", b"chunked"))
        cut = rng.randrange(len(body) + 1)
        parts = [part for part in (body[:cut], body[cut:]) if part]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2, 120))):
        fields.append((rng.choice(NAMES), rng.choice(HOSTILE)))
    head = method + b" " + path + b" " + rng.choice((b"HTTP/1.1",) * 20 + (b"HTTP/1.0", b"HTTP/2.0", b"RTSP/1.0")) + b"\r\n"
    data = head + b"".join(name + b": " + value + b"\r\n" for name, value in fields) + b"\r\n" + body
    if rng.random() < 0.15:
        data = mutate(rng, data)
    if rng.random() < 0.1:
        data *= 2
    return data


# HTTP/2

def frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream & 0x7FFFFFFF) + payload


def literal(name, value):
    """A header field that is not indexed, with short or long lengths (RFC 7541, 6.2.2)."""
    def text(data):
        if len(data) < 127:
            return bytes((len(data),)) + data
        rest, out = len(data) - 127, b"\x7f"
        while rest >= 128:
            out += bytes((rest % 128 + 128,))
            rest //= 128
        return out + bytes((rest,)) + data
    return b"\x00" + text(name) + text(value)


def http2(rng, listener, bodies):
    data = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
    if rng.random() < 0.1:
        data = mutate(rng, data)
    for number in range(rng.choice((1, 1, 2, 5))):
        stream = 1 + 2 * number
        if listener == "otlp_grpc":
            path, method = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export", b"POST"
        else:
            path, method = rng.choice(PATHS[listener]), rng.choice((b"GET", b"POST", b"HEAD", b"CONNECT"))
        fields = [(b":method", method), (b":scheme", b"http"), (b":path", path), (b":authority", b"127.0.0.1")]
        if listener == "otlp_grpc":
            fields += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
        for _ in range(rng.choice((0, 1, 1, 3))):
            name = rng.choice((b"grpc-timeout", b"grpc-encoding", b"content-length", b"authorization", b"cookie", b":path", b"host", b"x", b"te"))
            fields.append((name, rng.choice(HOSTILE)))
        if rng.random() < 0.2:
            rng.shuffle(fields)
        block = b"".join(literal(name, value) for name, value in fields)
        if rng.random() < 0.2:
            block = mutate(rng, block)
        body = rng.choice(bodies)
        if rng.random() < 0.5:
            body = mutate(rng, body)
        if listener == "otlp_grpc":
            length = len(body) if rng.random() < 0.7 else rng.choice((0, 1, 0xFFFFFFFF, 1 << 24, len(body) + 1))
            body = bytes((rng.choice((0, 0, 0, 1, 2)),)) + struct.pack(">I", length) + body
        ends = rng.random() < 0.8
        data += frame(1, 4 | (1 if not body and ends else 0), stream, block)
        for at in range(0, len(body), 16000):
            last = at + 16000 >= len(body)
            data += frame(0, 1 if last and ends else 0, stream, body[at:at + 16000])
        if rng.random() < 0.2:
            kind = rng.randrange(12)
            data += frame(kind, rng.randrange(256), rng.choice((0, stream, 2, 0x7FFFFFFF)), rng.randbytes(rng.choice((0, 4, 5, 6, 8, 64))))
    if rng.random() < 0.2:
        data = data[:30] + mutate(rng, data[30:])
    return data


# NATS

EVENTS = [
    ("registry", name) for name in ("registered", "deregistered", "heartbeat", "health_reported", "load_reported", "instance_selected", "drained")
] + [("trace", "spans"), ("mirror", "captured"), ("mirror", "added"), ("mirror", "dispatched"), ("mirror", "compared"), ("clock", "tick"),
     ("policy", "registry_configured"), ("policy", "traces_configured"), ("policy", "semantics_activated"), ("policy", "guard_released")]
QUERIES = [
    "registry.resolve", "registry.topology", "registry.services", "registry.select", "registry.instance", "registry.removals", "registry.failover",
    "trace.search", "trace.trace", "trace.critical_path", "trace.services", "trace.dependencies", "trace.latency", "trace.flame_graph",
    "mirror.captures", "mirror.mirrors", "mirror.ledger", "mirror.differences", "node.status", "node.digest", "node.outcome", "audit.trail",
]


def nats(rng, golden):
    lines = b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\nSUB _INBOX.fuzz.* 1\r\n'
    for _ in range(rng.choice((1, 3, 10))):
        name, text, binary = rng.choice(golden)
        payload = rng.choice((text, text, binary, b"{}", b"", b"{", b"[" * 200))
        if rng.random() < 0.7:
            payload = mutate(rng, payload)
        if rng.random() < 0.5:
            family, kind = rng.choice(EVENTS)
            owner = rng.choice((b"checkout", b"cart", b"%00", b"a" * 200, b"alice"))
            subject = b"lattice.events." + family.encode() + b"." + owner + b"." + kind.encode()
        else:
            subject = b"lattice.queries." + rng.choice(QUERIES).encode()
        header = b"NATS/1.0\r\n"
        for _ in range(rng.choice((0, 0, 1, 2))):
            field = rng.choice((b"Content-Type", b"Nats-Msg-Id", b"Lattice-Reply", b"Nats-Expected-Last-Sequence", b"X"))
            value = rng.choice([v for v in HOSTILE if b"\r" not in v and b"\n" not in v] + [b"_INBOX." + b"x" * 3000, b"_INBOX.a b", b"$JS.API.STREAM.PURGE.X"])
            header += field + b": " + value + b"\r\n"
        header += b"\r\n"
        reply = rng.choice((b" _INBOX.fuzz.1", b" _INBOX.fuzz.1", b"", b" _INBOX." + b"y" * 900))
        lines += b"HPUB " + subject + reply + b" %d %d\r\n" % (len(header), len(header) + len(payload)) + header + payload + b"\r\n"
    return lines + b"PING\r\n"


class Fuzz:
    def __init__(self, options):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="lattice-fuzz-")
        self.golden = examples()
        # What grows a registry or a collector without bound is a load and no fuzz: names and ids stay few.
        self.bodies = [text for _, text, _ in self.golden] + [binary for _, _, binary in self.golden if binary] + [b"{}", b"[]", b""]
        lattice = os.path.join(options.programs, "lattice")
        self.upstream = Upstreams(("127.0.0.1", 0), Upstream)
        threading.Thread(target=self.upstream.serve_forever, daemon=True).start()
        free = "127.0.0.1:0"
        self.node = Program("node", [
            lattice, "serve", "--data", self.folder + "/data", "--json", "--http", free, "--otlp-http", free, "--otlp-grpc", free,
            "--zipkin", free, "--jaeger", free], self.folder)
        routes = f'routes:\n  - service: up\n    endpoints: ["127.0.0.1:{self.upstream.server_port}"]\n'
        Path(self.folder + "/gateway.yaml").write_text(routes)
        self.gateway = Program("gateway", [
            lattice, "gateway", "--config", self.folder + "/gateway.yaml", "--listen", free, "--admin", free, "--json",
            "--nats", self.node.banner["nats"]], self.folder)
        places = {name: self.node.banner[name] for name in ("http", "otlp_http", "otlp_grpc", "zipkin", "jaeger", "nats")}
        places.update(gateway=self.gateway.banner["listen"], admin=self.gateway.banner["admin"])
        self.places = {name: place(url) for name, url in places.items()}
        self.counts, self.statuses = {}, {}

    def input(self, number):
        rng = random.Random(f"{self.options.seed}-{number}")
        names = [self.options.only] if self.options.only else list(self.places)
        listener = rng.choice(names)
        if listener == "nats":
            return listener, nats(rng, self.golden), False
        if listener == "otlp_grpc" or listener == "gateway" and rng.random() < 0.4:
            return listener, http2(rng, listener, self.bodies), False
        return listener, http1(rng, listener, self.bodies), rng.random() < 0.5

    def fail(self, number, listener, data, why):
        path = f"{self.folder}/input-{number}"
        Path(path).write_bytes(data)
        print(f"fuzz: FAILED at --seed {self.options.seed}, input {number} ({listener}): {why}\n  the input: {path}\n  "
              f"node: {self.node.tail()}\n  gateway: {self.gateway.tail()}", flush=True)
        self.end()
        sys.exit(1)

    def check(self, number, listener, data, answer):
        for program in (self.node, self.gateway):
            if program.process.poll() is not None:
                self.fail(number, listener, data, f"the {program.name} ended with {program.process.returncode}")
        if answer is None:
            self.fail(number, listener, data, "the listener does not accept")
        if not answer.startswith(b"HTTP/1."):
            return
        status = answer[9:12].decode("latin-1")
        self.statuses[status] = self.statuses.get(status, 0) + 1
        # 501: a coding or a method that is not implemented. 503, 504: come again; the mesh has no such instance.
        if status.startswith("5") and status not in ("501", "503", "504", "505"):
            self.fail(number, listener, data, f"status {status}: {answer[:300]!r}")

    def alive(self, number, listener, data):
        for name in ("http", "admin"):
            request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
            answer = exchange(self.places[name], request, False, 10) or b""
            if b" 200 " not in answer[:16]:
                self.fail(number, listener, data, f"{name} does not answer /healthz: {answer[:200]!r}")
        request = b"GET /good HTTP/1.1\r\nHost: up\r\nConnection: close\r\n\r\n"
        answer = exchange(self.places["gateway"], request, False, 10) or b""
        if b" 200 " not in answer[:16]:
            self.fail(number, listener, data, f"the gateway does not pass a good request: {answer[:200]!r}")

    def run(self):
        start, number, early = time.monotonic(), 0, None
        while time.monotonic() - start < self.options.seconds:
            number += 1
            listener, data, half_close = self.input(number)
            answer = exchange(self.places[listener], data, half_close, 0.15)
            self.counts[listener] = self.counts.get(listener, 0) + 1
            self.check(number, listener, data, answer)
            if number % 200 == 0:
                self.alive(number, listener, data)
            if early is None and time.monotonic() - start > self.options.seconds / 3:
                early = (self.node.resident(), self.gateway.resident())
        late = (self.node.resident(), self.gateway.resident())
        early = early or late
        self.alive(number, "end", b"")
        for name, before, after in zip(("node", "gateway"), early, late):
            if after > before * 1.5 + 100:
                self.fail(number, name, b"", f"memory grew from {before:.0f} to {after:.0f} MB")
        self.end()
        print(f"fuzz: {number} inputs in {time.monotonic() - start:.0f} s, seed {self.options.seed}, {self.counts}, statuses {self.statuses}, "
              f"node {early[0]:.0f} to {late[0]:.0f} MB, gateway {early[1]:.0f} to {late[1]:.0f} MB")

    def end(self):
        self.gateway.end()
        self.node.end()
        self.upstream.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", default=str(ROOT / ".build/release"))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    Fuzz(parser.parse_args()).run()


main()
