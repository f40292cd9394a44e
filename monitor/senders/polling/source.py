"""What the sources of a page have in common: each asks its page and gives an Answer in Statuspage's words and shape."""

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
    """What a page says of itself, and its incidents and maintenances, as far as something changed, oldest first.

    `ids` are those of all that it lists, `oldest` is when the first of its newest incidents began. `whole` says of
    what it lists all that is open: "incidents", "scheduled_maintenances". `components` are as they are now.
    """

    id: str | None
    name: str | None
    incidents: Sequence[JSONObject]
    ids: frozenset[str]
    oldest: datetime | None
    whole: frozenset[str] = frozenset()
    components: Sequence[JSONObject] = ()


class Source(Protocol):
    """One way of asking a page; `how` says which."""

    how: str

    def ask(self) -> Answer:
        """Ask for what changed; raise NoAnswer, NotAnUpdate."""

    def more(self, unlisted: Sequence[Incident]) -> Answer:
        """Ask for what may list these, which are open here."""


def update_of(incident: JSONObject, page_id: str, page: str) -> Update:
    """Return an incident as an update; raise NotAnUpdate."""
    return replace(statuspage.read({"page": {"id": page_id, "name": page}, "incident": incident}), is_polled=True)
