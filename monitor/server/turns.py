"""Turns: code that computes for long lets other requests be answered in between."""

from __future__ import annotations

import gevent


def take_turns() -> None:
    """Let others be answered. After sleep(0) the loop would run up to 100 callbacks before it looks at a socket."""
    gevent.sleep(1e-6)
