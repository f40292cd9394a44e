"""Errors in what a client sends or asks, and of the history; the client may see every text."""

from __future__ import annotations


class NotAnUpdate(ValueError):
    """The payload is not a readable update; the text says what is wrong and where."""


class UnknownShape(ValueError):
    """The payload is a JSON object of an unknown kind; the text says so."""


class BadQuery(ValueError):
    """The query string cannot be answered; the text names the parameter."""


class Unavailable(Exception):
    """The history cannot be written or read at the moment; the text says why. The sender should retry."""
