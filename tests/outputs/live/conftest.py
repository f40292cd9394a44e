"""One monitor for the tests of streams; every client of a test is closed at its end."""

import pytest

from tests.conftest import Monitor
from tests.outputs.live.clients import opened

QUICK = "from monitor.outputs.live import streams; streams.SECONDS_BETWEEN_BEATS = 0.2"
# Streams then need many pages, of which few stay in the cache.
SMALL_PAGES = "from monitor.outputs.live import arrivals; arrivals.ARRIVALS_IN_A_PAGE = 3; arrivals.PAGES_KEPT = 2"


@pytest.fixture(autouse=True)
def _close_what_a_test_has_opened():
    yield
    opened.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """One monitor for the tests that leave it as it was."""
    monitor = Monitor(tmp_path_factory.mktemp("live"), preamble=QUICK)
    yield monitor
    assert monitor.stop() == 0
    assert "Traceback" not in monitor.log()
