"""The contract of a source: it asks its page and returns an Answer in Statuspage's words and shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from monitor.senders import statuspage
from monitor.senders.payload import JSONObject
from monitor.updates.incident import Incident
from monitor.updates.update import Update


@dataclass(frozen=True, slots=True)
class Answer:
    """A page's id and name, and its incidents and maintenances, oldest first; none of a list that has not changed.

    `ids` are those of all listed incidents, `oldest` is the earliest start among the newest incidents. `whole` names
    the kinds of which every open one is listed: "incidents", "scheduled_maintenances". `components` are those of now.
    """

    id: str | None
    name: str | None
    incidents: Sequence[JSONObject]
    ids: frozenset[str]
    oldest: datetime | None
    whole: frozenset[str] = frozenset()
    components: Sequence[JSONObject] = ()


class Source(Protocol):
    """One way to read a page; `how` names it for people."""

    how: str

    def ask(self) -> Answer:
        """Ask for what changed; raise NoAnswer, NotAnUpdate."""

    def more(self, unlisted: Sequence[Incident]) -> Answer:
        """Ask for the lists that may hold these incidents, which are open here."""


def update_of(incident: JSONObject, page_id: str, page: str) -> Update:
    """Return an incident as an update; raise NotAnUpdate."""
    return replace(statuspage.read({"page": {"id": page_id, "name": page}, "incident": incident}), is_polled=True)
