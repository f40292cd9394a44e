"""The command line: `--host`, `--port`, `--test-notify`; what is wrong is said in one line, with exit code 2."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from monitor import settings


def arguments() -> argparse.Namespace:
    """Return `host`, `port` and `test_notify`."""
    parser = argparse.ArgumentParser(
        prog="event_monitor.py",
        description="Receive status page webhooks at POST /webhook/statuspage and print each incident update once.",
        epilog=f"Settings, in the environment: {settings.names()}. README.md explains them.",
    )
    host, port = os.environ.get("MONITOR_HOST", "127.0.0.1"), os.environ.get("PORT", "5000")
    parser.add_argument("--host", default=host, help="address to listen on (MONITOR_HOST; %(default)s)")
    parser.add_argument("--port", default=port, type=_port, help="port to listen on (PORT; %(default)s)")
    parser.add_argument("--test-notify", action="store_true", help="send a test message to each service and end")
    parser.error = exit_2  # type: ignore[assignment,method-assign]  # one line, without the usage
    return parser.parse_args()


def exit_2(problem: str) -> NoReturn:
    """End with one line on stderr."""
    sys.stderr.write(f"event_monitor: {problem}\n")
    raise SystemExit(2)


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) < 65536):
        raise argparse.ArgumentTypeError(f"{value!a} is not a port from 0 to 65535")
    return int(value)
