"""A crowd that asks for a slow answer holds up nobody else, and nobody gets an answer begun before they asked."""

from concurrent.futures import ThreadPoolExecutor

from tests.conftest import incident


def test_while_300_ask_for_1000_pages_a_webhook_is_answered_within_a_second(seconds_beside_a_crowd):
    assert max(seconds_beside_a_crowd("/pages")) < 1


def test_whoever_asks_after_an_update_is_told_of_it_however_many_ask(monitor):
    for number in range(20):
        monitor.post(incident(page={"id": f"p{number}", "name": f"Page {number}"}))
        with ThreadPoolExecutor(5) as crowd:
            counts = list(crowd.map(lambda _: len(monitor.get("/pages").json()["pages"]), range(5)))

        assert counts == [number + 1] * 5
