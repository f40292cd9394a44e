"""A page of `GET /incidents`: found incidents -> JSON, or the two lines of each."""

from __future__ import annotations

from collections.abc import Sequence

import gevent
from flask import json

from monitor.history import query
from monitor.history.contract import Incident
from monitor.updates.incident import document
from monitor.updates.update import lines

LARGEST_ANSWER = 1024 * 1024  # a page ends early here, with a cursor for the rest


def as_text(found: Sequence[Incident]) -> str:
    return "".join([lines(incident.state) for incident in found])


def as_json(found: Sequence[Incident], limit: int) -> str:
    """Return `{"incidents": […], "next_cursor": …}`; fewer than `limit` found are the last there are."""
    rows: list[str] = []
    size = 0
    while len(rows) < len(found) and size < LARGEST_ANSWER:
        if len(rows) % 20 == 19:
            gevent.sleep(0)  # a page of 1 MiB takes 8 ms: let others be answered in between
        rows.append(json.dumps(document(found[len(rows)].state)))
        size += len(rows[-1])
    is_last = len(rows) == len(found) < limit
    next_cursor = None if is_last else query.cursor(found[len(rows) - 1].place)
    return f'{{"incidents": [{", ".join(rows)}], "next_cursor": {json.dumps(next_cursor)}}}\n'
