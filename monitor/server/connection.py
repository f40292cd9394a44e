"""One HTTP connection of gevent's pywsgi, made fit for strangers: a deadline, strict framing, JSON refusals."""

from __future__ import annotations

import json
import logging
import re
import socket
from contextlib import suppress
from functools import lru_cache, partial
from http import HTTPStatus
from time import time
from typing import Any
from urllib.parse import unquote

import gevent
from gevent.pywsgi import WSGIHandler, format_date_time

from monitor.server.body import Body, NoRoom
from monitor.server.headers import Headers, Malformed

log = logging.getLogger("event_monitor")

SECONDS_FOR_A_REQUEST = 30  # for a whole request, head and body, and for an answer to be read
SECONDS_TO_LINGER = 2
TLS = b"\x16\x03"  # how a handshake begins: https://www.rfc-editor.org/rfc/rfc8446#section-5.1
LARGE_ANSWER = 64 * 1024  # bytes; an answer that is larger is counted while its client does not read it

_request_line = re.compile(r"([!-~]+) ([!-~\x80-\xff]+) (HTTP/1\.\d)\r?\n")
_absolute = re.compile(r"https?://([^/?#@]+)(.*)", re.IGNORECASE)
_date = lru_cache(maxsize=1)(format_date_time)  # of a second, which has thousands of answers


class Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no types
    """One connection. When its deadline passes, its reading side is closed: every reader sees the end of the stream."""

    close_connection: bool
    path: str
    environ: dict[str, Any] | None

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        # Head and body are written apart when the body is long: do not hold the second back for an ACK (40 ms).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(SECONDS_FOR_A_REQUEST)
        super().__init__(sock, address, server)
        self.is_idle, self.answered = True, 0
        self._deadline = gevent.get_hub().loop.timer(SECONDS_FOR_A_REQUEST, SECONDS_FOR_A_REQUEST)
        self._refusal = "the request is not HTTP"

    def handle(self) -> None:
        try:
            super().handle()
        finally:
            self._deadline.stop()
            self._deadline.close()

    def handle_one_request(self) -> Any:
        self._deadline.again(self.stop_reading)
        result = super().handle_one_request()
        self.answered += 1
        if isinstance(result, tuple):
            # pywsgi's own refusals are empty; ours are JSON like every other answer
            self._refuse(int(result[0]), "the request line is too long" if result[0] == "414" else self._refusal)
            self._linger()
            return None
        if not result and self.wsgi_input and not self.wsgi_input.is_read:
            self._linger()
        return result

    def read_requestline(self) -> str:
        # A busy keep-alive connection would otherwise never let the others have their turn.
        gevent.sleep(0)
        self.is_idle = True
        is_tls = not self.answered and self.rfile.peek(1).startswith(TLS)  # a hello may hold no line's end
        line: str = TLS.decode() if is_tls else super().read_requestline()
        self.is_idle = False
        return line

    def read_request(self, raw_requestline: str) -> bool:
        found = _request_line.fullmatch(raw_requestline)
        if not found:
            is_tls = raw_requestline.startswith(TLS.decode())
            raise Malformed("the request is TLS: perhaps https" if is_tls else "the request is not HTTP")
        self.command, self.path, self.request_version = found.groups()
        self.headers = Headers(self.rfile)
        if found := _absolute.fullmatch(self.path):
            # Its host is the one that counts: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
            self.headers["host"], self.path = found[1], found[2] if found[2][:1] == "/" else f"/{found[2]}"
        wishes = self.headers.members("connection")
        self.close_connection = "close" in wishes
        if (
            self.request_version == "HTTP/1.0"
        ):  # which has no chunks: https://www.rfc-editor.org/rfc/rfc9112#section-6.1
            self.close_connection |= "keep-alive" not in wishes or self.headers.body_length is None
        return True

    def get_environ(self) -> dict[str, Any]:
        headers = self.headers
        expects = headers.get("expect", "").lower() == "100-continue"
        go_on = partial(self.socket.sendall, b"HTTP/1.1 100 Continue\r\n\r\n") if expects else None
        self.wsgi_input = Body(self.rfile, headers.body_length, self.server.bodies, go_on)
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = self.server.get_environ()
        environ.update(headers.as_environ())
        environ.update(
            {
                "REQUEST_METHOD": self.command,
                "PATH_INFO": unquote(path, "latin-1"),
                "QUERY_STRING": query,
                "SERVER_PROTOCOL": self.request_version,
                "REMOTE_ADDR": self.client_address[0],
                "REMOTE_PORT": str(self.client_address[1]),
                "wsgi.input": self.wsgi_input,
                "wsgi.input_terminated": True,
                "event_monitor.socket": self.socket,
            }
        )
        return environ

    def handle_one_response(self) -> None:
        if self.wsgi_input.is_read:
            self._deadline.stop()  # the request is complete; its answer may be a stream
        try:
            super().handle_one_response()
        finally:
            self.wsgi_input.release()
            self.environ = None  # it may hold the body, while the connection waits for its next request
            self.close_connection |= not self.wsgi_input.is_read

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if (self.server.stopping or self.close_connection) and not any(name == "Connection" for name, _ in headers):
            headers = [*headers, ("Connection", "close")]
        answer = super().start_response(status, headers, exc_info)
        if self.code == 101:
            self.close_connection = True  # what follows is no request
        return answer

    def write(self, data: bytes) -> None:
        """Send; a large piece counts while its client does not read it, and where there is no room, none is begun."""
        counted = len(data) if len(data) > LARGE_ANSWER else 0
        if counted and not self.headers_sent:
            self.server.answers.check(counted)
        self.server.answers.take(counted)
        try:
            super().write(data)
        finally:
            self.server.answers.give_back(counted)

    def _write_with_headers(self, data: bytes) -> None:
        """Send the head and a short body at once: pywsgi sends them apart, a system call more."""
        if self.result is None or self.provided_content_length is None or len(data) > 16384:
            super()._write_with_headers(data)
            return
        self.headers_sent = True
        if self.provided_date is None:
            self.response_headers.append((b"Date", _date(int(time()))))
        head = [b"%b: %b\r\n" % field for field in self.response_headers]
        self._sendall(b"HTTP/1.1 %b\r\n%b\r\n%b" % (self.status, b"".join(head), data))

    def _sendall(self, data: bytes) -> None:
        """Send as pywsgi does, which asks the system for its buffer's size before each write: a system call more."""
        sent = self.socket.send(data)
        if sent < len(data):
            super()._sendall(memoryview(data)[sent:])
        self.response_length += sent

    def _refuse(self, status: int, reason: str) -> None:
        """Answer in JSON, and close."""
        body = json.dumps({"error": reason}).encode() + b"\n"
        head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
        head += f"Content-Length: {len(body)}\r\nConnection: close\r\n" + "Retry-After: 5\r\n" * (status == 503)
        self.socket.sendall(head.encode() + b"\r\n" + body)

    def _linger(self) -> None:
        """Read what still comes: a reset would take the answer from its client (RFC 9112, 9.6)."""
        with suppress(OSError), gevent.Timeout(SECONDS_TO_LINGER, False):
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(65536):
                gevent.sleep(0.01)  # a crowd that is refused has no claim to be read quickly

    def stop_reading(self) -> None:
        """Let whoever reads from this connection see its end; what is being answered is still sent."""
        with suppress(OSError, AttributeError):  # it is gone already
            self.socket.shutdown(socket.SHUT_RD)

    def log_request(self) -> None:
        """Write nothing: the access line would hold the token."""

    def _handle_client_error(self, error: Exception) -> tuple[str, bytes]:
        if isinstance(error, Malformed):
            self._refusal = str(error)
        log.warning("refused: %s (from %s)", self._refusal, self.client_address[0])
        return "400", b""

    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        self.close_connection = True
        if isinstance(error, OSError | gevent.GreenletExit):  # the client went away, or does not read
            return
        if isinstance(error, NoRoom):
            status, reason = 503, str(error)
            self.server.warn(f"refused with 503: {reason}")
        else:
            status, reason = 500, "internal error; the log says more"
            log.error("while answering %s: %s: %s", self.command, kind.__name__, error)
        if not self.headers_sent:
            with suppress(OSError):
                self._refuse(status, reason)
