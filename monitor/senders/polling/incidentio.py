"""What a page on incident.io says of an incident beside its API, which names neither components nor links.

`/feed.atom` names both (https://docs.incident.io/status-pages/rss), `/proxy/<host>`, which nobody documents, the ids of
components, their groups and how they are. Both may vanish: then an incident stands under its title.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress

from monitor.senders.payload import JSONObject, mapping, records, text
from monitor.senders.polling.client import NoAnswer
from monitor.senders.polling.feed import ACCEPT, LARGEST_FEED, ParseFeed

FEED, PROXY = "/feed.atom", "/proxy/{}"
TOLD = ("components", "shortlink")
STATUSES = {"full_outage": "major_outage"}


class IncidentIo:
    """Completes the incidents of one page; `components` are as they are now, empty where nobody says."""

    how = "incident.io's API"

    def __init__(self, host: str, parse: ParseFeed) -> None:
        self._proxy, self._parse = PROXY.format(host), parse
        self._told: dict[str, JSONObject] = {}  # by incident, as the feed tells it
        self._ongoing: dict[str, list[JSONObject]] = {}  # the components of those that go on
        self._ids: dict[str, str] = {}  # of components, by name
        self.components: list[JSONObject] = []

    def ask(
        self,
        get: Callable[[str, str, int], bytes | None],
        get_json: Callable[[str], JSONObject | None],
        *,
        is_new: bool,
    ) -> None:
        """Ask for how the components are and, if the incidents are new, for what the feed tells of them."""
        if (answer := get_json(self._proxy)) is not None:
            self._read(mapping(answer.get("summary")))
        if is_new and (body := get(FEED, ACCEPT, LARGEST_FEED)) is not None:
            with suppress(NoAnswer):
                incidents = self._parse(body).incidents
                self._told = {one["id"]: {name: one.get(name) for name in TOLD} for one in incidents}

    def completed(self, incident: JSONObject) -> JSONObject:
        """Return an incident with its components and its link, where they are known."""
        incident_id = text(incident.get("id")) or ""
        told = self._told.get(incident_id, {})
        components = self._ongoing.get(incident_id) or [self._with_id(one) for one in told.get("components", ())]
        added = told | {"components": components}
        return incident | {name: value for name, value in added.items() if value and not incident.get(name)}

    def _read(self, summary: JSONObject) -> None:
        groups = (mapping(item.get("group")) for item in records(mapping(summary.get("structure")).get("items")))
        group_of = {
            text(one.get("component_id")): text(group.get("name"))
            for group in groups
            for one in records(group.get("components"))
        }
        listed = records(summary.get("components"))
        often = Counter(text(one.get("name")) for one in listed)
        names: dict[str, str] = {}
        for one in listed:
            component_id, name = text(one.get("id")), text(one.get("name"))
            if component_id and name:  # two of one name are told apart by their groups
                group = group_of.get(component_id) if often[name] > 1 else None
                names[component_id] = f"{group} {name}" if group else name
        self._ids |= {name: component_id for component_id, name in names.items()}
        statuses = {one["id"]: one["status"] for one in _affected(summary, names)}
        self.components = [
            {"id": component_id, "name": name, "status": statuses.get(component_id, "operational")}
            for component_id, name in names.items()
        ]
        ongoing = records(summary.get("ongoing_incidents"))
        self._ongoing = {one["id"]: _affected(one, names) for one in ongoing if text(one.get("id"))}

    def _with_id(self, component: JSONObject) -> JSONObject:
        component_id = self._ids.get(component["name"])
        return component | {"id": component_id} if component_id else component


def _affected(record: JSONObject, names: dict[str, str]) -> list[JSONObject]:
    affected: Iterable[JSONObject] = records(record.get("affected_components"))
    return [
        {"id": one["component_id"], "name": names[one["component_id"]], "status": STATUSES.get(status, status)}
        for one in affected
        if text(one.get("component_id")) in names and (status := text(one.get("status")))
    ]
