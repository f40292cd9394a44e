"""What can go wrong with what a stranger sends or asks, and with the history; every text may be shown to the client."""

from __future__ import annotations


class NotAnUpdate(ValueError):
    """The payload cannot be read; the text says what is wrong and where."""


class UnknownShape(ValueError):
    """A JSON object of a kind that is not known here; the text says so."""


class BadQuery(ValueError):
    """A query string that cannot be answered; the text names the parameter."""


class Unavailable(Exception):
    """The history cannot be written or read just now; the text says why. The sender shall send again."""
