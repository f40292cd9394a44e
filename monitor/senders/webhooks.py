"""Webhooks: token, body, dialect, page, pipeline. `POST /webhook/statuspage`, and an address for each further dialect.

A payload posted to /webhook/statuspage is read by the first dialect that recognises its shape, else as Statuspage's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from werkzeug.wrappers import Request

from monitor.pipeline import Pipeline, Sample
from monitor.senders import statuspage
from monitor.senders.pages import Pages
from monitor.senders.payload import JSONObject, decode
from monitor.server.front import ERROR, Front
from monitor.server.requests import BODY, read_body, require
from monitor.updates.errors import NotAnUpdate
from monitor.updates.update import Update

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

ACCEPTED, DUPLICATE = (json.dumps({"status": status}).encode() + b"\n" for status in ("accepted", "duplicate"))


def _nobody_signs(_config: Mapping[str, Any], _headers: Mapping[str, str], _body: bytes) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Dialect:
    """One sender's way of writing: which payloads are of its shape, whether they are signed, what they say."""

    name: str
    read: Callable[[JSONObject, str | None], Update]
    recognises: Callable[[JSONObject], bool]
    verify: Callable[[Mapping[str, Any], Mapping[str, str], bytes], None] = _nobody_signs


STATUSPAGE = Dialect("statuspage", statuspage.read, lambda _: True)


@dataclass(slots=True, eq=False)
class Webhooks:
    """The routes under /webhook/; `dialects` may be added to."""

    app: Flask
    front: Front
    pipeline: Pipeline
    pages: Pages
    dialects: list[Dialect] = field(default_factory=list)

    def add(self, dialect: Dialect) -> None:
        """Serve a dialect at an address of its own, and read what it recognises at /webhook/statuspage too."""
        path, take = f"/webhook/{dialect.name}", partial(self.take, dialect)
        self.front.takes[path] = take
        view = partial(_answer, take)
        view.__doc__ = f"Take what {dialect.name} pushes.\n\nquery: page"
        self.app.add_url_rule(path, f"webhook_{dialect.name}", view, methods=["POST"])
        if dialect is not STATUSPAGE:
            self.dialects.append(dialect)

    def take(self, dialect: Dialect, environ: WSGIEnvironment) -> bytes:
        """Record the update in a request and return the answer; raise what Flask's handlers answer."""
        token = self.app.config.get("WEBHOOK_TOKEN")
        asking = Request(environ) if environ["QUERY_STRING"] or token is not None else None
        bound_to = require(token, asking)
        body = read_body(environ)
        payload = decode(body)
        recognising = [other for other in self.dialects if other.recognises(payload)]
        if dialect is STATUSPAGE and recognising:
            dialect = recognising[0]
        # Whoever's shape it has: else a second shape, or another address, would take a signing sender's unsigned.
        for other in (dialect, *recognising):
            if other.verify is not _nobody_signs:
                other.verify(self.app.config, dict(Request(environ).headers), body)
        named = asking.args.get("page") if asking else None
        update = dialect.read(payload, bound_to or named)
        if environ.get("CONTENT_TYPE") != "application/json" and not _may_be_json(Request(environ)):
            raise NotAnUpdate(f"Content-Type is {Request(environ).mimetype[:100]!a} and must be application/json")
        # Parsed, they take 30 times their size, and the update may wait long for the database.
        del body, payload, environ[BODY]
        update = self.pages.name_for(update, named) if bound_to is None else self.pages.bind_to(update, bound_to)
        return ACCEPTED if self.pipeline.record(update, "push") else DUPLICATE


def _may_be_json(asking: Request) -> bool:
    # https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html; no page's form can set the header.
    return asking.is_json or (asking.mimetype == "text/plain" and "x-amz-sns-message-type" in asking.headers)


def _answer(take: Callable[[WSGIEnvironment], bytes]) -> Response:
    """Answer where the front does not: raise its error, or do its work where it stepped aside."""
    if error := request.environ.get(ERROR):
        raise error
    request.environ[BODY] = request.get_data()  # which a function before the request may have read
    return Response(take(request.environ), mimetype="application/json")


def init_app(app: Flask, front: Front, pipeline: Pipeline, pages: Pages) -> None:
    """Receive Statuspage's webhooks."""
    webhooks = app.extensions[__name__] = Webhooks(app, front, pipeline, pages)
    webhooks.add(STATUSPAGE)
    pipeline.samples.append(lambda: [_seconds(front)])


def _seconds(front: Front) -> Sample:
    what = "From the head of a webhook to its answer, the reading of its body included."
    return Sample("histogram", "webhook_seconds", what, front.counts(), sum=front.seconds)


def webhooks_of(app: Flask) -> Webhooks:
    """Return the app's webhooks."""
    webhooks: Webhooks = app.extensions[__name__]
    return webhooks
