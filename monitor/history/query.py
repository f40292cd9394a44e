"""The query string of `GET /incidents`: reading and checking it, and which incidents match it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from monitor.updates.errors import BadQuery
from monitor.updates.impacts import COMPONENT_STATUSES, IMPACTS, INCIDENT_STATUSES, MAINTENANCE_STATUSES, impact_of
from monitor.updates.text import storable
from monitor.updates.times import instant
from monitor.updates.update import State

STATUSES = ("open", *INCIDENT_STATUSES, *MAINTENANCE_STATUSES, *COMPONENT_STATUSES)
PARAMETERS = ("id", "page", "component", "status", "impact", "since", "limit", "cursor")
DEFAULT_LIMIT, HIGHEST_LIMIT = 50, 500

# An incident's place in a listing: created_at in microseconds since 1970, and a number in the order of first sight.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Query:
    """Filters (None matches all) on incidents, which are listed newest first by created_at, from below `before`.

    `page` is an id or a name as the client gave it; `page_ids` are the pages that senders/pages.py knows by it.
    """

    id: str | None = None
    page: str | None = None
    page_ids: frozenset[str] | None = None
    component: str | None = None
    status: str | None = None
    impact: str | None = None
    since: datetime | None = None
    limit: int = DEFAULT_LIMIT
    before: Place | None = None

    @property
    def unknown_page(self) -> str | None:
        """The page that is asked for, if nobody knows it; of a query that Pages.resolve returned."""
        return None if self.page_ids else self.page

    def matches(self, state: State) -> bool:
        """Tell whether an incident or an update passes the filters; `component` is a name or an id."""
        return (
            (self.id is None or self.id == state.id)
            and (self.page_ids is None or state.page_id in self.page_ids)
            and (self.component is None or self.component.casefold() in names_of_components(state))
            and (self.impact is None or self.impact == impact_of(state))
            and (self.since is None or state.updated_at >= self.since)
            and (self.status is None or self.status == state.status or (self.status == "open" and state.is_open))
        )


def names_of_components(state: State) -> set[str]:
    """Return the names and ids of a state's components, casefolded: filters ignore case."""
    return {text.casefold() for component in state.components for text in (component.name, component.id) if text}


def cursor(place: Place) -> str:
    """Return a place as text, which `read` turns back."""
    return f"{place[0]}-{place[1]}"


def read(arguments: Mapping[str, list[str]]) -> Query:
    """Return the query that the parameters of a query string ask for; raise BadQuery naming a bad parameter."""
    check_known(arguments, PARAMETERS)
    given = {name: once(name, values) for name, values in arguments.items() if name != "token"}
    checks = {"status": _status, "impact": _impact, "since": _since, "limit": _limit, "cursor": _before}
    checked: dict[str, Any] = {name: checks.get(name, str)(value) for name, value in given.items()}
    return Query(before=checked.pop("cursor", None), **checked)


def check_known(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise BadQuery for an unknown parameter; every route knows `token`."""
    if unknown := sorted({*given} - {*known, "token"}):
        raise BadQuery(f"unknown parameter {unknown[0]!a}")


def once(name: str, values: Sequence[str]) -> str:
    """Return the value of a parameter; raise BadQuery unless it is given once."""
    if len(values) != 1:
        raise BadQuery(f"parameter {name!a} is given {len(values)} times")
    return storable(values[0])


def _status(value: str) -> str:
    return value if value in STATUSES else _refuse(f"status is not one of {', '.join(STATUSES)}")


def _impact(value: str) -> str:
    return value if value in IMPACTS else _refuse(f"impact is not one of {', '.join(IMPACTS)}")


def _since(value: str) -> datetime:
    since = instant(value.replace(" ", "+"))  # an unescaped + arrives as a space
    return since or _refuse("since is not an ISO 8601 time such as 2025-11-03T14:32:00Z")


def _limit(value: str) -> int:
    is_good = re.fullmatch("[0-9]{1,3}", value) and 1 <= int(value) <= HIGHEST_LIMIT
    return int(value) if is_good else _refuse(f"limit is not a whole number from 1 to {HIGHEST_LIMIT}")


def _before(value: str) -> Place:
    match = re.fullmatch("([0-9]{1,17})-([0-9]{1,17})", value)
    return (int(match[1]), int(match[2])) if match else _refuse("cursor is not one that an answer gave as next_cursor")


def _refuse(reason: str) -> NoReturn:
    raise BadQuery(reason)
