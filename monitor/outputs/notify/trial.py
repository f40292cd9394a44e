"""Trial: `--test-notify` sends each service a test message. With `--since 30d` it sends nothing: it tries the filters,
and lists for each service the kept updates that would have been sent.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from monitor import history
from monitor.history.contract import History
from monitor.history.memory import MemoryHistory
from monitor.outputs.notify import wording
from monitor.outputs.notify.services import Service
from monitor.senders.pages import Pages
from monitor.updates.errors import Unavailable
from monitor.updates.times import instant
from monitor.updates.update import Update

READ_AT_ONCE = 500
UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def test(config: Mapping[str, Any], since: Sequence[str]) -> int:
    """Try the services; print the result, and return the exit code."""
    services: Sequence[Service] = config.get("NOTIFY", ())
    if not services:
        return _refuse("MONITOR_NOTIFY is not set")
    if not since:
        return _send(services)
    if (began := _time(since[-1])) is None:
        return _refuse(f"--since {since[-1]!a} is neither such as 30d, 12h or 90m nor a time such as 2026-06-01")
    kept = history.open(config, reading=True)
    if isinstance(kept, MemoryHistory):
        return _refuse("nothing is kept: --since needs MONITOR_DATABASE_URL")
    try:
        return _tell(services, began, kept, Pages(config.get("PAGES", ()), kept))
    except Unavailable as error:
        return _refuse(f"the history cannot be read: {error}", 1)


def _send(services: Sequence[Service]) -> int:
    title, body = "event_monitor: test message", f"If you read this, it works. {datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    reasons = {service.name: service.send(title, body) for service in services}
    for name, reason in reasons.items():
        print(f"{name}: failed: {reason}" if reason else f"{name}: sent")
    return 1 if any(reasons.values()) else 0


def _tell(services: Sequence[Service], since: datetime, kept: History, pages: Pages) -> int:
    pages.known()
    updates = [pages.shown(update) for update in _told(kept) if update.updated_at >= since]
    for service in services:
        taken = [update for update in updates if service.takes(update)]
        print(f"{service.name}: {len(taken)} of {len(updates)} updates since {since:%Y-%m-%d %H:%M} UTC")
        for update in taken:
            print(f"  {update.updated_at:%Y-%m-%d %H:%M}  {wording.title(update)}")
    return 0


def _told(kept: History) -> Iterator[Update]:
    """Yield the kept updates in the order of their arrival, without the late ones, of which no service is told."""
    newest: dict[tuple[str, bool, str], datetime] = {}
    after = 0
    while arrivals := kept.arrivals(after, READ_AT_ONCE):
        after = arrivals[-1].number
        for update in (arrival.update for arrival in arrivals):
            identity = update.page_id, update.is_component_update, update.subject
            if update.updated_at >= newest.get(identity, update.updated_at):
                newest[identity] = update.updated_at
                yield update


def _time(text: str) -> datetime | None:
    if ago := re.fullmatch(r"(\d{1,5})([dhm])", text):
        return datetime.now(UTC) - timedelta(**{UNITS[ago[2]]: int(ago[1])})
    return instant(text)


def _refuse(reason: str, code: int = 2) -> int:
    print(f"event_monitor: {reason}", file=sys.stderr)
    return code
