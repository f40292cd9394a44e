"""event_monitor: receive status page webhooks, print each incident update once, and answer queries.

Start reading here: `create_app` puts the app together, in the order in which an update passes; the command line
follows. docs/ARCHITECTURE.md shows the whole.
"""

import sys
from importlib.util import find_spec

# Python parses the whole file before it runs a line: all of it is valid on 3.6, so that an old Python can be told.
_lacking = [
    name + ": pip install -r requirements.txt" for name in ("flask", "gevent", "dateutil") if not find_spec(name)
]
if sys.version_info < (3, 11):  # noqa: UP036
    _lacking = ["Python 3.11 or newer; this is {}.{}".format(*sys.version_info)]
if _lacking:
    sys.stderr.write("event_monitor: needs " + _lacking[0] + "\n")
    sys.exit(2)

from gevent import events, monkey

events.notify_and_call_entry_points = events.notify  # else gevent looks for its plugins 20 times: 90 ms
monkey.patch_all()  # first of all: the imports below must find the cooperative socket, select and time

import argparse
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from errno import EADDRINUSE
from functools import partial
from typing import NoReturn, TypeVar

from flask import Flask

from monitor import history, pipeline, settings
from monitor.outputs import stdout
from monitor.readers import health, incidents, openapi, status
from monitor.readers import pages as page_list
from monitor.senders import pages, webhooks
from monitor.server import access, errors, front, serve
from monitor.server.log import log_to_stderr
from monitor.server.requests import LARGEST_BODY

__version__ = "1.0.0"

log = logging.getLogger("event_monitor")

Made = TypeVar("Made")

# The optional parts, in the order in which an update passes.
PARTS = [part for room in ("senders", "outputs", "readers") for part in settings.parts(f"monitor.{room}")]
COMMANDS = settings.commands_of(pages, status, *PARTS)
SETTINGS = settings.declared_by(settings, pages, *settings.parts("monitor.history"), *PARTS)


def create_app(given: Mapping[str, object] | None = None) -> Flask:
    """Return the app with the given settings (names without MONITOR_), else the environment's; raise BadSetting."""
    app = Flask("event_monitor", static_folder=None)
    app.config.update(settings.from_environment(SETTINGS) if given is None else settings.checked(given, SETTINGS))
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.config["VERSION"] = __version__
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False  # its answer would be empty, and not JSON
    app.json.sort_keys = False  # type: ignore[attr-defined]
    # No address redirects: a sender takes a redirect for a failure.
    app.url_map.strict_slashes = app.url_map.merge_slashes = False

    store = history.open(app.config)
    flow = pipeline.init_app(app, store)
    registry = pages.init_app(app, store)
    webhooks.init_app(app, front.init_app(app), flow, registry)
    printer = stdout.init_app(flow)
    for part in PARTS:
        part.init_app(app)
    incidents.init_app(app, store, registry)
    page_list.init_app(app, store, registry)
    status.init_app(app, store, registry)
    health.init_app(app, flow, printer)
    openapi.init_app(app, __version__)
    errors.init_app(app, flow.count)
    access.init_app(app)
    return app


def main() -> int:
    """Run the server until SIGTERM or Ctrl-C, or a command; return the exit code."""
    arguments = _arguments()
    if arguments.command:
        command: settings.Command = arguments.command
        return _or_exit_2(partial(command.run, arguments.asked))
    stderr = log_to_stderr()
    app = _or_exit_2(create_app)
    flow = pipeline.pipeline_of(app)
    guarded = access.Guard(app, arguments.host)
    try:
        serve.serve(guarded, arguments.host, arguments.port, partial(_say, flow.at_start), flow.stop)
    except (OSError, UnicodeError) as error:  # UnicodeError: no valid host name
        log.error("cannot listen on %s port %d: %s", arguments.host, arguments.port, _why(error))
        return 1
    else:
        flow.close()
        log.info("stopped")
        return 0
    finally:
        stderr.drain(1)


def _why(error: OSError | UnicodeError) -> str:
    reason = str(getattr(error, "strerror", error)).partition(": (")[0]  # gevent appends the address
    return f"{reason}; choose another by --port" if getattr(error, "errno", None) == EADDRINUSE else reason


def _say(at_start: Sequence[str], url: str) -> None:
    for text in (*at_start, f"listening on {url}"):
        log.info("%s", text)


def _or_exit_2(make: Callable[[], Made]) -> Made:
    try:
        return make()
    except settings.BadSetting as problem:
        _exit_2(str(problem))


def _arguments() -> argparse.Namespace:
    """Return `host`, `port`, and `command` (None: run the server) with its arguments, `asked`."""
    parser = argparse.ArgumentParser(
        prog="event_monitor.py",
        description="Receive status page webhooks at POST /webhook/statuspage and print each incident update once.",
        epilog=f"Settings, in the environment: {settings.names(SETTINGS)}. docs/settings.md explains them.",
    )
    host = os.environ.get("MONITOR_HOST", "127.0.0.1")
    port = os.environ.get("MONITOR_PORT", os.environ.get("PORT", "5000"))
    parser.add_argument("--host", default=host, help="address to listen on (MONITOR_HOST; %(default)s)")
    parser.add_argument("--port", default=port, help="port to listen on (MONITOR_PORT, PORT; %(default)s)")
    parser.add_argument("--version", action="version", version=f"event_monitor {__version__}")
    parser.set_defaults(command=None)
    for option, command in COMMANDS.items():
        _add(parser, option, command)
    parser.error = _exit_2  # type: ignore[assignment,method-assign]  # one line, without the usage
    arguments = parser.parse_args()
    for option, command in COMMANDS.items():
        _choose(arguments, option, command)
    if not arguments.command:
        arguments.host, arguments.port = _host(arguments.host), _port(arguments.port)
    return arguments


def _add(parser: argparse.ArgumentParser, option: str, command: settings.Command) -> None:
    takes = {"dest": option, "default": [], "const": "", "help": command.help}
    if command.metavar is None:
        parser.add_argument(option, action="append_const", **takes)  # type: ignore[arg-type]
    else:
        parser.add_argument(option, action="append", nargs="?", metavar=command.metavar, **takes)  # type: ignore[arg-type]
    for name, text in command.options.items():
        parser.add_argument(name, action="append", dest=name, default=[], metavar=name[2:].upper(), help=text)


def _choose(arguments: argparse.Namespace, option: str, command: settings.Command) -> None:
    values, given = vars(arguments)[option], {name: vars(arguments)[name] for name in command.options}
    if values:
        value = values[-1] or (f"http://127.0.0.1:{_port(arguments.port)}" if command.metavar == "URL" else "")
        arguments.command = command
        arguments.asked = settings.Asked(value, given, partial(settings.from_environment, SETTINGS))
        return
    for name, texts in given.items():
        if texts:
            _exit_2(f"{name} goes with {option}")


def _host(value: str) -> str:
    if not value.strip():
        _exit_2("--host, else MONITOR_HOST, is empty, which would be every address: say 0.0.0.0, or 127.0.0.1")
    return value


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value[:9]) < 65536):
        _exit_2(f"{value!a} is not a port from 0 to 65535, such as 5000 (--port, else MONITOR_PORT, else PORT)")
    return int(value)


def _exit_2(problem: str) -> NoReturn:
    sys.stderr.write(f"event_monitor: {problem}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    code = 0
    with suppress(BrokenPipeError):  # the reader of a command's output, such as head, has enough
        code = main()
        if sys.stdout:
            sys.stdout.flush()
    os._exit(code)  # the interpreter would wait for the threads of libraries
app = _or_exit_2(create_app)
