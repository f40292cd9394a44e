"""Kill -9, again and again: what was acknowledged is there and was printed, twice only where the log says so."""

import random
import re
import threading
import time
from collections import Counter

import pytest
import requests

from tests.conftest import environment, incident

KILLS, SENDERS = [3, pytest.param(100, marks=pytest.mark.long)], 8


class Sender(threading.Thread):
    """Posts incidents of its own, each until it is acknowledged, as providers do."""

    def __init__(self, number, state):
        super().__init__(daemon=True)
        self.number, self.state, self.acknowledged, self.is_over = number, state, [], False

    def run(self):
        session, count = requests.Session(), 0
        while not self.is_over:
            name = f"s{self.number}-{count}"
            entry = {"id": f"{name}-u", "body": f"mark {name}."}
            try:
                answer = session.post(self.state["url"], json=incident(name, incident_updates=[entry]), timeout=10)
            except requests.RequestException:
                time.sleep(0.02)
                continue
            if answer.status_code == 200:
                self.acknowledged.append(name)
                count += 1


@pytest.mark.optional
@pytest.mark.parametrize("kills", KILLS)
def test_what_was_acknowledged_is_kept_and_printed_whatever_is_killed(start, url, kills):
    chance, state, monitors = random.Random(kills), {"url": "http://127.0.0.1:1/"}, []
    senders = [Sender(number, state) for number in range(SENDERS)]
    for sender in senders:
        sender.start()
    for _ in range(kills):
        monitors.append(start(environment=environment(url)))
        state["url"] = f"{monitors[-1].url}/webhook/statuspage"
        time.sleep(chance.uniform(0.1, 0.5))
        monitors[-1].kill()
    last = start(environment=environment(url))
    monitors.append(last)
    state["url"] = f"{last.url}/webhook/statuspage"
    time.sleep(0.5)
    for sender in senders:
        sender.is_over = True
    for sender in senders:
        sender.join(20)

    acknowledged = {name for sender in senders for name in sender.acknowledged}
    assert last.stop() == 0
    printed = Counter(
        name for one in monitors for name in re.findall(r"^Status: mark (\S+)\.$", one.stdout_file.read_text(), re.M)
    )
    told_again = sum(
        int(n) for one in monitors for n in re.findall(r"unclean; told again from its last commit: (\d+)", one.log())
    )
    twice = sum(times - 1 for times in printed.values())
    again = start(environment=environment(url))
    kept = set(found(again))
    print(f"{kills} kills: {len(acknowledged)} acknowledged, {len(acknowledged - kept)} lost, ", end="")
    print(f"{len(acknowledged - printed.keys())} unprinted, {twice} printed twice, {told_again} said to be")

    assert len(acknowledged) > 10 * kills
    assert acknowledged <= kept
    assert acknowledged <= printed.keys()
    assert twice <= told_again


def found(monitor):
    cursor = ""
    while cursor is not None:
        answer = monitor.get(f"/incidents?limit=500{cursor}").json()
        yield from (one["id"] for one in answer["incidents"])
        cursor = answer["next_cursor"] and f"&cursor={answer['next_cursor']}"
