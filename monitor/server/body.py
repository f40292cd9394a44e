"""A request's body, as `wsgi.input`: strictly framed, and counted as it comes against what all bodies may hold.

Nothing of it is read before the application asks. What is malformed or ends early raises Malformed; past the budget,
NoRoom goes through the application, up to the connection, which answers 503.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable

from monitor.server.headers import Malformed, field
from monitor.server.turns import take_turns

PIECE = 16 * 1024  # what a read that waits has set aside, for each connection
PIECES_AT_A_TIME = 64  # a body that is always there already would let nobody else have their turn
UNCOUNTED = 16 * 1024  # of each body: stalled ones keep nobody's webhook out
LONGEST_CHUNK_HEAD, MOST_TRAILER_BYTES = 4096, 8192
MOST_EXCESS = 16 * 1024  # bytes of chunk heads, less 16 a chunk and twice its data, as Go's net/http bounds them

_chunk_head = re.compile(rb"([0-9A-Fa-f]{1,16})(?:;[^\0\r\n]*)?\r\n")


class NoRoom(BaseException):
    """Requests or answers under way hold all that they may; no Exception, as an application would answer it itself."""


class Budget:
    """Bytes that are held together, at most so many."""

    def __init__(self, most: int, what: str) -> None:
        self._most, self._what = most, what
        self.held = 0

    def check(self, size: int) -> None:
        """Raise NoRoom unless there is room for so many more."""
        if self.held + size > self._most:
            raise NoRoom(f"{self._what} under way hold {self._most} bytes together")

    def take(self, size: int) -> None:
        self.held += size

    def give_back(self, size: int) -> None:
        self.held -= size


class Body(io.RawIOBase):
    """One body. `is_read` says that all of it was read: what follows on the connection is the next request."""

    def __init__(
        self, reader: io.BufferedReader, length: int | None, budget: Budget, before: Callable[[], None] | None = None
    ) -> None:
        """Read so many bytes, or None for chunks; call `before` first, if anything is read at all."""
        self._reader, self._budget, self._before = reader, budget, before
        self._is_chunked, self._left = length is None, length or 0
        self._read = self._held = self._excess = self._pieces = 0
        self.is_read = length == 0
        self._is_broken = False

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """Return so many bytes, or all that are left; fewer only at the end."""
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
        """Give back to the budget what was read: it is held no more."""
        self._budget.give_back(self._held)
        self._read = self._held = 0

    def _discard(self) -> None:
        """Read on to where the next request begins, unless that is unknown; pywsgi calls this after the answer."""
        try:
            # A client that was not told to go on may send a body or not.
            while not self._is_broken and not self._before and self._next(PIECE):
                self.release()
        except (Malformed, OSError, NoRoom):
            pass

    def _next(self, most: int) -> bytes:
        """Return what has come of the body, at most so many bytes; none at its end."""
        if self.is_read or not most:
            return b""
        try:
            piece = self._piece(most)
            self._count(len(piece))
        except BaseException:
            self._is_broken = True
            raise
        return piece

    def _count(self, size: int) -> None:
        self._read += size
        if (more := self._read - UNCOUNTED - self._held) > 0:
            self._budget.check(more)
            self._budget.take(more)
            self._held += more

    def _piece(self, most: int) -> bytes:
        if self._before:
            self._before()
            self._before = None
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
        """Check the fields that follow the last chunk, and drop them."""
        left = MOST_TRAILER_BYTES
        while (line := self._reader.readline(left + 1)) != b"\r\n":
            left -= len(line)
            if left < 0 or not line.endswith(b"\r\n"):
                raise Malformed(f"a trailer is incomplete, or there are more than {MOST_TRAILER_BYTES} bytes of them")
            field(line)
