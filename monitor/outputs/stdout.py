"""stdout: the two lines of each new update, and nothing else."""

from __future__ import annotations

import logging
import sys

from monitor.pipeline import Pipeline, Sample
from monitor.server.printer import Printer
from monitor.updates.update import two_lines

log = logging.getLogger("event_monitor")

SECONDS_TO_DRAIN = 1
DROPPED = "Updates that stdout did not take."


def init_app(pipeline: Pipeline) -> Printer:
    """Print every new update."""
    stdout = Printer("stdout", sys.__stdout__.fileno() if sys.__stdout__ else None, log.warning)
    pipeline.outputs.append(lambda _, update: stdout.write(two_lines(update)))
    pipeline.problems.append(lambda: {"stdout": stdout.problem})
    pipeline.samples.append(lambda: [Sample("counter", "stdout_dropped", DROPPED, {(): stdout.dropped})])
    pipeline.closing.append(lambda: stdout.drain(SECONDS_TO_DRAIN))
    return stdout
