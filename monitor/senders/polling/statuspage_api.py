"""Statuspage's API, which other makers serve too: the newest incidents with their stories, maintenances, components.

https://status.atlassian.com/api/v2/. Each poll asks for `incidents.json` and for `summary.json`, which lists what is
open; it asks for other lists only if these two do not suffice. All but the first are optional. incidentio.py adds what
pages on incident.io say elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from urllib.parse import urlsplit

from monitor.senders.pages import KnownPage
from monitor.senders.payload import JSONObject, mapping, records, text, word
from monitor.senders.polling.client import Challenged, NoAnswer, NotThere, StatusPageClient
from monitor.senders.polling.incidentio import IncidentIo
from monitor.senders.polling.source import Answer
from monitor.updates.errors import NotAnUpdate
from monitor.updates.impacts import is_maintenance, is_of_incident_io
from monitor.updates.incident import Incident
from monitor.updates.times import instant

NEWEST = "/api/v2/incidents.json"  # the newest 50, open or not
UNRESOLVED = "/api/v2/incidents/unresolved.json"
SUMMARY = "/api/v2/summary.json"  # open incidents, upcoming and current maintenances, components
MAINTENANCES = "/api/v2/scheduled-maintenances.json"  # the newest 50, ended or not
SECONDS_WITHOUT_A_LIST = 86_400.0
WITHOUT_A_CDN = "https://{}.statuspage.io"
STATUSPAGE_ID = re.compile(r"[a-z0-9]{12}")


class StatuspageApi:
    """Polls a page that serves Statuspage's API."""

    how = "Statuspage's API"

    def __init__(self, known: KnownPage, client: StatusPageClient) -> None:
        self._client, self._base, self._page_id = client, known.url.rstrip("/"), known.id
        self._name: str | None = None
        self._ids: dict[tuple[str, str], frozenset[str]] = {}  # in the last answers, by path and key
        self._oldest: datetime | None = None  # start of an incident in the last answer of NEWEST
        self._components: Sequence[JSONObject] = ()
        self._absent: dict[str, float] = {}  # until when a path is not asked for again
        self._elsewhere = IncidentIo(urlsplit(known.url).hostname or "")

    def ask(self) -> Answer:
        """Ask for what changed; raise NoAnswer, NotAnUpdate."""
        newest = self._newest()
        summary = self._optional(SUMMARY)
        found = self._listed(NEWEST, newest, "incidents")
        if self.how != IncidentIo.how:  # whose summary omits incidents
            found = self._listed(SUMMARY, summary, "incidents") + found
        found += self._listed(SUMMARY, summary, "scheduled_maintenances")
        paths = [NEWEST, SUMMARY]
        if (SUMMARY, "scheduled_maintenances") not in self._ids:
            found += self._listed(MAINTENANCES, self._optional(MAINTENANCES), "scheduled_maintenances")
            paths.append(MAINTENANCES)
        if summary is not None:
            self._components = [one for one in records(summary.get("components")) if one.get("group") is not True]
        if self.how == IncidentIo.how:
            self._elsewhere.ask(self._bytes, self._optional, is_new=newest is not None)
            found = [self._elsewhere.completed(incident) for incident in found]
        return self._answer(found, paths)

    def more(self, unlisted: Sequence[Incident]) -> Answer:
        """Ask for the lists that may hold these incidents, which are open here."""
        found: list[JSONObject] = []
        if any(is_maintenance(incident) for incident in unlisted):
            found += self._listed(MAINTENANCES, self._optional(MAINTENANCES), "scheduled_maintenances")
        if not all(is_maintenance(incident) for incident in unlisted) and (SUMMARY, "incidents") not in self._ids:
            found += self._listed(UNRESOLVED, self._optional(UNRESOLVED), "incidents")
        return self._answer(found, [NEWEST, SUMMARY, UNRESOLVED, MAINTENANCES])

    def _answer(self, found: list[JSONObject], paths: Sequence[str]) -> Answer:
        """Return an answer, from the lists at these paths only: another list may be old."""
        lists = {place: ids for place, ids in self._ids.items() if place[0] in paths}
        return Answer(
            id=self._page_id,
            name=self._name,
            incidents=found,
            ids=frozenset().union(*lists.values()),
            oldest=self._oldest,
            whole=frozenset(key for path, key in lists if path != NEWEST),
            components=self._elsewhere.components or self._components,
        )

    def _newest(self) -> JSONObject | None:
        self._client.begin()
        try:
            answer = self._client.json(self._base + NEWEST)
        except Challenged:
            direct = WITHOUT_A_CDN.format(self._page_id)
            if not STATUSPAGE_ID.fullmatch(self._page_id or "") or self._base == direct:
                raise
            self._base = direct  # the same page, not behind the CDN
            answer = self._client.json(self._base + NEWEST)
        if answer is not None:
            if not isinstance(answer.get("incidents"), list):
                raise NotAnUpdate("answers no list of incidents: it may not serve Statuspage's API")
            page = mapping(answer.get("page"))
            self._page_id, self._name = word(page.get("id")) or self._page_id, word(page.get("name"))
            if is_of_incident_io(self._page_id or ""):
                self.how = IncidentIo.how
        return answer

    def _optional(self, path: str) -> JSONObject | None:
        """Return the JSON object at a path, None if nothing changed, an empty object if there is no answer."""
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
        """Go on without an optional answer, unless the page asks for a pause; a path that is not there rests a day."""
        if getattr(reason, "retry_after", 0.0):
            raise reason
        if isinstance(reason, NotThere):
            self._absent[path] = monotonic() + SECONDS_WITHOUT_A_LIST
        self._client.forget(self._base + path)
        self._ids = {place: ids for place, ids in self._ids.items() if place[0] != path}
        return {}

    def _listed(self, path: str, answer: JSONObject | None, key: str) -> list[JSONObject]:
        """Return the incidents of a list, oldest first, and remember their ids; none if nothing changed."""
        listed = answer and answer.get(key)
        if not isinstance(listed, list):
            return []
        every = [mapping(incident) for incident in listed]
        self._ids[path, key] = frozenset(found for incident in every if (found := text(incident.get("id"))))
        if path == NEWEST:
            self._oldest = min((at for incident in every if (at := instant(incident.get("created_at")))), default=None)
        return records(listed)[::-1]
