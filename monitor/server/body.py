"""A request's body, as `wsgi.input`: strictly framed, and counted against the budget of all bodies as it is read.

The body is read when the application asks for it. A malformed or truncated body raises Malformed. A body over the
budget raises NoRoom, which passes through the application to the connection; the connection answers 503.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from monitor.server.headers import Malformed, field
from monitor.server.turns import take_turns

PIECE = 16 * 1024  # bytes that a waiting read allocates, for each connection
PIECES_AT_A_TIME = 64  # then other connections get a turn: a body may arrive as fast as it is read
UNCOUNTED = 16 * 1024  # bytes of each body: stalled bodies must not lock out small webhooks
LONGEST_CHUNK_HEAD, MOST_TRAILER_BYTES = 4096, 8192
MOST_EXCESS = 16 * 1024  # bytes of chunk heads, less 16 a chunk and twice its data, as Go's net/http bounds them

_chunk_head = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\0\r\n]*)?\r\n")


class NoRoom(BaseException):
    """A budget is used up. No Exception: an application would catch one, and answer 500."""


@dataclass(slots=True)
class Budget:
    """How many bytes of one kind are `held` at the moment by all connections together, and may be at most."""

    most: int
    kind: str
    held: int = 0

    def check(self, size: int) -> None:
        """Raise NoRoom unless `size` bytes more may be held."""
        if self.held + size > self.most:
            raise NoRoom(f"{self.kind} under way hold {self.most} bytes together")


class Body(io.RawIOBase):
    """One body. `is_read` says that all of it was read: the next byte on the connection begins the next request."""

    def __init__(
        self, reader: io.BufferedReader, length: int | None, budget: Budget, go_on: Callable[[], None] | None
    ) -> None:
        """Read `length` bytes, or chunks if it is None; call `go_on` before the first byte is read."""
        self._reader, self._budget, self._go_on = reader, budget, go_on
        self._is_chunked, self._left = length is None, length or 0
        self._read = self._held = self._excess = self._pieces = 0
        self.is_read = length == 0
        self._is_broken = False

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return `size` bytes, or all bytes that are left; fewer only at the end."""
        most = sys.maxsize if size is None or size < 0 else size
        first = self._next(most)
        if self.is_read or len(first) == most:
            return first
        found = bytearray(first)
        while len(found) < most and (piece := self._next(most - len(found))):
            found += piece
        return bytes(found)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._next(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def release(self) -> None:
        """Give what was read back to the budget: nobody holds it any more."""
        self._budget.held -= self._held
        self._read = self._held = 0

    def _discard(self) -> None:
        """Read on to the next request, unless nobody knows where it begins; pywsgi calls this after the answer."""
        with suppress(Malformed, OSError, NoRoom):
            # A client that waits for 100 Continue in vain may send its body or not.
            while not self._is_broken and not self._go_on and self._next(PIECE):
                self.release()

    def _next(self, most: int) -> bytes:
        """Return the next bytes that have arrived, at most `most`, counted; none at the end."""
        if self.is_read or not most:
            return b""
        try:
            piece = self._piece(most)
            self._read += len(piece)
            if (more := self._read - UNCOUNTED - self._held) > 0:
                self._budget.check(more)
                self._budget.held += more
                self._held += more
        except BaseException:
            self._is_broken = True
            raise
        return piece

    def _piece(self, most: int) -> bytes:
        if self._go_on:
            self._go_on()
            self._go_on = None
        if self._is_chunked and not self._left:
            self._begin_chunk()
            if self.is_read:
                return b""
        self._pieces += 1
        if self._pieces % PIECES_AT_A_TIME == 0:
            take_turns()
        piece = self._reader.read1(min(most, self._left, PIECE))
        if not piece:
            raise Malformed("the body ended early")
        self._left -= len(piece)
        self.is_read = not self._left and not self._is_chunked
        return piece

    def _begin_chunk(self) -> None:
        if self._pieces and self._reader.read(2) != b"\r\n":
            raise Malformed("a chunk is longer than its size, or ended early")
        line = self._reader.readline(LONGEST_CHUNK_HEAD)
        found = _chunk_head.fullmatch(line)
        if not found:
            raise Malformed("a chunk's size is malformed, incomplete or too long")
        self._left = int(found[1], 16)
        self._excess = max(0, self._excess + len(line) - 16 - 2 * self._left)
        if self._excess > MOST_EXCESS:
            raise Malformed("the chunks hold too much that is no data")
        if not self._left:
            self._read_trailers()
            self.is_read = True

    def _read_trailers(self) -> None:
        """Check and drop the fields after the last chunk."""
        left = MOST_TRAILER_BYTES
        while (line := self._reader.readline(left + 1)) != b"\r\n":
            left -= len(line)
            if left < 0 or not line.endswith(b"\r\n"):
                raise Malformed(f"a trailer is incomplete, or there are more than {MOST_TRAILER_BYTES} bytes of them")
            field(line)
