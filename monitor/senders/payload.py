"""JSON from strangers: decode a request's body, and read its fields safely.

Dialects read fields with these functions: a value of the wrong type counts as absent and raises nothing. A number is
decoded as text, so that it has no digit limit, and no infinity or NaN is served as JSON.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from monitor.updates.errors import NotAnUpdate
from monitor.updates.text import storable
from monitor.updates.update import LONGEST_NAME, MOST_INCIDENT_UPDATES

JSONObject = dict[str, Any]

# json's own limit is the interpreter's recursion limit, which differs by Python version and call stack.
DEEPEST = 100
TOO_DEEP = f"the body is nested more than {DEEPEST} levels deep"
# Kept from each end of a list: some senders put the newest first, some last. Both together are too many for a story.
MOST_RECORDS = MOST_INCIDENT_UPDATES // 2 + 1

_decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def decode(body: bytes) -> JSONObject:
    """Return the JSON object in `body` (RFC 8259, UTF-8), every text storable, numbers as text; raise NotAnUpdate."""
    try:
        value = _decoder.decode(body.decode().removeprefix("\ufeff"))
    except RecursionError:
        raise NotAnUpdate(TOO_DEEP) from None
    except ValueError as error:
        raise NotAnUpdate(f"the body is not JSON: {error}") from None
    # Other bodies are neither too deep nor unstorable: JSON allows unstorable characters only as escapes.
    if b"\\" in body or body.count(b"[") + body.count(b"{") > DEEPEST:
        value = _all_storable(value, DEEPEST)
    if not isinstance(value, dict):
        raise NotAnUpdate("the body is not a JSON object")
    if not value:
        raise NotAnUpdate("the body is an empty JSON object")
    return value


def _all_storable(value: Any, deepest: int) -> Any:
    if isinstance(value, str):
        return storable(value)
    if deepest == 0 and isinstance(value, dict | list):
        raise NotAnUpdate(TOO_DEEP)
    if isinstance(value, dict):
        return {name: _all_storable(member, deepest - 1) for name, member in value.items()}
    if isinstance(value, list):
        return [_all_storable(element, deepest - 1) for element in value]
    return value


def text(value: object) -> str | None:
    """Return a text, or None for a blank one and for anything else."""
    return value if isinstance(value, str) and value and not value.isspace() else None


def word(value: object) -> str | None:
    """Return a short text, cut, or None as text() does; equal ones share one object, as many updates repeat them."""
    return _shared(value[:LONGEST_NAME]) if type(value) is str and value and not value.isspace() else None


@lru_cache(maxsize=4096)  # bounded, while Python 3.12 keeps for ever what sys.intern gets
def _shared(text: str) -> str:
    return text


def identifier(value: object, field: str) -> str | None:
    """Return an id as text: 1 and "1" are one id, true and 1 are two; raise NotAnUpdate if it is too long."""
    name = ("false", "true")[value] if isinstance(value, bool) else text(value)
    if name and len(name) > LONGEST_NAME:
        raise NotAnUpdate(f"{field} is longer than {LONGEST_NAME} characters")
    return name


def mapping(value: object) -> JSONObject:
    """Return an object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def records(value: object) -> list[JSONObject]:
    """Return the objects in a list; of a very long list, those near its ends."""
    if not isinstance(value, list):
        return []
    if len(value) > 2 * MOST_RECORDS:
        value = value[:MOST_RECORDS] + value[-MOST_RECORDS:]
    return [record for record in value if isinstance(record, dict)]
