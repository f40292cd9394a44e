"""Settings: what the environment may say, checked before anything starts.

They are Flask's config, read by `from_prefixed_env("MONITOR")`; a text stays text: a token of digits is no number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flask import Config


class BadSetting(ValueError):
    """A setting that cannot be used; the text names it in one line and never holds a secret."""


def token(value: str) -> str:
    if not value.strip():
        raise ValueError("is empty: give it a text, or unset it to let everyone in")
    return value


# Every setting but HOST, which is the command line's, with what checks it; README.md has the same list.
SETTINGS: dict[str, Callable[[str], object]] = {"WEBHOOK_TOKEN": token, "READ_TOKEN": token}


def names() -> str:
    return ", ".join(f"MONITOR_{name}" for name in SETTINGS)


def from_environment() -> dict[str, object]:
    """Return the settings in the environment, named without MONITOR_; raise BadSetting."""
    config = Config("")
    config.from_prefixed_env("MONITOR", loads=str)
    config.pop("HOST", None)
    return checked(config)


def checked(given: Mapping[str, object]) -> dict[str, object]:
    """Return the settings as they are used; raise BadSetting for an unknown name or a bad value."""
    if unknown := [name for name in given if name not in SETTINGS]:
        raise BadSetting(f"MONITOR_{unknown[0]} is not a setting; there are MONITOR_HOST, {names()}")
    values: dict[str, object] = {}
    for name, value in given.items():
        try:
            values[name] = SETTINGS[name](str(value))
        except ValueError as error:
            raise BadSetting(f"MONITOR_{name} {error}") from None
    return values
