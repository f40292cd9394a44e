"""One HTTP connection of gevent's pywsgi, made fit for strangers: a deadline, strict framing, JSON refusals."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import gevent
from gevent.pywsgi import WSGIHandler

log = logging.getLogger("event_monitor")

SECONDS_FOR_A_REQUEST = 30  # for a whole request, head and body, and for an answer to be read
MOST_HEADER_BYTES, MOST_HEADERS = 32 * 1024, 100

_header_name = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Said twice, these leave it open where a request ends or who sends it: https://www.rfc-editor.org/rfc/rfc9112#section-6.3
_said_once = frozenset({"content-length", "transfer-encoding", "content-type", "authorization", "host"})


class Malformed(ValueError):
    """A request that is not HTTP; the text may be shown."""


class Headers:
    """A request's header fields, as pywsgi asks for them; http.client's parser takes a third of a request's time."""

    status = ""

    def __init__(self, stream: Any) -> None:
        self._fields: dict[str, str] = {}
        left = MOST_HEADER_BYTES
        while (line := stream.readline(left + 1)) not in (b"\r\n", b"\n"):
            left -= len(line)
            if left < 0 or len(self._fields) >= MOST_HEADERS:
                raise Malformed(f"more than {MOST_HEADER_BYTES} bytes or {MOST_HEADERS} fields of headers")
            self._add(line)
        self._check_framing()

    def _add(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        if not line.endswith(b"\n") or not colon or not _header_name.fullmatch(name):
            raise Malformed("a header field is malformed or incomplete")
        key, text = name.decode("ascii").lower(), value.strip().decode("latin-1")
        if key in self._fields:
            if key in _said_once:
                raise Malformed(f"{key} is given twice")
            text = self._fields[key] + ("; " if key == "cookie" else ",") + text
        self._fields[key] = text

    def _check_framing(self) -> None:
        length, encoding = self.get("content-length"), self.get("transfer-encoding")
        if length is not None and not (length.isascii() and length.isdigit() and len(length) < 16):
            raise Malformed("Content-Length is not a number of bytes")
        if encoding is not None and (length is not None or encoding.lower() != "chunked"):
            raise Malformed("Transfer-Encoding is not chunked, or stands beside Content-Length")

    def get(self, name: str, default: str | None = None) -> str | None:
        return self._fields.get(name.lower(), default)

    getheader = get

    def __delitem__(self, name: str) -> None:
        del self._fields[name.lower()]

    @property
    def typeheader(self) -> str | None:
        return self._fields.get("content-type")

    @property
    def headers(self) -> Iterator[str]:
        return (f"{name}:{value}" for name, value in self._fields.items())


class Handler(WSGIHandler):  # type: ignore[misc]  # gevent has no types
    """One connection. When its deadline passes, its reading side is closed: every reader sees the end of the stream."""

    def __init__(self, sock: Any, address: Any, server: Any) -> None:
        # Head and body are written apart when the body is long: do not hold the second back for an ACK (40 ms).
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(SECONDS_FOR_A_REQUEST)
        super().__init__(sock, address, server)
        self.is_idle, self.answered = True, 0
        self._deadline = gevent.get_hub().loop.timer(SECONDS_FOR_A_REQUEST, SECONDS_FOR_A_REQUEST)
        self._refusal = "the request is not HTTP"

    def MessageClass(self, stream: Any, *_: Any) -> Headers:
        return Headers(stream)

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
            refusal = "the request line is too long" if result[0] == "414" else self._refusal
            return result[0], _refuse(result[0], refusal)
        return result

    def read_requestline(self) -> str:
        # A busy keep-alive connection would otherwise never let the others have their turn.
        gevent.sleep(0)
        self.is_idle = True
        line: str = super().read_requestline()
        self.is_idle = False
        return line

    def handle_one_response(self) -> None:
        if not self.content_length and not self.wsgi_input.chunked_input:
            self._deadline.stop()  # the request is complete; its answer may be a stream
        self.environ["event_monitor.socket"] = self.socket
        super().handle_one_response()

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if self.server.stopping:
            headers = [*headers, ("Connection", "close")]
        answer = super().start_response(status, headers, exc_info)
        if self.code == 101:
            self.close_connection = True  # what follows is no request
        return answer

    def _write_with_headers(self, data: bytes) -> None:
        """Send the head and a short body at once: pywsgi sends them apart, a system call more."""
        if (
            self.response_use_chunked
            or self.result is None
            or len(data) > 16384
            or self.provided_content_length is None
        ):
            super()._write_with_headers(data)
            return
        self.headers_sent = True
        self.finalize_headers()
        head = [b"%b: %b\r\n" % field for field in self.response_headers]
        self._sendall(b"HTTP/1.1 %b\r\n%b\r\n%b" % (self.status, b"".join(head), data))

    def _sendall(self, data: bytes) -> None:
        """Send as pywsgi does, which asks the system for its buffer's size before each write: a system call more."""
        sent = self.socket.send(data)
        if sent < len(data):
            super()._sendall(memoryview(data)[sent:])
        self.response_length += sent

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
        log.error("while answering %s: %s: %s", self.command, kind.__name__, error)
        self._send_error_response_if_possible(500)


def _refuse(status: str, reason: str) -> bytes:
    body = json.dumps({"error": reason}).encode() + b"\n"
    title = {"400": "Bad Request", "414": "URI Too Long"}[status]
    head = f"HTTP/1.1 {status} {title}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Connection: close\r\n\r\n" + body
