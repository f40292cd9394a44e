"""Components and links of a page on incident.io, whose API names neither.

`/feed.atom` names both (https://docs.incident.io/status-pages/rss). The undocumented `/proxy/<host>` has the ids, the
groups and the statuses of components. Both may vanish: then an incident is shown by its title.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from monitor.senders.payload import JSONObject, mapping, records, text
from monitor.senders.polling.client import NoAnswer
from monitor.senders.polling.feed import ACCEPT, LARGEST_FEED, parse
from monitor.senders.translate import INCIDENT_IO_STATUSES, word

FEED, PROXY = "/feed.atom", "/proxy/{}"


class IncidentIo:
    """Completes the incidents of one page; `components` are those of the last answer, with their current status."""

    how = "incident.io's API"

    def __init__(self, host: str) -> None:
        self._proxy = PROXY.format(host)
        self._in_feed: dict[str, JSONObject] = {}  # components and shortlink, by incident
        self._ongoing: dict[str, list[JSONObject]] = {}  # components, by ongoing incident
        self._ids: dict[str, str] = {}  # of components, by name
        self.components: list[JSONObject] = []

    def ask(
        self,
        get: Callable[[str, str, int], bytes | None],
        get_json: Callable[[str], JSONObject | None],
        *,
        is_new: bool,
    ) -> None:
        """Ask for the components and, if the incidents are new, for their components and links in the feed."""
        if (answer := get_json(self._proxy)) is not None:
            self._read(mapping(answer.get("summary")))
        if is_new and (body := get(FEED, ACCEPT, LARGEST_FEED)) is not None:
            with suppress(NoAnswer):
                incidents = parse(body).incidents
                self._in_feed = {one["id"]: {n: one.get(n) for n in ("components", "shortlink")} for one in incidents}

    def completed(self, incident: JSONObject) -> JSONObject:
        """Return an incident with its components and its link, if they are known."""
        incident_id = text(incident.get("id")) or ""
        in_feed = self._in_feed.get(incident_id, {})
        components = self._ongoing.get(incident_id) or [self._with_id(one) for one in in_feed.get("components", ())]
        added = in_feed | {"components": components}
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
            if component_id and name:  # the group tells two of the same name apart
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
    return [
        {
            "id": one["component_id"],
            "name": names[one["component_id"]],
            "status": word(one["status"], INCIDENT_IO_STATUSES),
        }
        for one in records(record.get("affected_components"))
        if text(one.get("component_id")) in names and text(one.get("status"))
    ]
