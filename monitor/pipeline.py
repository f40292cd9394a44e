"""The pipeline: record an update; if it is new, hand it to every output.

Here the parts of the program meet: they register outputs, numbers and problems. A part gets the pipeline from
`pipeline_of(app)`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import gevent
from flask import Flask

from monitor.history.contract import History
from monitor.updates.errors import Unavailable
from monitor.updates.incident import Incident
from monitor.updates.text import describe_error
from monitor.updates.update import Update

log = logging.getLogger("event_monitor")

OUTCOMES = ("accepted", "duplicate", "ignored", "refused")
MOST_COUNTED = 500  # combinations of page, outcome and source
MOST_LAGS = 200  # combinations of page and source
LAG = "From when a provider said the last new update to when it came."

Output = Callable[[Incident, Update], None]
Source = Literal["push", "poll", "doorbell"]  # how an update arrives; a doorbell is a request to poll at once
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """A metric for /metrics: `name` without its prefix, `values` by the values of `labels`.

    A histogram's values are by its buckets' limits; `sum` is the sum of all observations.
    """

    kind: Literal["counter", "gauge", "histogram"]
    name: str
    help: str
    values: Mapping[Labels, float]
    labels: Labels = ()
    sum: float = 0.0


@dataclass(slots=True, eq=False)
class Pipeline:
    """Records updates and hands the new ones on.

    `outputs` get every new update, and return at once. `wants` return the history's queues that an update goes into.
    `at_start` has lines for the log once the server listens. `stopping` are called when the server is asked to stop,
    before the last answers are sent; `closing` after them, in reverse order. `samples` return metrics, `problems` what
    is wrong by the part's name. `received` counts by page, outcome and source. `lags` has the lag of the last new
    update in seconds, by page and source.
    """

    history: History
    outputs: list[Output] = field(default_factory=list)
    wants: list[Callable[[Update], Sequence[str]]] = field(default_factory=list)
    at_start: list[str] = field(default_factory=list)
    stopping: list[Callable[[], None]] = field(default_factory=list)
    closing: list[Callable[[], None]] = field(default_factory=list)
    samples: list[Callable[[], Iterable[Sample]]] = field(default_factory=list)
    problems: list[Callable[[], Mapping[str, str | None]]] = field(default_factory=list)
    received: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    lags: dict[Labels, float] = field(default_factory=dict)

    def record(self, update: Update, source: Source) -> bool:
        """Record an update and hand it to every output if it is new; return whether it is; raise Unavailable."""
        incident = self.history.add(update, [queue for wants in self.wants for queue in wants(update)])
        self.count(update.page, "duplicate" if incident is None else "accepted", source)
        if incident is None:
            return False
        if (lag := update.lag) is not None:
            series = (update.page, source)
            has_room = series in self.lags or len(self.lags) < MOST_LAGS
            self.lags[series if has_room else ("other", source)] = lag
        self.announce(incident, update)
        return True

    def count(self, page: str, outcome: str, source: Source = "push") -> None:
        """Count what was received; past MOST_COUNTED as the page `other`, as senders could name pages without end."""
        if (page, outcome, source) not in self.received and len(self.received) >= MOST_COUNTED:
            page = "other"
        self.received[page, outcome, source] += 1

    def announce(self, incident: Incident, update: Update) -> None:
        """Hand a new update to every output, unless it is past."""
        if update.is_past:
            return
        for output in self.outputs:
            try:
                output(incident, update)
            except Exception as error:  # noqa: BLE001  # a failed output stops neither the others nor the answer
                log.error("output failed: %s", describe_error(error))

    def what_is_wrong(self) -> dict[str, str]:
        """Return what is wrong, by the part's name; empty if all is well."""
        found = {name: problem for problems in self.problems for name, problem in problems().items()}
        return {name: problem for name, problem in found.items() if problem}

    def stop(self) -> None:
        """Tell every part that the server is stopping."""
        for stop in self.stopping:
            stop()

    def close(self) -> None:
        """Let every part finish, and the history last."""
        for close in reversed(self.closing):
            close()

    def announce_recovered(self) -> None:
        """Hand on, for ever, what the history recorded but could not acknowledge to its sender."""
        while True:
            try:
                self.announce(*self.history.recovered())
            except Unavailable:
                gevent.sleep(1)


def init_app(app: Flask, history: History) -> Pipeline:
    """Give the app its pipeline."""
    pipeline = app.extensions[__name__] = Pipeline(history)
    pipeline.problems.append(lambda: {"history": history.problem})
    pipeline.samples.append(lambda: [Sample("gauge", "lag_seconds", LAG, dict(pipeline.lags), ("page", "source"))])
    pipeline.closing.append(history.close)
    pipeline.at_start.append(f"history: in {history.kept_in}")
    gevent.spawn(pipeline.announce_recovered)
    return pipeline


def pipeline_of(app: Flask) -> Pipeline:
    """Return the app's pipeline."""
    pipeline: Pipeline = app.extensions[__name__]
    return pipeline
