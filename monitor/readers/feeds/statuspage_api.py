"""`GET /api/v2/summary.json` and the rest of Statuspage's own API for its readers: all pages as one.

What reads a status page reads this one. statuspage_shape.py makes the rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from monitor.history.contract import History
from monitor.history.query import Query
from monitor.readers.feeds import answer
from monitor.readers.feeds.statuspage_shape import (
    DESCRIPTIONS,
    Row,
    components_of,
    indicator_of,
    page_of,
    row_of,
    size_of,
)
from monitor.readers.incidents import newest
from monitor.readers.pages import state_of, states_of
from monitor.senders.pages import Pages
from monitor.updates.impacts import is_maintenance
from monitor.updates.incident import Incident

CONTENT_TYPE = "application/json"
MOST_INCIDENTS = 50  # as Statuspage gives
MOST_SEARCHED = 2_000


def summary(history: History, pages: Pages) -> bytes:
    """Write what is open, and what is to come."""
    page = _Whole(history, pages)
    return page.json(
        components=_fitting(page.components.values(), 2),
        incidents=_fitting(page.incidents(Query(status="open")), 4),
        scheduled_maintenances=_fitting(page.planned(), 5),
        status=page.status,
    )


def status(history: History, pages: Pages) -> bytes:
    """Write how all of it is, in a word."""
    page = _Whole(history, pages)
    return page.json(status=page.status)


def components(history: History, pages: Pages) -> bytes:
    """Write the pages, each as a component."""
    page = _Whole(history, pages)
    return page.json(components=_fitting(page.components.values()))


def incidents(history: History, pages: Pages) -> bytes:
    """Write the newest incidents, open or not, newest first."""
    page = _Whole(history, pages)
    return page.json(incidents=_fitting(islice(page.incidents(Query()), MOST_INCIDENTS)))


def unresolved(history: History, pages: Pages) -> bytes:
    """Write the open incidents, newest first."""
    page = _Whole(history, pages)
    return page.json(incidents=_fitting(page.incidents(Query(status="open"))))


def maintenances(history: History, pages: Pages) -> bytes:
    """Write the newest maintenances, whether to come, under way or over, newest first."""
    page = _Whole(history, pages)
    return page.json(scheduled_maintenances=_fitting(islice(page.maintenances(Query()), MOST_INCIDENTS)))


def upcoming(history: History, pages: Pages) -> bytes:
    """Write the maintenances that are to come, the soonest first."""
    page = _Whole(history, pages)
    return page.json(scheduled_maintenances=_fitting(row for row in page.planned() if row["status"] == "scheduled"))


def active(history: History, pages: Pages) -> bytes:
    """Write the maintenances that are under way."""
    page = _Whole(history, pages)
    return page.json(scheduled_maintenances=_fitting(row for row in page.planned() if row["status"] != "scheduled"))


def _fitting(rows: Iterable[Row], share: int = 1) -> list[Row]:
    """Return the first rows, as many as fit into a `share`-th of an answer."""
    return list(answer.fitting(rows, size_of, answer.LARGEST_LIST // share))


class _Whole:
    """All pages as one: its `components`, by the id of the page that each is, and its `status`."""

    def __init__(self, history: History, pages: Pages) -> None:
        answer.query_of_request(pages)
        self._history, self._pages, self._known = history, pages, pages.known()
        states = states_of(history.periods(datetime.now(UTC)))
        self.components = components_of(self._known, states)
        indicators = [*states.values(), *(state_of(page, states) for page in self._known)]
        worst = min(map(indicator_of, indicators), key=list(DESCRIPTIONS).index, default="none")
        self.status = {"indicator": worst, "description": DESCRIPTIONS[worst]}

    def incidents(self, wanted: Query) -> Iterator[Row]:
        """Yield what is no maintenance, newest first."""
        those = newest(self._history, wanted, MOST_SEARCHED)
        return self._rows(one for one in those if not is_maintenance(one))

    def maintenances(self, wanted: Query) -> Iterator[Row]:
        """Yield maintenances, newest first."""
        return self._rows(newest(self._history, replace(wanted, impact="maintenance"), MOST_SEARCHED))

    def planned(self) -> list[Row]:
        """Return the maintenances that are not over, the soonest first."""
        rows = islice(self.maintenances(Query(status="open")), MOST_INCIDENTS)
        return sorted(rows, key=lambda row: str(row["scheduled_for"]))

    def json(self, **parts: object) -> bytes:
        """Return an answer with these parts, and the page, which is in each."""
        return f"{json.dumps({'page': page_of(self._known)} | parts)}\n".encode()

    def _rows(self, those: Iterable[Incident]) -> Iterator[Row]:
        """Yield incidents; a component's change is told by the status of its page."""
        return (
            row_of(self._pages.shown(one), self.components.get(one.page_id))
            for one in those
            if not one.is_component_update
        )
