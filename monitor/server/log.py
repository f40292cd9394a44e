"""The log: one line a record on stderr, through a Printer, as a full pipe there must stop nothing either."""

from __future__ import annotations

import logging
import sys
from time import gmtime

from monitor.server.printer import Printer


def log_to_stderr() -> Printer:
    """Write the program's log to stderr from now on; return its Printer."""
    stderr = Printer("stderr", sys.__stderr__.fileno() if sys.__stderr__ else None)
    formatter = _OneLine("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = gmtime
    handler = logging.StreamHandler(stderr)
    handler.setFormatter(formatter)
    log = logging.getLogger("event_monitor")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    return stderr


class _OneLine(logging.Formatter):
    """Escapes what a record quotes from outside: it can neither forge a line nor drive a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line if line.isprintable() else line.encode("unicode_escape").decode()
