"""The history: every update once, folded into incidents; in memory, or in a database (an optional part)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monitor.history.contract import History
from monitor.history.memory import MemoryHistory
from monitor.settings import parts


def open(config: Mapping[str, Any], *, reading: bool = False) -> History:  # noqa: A001  # as a file is opened
    """Return the history that the settings ask for; with `reading` it is never written; raise BadSetting."""
    for part in parts(__name__):
        durable: History | None = part.open(config, reading=reading)
        if durable is not None:
            return durable
    return MemoryHistory()
