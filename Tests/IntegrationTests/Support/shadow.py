"""A real HTTP server on loopback, well-behaved or not; prints its port. Usage: shadow.py MODE [PORT_TO_REDIRECT_TO]"""
import gzip, http.server, json, random, sys, threading, time

mode = sys.argv[1]
other = sys.argv[2] if len(sys.argv) > 2 else "0"
log, lock = [], threading.Lock()
BOMB = gzip.compress(b"\0" * (64 << 20)) if mode == "bomb" else b""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self, body, status=200, headers=()):
        self.send_response(status)
        names = [name.lower() for name, _ in headers]
        if "content-type" not in names:
            self.send_header("Content-Type", "application/json")
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            if self.command != "HEAD":
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        if self.path == "/__log":
            with lock:
                return self.answer(json.dumps(log).encode())
        with lock:
            log.append({
                "method": self.command, "path": self.path, "body": body.decode("latin1"),
                "headers": {name.lower(): value for name, value in self.headers.items()}})
        good = {"path": self.path, "price": 12.5, "token": "secret-of-the-answer"}
        if mode == "same":
            return self.answer(json.dumps(good).encode())
        if mode == "lying":
            return self.answer(json.dumps(dict(good, price=13.5, extra="\u001b[31mred")).encode())
        if mode == "noisy":
            return self.answer(json.dumps(dict(good, nonce=random.random())).encode())
        if mode == "slow":
            time.sleep(5)
            return self.answer(json.dumps(good).encode())
        if mode == "redirect":
            return self.answer(b"{}", 302, [("Location", "http://127.0.0.1:%s/stolen" % other)])
        if mode == "huge":
            return self.answer(b"x" * (3 << 20))
        if mode == "bomb":
            return self.answer(BOMB, 200, [("Content-Encoding", "gzip")])
        if mode == "headers":
            return self.answer(json.dumps(good).encode(), 200, [("X-%d" % n, "v") for n in range(90)])
        if mode == "broken":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            self.wfile.flush()
            self.close_connection = True
            return None
        return self.answer(b"{}", 500)

    do_GET = do_POST = do_HEAD = do_PUT = handle_any


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
