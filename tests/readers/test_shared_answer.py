"""A crowd that asks for slow answers delays no one else, and each client's answer is newer than its request."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import incident


@pytest.mark.long
def test_a_webhook_is_answered_within_a_second_while_300_clients_ask_for_1000_pages(seconds_beside_a_crowd):
    assert max(seconds_beside_a_crowd("/pages")) < 1


def test_every_client_of_a_crowd_sees_the_update_that_came_before_its_request(monitor):
    for number in range(20):
        monitor.post(incident(page={"id": f"p{number}", "name": f"Page {number}"}))
        with ThreadPoolExecutor(5) as crowd:
            counts = list(crowd.map(lambda _: len(monitor.get("/pages").json()["pages"]), range(5)))

        assert counts == [number + 1] * 5
