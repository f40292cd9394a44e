"""Print without blocking: the caller writes its text itself; what the descriptor does not take waits in a queue.

A plain print stops the whole server once a pipe that nobody reads is full (after 64 KiB). stdout carries updates and
nothing else, stderr the log; both are written here.
"""

from __future__ import annotations

import errno
import os
import select
import stat
from collections import deque
from collections.abc import Callable
from time import monotonic

import gevent
from gevent.monkey import get_original

MOST_WAITING = 10_000  # texts
PAUSE_WHEN_BLOCKED, PAUSE_AFTER_ERROR = 0.05, 1.0  # seconds

# gevent's own poll does not know regular files, which are always writable.
_Poll = get_original("select", "poll")


class Printer:
    """Writes texts in order to a file descriptor (None: it is closed); past MOST_WAITING it drops and counts them.

    `problem` says what keeps it from writing, or is None. Each change of it goes to `tell` as a sentence.
    """

    def __init__(self, name: str, descriptor: int | None, tell: Callable[[str], None] = lambda _: None) -> None:
        self.name, self.dropped = name, 0
        self.problem: str | None = None
        self._tell = tell
        self._waiting: deque[bytes] = deque()
        self._written_at = 0.0
        self._writer: gevent.Greenlet | None = None
        self._is_open = True
        if descriptor is None:
            self._lose_reader("it is closed")
        else:
            self._descriptor, self._may_block = _unblocked(descriptor)
            self._poll = _Poll()
            self._poll.register(self._descriptor, select.POLLOUT)

    def write(self, text: str) -> None:
        """Write a text now, or as soon as the descriptor takes it; return at once."""
        if not self._is_open or len(self._waiting) >= MOST_WAITING:
            if self.dropped == 0 and self._is_open:
                self._tell(f"{self.name}: {MOST_WAITING} texts wait, further ones are dropped and counted")
            self.dropped += 1
            return
        self._waiting.append(text.encode(errors="backslashreplace"))
        if self._writer is None and self._write_waiting():
            self._written_at = monotonic()
            self._writer = gevent.spawn(self._retry)

    def drain(self, seconds: float) -> None:
        """Wait until all texts are written, at most so many seconds; count the rest as dropped."""
        if self._writer:
            self._writer.join(seconds)
        self.dropped += len(self._waiting)

    def _retry(self) -> None:
        while pause := self._write_waiting():
            gevent.sleep(pause)
        self._writer = None

    def _write_waiting(self) -> float:
        """Write what the descriptor takes without blocking; return the seconds until the next try, 0 if none is due."""
        try:
            while self._waiting:
                if self._may_block and not self._poll.poll(0):
                    raise BlockingIOError
                self._written(os.write(self._descriptor, self._gather()))
        except BlockingIOError:
            if self._writer and monotonic() - self._written_at > 1:
                self._change("its reader does not read")
            return PAUSE_WHEN_BLOCKED
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EBADF):
                self._change(error.strerror or str(error))
                return PAUSE_AFTER_ERROR
            self._lose_reader("its reader went away")
        return 0.0

    def _gather(self) -> bytes:
        """Return as many whole texts as a writable pipe takes without blocking, or the beginning of one."""
        texts: list[bytes] = []
        size = 0
        for text in self._waiting:
            size += len(text)
            if texts and size > select.PIPE_BUF:
                break
            texts.append(text)
        return b"".join(texts)[: select.PIPE_BUF]

    def _written(self, size: int) -> None:
        self._written_at = monotonic()
        while self._waiting and size >= len(self._waiting[0]):
            size -= len(self._waiting.popleft())
        if size:
            self._waiting[0] = self._waiting[0][size:]
        self._change(None)

    def _change(self, problem: str | None) -> None:
        if problem != self.problem:
            self.problem = problem
            state = f"{problem}; texts wait" if problem else "written again"
            self._tell(f"{self.name}: {state}, {self.dropped} dropped so far")

    def _lose_reader(self, problem: str) -> None:
        self._is_open = False
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self.problem = problem
        self._tell(f"{self.name}: {problem}; what would be printed is dropped and counted")


def _unblocked(descriptor: int) -> tuple[int, bool]:
    """Return the descriptor to write to in place of this one, and whether a write to it may block.

    A pipe or a terminal is opened again as non-blocking: the shell shares the given descriptor, which stays unchanged.
    (A terminal that polls as writable promises room for one byte only.)
    """
    try:
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISFIFO(mode) or os.isatty(descriptor)):
            return descriptor, not stat.S_ISREG(mode)
        path = os.ttyname(descriptor) if os.isatty(descriptor) else f"/proc/self/fd/{descriptor}"
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY), False
    except OSError:  # it belongs to another user, as after `su`, has no name here, as in a container, or is closed
        return descriptor, True
