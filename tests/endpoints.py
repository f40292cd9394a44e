"""Servers that stand for what notifications go to: an HTTP endpoint and an SMTP server, on this machine."""

import email
import email.policy
import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from aiosmtpd.controller import Controller


class Endpoint:
    """Keeps (path, JSON body) of each POST in `taken`; answers with `status` and `text`, after `seconds`.

    What `refuses` is true for is answered 422, and kept in `refused` as all that is not taken.
    """

    def __init__(self):
        self.taken, self.refused, self.status, self.seconds, self.text = [], [], 200, 0, "ok"
        self.refuses = lambda _body: False
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                time.sleep(endpoint.seconds)
                status = 422 if endpoint.refuses(body) else endpoint.status
                kept = endpoint.taken if status < 300 else endpoint.refused
                kept.append((self.path, body))
                self.send_response(status)
                self.send_header("Content-Length", str(len(endpoint.text)))
                self.end_headers()
                self.wfile.write(endpoint.text.encode())

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def bodies(self, path):
        return [body for taken, body in self.taken if taken.startswith(path)]

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Mailbox:
    """An SMTP server that keeps what it gets in `messages`, parsed, and as it came in `raw`."""

    def __init__(self):
        self.messages, self.raw = [], []
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            self.port = listener.getsockname()[1]
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    async def handle_DATA(self, _server, _session, envelope):  # noqa: N802  # aiosmtpd's name
        self.raw.append(envelope.content)
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 OK"

    def stop(self):
        self.controller.stop()
