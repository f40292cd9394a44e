"""Webhooks: token, body, dialect, page, pipeline. `POST /webhook/statuspage`, and an address for each dialect.

The first dialect that recognises a payload posted to /webhook/statuspage reads it; else it is read as Statuspage's.
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


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one sender writes: `read` and `recognises` take a payload, `verify` checks its signature or secret."""

    name: str
    read: Callable[[JSONObject, str | None], Update]
    recognises: Callable[[JSONObject], bool]
    verify: Callable[[Mapping[str, Any], Mapping[str, str], bytes], None] | None = None


STATUSPAGE = Dialect("statuspage", statuspage.read, lambda _: True)


@dataclass(slots=True, eq=False)
class Webhooks:
    """The routes under /webhook/; `add` adds one."""

    app: Flask
    front: Front
    pipeline: Pipeline
    pages: Pages
    dialects: list[Dialect] = field(default_factory=list)

    def add(self, dialect: Dialect) -> None:
        """Serve a dialect at its own address and, where it recognises the payload, at /webhook/statuspage."""
        path, take = f"/webhook/{dialect.name}", partial(self.take, dialect)
        self.front.takes[path] = take
        view = partial(_answer, take)
        view.__doc__ = f"Take what {dialect.name} pushes.\n\nquery: page"
        self.app.add_url_rule(path, f"webhook_{dialect.name}", view, methods=["POST"])
        if dialect is not STATUSPAGE:
            self.dialects.append(dialect)

    def take(self, dialect: Dialect, environ: WSGIEnvironment) -> bytes:
        """Record the update in a request and return the answer; Flask's handlers answer what this raises."""
        token = self.app.config.get("WEBHOOK_TOKEN")
        post = Request(environ) if environ["QUERY_STRING"] or token is not None else None
        bound_to = require(token, post)
        body = read_body(environ)
        payload = decode(body)
        recognising = [other for other in self.dialects if other.recognises(payload)]
        if dialect is STATUSPAGE and recognising:
            dialect = recognising[0]
        # Every dialect of its shape verifies it: no second shape and no other address passes an unsigned payload.
        for other in (dialect, *recognising):
            if other.verify is not None:
                other.verify(self.app.config, dict(Request(environ).headers), body)
        named = post.args.get("page") if post else None
        update = dialect.read(payload, bound_to or named)
        if environ.get("CONTENT_TYPE") != "application/json" and not _may_be_json(Request(environ)):
            raise NotAnUpdate(f"Content-Type is {Request(environ).mimetype[:100]!a} and must be application/json")
        # The parsed body takes 30 times its size, and the update may wait long for the database.
        del body, payload, environ[BODY]
        update = self.pages.name_for(update, named) if bound_to is None else self.pages.bind_to(update, bound_to)
        return ACCEPTED if self.pipeline.record(update, "push") else DUPLICATE


def _may_be_json(post: Request) -> bool:
    # https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html; an HTML form cannot set the header.
    return post.is_json or (post.mimetype == "text/plain" and "x-amz-sns-message-type" in post.headers)


def _answer(take: Callable[[WSGIEnvironment], bytes]) -> Response:
    """Answer in Flask: raise the front's error, or do the front's work where it stepped aside."""
    if error := request.environ.get(ERROR):
        raise error
    request.environ[BODY] = request.get_data()  # a function before the request may have read the stream
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
