"""The services that MONITOR_NOTIFY names, each with its filter: which updates it takes, and how it is told.

Apprise does the telling: https://appriseit.com/services/ . A service's address holds its secrets, so it is never shown.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass, field
from typing import Any

import gevent
from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType

from monitor.senders.payload import setting
from monitor.updates.incident import is_open
from monitor.updates.text import one_line
from monitor.updates.update import Update, in_words, message, product, subject

IMPACTS = ("none", "minor", "major", "critical")
# What a component's status is worth among the impacts of incidents.
IMPACT_OF = {"degraded_performance": "minor", "partial_outage": "major", "major_outage": "critical"}
COLOURS = {"critical": NotifyType.FAILURE, "major": NotifyType.FAILURE, "minor": NotifyType.WARNING}
SEVERITIES = {"critical": "critical", "major": "error", "minor": "warning"}  # PagerDuty's words; else info
SECONDS_TO_ANSWER, SECONDS_IN_ALL = 30.0, 60
# Apprise waits 5.5 s, a long time in an outage; PagerDuty takes 120 a minute for each key:
# https://developer.pagerduty.com/docs/events-api-v2-overview#api-limits
SECONDS_BETWEEN_PAGES = 0.5

MEMBERS = ("url", "pages", "components", "min_impact", "maintenance")

logging.getLogger("apprise").addHandler(logging.NullHandler())  # Python would print what it says to stderr


@dataclass(frozen=True, slots=True)
class Service:
    """One service: `name` is for people, such as slack-2; `key`, a hash of its address, is for the outbox."""

    name: str
    key: str
    pages: frozenset[str] = frozenset()
    components: frozenset[str] = frozenset()
    min_impact: str = "none"
    maintenance: bool = True
    plugin: Any = field(default=None, repr=False)

    @property
    def is_pagerduty(self) -> bool:
        return bool(self.plugin.secure_protocol == "pagerduty")

    def takes(self, update: Update) -> bool:
        """Tell whether the update passes the filter; empty sets let all pass.

        An impact that no provider gave passes: a message too many costs less than one too few. What ended passes for
        PagerDuty whatever its impact is by then, and without naming a component, since what was raised must be
        resolved.
        """
        if self.pages and self.pages.isdisjoint((update.page, update.page_id)):
            return False
        named = {text for component in update.components for text in (component.name, component.id) if text}
        resolves = self.is_pagerduty and is_over(update)
        if self.components and self.components.isdisjoint(named) and (named or not resolves):
            return False
        if is_maintenance(update):
            return self.maintenance
        if resolves:
            return True
        impact = worst_impact(update)
        return impact is None or IMPACTS.index(impact) >= IMPACTS.index(self.min_impact)

    def send(self, title: str, body: str, kind: NotifyType) -> str | None:
        """Send a text; return None, or why it was not taken."""
        sender = Apprise(asset=_ASSET)
        sender.add(self.plugin)
        try:
            with gevent.Timeout(SECONDS_IN_ALL):
                result = sender.notify(body=body, title=title, notify_type=kind, body_format=NotifyFormat.TEXT)
        except gevent.Timeout:
            return f"no answer within {SECONDS_IN_ALL} s"
        except Exception as error:  # noqa: BLE001  # a plugin's own fault is a message not sent
            return type(error).__name__
        if result:
            return None
        said = [entry.message for entry in result.logs()]
        return one_line(said[0], 200) if said else "refused"

    def tell(self, update: Update) -> str | None:
        """Send an update; return None, or why it was not taken."""
        if self.is_pagerduty:
            self.plugin.dedup = incident_key(update)
            self.plugin.action = "resolve" if is_over(update) else "trigger"
            self.plugin.severity = SEVERITIES.get(worst_impact(update) or "", "info")
            self.plugin.click = update.shortlink
        kind = NotifyType.SUCCESS if is_over(update) else COLOURS.get(worst_impact(update) or "", NotifyType.INFO)
        return self.send(*texts(update), kind)


def texts(update: Update) -> tuple[str, str]:
    """Return a title and a body for a reader in a hurry."""
    words = [in_words(update.status)] if update.status else []
    if update.impact and update.impact != "none":
        words.append(update.impact)
    title = f"{product(update)}: {', '.join(words)}" if words else product(update)
    began = f"{update.created_at:%Y-%m-%d %H:%M} UTC"
    said = f"{update.updated_at:%Y-%m-%d %H:%M} UTC"
    lines = [message(update), said if update.is_component_update or began == said else f"{said}, began {began}"]
    return title, "\n".join([*lines, *([update.shortlink] if update.shortlink else [])])


def is_maintenance(update: Update) -> bool:
    return update.impact == "maintenance" or update.scheduled_for is not None or update.status == "under_maintenance"


def is_over(update: Update) -> bool:
    """Tell whether what the update is about has ended: of a component, that it is operational."""
    return update.status == "operational" if update.is_component_update else not is_open(update)


def worst_impact(update: Update) -> str | None:
    """Return the impact of an incident, of a component's change the worse of both its statuses, or None for unknown."""
    if not update.is_component_update:
        return update.impact if update.impact in IMPACTS else None
    impacts = [IMPACT_OF.get(status or "", "none") for status in (update.status, update.old_status)]
    return max(impacts, key=IMPACTS.index)


def incident_key(update: Update) -> str:
    """Return what PagerDuty knows an incident by: a hash, as no separator is safe in a provider's ids."""
    identity = [update.page_id, "component" if update.is_component_update else "incident", subject(update)]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


_ASSET = AppriseAsset(
    app_id="event_monitor",
    app_desc="event_monitor",
    app_url="",
    image_url_mask="",  # no pictures from elsewhere in a message
    image_url_logo="",
    async_mode=False,
    secure_logging=True,
)


def parse(value: str) -> tuple[Service, ...]:
    """Return the services in a JSON list of addresses, or of objects with MEMBERS; raise ValueError for an entry."""
    entries = setting(value)
    if not isinstance(entries, list) or not entries:
        raise ValueError("is not a JSON list of Apprise URLs")
    services: list[Service] = []
    for number, entry in enumerate(entries, 1):
        try:
            services.append(_service(entry, services))
        except ValueError as error:
            raise ValueError(f"entry {number} {error}") from None
    if len({service.key for service in services}) < len(services):
        raise ValueError("names a service twice")
    return tuple(services)


def _service(entry: object, before: list[Service]) -> Service:
    given = {"url": entry} if isinstance(entry, str) else entry
    if not isinstance(given, dict) or not isinstance(given.get("url"), str):
        raise ValueError('is neither an Apprise URL nor an object with a "url"')
    if unknown := sorted(set(given) - set(MEMBERS)):
        raise ValueError(f"has the unknown member {unknown[0]!a}; there are {', '.join(MEMBERS)}")
    url, min_impact, maintenance = given["url"], given.get("min_impact", "none"), given.get("maintenance")
    schema = url.partition("://")[0].lower()
    plugin = Apprise.instantiate(url, asset=_ASSET, suppress_exceptions=True)
    if plugin is None:
        shown = f"({schema[:20]!a}) " if "://" in url else ""
        raise ValueError(f"{shown}is not a URL that Apprise takes: see appriseit.com/services")
    if min_impact not in IMPACTS:
        raise ValueError(f"({schema}): min_impact is none of {', '.join(IMPACTS)}")
    if not isinstance(maintenance, bool | None):
        raise ValueError(f"({schema}): maintenance is neither true nor false")
    if "rto=" not in url:
        plugin.socket_read_timeout = SECONDS_TO_ANSWER  # after Apprise's 4 s a slow one would get it again
    if schema == "pagerduty":
        plugin.request_rate_per_sec = SECONDS_BETWEEN_PAGES
    same = sum(service.name.split("-")[0] == schema for service in before)
    return Service(
        name=f"{schema}-{same + 1}" if same else schema,
        key=hashlib.sha256(url.encode()).hexdigest()[:32],
        pages=_texts(schema, "pages", given.get("pages", [])),
        components=_texts(schema, "components", given.get("components", [])),
        min_impact=min_impact,
        maintenance=schema != "pagerduty" if maintenance is None else maintenance,  # nobody is paged for a plan
        plugin=plugin,
    )


def _texts(schema: str, member: str, value: object) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
        raise ValueError(f"({schema}): {member} is not a list of texts")
    return frozenset(value)
