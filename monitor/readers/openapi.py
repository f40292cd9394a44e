"""`GET /openapi.json`: the routes in OpenAPI, https://spec.openapis.org/oas/v3.1.0.

It is made from Flask's routes and the docstrings of their views. A docstring's first line is the summary; a line
`query:` names the parameters, a line `answers:` the content types if they are not just JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from flask import Flask, Response, jsonify
from werkzeug.routing import Rule

from monitor.history.query import HIGHEST_LIMIT, STATUSES
from monitor.server.requests import HEADERS, require
from monitor.updates.impacts import IMPACTS

PARAMETERS: dict[str, dict[str, Any]] = {
    "page": {"type": "string", "description": "a page's name or id, in any case"},
    "component": {"type": "string", "description": "a component's name or id, in any case"},
    "id": {"type": "string", "description": "an incident's id"},
    "status": {"enum": list(STATUSES)},
    "impact": {"enum": list(IMPACTS)},
    "since": {"type": "string", "description": "an ISO 8601 time; for /stream and /ws the number of an event"},
    "limit": {"type": "integer", "minimum": 1, "maximum": HIGHEST_LIMIT},
    "cursor": {"type": "string", "description": "the next_cursor of the answer before"},
    "day": {"type": "string", "format": "date", "description": "a day in UTC"},
    "answer": {"enum": ["200"], "description": "the status instead of 202"},
    "needs": {"type": "array", "items": {"type": "string"}, "description": "pages, or page/component"},
    "fail": {"type": "string", "description": "the lowest impact that is answered with 503"},
}
OBJECT = {"type": "object"}
ERROR = OBJECT | {"required": ["error"], "properties": {"error": {"type": "string"}}}
BODY = {"required": True, "content": {"application/json": {"schema": OBJECT}}}
MEANINGS = {"200": "answered", "202": "ignored, or no answer", "4XX": "refused", "503": "not just now, or trouble"}
TOKENS = {"bearer": {"type": "http", "scheme": "bearer"}, "token": {"type": "apiKey", "in": "query", "name": "token"}}


def init_app(app: Flask, version: str) -> None:
    """Add `GET /openapi.json`."""

    @app.get("/openapi.json")
    def openapi() -> Response:
        """Describe this API."""
        require(app.config.get("READ_TOKEN"))
        response = jsonify(described(app, version))
        response.headers.update(HEADERS)
        return response


def described(app: Flask, version: str) -> dict[str, Any]:
    """Return the description of an app's routes."""
    paths: dict[str, dict[str, Any]] = {}
    for rule in app.url_map.iter_rules():
        if not rule.websocket:
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            view = app.view_functions[rule.endpoint]
            paths.setdefault(path, {}).update(_operations(rule, view.__doc__ or ""))
    return {
        "openapi": "3.1.0",
        "info": {"title": "event_monitor", "version": version},
        "paths": paths,
        "components": {"securitySchemes": TOKENS, "schemas": {"Error": ERROR}},
        "security": [{}, *({name: []} for name in TOKENS)],  # where a token is set
    }


def _operations(rule: Rule, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each method of a rule with its operation object."""
    kinds = _listed("answers", text) or ["application/json"]
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "schema": PARAMETERS[name]} for name in _listed("query", text)
    ]
    parameters += [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in rule.arguments
    ]
    answer = {"content": {kind: {"schema": OBJECT} if kind == "application/json" else {} for kind in kinds}}
    refusal = {"content": answer["content"] | {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}}
    unavailable = {"content": answer["content"] | {"application/json": {"schema": OBJECT}}}
    for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
        answers = {"200": answer} | ({"202": answer} if method == "POST" else {})
        answers |= {"4XX": refusal, "503": unavailable}
        yield (
            method.lower(),
            {
                "operationId": rule.endpoint,
                "summary": text.strip().partition("\n")[0],
                "parameters": parameters,
                "responses": {code: {"description": MEANINGS[code]} | content for code, content in answers.items()},
            }
            | ({"requestBody": BODY} if method == "POST" else {}),
        )


def _listed(key: str, text: str) -> list[str]:
    """Return the members of a docstring's line `key: a, b`."""
    found = re.search(rf"^ *{key}: (.+)$", text, re.MULTILINE)
    return found[1].split(", ") if found else []
