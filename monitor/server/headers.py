"""A request's header fields: bytes in, names and values out; whatever is not well formed raises Malformed."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import BinaryIO

MOST_HEADER_BYTES, MOST_HEADERS = 32 * 1024, 100

# What a value may not hold would end it for another reader: https://www.rfc-editor.org/rfc/rfc9110#section-5.5
_field = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\0\r\n]*)\r?\n")
# Said twice, these leave it open where a request ends or who sends it: https://www.rfc-editor.org/rfc/rfc9112#section-6.3
_said_once = frozenset({"content-length", "transfer-encoding", "content-type", "authorization", "host"})


class Malformed(ValueError):
    """A request that is not HTTP; the text may be shown."""


def field(line: bytes) -> tuple[str, str]:
    """Return a field's name, in lower case, and its value."""
    found = _field.fullmatch(line)
    if not found:
        raise Malformed("a header field is malformed or incomplete")
    return found[1].decode("ascii").lower(), found[2].strip(b" \t").decode("latin-1")


class Headers:
    """A request's header fields; http.client's parser would take a third of a request's time.

    `body_length` says how long the body is that follows them: None is, in chunks.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._fields: dict[str, str] = {}
        left = MOST_HEADER_BYTES
        while (line := stream.readline(left + 1)) not in (b"\r\n", b"\n"):
            left -= len(line)
            if left < 0 or len(self._fields) >= MOST_HEADERS:
                raise Malformed(f"more than {MOST_HEADER_BYTES} bytes or {MOST_HEADERS} fields of headers")
            self._add(*field(line))
        self.body_length = self._framing()

    def _add(self, name: str, value: str) -> None:
        if name in self._fields:
            if name in _said_once:
                raise Malformed(f"{name} is given twice")
            value = self._fields[name] + ("; " if name == "cookie" else ",") + value
        self._fields[name] = value

    def _framing(self) -> int | None:
        length, encoding = self._fields.get("content-length"), self._fields.get("transfer-encoding")
        if encoding is not None:
            if length is not None or encoding.lower() != "chunked":
                raise Malformed("Transfer-Encoding is not chunked, or stands beside Content-Length")
            return None
        if length is None:
            return 0
        if not (length.isascii() and length.isdigit() and len(length) < 16):
            raise Malformed("Content-Length is not a number of bytes")
        return int(length)

    def get(self, name: str, default: str = "") -> str:
        return self._fields.get(name, default)

    def members(self, name: str) -> list[str]:
        """Return the members of a field that is a list, in lower case."""
        value = self._fields.get(name)
        return [member.strip(" \t") for member in value.lower().split(",")] if value else []

    def __setitem__(self, name: str, value: str) -> None:
        self._fields[name] = value

    def as_environ(self) -> dict[str, str]:
        """Return the fields by WSGI's names; a name with an underscore would pass for another."""
        return {_variable(name): value for name, value in self._fields.items() if "_" not in name}


@lru_cache(maxsize=256)
def _variable(name: str) -> str:
    variable = name.upper().replace("-", "_")
    return variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}"
