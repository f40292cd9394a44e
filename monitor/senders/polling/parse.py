"""Read a feed on stdin, print its incidents on stdout, as JSON in Statuspage's shape; feed.py runs this as a process.

An entry is one update of an incident, or its whole story. The formats are those of Statuspage and Instatus (a paragraph
for each update), of incident.io and Google Cloud (one message with the components), and of AWS, whose guid names the
service, region and second and whose title begins with the state (https://status.aws.amazon.com/rss). Other feeds are
read by the same words. An entry without a state is left out after three days: no later entry would end it.
"""

from __future__ import annotations

import io
import json
import os
import re
import resource
import sys
from calendar import timegm
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html import unescape
from typing import Any

import feedparser

MOST_ENTRIES, LONGEST_TEXT = 100, 65_536
DAYS_WITHOUT_A_STATE = 3
SECONDS_OF_CPU, BYTES_OF_MEMORY = 10, 512 * 1024 * 1024

STATES = "investigating identified monitoring resolved postmortem scheduled in_progress verifying completed".split()
STATE_OF = {state: state for state in STATES} | {"planned": "scheduled", "closed": "resolved", "fixed": "resolved"}
STATE_OF |= {"not_started_yet": "scheduled", "restored": "resolved", "operational": "resolved"}
# AWS' words: state of the incident, status of the component, impact.
AWS = {
    "service is operating normally": ("resolved", "operational", None),
    "informational message": (None, None, None),
    "performance issues": (None, "degraded_performance", "minor"),
    "service degradation": (None, "degraded_performance", "minor"),
    "service disruption": (None, "partial_outage", "major"),
}

_aws_guid = re.compile(r"#(.{1,100}?)(?:-((?:[a-z]{2}-){1,2}[a-z]+-\d))?_(\d{9,11})$")
_incident_in = re.compile(r"/(?:incidents?|maintenances?|notices?)/(?:details/)?([\w-]{4,100})/?(?:[?#].*)?$")
_step = re.compile(r"<small>(.*?)</small>\s*(?:<br\s*/?>)?\s*<strong>(.*?)</strong>\s*-?(.*?)(?=<p>|<small>|$)", re.S)
_said_at = re.compile(r"([A-Z][a-z]{2})\w*\.? +(\d{1,2})[ ,]+(\d{1,2}):(\d\d)(?::\d\d)? *([A-Z]{2,5}(?:[+-]\d+)?)?")
_status = re.compile(r"\bStatus(?:</\w+>)?:\s*(?:<[^>]{1,50}>\s*)*([A-Za-z ]{4,20})")
_state_first = re.compile(r"\s*\[?([A-Za-z ]{5,20}?)\]?(?:\s*[:–-]\s+|(?<=\])\s+)(?=\S)")
_affected = re.compile(r"(?is)(?:<\w+>\s*)*Affected (?:components|products|services):?(?:</\w+>)?:?\s*(.*?)(?=</?p>|$)")
_item = re.compile(r"<li>\s*(.{1,300}?)\s*(?:\(([\w ]{3,40})\))?\s*</li>", re.S)
_tag = re.compile(r"<[^>]*>")

Record = dict[str, Any]


def main() -> None:
    """Read the feed and print its incidents."""
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS_OF_CPU, SECONDS_OF_CPU))
    resource.setrlimit(resource.RLIMIT_AS, (BYTES_OF_MEMORY, BYTES_OF_MEMORY))
    body = io.BytesIO(sys.stdin.buffer.read())  # bytes could be taken for a file's name
    parsed = feedparser.parse(body, sanitize_html=False, resolve_relative_uris=False)
    if not parsed.get("version"):
        sys.exit("no feed")
    found = [_incident(entry) for entry in parsed.entries[:MOST_ENTRIES] if _at(entry)]
    now = datetime.now(UTC)
    since = (now - timedelta(days=DAYS_WITHOUT_A_STATE)).isoformat()
    incidents = [one for one in _joined(found) if one["status"] or one["updated_at"] > since]
    oldest = min([one["created_at"] for one in found], default=now.isoformat())
    json.dump({"title": _name(parsed.feed.get("title", "")), "incidents": incidents, "oldest": oldest}, sys.stdout)


def _incident(entry: Record) -> Record:
    """Return the incident of an entry, with the part of its story that the entry tells."""
    updated_at, title = _at(entry), _text(entry.get("title", ""))
    html = (entry["content"][0]["value"] if entry.get("content") else entry.get("summary", ""))[:LONGEST_TEXT]
    guid, link = entry.get("id", ""), entry.get("link", "")
    if aws := _aws_guid.search(guid):
        return _of_aws(aws, title, html, updated_at)
    named = _incident_in.search(link) or _incident_in.search(guid)
    identity = named[1] if named else guid or link or title
    affected = _affected.search(html)
    said = html.replace(affected[0], "") if affected else html
    story = [_entry(status, body, at) for at, status, body in _story(said, updated_at)]
    state, title = _state(title, said, entry)
    if not story:
        story = [_entry(state, _without_status(said), updated_at)]
    times = sorted(one["display_at"] for one in story)
    return {
        "id": identity if len(identity) <= 200 else sha256(identity.encode()).hexdigest(),
        "name": title,
        "status": story[0]["status"] or state,
        "impact": None,
        "created_at": min(times[0], _iso(entry.get("published_parsed")) or times[0]),
        "updated_at": max(times[-1], updated_at),
        "shortlink": link,
        "components": _components(affected[1]) if affected else [],
        "incident_updates": story,
    }


def _of_aws(guid: re.Match[str], title: str, html: str, updated_at: str) -> Record:
    words, _, name = title.partition(":")
    known = AWS.get(words.strip().lower())
    state, status, impact = known or (None, None, None)
    name = (name if known else title).strip()
    if "[RESOLVED]" in name:
        state, status, name = "resolved", "operational", name.replace("[RESOLVED]", "").strip()
    service, region, _ = guid.groups()
    component = f"{service} {region}" if region else service
    return {
        "id": f"{component} {sha256(name.encode()).hexdigest()[:16]}",
        "name": name or title,
        "status": state,
        "impact": impact,
        "created_at": updated_at,
        "updated_at": updated_at,
        "components": [{"id": component, "name": component, "status": status}],
        "incident_updates": [_entry(state, html, updated_at)],
    }


def _joined(found: list[Record]) -> list[Record]:
    """Return each incident once, in the state of its newest entry, with the stories of all its entries."""
    joined: dict[str, Record] = {}
    for one in sorted(found, key=lambda one: str(one["updated_at"]), reverse=True):
        known = joined.setdefault(one["id"], one)
        if known is not one:
            known["incident_updates"] += one["incident_updates"]
            known["created_at"] = min(known["created_at"], one["created_at"])
            known["impact"] = known["impact"] or one["impact"]
    return list(joined.values())


def _story(html: str, updated_at: str) -> list[tuple[str, str | None, str]]:
    """Return time, status and text of each update in an entry's story, newest first; its times lack the year."""
    newest, steps, offset = datetime.fromisoformat(updated_at), [], timedelta()
    for number, step in enumerate(_step.finditer(html)):
        said = _said_at.search(_text(step[1]))
        if said is None:
            continue
        month, day, hour, minute, zone = said.groups()
        try:
            at = datetime.strptime(f"{month} {day} {newest.year} {hour}:{minute} +0000", "%b %d %Y %H:%M %z")
        except ValueError:
            continue
        if at > newest + timedelta(days=2):
            at = at.replace(year=newest.year - 1)
        if number == 0 and zone not in (None, "UTC", "GMT", "GMT+0"):  # the entry's own time gives the offset
            offset = timedelta(minutes=15 * round((newest - at) / timedelta(minutes=15)))
        steps.append(((at + offset).isoformat(), _known(_text(step[2])), step[3].strip().removesuffix("</p>").strip()))
    return steps


def _state(title: str, html: str, entry: Record) -> tuple[str | None, str]:
    """Return the state that an entry without a story names, and its title without the state."""
    first = _state_first.match(title)
    if first and (_known(first[1]) or first[1].strip().lower() in ("update", "incident", "maintenance")):
        title = title[first.end() :]
    tags = [str(tag.get("term", "")) for tag in entry.get("tags", ())]
    status, begins = _status.search(html), _state_first.match(_text(html[:200]))
    words = [status and status[1], first and first[1], *tags, begins and begins[1]]
    return next((state for word in words if word and (state := _known(word))), None), title


def _without_status(html: str) -> str:
    """Return a message without the line that names its state."""
    return re.sub(r"^\s*<(b|strong)>Status:[^<]*</\1>(?:\s*<br\s*/?>)*", "", html).strip().removesuffix("<br/><br/>")


def _components(html: str) -> list[Record]:
    items = _item.findall(html) or [(name, "") for name in _text(html).split(",")]
    words = {"full_outage": "major_outage"}
    found = [(_text(name), "_".join(status.lower().split())) for name, status in items]
    return [{"name": name, "status": words.get(status, status) or None} for name, status in found if name]


def _entry(status: str | None, body: str, at: str) -> Record:
    digest = sha256(f"{status} {body}".encode()).hexdigest()[:32]
    return {"id": digest, "status": status, "body": body, "created_at": at, "updated_at": at, "display_at": at}


def _known(word: str) -> str | None:
    return STATE_OF.get("_".join(word.lower().split()))


def _name(title: str) -> str:
    """Return what a page is called: `OpenAI status`, `Claude Status - Incident History`."""
    return re.sub(r"\W*\b(?:service )?status(?: page)?(?:\W+incident history)?\W*$", "", _text(title), flags=re.I)


def _text(html: str) -> str:
    return " ".join(unescape(_tag.sub("", html)).split())


def _at(entry: Record) -> str:
    times = (entry[name] for name in ("updated_parsed", "published_parsed") if name in entry)
    return next(filter(None, map(_iso, times)), "")


def _iso(parsed: Any) -> str | None:
    try:
        return datetime.fromtimestamp(timegm(parsed), UTC).isoformat() if parsed else None
    except (ValueError, ArithmeticError):  # a year before 1 or past 9999
        return None


if __name__ == "__main__":
    main()
