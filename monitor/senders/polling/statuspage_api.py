"""Statuspage's API, which others speak too: the newest incidents with their stories, maintenances, components.

https://status.atlassian.com/api/v2/. Two lists are asked for, `incidents.json` and `summary.json`, which holds all that
is open; the others only for what these leave open. All but the first are optional. incidentio.py adds what pages on
incident.io say elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from urllib.parse import urlsplit

from monitor.senders.pages import KnownPage
from monitor.senders.payload import JSONObject, mapping, records, text, word
from monitor.senders.polling.client import Challenged, NoAnswer, NotThere, StatusPageClient
from monitor.senders.polling.feed import ParseFeed
from monitor.senders.polling.incidentio import IncidentIo
from monitor.senders.polling.source import Answer
from monitor.updates.errors import NotAnUpdate
from monitor.updates.impacts import is_maintenance, is_of_incident_io
from monitor.updates.incident import Incident
from monitor.updates.times import instant

NEWEST = "/api/v2/incidents.json"  # 50, open or not
UNRESOLVED = "/api/v2/incidents/unresolved.json"
SUMMARY = "/api/v2/summary.json"  # what is open, maintenances that are ahead or under way, components
MAINTENANCES = "/api/v2/scheduled-maintenances.json"  # 50, over or not
SECONDS_WITHOUT_A_LIST = 86_400.0
WITHOUT_A_CDN = "https://{}.statuspage.io"
STATUSPAGE_ID = re.compile(r"[a-z0-9]{12}")


@dataclass(frozen=True, slots=True)
class _List:
    ids: frozenset[str]
    oldest: datetime | None


class StatuspageApi:
    """Asks a page that speaks Statuspage's API."""

    how = "Statuspage's API"

    def __init__(self, known: KnownPage, client: StatusPageClient, parse: ParseFeed) -> None:
        self._client, self._base, self._id = client, known.url.rstrip("/"), known.id
        self._name: str | None = None
        self._lists: dict[tuple[str, str], _List] = {}  # as they last answered
        self._components: Sequence[JSONObject] = ()
        self._absent: dict[str, float] = {}  # until when an address is not asked again
        self._elsewhere = IncidentIo(urlsplit(known.url).hostname or "", parse)

    def ask(self) -> Answer:
        """Ask for what changed; raise NoAnswer, NotAnUpdate."""
        newest = self._newest()
        summary = self._optional(SUMMARY)
        found = self._listed(NEWEST, newest, "incidents")
        if self.how != IncidentIo.how:  # whose summary leaves incidents out
            found = self._listed(SUMMARY, summary, "incidents") + found
        found += self._listed(SUMMARY, summary, "scheduled_maintenances")
        paths = [NEWEST, SUMMARY]
        if (SUMMARY, "scheduled_maintenances") not in self._lists:
            found += self._listed(MAINTENANCES, self._optional(MAINTENANCES), "scheduled_maintenances")
            paths.append(MAINTENANCES)
        if summary is not None:
            self._components = [one for one in records(summary.get("components")) if one.get("group") is not True]
        if self.how == IncidentIo.how:
            self._elsewhere.ask(self._bytes, self._optional, is_new=newest is not None)
            found = [self._elsewhere.completed(incident) for incident in found]
        return self._answer(found, paths)

    def more(self, unlisted: Sequence[Incident]) -> Answer:
        """Ask for what may list these, which are open here."""
        found: list[JSONObject] = []
        if any(is_maintenance(incident) for incident in unlisted):
            found += self._listed(MAINTENANCES, self._optional(MAINTENANCES), "scheduled_maintenances")
        if not all(is_maintenance(incident) for incident in unlisted) and (SUMMARY, "incidents") not in self._lists:
            found += self._listed(UNRESOLVED, self._optional(UNRESOLVED), "incidents")
        return self._answer(found, [NEWEST, SUMMARY, UNRESOLVED, MAINTENANCES])

    def _answer(self, found: list[JSONObject], paths: Sequence[str]) -> Answer:
        """Return an answer; a list that was not asked for now may be an old one."""
        lists = {place: listed for place, listed in self._lists.items() if place[0] in paths}
        return Answer(
            id=self._id,
            name=self._name,
            incidents=found,
            ids=frozenset().union(*[listed.ids for listed in lists.values()]),
            oldest=lists[NEWEST, "incidents"].oldest,
            whole=frozenset(key for path, key in lists if path != NEWEST),
            components=self._elsewhere.components or self._components,
        )

    def _newest(self) -> JSONObject | None:
        self._client.begin()
        try:
            answer = self._client.json(self._base + NEWEST)
        except Challenged:
            direct = WITHOUT_A_CDN.format(self._id)
            if not STATUSPAGE_ID.fullmatch(self._id or "") or self._base == direct:
                raise
            self._base = direct  # the same page without a CDN before it
            answer = self._client.json(self._base + NEWEST)
        if answer is not None:
            if not isinstance(answer.get("incidents"), list):
                raise NotAnUpdate("answers no list of incidents: it may have no API of Statuspage's")
            page = mapping(answer.get("page"))
            self._id, self._name = word(page.get("id")) or self._id, word(page.get("name"))
            if is_of_incident_io(self._id or ""):
                self.how = IncidentIo.how
        return answer

    def _optional(self, path: str) -> JSONObject | None:
        """Return what is there, None where nothing changed, an empty object where there is no answer."""
        try:
            return self._client.json(self._base + path) if self._may_ask(path) else {}
        except (NoAnswer, NotAnUpdate) as reason:
            return self._without(path, reason)

    def _bytes(self, path: str, accept: str, largest: int) -> bytes | None:
        try:
            return self._client.get(self._base + path, accept, largest) if self._may_ask(path) else None
        except NoAnswer as reason:
            self._without(path, reason)
        return None

    def _may_ask(self, path: str) -> bool:
        return monotonic() >= self._absent.get(path, 0.0)

    def _without(self, path: str, reason: NoAnswer | NotAnUpdate) -> JSONObject:
        """Do without an optional answer, unless the page asks for a pause; ask no more today for what is not there."""
        if getattr(reason, "retry_after", 0.0):
            raise reason
        if isinstance(reason, NotThere):
            self._absent[path] = monotonic() + SECONDS_WITHOUT_A_LIST
        self._client.forget(self._base + path)
        self._lists = {place: listed for place, listed in self._lists.items() if place[0] != path}
        return {}

    def _listed(self, path: str, answer: JSONObject | None, key: str) -> list[JSONObject]:
        """Return what a list holds, oldest first, and remember which; nothing where nothing changed."""
        listed = answer and answer.get(key)
        if not isinstance(listed, list):
            return []
        every = [mapping(incident) for incident in listed]
        ids = frozenset(incident_id for incident in every if (incident_id := text(incident.get("id"))))
        oldest = min((at for incident in every if (at := instant(incident.get("created_at")))), default=None)
        self._lists[path, key] = _List(ids, oldest)
        return records(listed)[::-1]
