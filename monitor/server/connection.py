"""One HTTP connection: gevent's pywsgi with a deadline, strict framing, and refusals in JSON."""

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

SECONDS_FOR_A_REQUEST = 30  # for a whole request, head and body; also for the client to read an answer
SECONDS_TO_LINGER = 2
TLS = "\x16\x03"  # the beginning of a handshake: https://www.rfc-editor.org/rfc/rfc8446#section-5.1
LARGE_ANSWER = 64 * 1024  # bytes; a larger answer counts against the budget until its client has read it

_request_line = re.compile(r"([!-~]+) ([!-~\x80-\xff]+) (HTTP/1\.\d)\r?\n")
_absolute = re.compile(r"https?://([^/?#@]+)(.*)", re.IGNORECASE)
_date = lru_cache(maxsize=1)(format_date_time)  # thousands of answers share a second


class Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no types
    """One connection. At its deadline its reading side is closed: whatever reads from it sees the end of the stream."""

    close_connection: bool
    path: str
    environ: dict[str, Any] | None

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        # A long body is written after its head: without this it would wait 40 ms for the client's ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(SECONDS_FOR_A_REQUEST)
        super().__init__(sock, address, server)
        self.is_idle = self.is_new = True
        self._deadline = gevent.get_hub().loop.timer(SECONDS_FOR_A_REQUEST, SECONDS_FOR_A_REQUEST)

    def handle(self) -> None:
        try:
            super().handle()
        finally:
            self._deadline.stop()
            self._deadline.close()

    def handle_one_request(self) -> Any:
        self._deadline.again(self.stop_reading)
        result = super().handle_one_request()
        self.is_new = False
        if isinstance(result, tuple):
            status, reason = result  # of _handle_client_error, or pywsgi's own for a long request line
            self._refuse(int(status), "the request line is too long" if status == "414" else reason)
            self._linger()
            return None
        if not result and self.wsgi_input and not self.wsgi_input.is_read:
            self._linger()
        return result

    def read_requestline(self) -> str:
        gevent.sleep(0)  # else a busy connection would keep all others waiting
        self.is_idle = True
        is_tls = self.is_new and self.rfile.peek(1).startswith(TLS.encode())  # a handshake may hold no newline
        line: str = TLS if is_tls else super().read_requestline()
        self.is_idle = False
        return line

    def read_request(self, raw_requestline: str) -> bool:
        found = _request_line.fullmatch(raw_requestline)
        if not found:
            is_tls = raw_requestline.startswith(TLS)
            raise Malformed("the request is TLS: perhaps https" if is_tls else "the request is not HTTP")
        self.command, self.path, self.request_version = found.groups()
        self.headers = Headers(self.rfile)
        if found := _absolute.fullmatch(self.path):
            # This host overrides the header: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
            self.headers["host"], self.path = found[1], found[2] if found[2][:1] == "/" else f"/{found[2]}"
        wishes = [wish.strip(" \t") for wish in self.headers.get("connection", "").lower().split(",")]
        self.close_connection = "close" in wishes
        if self.request_version == "HTTP/1.0":
            # HTTP/1.0 has no chunks: https://www.rfc-editor.org/rfc/rfc9112#section-6.1
            self.close_connection |= "keep-alive" not in wishes or self.headers.body_length is None
        return True

    def get_environ(self) -> dict[str, Any]:
        headers = self.headers
        is_waiting = headers.get("expect", "").lower() == "100-continue"
        go_on = partial(self.socket.sendall, b"HTTP/1.1 100 Continue\r\n\r\n") if is_waiting else None
        self.wsgi_input = Body(self.rfile, headers.body_length, self.server.bodies, go_on)
        path, _, query = self.path.partition("?")
        return {
            **self.server.get_environ(),
            **headers.as_environ(),
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

    def handle_one_response(self) -> None:
        if self.wsgi_input.is_read:
            self._deadline.stop()  # the request is complete; its answer may be a stream
        try:
            super().handle_one_response()
        finally:
            self.wsgi_input.release()
            self.environ = None  # it may hold the body, and the connection may wait long for its next request
            self.close_connection |= not self.wsgi_input.is_read

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if (self.server.stopping or self.close_connection) and not any(name == "Connection" for name, _ in headers):
            headers = [*headers, ("Connection", "close")]
        answer = super().start_response(status, headers, exc_info)
        if self.code == 101:
            self.close_connection = True  # a WebSocket carries no further request
        return answer

    def write(self, data: bytes) -> None:
        """Send. A large piece counts against the budget until it is sent; over the budget no answer is begun."""
        counted = len(data) if len(data) > LARGE_ANSWER else 0
        if counted and not self.headers_sent:
            self.server.answers.check(counted)
        self.server.answers.held += counted
        try:
            super().write(data)
        finally:
            self.server.answers.held -= counted

    def _write_with_headers(self, data: bytes) -> None:
        """Send the head and a short body in one system call; pywsgi takes two."""
        if self.result is None or self.provided_content_length is None or len(data) > 16384:
            super()._write_with_headers(data)
            return
        self.headers_sent = True
        if self.provided_date is None:
            self.response_headers.append((b"Date", _date(int(time()))))
        head = [b"%b: %b\r\n" % field for field in self.response_headers]
        self._sendall(b"HTTP/1.1 %b\r\n%b\r\n%b" % (self.status, b"".join(head), data))

    def _sendall(self, data: bytes) -> None:
        """Send in one system call if the socket takes all; pywsgi asks for the buffer's size first."""
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
        """Read what still arrives: a reset could destroy the answer before the client reads it (RFC 9112, 9.6)."""
        with suppress(OSError), gevent.Timeout(SECONDS_TO_LINGER, False):
            self.socket.shutdown(socket.SHUT_WR)
            while self.socket.recv(65536):
                gevent.sleep(0.01)  # a refused crowd may wait

    def stop_reading(self) -> None:
        """Close the reading side; the answer that is under way is still sent."""
        with suppress(OSError, AttributeError):  # the connection is closed already
            self.socket.shutdown(socket.SHUT_RD)

    def log_request(self) -> None:
        """Write nothing: an access log would hold tokens."""

    def _handle_client_error(self, error: Exception) -> tuple[str, str]:
        reason = str(error) if isinstance(error, Malformed) else "the request is not HTTP"
        log.warning("refused: %s (from %s)", reason, self.client_address[0])
        return "400", reason

    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        self.close_connection = True
        if isinstance(error, OSError | gevent.GreenletExit):  # the client disconnected, or does not read
            return
        status, reason = 500, "internal error; the log says more"
        if isinstance(error, NoRoom):
            status, reason = 503, str(error)
            self.server.warn(f"refused with 503: {reason}")
        else:
            log.error("while answering %s: %s: %s", self.command, kind.__name__, error)
        if not self.headers_sent:
            with suppress(OSError):
                self._refuse(status, reason)
