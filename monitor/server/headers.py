"""A request's header fields: bytes in, names and values out. A malformed field raises Malformed."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import BinaryIO

MOST_HEADER_BYTES, MOST_HEADERS = 32 * 1024, 100

# Another reader may end a value at a NUL, CR or LF: https://www.rfc-editor.org/rfc/rfc9110#section-5.5
_field = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\0\r\n]*)\r?\n")
# Given twice, these leave open where a request ends or who sends it: https://www.rfc-editor.org/rfc/rfc9112#section-6.3
_given_once = frozenset({"content-length", "transfer-encoding", "content-type", "authorization", "host"})


class Malformed(ValueError):
    """A request that is not HTTP; the text may be shown."""


def field(line: bytes) -> tuple[str, str]:
    """Return a field's name, in lower case, and its value."""
    found = _field.fullmatch(line)
    if not found:
        raise Malformed("a header field is malformed or incomplete")
    return found[1].decode("ascii").lower(), found[2].strip(b" \t").decode("latin-1")


class Headers(dict[str, str]):
    """A request's header fields by name, in lower case; http.client's parser would take a third of a request's time.

    `body_length` is the length in bytes of the body that follows, or None for a body in chunks.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """Read the fields, up to the empty line after them."""
        super().__init__()
        left = MOST_HEADER_BYTES
        while (line := stream.readline(left + 1)) not in (b"\r\n", b"\n"):
            left -= len(line)
            if left < 0 or len(self) >= MOST_HEADERS:
                raise Malformed(f"more than {MOST_HEADER_BYTES} bytes or {MOST_HEADERS} fields of headers")
            name, value = field(line)
            if name in self:
                if name in _given_once:
                    raise Malformed(f"{name} is given twice")
                value = self[name] + ("; " if name == "cookie" else ",") + value
            self[name] = value
        self.body_length = self._framing()

    def _framing(self) -> int | None:
        length, encoding = self.get("content-length"), self.get("transfer-encoding")
        if encoding is not None:
            if length is not None or encoding.lower() != "chunked":
                raise Malformed("Transfer-Encoding is not chunked, or stands beside Content-Length")
            return None
        if length is None:
            return 0
        if not (length.isascii() and length.isdigit() and len(length) < 16):
            raise Malformed("Content-Length is not a number of bytes")
        return int(length)

    def as_environ(self) -> dict[str, str]:
        """Return the fields by WSGI's names; a name with an underscore is left out, as it could pass for another."""
        return {_variable(name): value for name, value in self.items() if "_" not in name}


@lru_cache(maxsize=256)
def _variable(name: str) -> str:
    variable = name.upper().replace("-", "_")
    return variable if variable in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{variable}"
