"""`GET /api/v2/summary.json` and the rest of Statuspage's API: all pages as one status page.

Clients of a Statuspage can read it unchanged. statuspage_shape.py makes the rows.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice

from monitor.history.contract import History
from monitor.history.query import Query
from monitor.readers.feeds import answer
from monitor.readers.feeds.statuspage_shape import DESCRIPTIONS, Row, components_of, indicator_of, page_of, row_of
from monitor.readers.pages import state_of, states_of
from monitor.senders.pages import Pages
from monitor.updates.impacts import MAINTENANCE_STATUSES, is_maintenance

CONTENT_TYPE = "application/json"
MOST_LISTED = 50  # as Statuspage lists
MOST_SEARCHED = 2_000
OPEN, MAINTENANCES = Query(status="open"), Query(impact="maintenance")

# The parts of each answer beside the page.
ANSWERS: dict[str, Callable[[_AllPages], Row]] = {
    "summary": lambda found: {
        "components": _fitting(found.components.values(), 2),
        "incidents": _fitting(found.rows(OPEN), 4),
        "scheduled_maintenances": _fitting(found.planned(), 5),
        "status": found.status,
    },
    "status": lambda found: {"status": found.status},
    "components": lambda found: {"components": _fitting(found.components.values())},
    "incidents": lambda found: {"incidents": _fitting(islice(found.rows(Query()), MOST_LISTED))},
    "unresolved": lambda found: {"incidents": _fitting(found.rows(OPEN))},
    "maintenances": lambda found: {"scheduled_maintenances": _fitting(islice(found.rows(MAINTENANCES), MOST_LISTED))},
    "upcoming": lambda found: {"scheduled_maintenances": _fitting(found.planned({"scheduled"}))},
    "active": lambda found: {"scheduled_maintenances": _fitting(found.planned({"in_progress", "verifying"}))},
}


def write(name: str, history: History, pages: Pages) -> bytes:
    """Write one of ANSWERS."""
    answer.query_of_request(pages)
    found = _AllPages(history, pages)
    return f"{json.dumps({'page': found.page} | ANSWERS[name](found))}\n".encode()


class _AllPages:
    """All pages as one `page`: its `components`, each a page under that page's id, and its `status`."""

    def __init__(self, history: History, pages: Pages) -> None:
        known = pages.known()
        states = states_of(history.periods(datetime.now(UTC)))
        impacts = [*states.values(), *(state_of(page, states) for page in known)]
        worst = min(map(indicator_of, impacts), key=list(DESCRIPTIONS).index, default="none")
        self._pages = pages
        self.page = page_of(known)
        self.components: dict[str, Row] = components_of(known, states)
        self.status: Row = {"indicator": worst, "description": DESCRIPTIONS[worst]}

    def rows(self, query: Query) -> Iterator[Row]:
        """Yield maintenances if the query asks for these, else incidents, newest first.

        A component's change is left out: the status of its page's component tells it.
        """
        for incident in self._pages.newest(query, MOST_SEARCHED):
            is_wanted = is_maintenance(incident) == (query.impact == "maintenance")
            if is_wanted and not incident.is_component_update:
                yield row_of(incident, self.components.get(incident.page_id))

    def planned(self, statuses: Container[str] = MAINTENANCE_STATUSES) -> list[Row]:
        """Return the maintenances that are not over and have one of these statuses, the soonest first."""
        rows = islice(self.rows(replace(MAINTENANCES, status="open")), MOST_LISTED)
        return sorted((row for row in rows if row["status"] in statuses), key=lambda row: str(row["scheduled_for"]))


def _fitting(rows: Iterable[Row], share: int = 1) -> list[Row]:
    """Return the first rows that fit into 1/`share` of an answer's bytes."""
    return list(answer.fitting(rows, lambda row: len(json.dumps(row)) + len(", "), answer.LARGEST_LIST // share))
