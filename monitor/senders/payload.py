"""JSON from strangers: a request's body to an object whose fields can be asked for safely.

A dialect (statuspage.py) reads fields through these functions, so a wrong type is absent, never an error,
and a number is text: no digit limit, no infinity, and nothing given out again that is not JSON.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import Any

from dateutil import parser as dateutil_parser

JSONObject = dict[str, Any]

# json's own limit is the interpreter's recursion limit: another on every Python version, and on every call stack.
DEEPEST = 100
TOO_DEEP = f"the body is nested more than {DEEPEST} levels deep"
LONGEST_ID = 200
# A record kept from each end of a longer list: senders disagree at which end the newest stands.
MOST_RECORDS = 500

FIRST_YEAR, LAST_YEAR = 1970, 2099  # a typing error must not stand above every real update for ever

_decoder = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_unstorable = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL refuses NUL, UTF-8 lone surrogates
_offset_from_a_name = re.compile(r"[A-Za-z]\s*[+-]\s*\d")
_four_digit_year = re.compile(r"(?<!\d)(?:19|20)\d\d(?!\d)")


class NotAnUpdate(ValueError):
    """The payload cannot be read; the text says what is wrong and where, and may be shown to the sender."""


class UnknownShape(ValueError):
    """A JSON object of a kind that is not known here; the text says so."""


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


def setting(value: str) -> Any:
    """Return the JSON of a setting, which no request brought; raise ValueError where it is none or cannot be stored."""
    try:
        found = json.loads(value)
        encoded = json.dumps(found, ensure_ascii=False)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if _unstorable.search(encoded) or "\\u0000" in encoded:
        raise ValueError("holds a character that cannot be stored")
    return found


def storable(value: str) -> str:
    """Return a text that every store takes: without NUL and lone surrogates."""
    return _unstorable.sub("\ufffd", value)


def text(value: object) -> str | None:
    """Return a text, or None for what is none or is blank."""
    return value if isinstance(value, str) and value and not value.isspace() else None


def word(value: object) -> str | None:
    """Return a text that many updates have alike, of which one is kept for all; cut, as no word is long."""
    return intern(value[:LONGEST_ID]) if type(value) is str and value and not value.isspace() else None


def identifier(value: object, field: str) -> str | None:
    """Return an id as text: senders write 1 and "1", and true is neither; raise NotAnUpdate if too long."""
    name = ("false", "true")[value] if isinstance(value, bool) else text(value)
    if name and len(name) > LONGEST_ID:
        raise NotAnUpdate(f"{field} is longer than {LONGEST_ID} characters")
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


def time(value: object) -> datetime | None:
    """Return an instant in UTC: ISO 8601 (without an offset: UTC), or a date written out with year, month, day."""
    # The length is bounded first: dateutil takes 27 s for a million digits.
    return _instant(value) if isinstance(value, str) and 8 <= len(value) <= 64 else None


@lru_cache(maxsize=1024)  # an entry's three times are mostly one
def _instant(value: str) -> datetime | None:
    try:
        try:
            instant = datetime.fromisoformat(value)
        except ValueError:
            instant = _written_out(value)
        instant = instant.astimezone(UTC) if instant.tzinfo else instant.replace(tzinfo=UTC)
    except (ValueError, ArithmeticError):  # what dateutil lets out: ParserError, OverflowError, InvalidOperation
        return None
    return instant if FIRST_YEAR <= instant.year <= LAST_YEAR else None


def _written_out(value: str) -> datetime:
    """Read `Mon, 03 Nov 2025 14:32:00 GMT` and the like; raise ValueError where dateutil would fill in today."""
    # dateutil reads the sign of `GMT+3` as POSIX does, the other way round than people.
    if not value.isascii() or not _four_digit_year.search(value) or _offset_from_a_name.search(value):
        raise ValueError("no year, or an offset of doubtful sign")
    first, second = (
        dateutil_parser.parse(value, default=default, tzinfos=_offset)
        for default in (datetime(2001, 1, 1), datetime(2002, 2, 2))  # noqa: DTZ001
    )
    if first != second:
        raise ValueError("no full date")
    return first


def _offset(name: str | None, offset: int | None) -> int | None:
    if offset is None and name is not None:
        raise ValueError(f"unknown time zone {name}")
    return offset
