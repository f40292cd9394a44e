"""MONITOR_NOTIFY, a list of Apprise URLs (https://appriseit.com/services/) -> Service.

A URL holds its service's secrets, so no error shows it.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

from apprise import Apprise, AppriseAsset, NotifyFormat

from monitor.outputs.notify.services import INCIDENT_KEYS, Service
from monitor.outputs.notify.shapes import SHAPES
from monitor.settings import from_json, is_json

GOOD = '"slack://TOKEN-A/TOKEN-B/TOKEN-C, mailto://user:password@example.com"'
GOOD_JSON = '[{"url": "slack://TOKEN-A/TOKEN-B/TOKEN-C", "pages": ["GitHub"], "min_impact": "major"}]'
MIN_IMPACTS = ("none", "minor", "major", "critical")
SECONDS_TO_ANSWER = 30.0
# Apprise waits 5.5 s between messages, which is long in an outage; PagerDuty takes 120 a minute for each key:
# https://developer.pagerduty.com/docs/events-api-v2-overview#api-limits
SECONDS_BETWEEN_PAGES = 0.5
ASSET = AppriseAsset(
    app_id="event_monitor",
    app_desc="event_monitor",
    app_url="",
    image_url_mask="",  # no images of Apprise's in a message
    image_url_logo="",
    async_mode=False,
    service_timeout=0,  # with a timeout each message gets a thread, and the program could not end before it
)

logging.getLogger("apprise").addHandler(logging.NullHandler())  # else Python prints its warnings on stderr


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


# The members of an entry beside its url: a check, and what the check wants, in words.
MEMBERS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "pages": (_are_texts, "a list of texts"),
    "components": (_are_texts, "a list of texts"),
    "min_impact": (lambda value: value in MIN_IMPACTS, f"one of {', '.join(MIN_IMPACTS)}"),
    "maintenance": (lambda value: isinstance(value, bool), "true or false"),
}


def parse(value: str) -> tuple[Service, ...]:
    """Return the services in a list of URLs, plain or JSON, or of JSON objects with MEMBERS; raise ValueError."""
    try:
        return tuple(_services(value))
    except ValueError as error:
        good = GOOD_JSON if is_json(value) else GOOD
        raise ValueError(f"{error}; write it such as {good}") from None


def _services(value: str) -> list[Service]:
    # Not split at each comma: a URL may hold commas.
    entries = from_json(value) if is_json(value) else re.split(r",?\s+", value.strip(", \n"))
    if not isinstance(entries, list) or not entries:
        raise ValueError("is not a list of Apprise URLs")
    services: list[Service] = []
    for number, entry in enumerate(entries, 1):
        try:
            services.append(_service(entry, services))
        except ValueError as error:
            raise ValueError(f"entry {number} {error}") from None
    if len({service.key for service in services}) < len(services):
        raise ValueError("names a service twice")
    return services


def _service(entry: object, before: Sequence[Service]) -> Service:
    given = {"url": entry} if isinstance(entry, str) else entry
    if not isinstance(given, dict) or not isinstance(given.get("url"), str):
        raise ValueError('is neither an Apprise URL nor an object with a "url"')
    if unknown := sorted(set(given) - {"url", *MEMBERS}):
        raise ValueError(f"has the unknown member {unknown[0]!a}; there are url, {', '.join(MEMBERS)}")
    url: str = given["url"]
    schema = url.partition("://")[0].lower()
    plugin: Any = Apprise.instantiate(url, asset=ASSET, suppress_exceptions=True)
    if plugin is None:
        shown = f"({schema[:20]!a}) " if "://" in url else ""
        raise ValueError(f"{shown}is not a URL that Apprise takes: see appriseit.com/services")
    for member, (is_good, good) in MEMBERS.items():
        if member in given and not is_good(given[member]):
            raise ValueError(f"({schema}): {member} is not {good}")
    if "rto=" not in url:
        plugin.socket_read_timeout = SECONDS_TO_ANSWER  # after Apprise's 4 s a slow service would get a message twice
    if plugin.notify_format == NotifyFormat.MARKDOWN and "format=" not in url:
        plugin.notify_format = NotifyFormat.TEXT  # Apprise's Markdown puts backslashes before dashes and into addresses
    kind = type(plugin).__name__
    if kind == "NotifyPagerDuty":
        plugin.request_rate_per_sec = SECONDS_BETWEEN_PAGES
    if kind in SHAPES:
        SHAPES[kind](plugin)
    same = sum(service.name.split("-")[0] == schema for service in before)
    return Service(
        name=f"{schema}-{same + 1}" if same else schema,
        key=hashlib.sha256(url.encode()).hexdigest()[:32],
        pages=frozenset(map(str.casefold, given.get("pages", ()))),
        components=frozenset(map(str.casefold, given.get("components", ()))),
        min_impact=given.get("min_impact", "none"),
        maintenance=given.get("maintenance", kind not in INCIDENT_KEYS),  # planned work pages nobody
        incident_key=INCIDENT_KEYS.get(kind),
        plugin=plugin,
        secrets=tuple(part for part in re.split(r"[/:?&=@]+", unquote(url.partition("://")[2])) if len(part) > 5),
    )
