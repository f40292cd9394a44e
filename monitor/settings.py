"""Settings: read from the environment and checked before anything starts; the commands of the command line.

Settings are Flask's config, read by `from_prefixed_env("MONITOR")` as text: a token of digits is no number. A part
declares its own in SETTINGS: a name without MONITOR_, and a check that returns the value to use or raises ValueError.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from flask import Config

from monitor.updates.text import storable

Check = Callable[[str], object]
Settings = Mapping[str, Check]


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of a command: its own value, and those of each of its options; `read` returns the settings."""

    value: str
    given: Mapping[str, Sequence[str]]
    read: Callable[[], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Command:
    """What an option of the command line runs in place of the server.

    `run` returns the exit code; it may raise BadSetting. `options` maps a name to its help; each takes a value and may
    be repeated. With a `metavar` the command itself takes an optional value; URL's default is this machine's monitor.
    """

    help: str
    run: Callable[[Asked], int]
    options: Mapping[str, str] = field(default_factory=dict)
    metavar: str | None = None


COMMAND_LINE = ("HOST", "PORT")  # MONITOR_HOST and MONITOR_PORT are defaults of the command line


class BadSetting(ValueError):
    """A setting that cannot be used; the text is one line that names it, without any secret."""


def token(value: str) -> str:
    """Check a token."""
    if not value.strip():
        raise ValueError("is empty: give it a text such as openssl rand -hex 32 prints, or unset it to let everyone in")
    return value


def webhook_token(value: str) -> str | dict[str, str]:
    """Check a token, or a JSON object with the page that each token may speak for."""
    if not value.lstrip().startswith("{"):
        return token(value)
    try:
        pages = from_json(value)
    except ValueError as error:
        raise ValueError(f'{error}; it begins like a JSON object such as {{"a token": "GitHub"}}') from None
    if not pages or not all(isinstance(page, str) and page.strip() and key.strip() for key, page in pages.items()):
        raise ValueError('is not a JSON object such as {"a token": "GitHub"}, without empty texts')
    return dict(pages)


def whole_number(unit: str, lowest: int, highest: int) -> Check:
    """Return a check for a whole number of a unit."""

    def check(value: str) -> int:
        if not (value.isascii() and value.isdigit() and lowest <= int(value[:9]) <= highest):
            raise ValueError(f"is not a whole number of {unit} from {lowest} to {highest}")
        return int(value)

    return check


def is_json(value: str) -> bool:
    """Tell whether a setting that may be a plain list is written as JSON."""
    return value.lstrip().startswith(("[", "{"))


def from_json(value: str) -> Any:
    """Return the value of a setting that is JSON; raise ValueError if it is not or cannot be stored."""
    try:
        found = json.loads(value)
        encoded = json.dumps(found, ensure_ascii=False)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if storable(encoded) != encoded or "\\u0000" in encoded:
        raise ValueError("holds a character that cannot be stored")
    return found


def load(module: str) -> ModuleType:
    """Return a part's module; raise ValueError if a library that it needs is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError as missing:
        raise ValueError(f"needs {missing.name}: pip install -r requirements-extras.txt") from None


def load_for(what: str, module: str) -> ModuleType:
    """Return the module that a setting or a command needs; raise BadSetting that names it if a library is missing."""
    try:
        return load(module)
    except ValueError as missing:
        raise BadSetting(f"{what} {missing}") from None


def parts(room: str) -> list[ModuleType]:
    """Return the optional parts of a room: the folders that it has."""
    return [import_module(f"{room}.{m.name}") for m in iter_modules(import_module(room).__path__) if m.ispkg]


def declared_by(*modules: ModuleType) -> Settings:
    """Return the settings that these modules declare."""
    return {name: check for module in modules for name, check in getattr(module, "SETTINGS", {}).items()}


def commands_of(*modules: ModuleType) -> Mapping[str, Command]:
    """Return the commands that these modules declare, by option."""
    return {option: command for module in modules for option, command in getattr(module, "COMMANDS", {}).items()}


SETTINGS: Settings = {"WEBHOOK_TOKEN": webhook_token, "READ_TOKEN": token}


def names(declared: Settings) -> str:
    """Return the names of all settings as a list for people."""
    return ", ".join(f"MONITOR_{name}" for name in (*COMMAND_LINE, *declared))


def from_environment(declared: Settings) -> dict[str, object]:
    """Return the checked settings of the environment, by name without MONITOR_; raise BadSetting."""
    config = Config("")
    config.from_prefixed_env("MONITOR", loads=str)
    for name in COMMAND_LINE:
        config.pop(name, None)
    if "DATABASE_URL" in os.environ and "DATABASE_URL" in declared:  # the name that hosts use
        config.setdefault("DATABASE_URL", os.environ["DATABASE_URL"])
    return checked(config, declared)


def checked(given: Mapping[str, object], declared: Settings) -> dict[str, object]:
    """Return the values to use; raise BadSetting for an unknown name or a bad value."""
    # Flask turns a name with two underscores into a dict.
    if unknown := [name for name, value in given.items() if name not in declared or isinstance(value, dict)]:
        raise BadSetting(f"MONITOR_{unknown[0]} is not a setting or not written so; there are {names(declared)}")
    values: dict[str, object] = {}
    for name, value in given.items():
        try:
            values[name] = declared[name](str(value))
        except ValueError as error:
            raise BadSetting(f"MONITOR_{name} {error}") from None
    return values
