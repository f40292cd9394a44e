"""What a reader asks for: the query string of `GET /incidents`, checked, and whether an incident matches it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.updates.errors import BadQuery
from monitor.updates.impacts import COMPONENT_STATUSES, IMPACTS, INCIDENT_STATUSES, MAINTENANCE_STATUSES, impact_of
from monitor.updates.text import storable
from monitor.updates.times import instant
from monitor.updates.update import State

STATUSES = ("open", *INCIDENT_STATUSES, *MAINTENANCE_STATUSES, *COMPONENT_STATUSES)
PARAMETERS = ("id", "page", "component", "status", "impact", "since", "limit", "cursor")
DEFAULT_LIMIT, HIGHEST_LIMIT = 50, 500

# An incident's place in the listing: created_at in microseconds since 1970, and the order of its first sight.
Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Query:
    """Incidents newest first by created_at, from below `before`; None asks for all.

    `page` is what was asked for, an id or a name; `page_ids` are the pages that go by it, which senders/pages.py knows.
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

    def matches(self, state: State) -> bool:
        """Tell whether an incident or an update passes the filters; a component is named or given by its id."""
        return (
            (self.id is None or self.id == state.id)
            and (self.page_ids is None or state.page_id in self.page_ids)
            and (self.component is None or self.component.casefold() in names_of_components(state))
            and (self.impact is None or self.impact == impact_of(state))
            and (self.since is None or state.updated_at >= self.since)
            and (self.status is None or self.status == state.status or (self.status == "open" and state.is_open))
        )


def names_of_components(state: State) -> set[str]:
    """Return what a state's components are asked for by: names and ids, folded, as case does not matter."""
    return {text.casefold() for component in state.components for text in (component.name, component.id) if text}


def cursor(place: Place) -> str:
    """Return the text that stands for a place; `read` turns it back."""
    return f"{place[0]}-{place[1]}"


def read(arguments: Mapping[str, list[str]]) -> Query:
    """Return the query in a query string's parameters, given as lists; raise BadQuery naming the parameter."""
    check_known(arguments, PARAMETERS)
    given = {name: once(name, values) for name, values in arguments.items() if name != "token"}
    return Query(
        id=given.get("id"),
        page=given.get("page"),
        component=given.get("component"),
        status=_one_of("status", STATUSES, given.get("status")),
        impact=_one_of("impact", tuple(IMPACTS), given.get("impact")),
        since=_since(given.get("since")),
        limit=_limit(given.get("limit")),
        before=_before(given.get("cursor")),
    )


def check_known(given: Iterable[str], known: Iterable[str]) -> None:
    """Raise BadQuery for a parameter that is not known; the token is, everywhere."""
    if unknown := sorted({*given} - {*known, "token"}):
        raise BadQuery(f"unknown parameter {unknown[0]!a}")


def once(name: str, values: Sequence[str]) -> str:
    """Return the value of a parameter; raise BadQuery where it is given several times."""
    if len(values) != 1:
        raise BadQuery(f"parameter {name!a} is given {len(values)} times")
    return storable(values[0])


def _one_of(name: str, words: tuple[str, ...], value: str | None) -> str | None:
    if value is not None and value not in words:
        raise BadQuery(f"{name} is not one of {', '.join(words)}")
    return value


def _since(value: str | None) -> datetime | None:
    if value is None:
        return None
    since = instant(value.replace(" ", "+"))  # a + that the caller did not escape arrives as a space
    if since is None:
        raise BadQuery("since is not an ISO 8601 time such as 2025-11-03T14:32:00Z")
    return since


def _limit(value: str | None) -> int:
    if value is None:
        return DEFAULT_LIMIT
    if not re.fullmatch("[0-9]{1,3}", value) or not 1 <= int(value) <= HIGHEST_LIMIT:
        raise BadQuery(f"limit is not a whole number from 1 to {HIGHEST_LIMIT}")
    return int(value)


def _before(value: str | None) -> Place | None:
    if value is None:
        return None
    match = re.fullmatch("([0-9]{1,17})-([0-9]{1,17})", value)
    if match is None:
        raise BadQuery("cursor is not one that an answer gave as next_cursor")
    return int(match[1]), int(match[2])
