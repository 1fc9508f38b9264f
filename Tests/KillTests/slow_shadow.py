# A shadow that takes its time: writes down each request as it comes, answers it after so many seconds.
import http.server, json, sys, threading, time

delay, path = float(sys.argv[1]), sys.argv[2]
lock = threading.Lock()
log = open(path, "a")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        with lock:
            log.write(self.path + "\n")
            log.flush()
        time.sleep(delay)
        body = json.dumps({"path": self.path, "price": 12.5}).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            # Whoever asked was killed.
            pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


server = Server(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
