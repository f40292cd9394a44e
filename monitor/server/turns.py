"""Turns: whoever computes for long lets others be answered in between."""

from __future__ import annotations

import gevent


def take_turns() -> None:
    """Let others be answered; after sleep(0) the loop would run a hundred callbacks before it looks at a socket."""
    gevent.sleep(1e-6)
