"""JSON from strangers: a request's body to an object whose fields can be asked for safely.

A dialect (statuspage.py) reads fields through these functions, so a wrong type is absent, never an error,
and a number is text: no digit limit, no infinity, and nothing given out again that is not JSON.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from monitor.updates.errors import NotAnUpdate
from monitor.updates.text import storable
from monitor.updates.update import LONGEST_NAME

JSONObject = dict[str, Any]

# json's own limit is the interpreter's recursion limit: another on every Python version, and on every call stack.
DEEPEST = 100
TOO_DEEP = f"the body is nested more than {DEEPEST} levels deep"
# A record kept from each end of a longer list: senders disagree at which end the newest stands.
MOST_RECORDS = 500

_decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)


def decode(body: bytes) -> JSONObject:
    """Return the JSON object in `body` (RFC 8259, UTF-8), numbers as text, every text storable; raise NotAnUpdate."""
    try:
        value = _decoder.decode(body.decode().removeprefix("\ufeff"))
    except RecursionError:
        raise NotAnUpdate(TOO_DEEP) from None
    except ValueError as error:
        raise NotAnUpdate(f"the body is not JSON: {error}") from None
    # What passes neither test is neither deep nor unstorable: JSON allows those characters as escapes only.
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
    """Return a text, or None for what is none or is blank."""
    return value if isinstance(value, str) and value and not value.isspace() else None


def word(value: object) -> str | None:
    """Return a text that many updates have alike, of which one is kept for all; cut, as no word is long."""
    return _shared(value[:LONGEST_NAME]) if type(value) is str and value and not value.isspace() else None


@lru_cache(maxsize=4096)  # bounded, other than sys.intern, whose texts Python 3.12 keeps for ever
def _shared(text: str) -> str:
    return text


def identifier(value: object, field: str) -> str | None:
    """Return an id as text: senders write 1 and "1", and true is neither; raise NotAnUpdate if too long."""
    name = ("false", "true")[value] if isinstance(value, bool) else text(value)
    if name and len(name) > LONGEST_NAME:
        raise NotAnUpdate(f"{field} is longer than {LONGEST_NAME} characters")
    return name


def mapping(value: object) -> JSONObject:
    """Return an object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def records(value: object) -> list[JSONObject]:
    """Return the objects in a list, of a very long one those near its ends."""
    if not isinstance(value, list):
        return []
    if len(value) > 2 * MOST_RECORDS:
        value = value[:MOST_RECORDS] + value[-MOST_RECORDS:]
    return [record for record in value if isinstance(record, dict)]
