"""Fixtures: status pages that a local server plays."""

import pytest

from tests.senders.polling.played import STATUSPAGE
from tests.status_page import StatusPage


@pytest.fixture
def status_page():
    served = StatusPage(STATUSPAGE["page"])
    yield served
    served.stop()


@pytest.fixture
def other_page():
    served = StatusPage()
    yield served
    served.stop()
