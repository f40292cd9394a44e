"""What is printed for what Statuspage sends: through HTTP, on stdout."""

import pytest
from tests.conftest import incident, payload


@pytest.mark.parametrize(
    ("name", "block"),
    [
        (
            "incident-created",
            "[2026-03-02 09:15:00] Product: status.fabrikam.example - Uploads, Web app\n"
            "Status: Uploads of files over 50 MB fail with a 504.\n",
        ),
        (
            "component-update",
            "[2026-03-02 09:14:30] Product: status.fabrikam.example - Uploads\n"
            "Status: Major outage (was Operational)\n",
        ),
        ("minimal", "[2026-06-01 08:00:00] Product: Fabrikam - Sign-in\nStatus: Some people cannot sign in\n"),
    ],
)
def test_an_update_is_printed_in_two_lines(monitor, name, block):
    answer = monitor.post(payload(name))

    assert (answer.status_code, answer.json()) == (200, {"status": "accepted"})
    assert monitor.printed(1) == block


def test_a_repeated_update_is_printed_once(monitor):
    monitor.post(incident())

    assert monitor.post(incident()).json() == {"status": "duplicate"}
    assert monitor.printed(1).count("Product:") == 1
