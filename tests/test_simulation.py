"""A page that pushes and is polled, a service that fails, and a monitor between them, by one seed and without a clock.

One seed makes every choice: what the page says and when, which pushes come late, twice or after a retry, when the page
is polled and does not answer, which messages the service refuses. What was acknowledged is told, once.
"""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import gevent
import pytest

from monitor.history.memory import MemoryHistory
from monitor.outputs.notify import sending
from monitor.pipeline import Pipeline
from monitor.senders import statuspage
from monitor.senders.pages import KnownPage, Pages
from monitor.senders.polling import poller
from monitor.senders.polling.client import NoAnswer, NotThere
from monitor.updates.document import document
from monitor.updates.times import iso

SEEDS = [range(first, 200, 4) for first in range(4)] + [pytest.param(range(200, 2_000), marks=pytest.mark.long)]
STATUSES = ("investigating", "identified", "monitoring", "resolved")
START = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=40)


class Page:
    """A status page: `incidents` as its API lists them, `pushes` that are on their way."""

    def __init__(self, chance):
        self.chance, self.now = chance, START
        self.incidents, self.pushes = {}, []

    def speak(self):
        """Say something of a new or an open incident: it is listed, and a push of it sets out."""
        self.now += timedelta(seconds=self.chance.choice((0, 0, 1, 5, 30)))
        is_open = [name for name, incident in self.incidents.items() if incident["status"] != "resolved"]
        name = self.chance.choice(is_open) if is_open and self.chance.random() < 0.7 else f"i{len(self.incidents)}"
        before = self.incidents.get(name, {"incident_updates": [], "created_at": iso(self.now)})
        status = self.chance.choice(STATUSES)
        number, at = len(before["incident_updates"]), iso(self.now)
        entry = {"id": f"{name}-{number}", "status": status, "body": f"{name} said {number}", "created_at": at}
        said = before | {"id": name, "name": name, "status": status, "impact": "minor", "updated_at": at}
        said["incident_updates"] = [entry, *before["incident_updates"]]
        self.incidents[name] = said
        for _ in range(self.chance.choice((1, 1, 1, 2))):
            self.pushes.append(said)
        self.chance.shuffle(self.pushes[-3:])

    def begin(self):
        """Be asked by a client, whose part this plays too."""

    keep = begin

    def forget(self, _address):
        """Keep no condition: every answer is whole."""

    def json(self, address):
        """Answer as its API does, or not at all."""
        if self.chance.random() < 0.2:
            raise NoAnswer("answers 503")
        if not address.endswith("/api/v2/incidents.json"):
            raise NotThere("answers 404")
        newest_first = sorted(self.incidents.values(), key=lambda incident: incident["created_at"], reverse=True)
        return {"page": {"id": "p1", "name": "Fabrikam"}, "incidents": newest_first}


class Simulation:
    """A monitor with one polled page and one service, driven step by step."""

    def __init__(self, seed, patched):
        self.chance = random.Random(seed)
        self.page = Page(self.chance)
        self.seconds, self.printed, self.taken, self.greenlet = 0.0, [], [], gevent.getcurrent()
        patched.setattr(sending, "monotonic", lambda: self.seconds)
        patched.setattr(sending.random, "uniform", lambda *_: 1.0)
        for module in (poller, sending):
            without_time = SimpleNamespace(sleep=self._sleep, spawn=_nothing, spawn_later=_nothing)
            patched.setattr(module, "gevent", without_time)
        patched.setattr(poller, "StatusPageClient", lambda *_: self.page)
        self.history = MemoryHistory()
        pipeline = self.pipeline = Pipeline(self.history)
        pages = self.pages = Pages([KnownPage("https://fabrikam.example", "Fabrikam", "p1")], self.history)
        pipeline.outputs.append(lambda _, update: self.printed.append(update))
        service = SimpleNamespace(key="k", name="service", takes=lambda _: True, tell=self._tell)
        self.notifier = sending.Notifier([service], pipeline, pages)
        known = [KnownPage("https://fabrikam.example", "Fabrikam", "p1")]
        self.poller = poller.Poller(known, 300.0, pipeline, pages, "1")
        for _ in range(50):
            if self.poller.polled[0].problem is not None:  # what is said once it has answered is no past
                self.poll()
        assert self.poller.polled[0].problem is None

    def _sleep(self, seconds):
        """Take no time; greenlets that other tests left behind sleep as ever, or they would never let go."""
        if gevent.getcurrent() is not self.greenlet:
            gevent.sleep(seconds)

    def _tell(self, update):
        if self.chance.random() < 0.3:
            return "refused"
        self.taken.append(update)
        return None

    def push(self):
        if self.page.pushes:
            late = self.chance.random() < 0.3
            said = self.page.pushes.pop(self.chance.randrange(len(self.page.pushes)) if late else 0)
            payload = {"page": {"id": "p1"}, "incident": said}
            self.pipeline.record(self.pages.name_for(statuspage.read(payload)), "push")

    def poll(self):
        self.poller.poll(self.poller.polled[0])

    def send(self):
        self.seconds += self.chance.choice((1.0, 60.0, 1000.0))
        for sender in self.notifier._senders.values():
            sender._send_due()

    def run(self, steps=60):
        for _ in range(steps):
            self.chance.choice(
                (self.page.speak, self.page.speak, self.push, self.push, self.push, self.poll, self.send)
            )()
        while self.page.pushes:
            self.push()
        for _ in range(10):
            self.poll()
        while self.history.queue("notify:k").waiting():
            self.send()


def _nothing(*_):
    return None


def newest_entries(updates):
    return [(update.id, update.incident_updates[0].id) for update in updates]


@pytest.mark.optional
@pytest.mark.parametrize("seeds", SEEDS, ids=str)
def test_what_was_acknowledged_is_told_once_whatever_comes_late_twice_or_not_at_all(seeds, monkeypatch):
    for seed in seeds:
        with monkeypatch.context() as patched:
            simulation = Simulation(seed, patched)
            simulation.run()
            try:
                check(simulation)
            except AssertionError as error:
                raise AssertionError(f"seed {seed}: {error}") from error


def check(simulation):
    printed = Counter(newest_entries(simulation.printed))
    said = {name: incident["incident_updates"] for name, incident in simulation.page.incidents.items()}

    assert len(simulation.taken) > 5

    # No entry is told twice, and the newest is told; an older one may be told with it.
    assert [entry for entry, times in printed.items() if times > 1] == []
    assert {(name, entries[0]["id"]) for name, entries in said.items()} <= printed.keys()

    # The state is the page's own.
    for name, incident in simulation.page.incidents.items():
        kept = document(simulation.history.incident("p1", name))
        assert kept["status"] == incident["status"]
        assert [entry["id"] for entry in kept["incident_updates"]] == [entry["id"] for entry in said[name]]

    # The service took each update that was no late one once, in order, and at last how it ended.
    for name, incident in simulation.page.incidents.items():
        told = [update for update in simulation.taken if update.id == name]
        times = [update.updated_at for update in told]
        assert times == sorted(times)
        assert len({update.message for update in told}) == len(told)
        assert told[-1].status == incident["status"]
