"""Which components are down by their own word, without an incident: the newest status that each one's page gave it.

A history keeps a component's changes one by one; this follows them as they arrive, and looks back as far as the newest
LOOKED_BACK updates when the process starts. A component leaves the list when any later update calls it operational.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitor.history.contract import History
from monitor.updates.update import Update

LOOKED_BACK, MOST_AT_ONCE, MOST_COMPONENTS = 1_000, 500, 5_000

Identity = tuple[str, str]  # a page's id; a component's id, or its name where it has none


@dataclass(frozen=True, slots=True)
class _Said:
    at: datetime
    is_well: bool
    change: Update | None  # the component update that said so, if one did


class Reported:
    """The components of one history; not to be asked twice at the same time."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._newest: dict[Identity, _Said] = {}
        self._read: int | None = None

    def down(self) -> list[Update]:
        """Return the component update of each that is not operational, newest first; raise Unavailable."""
        arrivals = self._history.arrivals(self._read, LOOKED_BACK if self._read is None else MOST_AT_ONCE)
        while arrivals:
            for arrival in arrivals:
                self._note(arrival.update)
            self._read = arrivals[-1].number
            arrivals = self._history.arrivals(self._read, MOST_AT_ONCE)
        changes = [said.change for said in self._newest.values() if said.change is not None and not said.is_well]
        return sorted(changes, key=lambda change: change.updated_at, reverse=True)

    def _note(self, update: Update) -> None:
        for component in update.components:
            if component.status is None:
                continue
            identity = (update.page_id, component.id or component.name)
            known = self._newest.pop(identity, None)
            said = _Said(
                update.updated_at, component.status == "operational", update if update.is_component_update else None
            )
            if known is not None and known.at > said.at:
                said = known
            elif known is not None and said.change is None and not said.is_well:
                said = _Said(said.at, False, known.change)  # an incident's word that it is still so
            self._newest[identity] = said
        while len(self._newest) > MOST_COMPONENTS:
            del self._newest[next(iter(self._newest))]
