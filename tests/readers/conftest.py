"""A crowd of readers."""

import time

import pytest
import requests

from tests.conftest import answer, dial, incident

PLANNED = {"impact": "maintenance", "status": "scheduled", "scheduled_for": "2099-01-01T08:00:00Z"}


@pytest.fixture
def seconds_beside_a_crowd(start):
    """Return a function that has 300 clients ask a monitor of 1,000 pages, and returns how long each webhook took."""
    monitor = start()
    with requests.Session() as session:
        for number in range(1_000):
            page = {"id": f"p{number}", "name": f"Page {number}"}
            one = incident(f"i{number}", page=page, **(PLANNED if number % 2 else {}))
            session.post(f"{monitor.url}/webhook/statuspage", json=one, timeout=30)

    def ask(path):
        crowd = [dial(monitor, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 30) for _ in range(300)]
        took = []
        for number, connection in enumerate(crowd):
            began = time.monotonic()
            assert monitor.post(incident(f"{path} {number}")).status_code == 200
            took.append(time.monotonic() - began)
            with connection:
                assert answer(connection).status == 200
        return took

    return ask
