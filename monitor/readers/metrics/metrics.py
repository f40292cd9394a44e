"""The metrics: received updates, open incidents, problems, and what each part counts of itself.

Everything is read at each scrape. Labels are names of pages and services and words from fixed lists, never titles.
Strangers can name any number of pages: past MOST_SERIES series, all others share the page `other`.
Names follow https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from operator import add

from prometheus_client import ProcessCollector
from prometheus_client.exposition import choose_encoder as choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from monitor.pipeline import Labels, Pipeline, Sample
from monitor.senders.pages import Pages
from monitor.updates.errors import Unavailable
from monitor.updates.text import one_line
from monitor.updates.update import LONGEST_PAGE

MOST_SERIES = 500
FAMILIES = {"counter": CounterMetricFamily, "gauge": GaugeMetricFamily}

Values = Iterable[tuple[Labels, float]]


class Collector:
    """A collector for prometheus_client. A history or a part that cannot be read is absent, not zero."""

    def __init__(self, pipeline: Pipeline, pages: Pages, version: str) -> None:
        self._pipeline, self._pages, self._version = pipeline, pages, version

    def collect(self) -> Iterator[Metric]:
        """Yield every metric family."""
        yield from ProcessCollector(registry=None).collect()
        yield _gauge("build_info", "The version, and 1.", ("version",), [((self._version,), 1)])
        received = self._pipeline.received.items()
        yield _family("counter", "updates", "Updates received.", ("page", "outcome", "source"), received)
        wrong = [((part,), 1) for part in self._pipeline.what_is_wrong()]
        yield _gauge("problems", "1 for each part with which something is wrong.", ("part",), wrong)
        is_available = self._pipeline.history.problem is None
        try:
            yield from self._of_history()
        except Unavailable:
            is_available = False
        yield _gauge("history_available", "1 if updates can be recorded.", (), [((), is_available)])
        for samples in self._pipeline.samples:
            try:
                yield from [_of_part(sample) for sample in samples()]
            except Unavailable:
                continue

    def _of_history(self) -> Iterator[Metric]:
        periods, pages = self._pipeline.history.periods(datetime.now(UTC)), self._pages.known()
        pages = sorted(pages, key=lambda page: page.received_at, reverse=True)
        names = {page.id: page.name for page in pages}
        still_open = (period for period in periods if period.ended_at is None)
        each = (((names.get(period.page_id, period.page_id), period.impact), 1) for period in still_open)
        yield _gauge("open_incidents", "Incidents, maintenances and components' outages.", ("page", "impact"), each)
        last = [((page.name,), page.received_at.timestamp()) for page in pages if page.updates]
        yield _gauge("last_update_timestamp_seconds", "When a page last sent a new update.", ("page",), last)
        missed = [((page.name,), page.missed) for page in pages if page.pushed_at]
        yield _gauge("missed_updates", "Found by polling a page since it last pushed.", ("page",), missed)


def _of_part(sample: Sample) -> Metric:
    if sample.kind == "histogram":
        buckets = [(limit, count) for (limit,), count in sample.values.items()]
        return HistogramMetricFamily(f"event_monitor_{sample.name}", sample.help, buckets, sample.sum)
    return _family(sample.kind, sample.name, sample.help, sample.labels, sample.values.items())


def _gauge(name: str, what: str, labels: Labels, values: Values) -> Metric:
    return _family("gauge", name, what, labels, values)


def _family(kind: str, name: str, what: str, labels: Labels, values: Values) -> Metric:
    """Return a family of MOST_SERIES series and `other`; values with the same labels are merged."""
    merge = max if name.endswith("_seconds") else add  # the latest time, the longest duration
    merged: dict[Labels, float] = {}
    for texts, value in values:
        series = tuple(one_line(text, LONGEST_PAGE) for text in texts)
        if series not in merged and len(merged) >= MOST_SERIES:
            series = ("other", *series[1:])
        merged[series] = merge(merged[series], value) if series in merged else value
    family: Metric = FAMILIES[kind](f"event_monitor_{name}", what, labels=labels)
    for series, value in merged.items():
        family.add_metric(series, value)  # type: ignore[attr-defined]
    return family
