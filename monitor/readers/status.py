"""`GET /status`: one verdict on what is needed, as JSON or as one line of text; 503 for impact `fail` or worse.

The command `--status` asks a running monitor for it (gate.py, which only the command loads).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from flask import Flask, Response, json, request

from monitor.history.contract import History, Page
from monitor.history.query import check_known, once
from monitor.readers.needs import Unknown
from monitor.readers.verdict import Verdict, verdict
from monitor.senders.pages import Pages
from monitor.server.requests import HEADERS, require
from monitor.settings import Asked, Command, load
from monitor.updates.impacts import impact_of
from monitor.updates.incident import Incident
from monitor.updates.text import one_line
from monitor.updates.times import iso
from monitor.updates.update import LONGEST_MESSAGE, LONGEST_NAME, LONGEST_PAGE

Item = TypeVar("Item")

MOST_OPEN, MOST_UNKNOWN, MOST_PAGES = 50, 100, 200  # in an answer: with the longest names it stays under 1 MiB
MOST_COMPONENTS, MOST_IN_A_LINE = 10, 3


def init_app(app: Flask, history: History, pages: Pages) -> None:
    """Add `GET /status`."""

    @app.get("/status")
    def status() -> Response:
        """Give one verdict on what is needed.

        query: needs, fail
        answers: application/json, text/plain
        """
        require(app.config.get("READ_TOKEN"))
        check_known(request.args, ("needs", "fail"))
        fail = once("fail", fails) if (fails := request.args.getlist("fail")) else None
        found = verdict(history, pages, request.args.getlist("needs"), fail)
        mimetype = request.accept_mimetypes.best_match(["application/json", "text/plain"]) or "application/json"
        text = _line(found) if mimetype == "text/plain" else json.dumps(_document(found), ensure_ascii=False)
        return Response(f"{text}\n", 503 if fail and found.fails else 200, HEADERS, mimetype=mimetype)


def _line(found: Verdict) -> str:
    """Return a verdict as one line that begins with its status."""
    opened = [_open_in_line(incident) for incident in found.open[:MOST_IN_A_LINE]]
    unknown = [_unknown_in_line(unknown) for unknown in found.unknown[:MOST_IN_A_LINE]]
    parts = unknown + opened if found.status == "unknown" else opened + unknown
    if left := len(found.open) + len(found.unknown) - len(parts):
        parts.append(f"and {left} more")
    if not parts:
        heard = [f"{page.name or page.id} heard at {iso(page.heard_at)}" for page in found.pages[:MOST_IN_A_LINE]]
        parts = ["nothing is open", *heard]
        if left := len(found.pages) - len(heard):
            parts.append(f"and {left} pages more")
    return one_line(f"{found.status}: {'; '.join(parts)}", LONGEST_MESSAGE)


def _open_in_line(incident: Incident) -> str:
    link = f", {incident.shortlink}" if incident.shortlink else ""
    return f"{incident.page} - {incident.name} ({impact_of(incident)} since {iso(incident.began_at)}{link})"


def _unknown_in_line(unknown: Unknown) -> str:
    nearest = f" (nearest: {', '.join(unknown.nearest)})" if unknown.nearest else ""
    return f"{unknown.needs} {unknown.reason}{nearest}"


def _document(found: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON has it."""
    addresses = {page.id: page.url for page in found.pages}
    return {
        "status": found.status,
        **cut("open", found.open, MOST_OPEN, lambda incident: _open(incident, addresses.get(incident.page_id))),
        **cut("unknown", found.unknown, MOST_UNKNOWN, asdict),
        **cut("pages", found.pages, MOST_PAGES, _page),
    }


def cut(name: str, items: Sequence[Item], most: int, shown: Callable[[Item], object]) -> dict[str, object]:
    """Return the first `most` items, each as `shown` returns it, under `name`, and how many are left out."""
    return {name: [shown(item) for item in items[:most]], f"{name}_left_out": max(0, len(items) - most)}


def _page(page: Page) -> dict[str, object]:
    return {"id": page.id, "name": one_line(page.name, LONGEST_PAGE), "heard_at": iso(page.heard_at)}


def _open(incident: Incident, address: str | None) -> dict[str, Any]:
    """Return an open incident as JSON has it, with a link to it or to its page."""
    return {
        "page": {"id": incident.page_id, "name": one_line(incident.page, LONGEST_PAGE)},
        "id": incident.id,
        "name": one_line(incident.name, LONGEST_NAME),
        "status": incident.status,
        "impact": impact_of(incident),
        "since": iso(incident.began_at),
        "link": incident.shortlink or address,
        "components": [one_line(component.name, LONGEST_PAGE) for component in incident.components[:MOST_COMPONENTS]],
    }


def ask(asked: Asked) -> int:
    """Print the verdict of a running monitor, and return the exit code."""
    code: int = load("monitor.readers.gate").ask(asked.value, asked.given)
    return code


COMMANDS = {
    "--status": Command(
        "ask the monitor at URL (this machine's) whether what is needed is well; exit 0 ok, 1 trouble, 2 unknown",
        ask,
        {
            "--needs": "with --status: a page, or page/component; may be given again; without it, all pages",
            "--fail-on": "with --status: the lowest impact that is trouble, such as major (minor)",
        },
        "URL",
    )
}
