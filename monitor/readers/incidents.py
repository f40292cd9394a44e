"""`GET /incidents`: what is known, as JSON in Statuspage's shape, or the two lines of each."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, json, request

from monitor.history import query
from monitor.history.contract import History, ListedIncident
from monitor.history.query import Query
from monitor.readers.shared_answer import SharedAnswer
from monitor.senders.pages import Pages
from monitor.server.requests import HEADERS, require
from monitor.server.turns import take_turns
from monitor.updates.document import document
from monitor.updates.update import two_lines

LARGEST_ANSWER = 1024 * 1024  # bytes; a page ends early here, with a cursor for the rest
ROWS_BETWEEN_TURNS = 20  # a page of 1 MiB takes 8 ms: others are answered in between


def init_app(app: Flask, history: History, pages: Pages) -> None:
    """Add `GET /incidents`."""
    answers = SharedAnswer()

    @app.get("/incidents")
    def incidents() -> Response:
        """List incidents, newest first by created_at.

        query: page, component, impact, status, id, since, limit, cursor
        answers: application/json, text/plain
        """
        require(app.config.get("READ_TOKEN"))
        asked = query.read(request.args.to_dict(flat=False))
        mimetype = request.accept_mimetypes.best_match(["application/json", "text/plain"]) or "application/json"
        made = answers.get((asked, mimetype), lambda: _made(history, pages, asked, mimetype).encode())
        return Response(made, headers=HEADERS, mimetype=mimetype)


def _made(history: History, pages: Pages, asked: Query, mimetype: str) -> str:
    asked = pages.resolve(asked)
    found = history.incidents(asked)
    if mimetype == "text/plain":
        return "".join([two_lines(pages.shown(one.incident)) for one in found])
    return _as_json(found, asked, pages)


def _as_json(found: Sequence[ListedIncident], asked: Query, pages: Pages) -> str:
    """Return `{"incidents": […], "next_cursor": …}`; fewer than the limit found are the last there are."""
    rows: list[str] = []
    size = 0
    while len(rows) < len(found):
        if len(rows) % ROWS_BETWEEN_TURNS == ROWS_BETWEEN_TURNS - 1:
            take_turns()
        row = json.dumps(document(pages.shown(found[len(rows)].incident)))
        size += len(row)
        if rows and size > LARGEST_ANSWER:
            break
        rows.append(row)
    is_last = len(rows) == len(found) < asked.limit
    next_cursor = None if is_last else query.cursor(found[len(rows) - 1].place)
    answer = {"next_cursor": next_cursor} | unknown(asked, pages)
    return f'{{"incidents": [{", ".join(rows)}], {json.dumps(answer)[1:]}\n'


def unknown(asked: Query, pages: Pages) -> dict[str, object]:
    """Return what says that nobody knows the page that is asked for: then nothing found means nothing."""
    if asked.page is None or asked.page_ids:
        return {}
    return {"unknown": {"page": asked.page, "nearest": pages.nearest(asked.page)}}
