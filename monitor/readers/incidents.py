"""`GET /incidents`: the incidents as JSON in Statuspage's shape, or as text, two lines each."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Flask, Response, json, request

from monitor.history import query
from monitor.history.contract import History, ListedIncident
from monitor.history.query import Query
from monitor.readers.shared_answer import LARGEST_ANSWER, SharedAnswer, fitting
from monitor.senders.pages import Pages
from monitor.server.requests import HEADERS, require
from monitor.updates.document import document
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PRODUCT, two_lines


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
        wanted = query.read(request.args.to_dict(flat=False))
        mimetype = request.accept_mimetypes.best_match(["application/json", "text/plain"]) or "application/json"
        made = answers.get((wanted, mimetype), lambda: _made(history, pages, wanted, mimetype).encode())
        return Response(made, headers=HEADERS, mimetype=mimetype)


def _made(history: History, pages: Pages, wanted: Query, mimetype: str) -> str:
    wanted = pages.resolve(wanted)
    found = history.incidents(wanted)
    return (_as_text if mimetype == "text/plain" else _as_json)(found, wanted, pages)


def _as_text(found: Sequence[ListedIncident], wanted: Query, pages: Pages) -> str:
    """Return two lines for each; of a page that nobody knows one line that says so."""
    if (page := wanted.unknown_page) is not None:
        nearest = ", ".join(pages.nearest(page)) or "none"
        return one_line(f"{page} is no page that is known (nearest: {nearest})", LONGEST_PRODUCT) + "\n"
    texts = (two_lines(pages.shown(row.incident)) for row in found)
    return "".join(fitting(texts, lambda text: len(text.encode()), LARGEST_ANSWER))


def _as_json(found: Sequence[ListedIncident], wanted: Query, pages: Pages) -> str:
    """Return `{"incidents": […], "next_cursor": …}`; the cursor is null once fewer than the limit were found."""
    documents = (json.dumps(document(pages.shown(listed.incident))) for listed in found)
    rows = list(fitting(documents, len, LARGEST_ANSWER))
    is_last = len(rows) == len(found) < wanted.limit
    next_cursor = None if is_last else query.cursor(found[len(rows) - 1].place)
    answer = {"next_cursor": next_cursor} | unknown(wanted, pages)
    return f'{{"incidents": [{", ".join(rows)}], {json.dumps(answer)[1:]}\n'


def unknown(wanted: Query, pages: Pages) -> dict[str, object]:
    """Return `unknown` with the nearest names if nobody knows the page that is asked for, else nothing."""
    if (page := wanted.unknown_page) is None:
        return {}
    return {"unknown": {"page": page, "nearest": pages.nearest(page)}}
