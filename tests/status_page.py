"""A server that plays a status page's API, as Statuspage and incident.io answer it."""

import gzip
import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Say nothing: what asks may go away at any time."""


class StatusPage:
    """Answers with `incidents`, newest first, with an ETag, and with `unresolved`, `maintenances`, `summary` if given.

    `files` are other paths with their content type and body. `answers` holds (status, headers, body) to be given
    instead of the incidents, one a request; a body may be a function that writes.
    """

    def __init__(self, page=None, host="127.0.0.1"):
        self.page = page or {"id": "p1", "name": "Fabrikam", "url": "https://status.example.com"}
        self.incidents, self.unresolved, self.maintenances, self.summary, self.files = [], None, None, None, {}
        self.answers, self.asked, self.sent = [], [], 0
        status_page = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                status_page.asked.append((self.path, dict(self.headers), self.client_address))
                status, headers, body = status_page.answer(self.path, self.headers)
                self.send_response(status)
                body = body if callable(body) else gzip.compress(body) if headers.pop("gzip", False) else body
                for name, value in headers.items():
                    self.send_header(name, value)
                if not callable(body):
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if callable(body):
                    body(self.wfile)
                    self.close_connection = True
                else:
                    status_page.sent += len(body)
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = Server((host, 0), Handler)
        self.url = f"http://{host}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def answer(self, path, headers):
        if self.answers and path.endswith("/incidents.json"):
            return self.answers.pop(0)
        content_type, body = self.files.get(path) or ("application/json; charset=utf-8", self.api(path))
        if body is None:
            return 404, {}, b""
        etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
        if headers.get("If-None-Match") == etag:
            return 304, {"ETag": etag}, b""
        answer = {"Content-Type": content_type, "ETag": etag, "Content-Encoding": "gzip"}
        return 200, answer | {"gzip": True}, body

    def api(self, path):
        lists = {
            "/api/v2/incidents.json": self.incidents is not None and {"incidents": self.incidents},
            "/api/v2/incidents/unresolved.json": self.unresolved is not None and {"incidents": self.unresolved},
            "/api/v2/scheduled-maintenances.json": self.maintenances is not None
            and {"scheduled_maintenances": self.maintenances},
            "/api/v2/summary.json": self.summary,
        }
        return json.dumps({"page": self.page, **lists[path]}).encode() if lists.get(path) else None

    @property
    def polls(self):
        return [asked for asked in self.asked if asked[0] == "/api/v2/incidents.json"]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def trickle(file):
    """A body that never ends, a byte now and then."""
    try:
        while True:
            file.write(b" ")
            file.flush()
            time.sleep(0.02)
    except OSError:
        pass
