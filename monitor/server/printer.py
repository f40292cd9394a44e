"""Print without ever waiting: texts queue up, and one greenlet writes them when the descriptor takes them.

A plain print stops the whole server once a pipe that nobody reads is full (after 64 KiB). Used for stdout,
which carries updates and nothing else, and for stderr, which carries the log.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import sys
from collections import deque
from collections.abc import Callable
from time import gmtime, monotonic

import gevent
from gevent.event import Event
from gevent.monkey import get_original

MOST_WAITING = 10_000
AT_ONCE = select.PIPE_BUF  # what a pipe that polls as writable takes without blocking
GATHER = 0.002  # in a storm, one system call for many texts
PAUSE_WHEN_BLOCKED, PAUSE_AFTER_ERROR = 0.05, 1.0
READER_IS_GONE = (errno.EPIPE, errno.EBADF)

# gevent's own select does not know regular files, which are always writable.
_select = get_original("select", "select")


class Printer:
    """Writes texts in their order to a file descriptor (None: there is none); drops and counts past a bound.

    `problem` says what keeps it from writing, or is None; each change of it is told to `tell`.
    """

    def __init__(self, name: str, descriptor: int | None, tell: Callable[[str], None] = lambda _: None) -> None:
        self.name, self.dropped = name, 0
        self.problem: str | None = None
        self._tell = tell
        self._waiting: deque[bytes] = deque()
        self._some, self._idle = Event(), Event()
        self._idle.set()
        self._writer: gevent.Greenlet | None = None
        self._at_once = AT_ONCE
        if descriptor is None:
            self._lost_reader("it is closed")
        else:
            self._descriptor = _unblocked(descriptor) if os.isatty(descriptor) else descriptor

    def write(self, text: str) -> None:
        """Queue a text; return at once."""
        if self._at_once == 0 or len(self._waiting) >= MOST_WAITING:
            if self.dropped == 0 and self._at_once:
                self._tell(f"{self.name}: {MOST_WAITING} texts wait, further ones are dropped and counted")
            self.dropped += 1
            return
        self._waiting.append(text.encode(errors="backslashreplace"))
        if self._writer is None:
            self._writer = gevent.spawn(self._write_for_ever)
        self._some.set()
        self._idle.clear()

    def drain(self, seconds: float) -> None:
        """Wait until all is written, at most so long; count what is left as dropped."""
        if not self._idle.wait(seconds):
            self.dropped += len(self._waiting)

    def _write_for_ever(self) -> None:
        while True:
            self._some.wait()
            gevent.sleep(GATHER)
            while self._waiting:
                texts = self._next_texts()
                self._write(b"".join(texts), len(texts))
            self._some.clear()
            self._idle.set()

    def _next_texts(self) -> list[bytes]:
        texts = [self._waiting.popleft()]
        size = len(texts[0])
        while self._waiting and size + len(self._waiting[0]) <= self._at_once:
            texts.append(self._waiting.popleft())
            size += len(texts[-1])
        return texts

    def _write(self, texts: bytes, number: int) -> None:
        blocked_since = monotonic()
        while texts and self._at_once:
            try:
                if not _select((), (self._descriptor,), (), 0)[1]:
                    raise BlockingIOError
                texts = texts[os.write(self._descriptor, texts[: self._at_once]) :]
            except BlockingIOError:
                if monotonic() - blocked_since > 1:
                    self._change("its reader does not read")
                gevent.sleep(PAUSE_WHEN_BLOCKED)
            except OSError as error:
                if error.errno in READER_IS_GONE:
                    self.dropped += number
                    self._lost_reader("its reader went away")
                    return
                self._change(error.strerror or str(error))
                gevent.sleep(PAUSE_AFTER_ERROR)
            else:
                self._change(None)

    def _change(self, problem: str | None) -> None:
        if problem == self.problem:
            return
        self.problem = problem
        if problem:
            self._tell(f"{self.name}: {problem}; texts wait, {self.dropped} dropped so far")
        else:
            self._tell(f"{self.name}: written again, {self.dropped} dropped so far")

    def _lost_reader(self, problem: str) -> None:
        self._at_once = 0
        self.dropped += len(self._waiting)
        self._waiting.clear()
        self.problem = problem
        self._tell(f"{self.name}: {problem}; what would be printed is dropped and counted")


def _unblocked(terminal: int) -> int:
    """Open a terminal once more, for writes that do not block: as writable, it promises room for one byte.

    The descriptor itself stays as it is: the shell shares it.
    """
    try:
        return os.open(os.ttyname(terminal), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:  # it belongs to somebody else, as after `su`
        return terminal


class _OneLine(logging.Formatter):
    """What is logged may quote a stranger: it can neither forge a line nor drive a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line if line.isprintable() else line.encode("unicode_escape").decode()


def log_to_stderr() -> Printer:
    """Write the log through a Printer too: nobody may be reading stderr either."""
    stderr = Printer("stderr", sys.__stderr__.fileno() if sys.__stderr__ else None)
    formatter = _OneLine("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = gmtime
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(formatter)
    log = logging.getLogger("event_monitor")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return stderr
