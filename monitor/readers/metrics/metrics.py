"""`GET /metrics`, for Prometheus: what was received, what is open, what was sent, and how quickly.

What the other parts count is read when Prometheus asks. Labels are names of pages and of services and words of fixed
lists, never a title; past MOST_SERIES, as strangers could name pages without end, the rest is one page, `other`.
Names follow https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import accumulate
from time import perf_counter
from typing import Any

from flask import Flask, Response, request
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from monitor.history.contract import History, Unavailable
from monitor.history.query import IMPACTS
from monitor.server.requests import require
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PAGE

MOST_SERIES = 500
BUCKETS = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

Labels = tuple[str, ...]


def init_app(app: Flask) -> None:
    """Add `GET /metrics`, and time what handles webhooks."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    seconds = _Seconds()
    registry.register(seconds)
    registry.register(_Collector(app.extensions))
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/webhook/"):
            app.view_functions[rule.endpoint] = seconds.timed(app.view_functions[rule.endpoint])

    @app.get("/metrics")
    def metrics() -> Response:
        require(app.config.get("READ_TOKEN"))
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return Response(encode(registry), content_type=content_type)


class _Seconds:
    """How long webhooks took; prometheus_client's own histogram locks, which takes as long as a tenth of a view."""

    def __init__(self) -> None:
        self._counts, self._sum = [0] * (len(BUCKETS) + 1), 0.0

    def timed(self, view: Callable[..., Any]) -> Callable[..., Any]:
        def timed(**variables: Any) -> Any:
            began = perf_counter()
            try:
                return view(**variables)
            finally:
                took = perf_counter() - began
                self._sum += took
                self._counts[bisect_left(BUCKETS, took)] += 1

        return timed

    def collect(self) -> Iterator[Metric]:
        help_text = "From the head of a webhook to its answer, the reading of its body included."
        limits = [*map(str, BUCKETS), "+Inf"]
        buckets = list(zip(limits, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily("event_monitor_webhook_seconds", help_text, buckets, self._sum)


class _Collector:
    """Reads, at a scrape, what the other parts hold and count."""

    def __init__(self, parts: dict[str, Any]) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        monitor = self._parts["monitor"]
        updates = CounterMetricFamily(
            "event_monitor_updates", "Updates received.", labels=("page", "outcome", "source")
        )
        received = (((_label(page), *words), count) for (page, *words), count in monitor.received.items())
        yield _filled(updates, received, sum)
        yield CounterMetricFamily(
            "event_monitor_stdout_dropped", "Updates that stdout did not take.", value=monitor.stdout.dropped
        )
        build = GaugeMetricFamily("event_monitor_build_info", "The version, and 1.", labels=("version",))
        yield _filled(build, [((monitor.version,), 1)], sum)
        yield from _of_history(monitor.history)
        if "notify" in self._parts:
            yield from _of_notifications(self._parts["notify"])
        if "live" in self._parts:
            yield GaugeMetricFamily("event_monitor_streams_open", "Streams open.", value=self._parts["live"].open)


def _of_history(history: History) -> Iterator[Metric]:
    """Yield nothing but that of a history that cannot be read just now: what is absent is not zero."""
    now = datetime.now(UTC)
    try:
        spans, pages = history.spans(now), history.pages()
    except Unavailable:
        yield _available(0)
        return
    yield _available(0 if history.problem else 1)
    incidents = GaugeMetricFamily("event_monitor_open_incidents", "Incidents open.", labels=("page", "impact"))
    those_open = (span for span in spans if span.ended_at is None)
    counted = (((_label(s.page), s.impact if s.impact in IMPACTS else "unstated"), 1) for s in those_open)
    yield _filled(incidents, counted, sum)
    last = GaugeMetricFamily(
        "event_monitor_last_update_timestamp_seconds", "When a page last sent a new update.", labels=("page",)
    )
    newest_first = sorted(pages, key=lambda page: page.received_at, reverse=True)
    yield _filled(last, (((_label(page.name),), page.received_at.timestamp()) for page in newest_first), max)
    missed = GaugeMetricFamily(
        "event_monitor_missed_updates", "Found by asking a page since it last pushed.", labels=("page",)
    )
    yield _filled(missed, (((_label(page.name),), page.missed) for page in newest_first if page.pushed_at), max)


def _available(value: int) -> Metric:
    return GaugeMetricFamily("event_monitor_history_available", "1 if updates can be recorded.", value=value)


def _of_notifications(notify: Any) -> Iterator[Metric]:
    sent = CounterMetricFamily("event_monitor_notifications", "Messages to services.", labels=("service", "outcome"))
    yield _filled(sent, notify.sent.items(), sum)
    waiting = notify.waiting()
    depth = GaugeMetricFamily("event_monitor_outbox_messages", "Messages that wait.", labels=("service",))
    yield _filled(depth, (((service,), count) for service, (count, _) in waiting.items()), sum)
    age = GaugeMetricFamily(
        "event_monitor_outbox_oldest_seconds", "Age of the oldest message that waits.", labels=("service",)
    )
    yield _filled(age, (((service,), seconds) for service, (_, seconds) in waiting.items()), max)


def _filled(family: Any, samples: Iterable[tuple[Labels, float]], merge: Callable[[Iterable[float]], float]) -> Metric:
    """Return a family with these samples, those with the same labels as one, and a bounded number of them."""
    merged: dict[Labels, float] = {}
    for labels, value in samples:
        bounded = ("other", *labels[1:]) if labels not in merged and len(merged) >= MOST_SERIES else labels
        merged[bounded] = merge((merged[bounded], value)) if bounded in merged else value
    for labels, value in merged.items():
        family.add_metric(labels, value)
    filled: Metric = family
    return filled


def _label(page: str) -> str:
    return one_line(page, LONGEST_PAGE)
