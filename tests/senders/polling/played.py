"""What pages say, and an app that polls them when a test says so."""

import copy
import json
from datetime import UTC, datetime, timedelta

import pytest

from monitor.pipeline import pipeline_of
from tests.conftest import InProcess, payload

STATUSPAGE, INCIDENTIO = payload("statuspage-api-incidents"), payload("incidentio-api-incidents")


def entry(number, status="investigating", **fields):
    at = f"2026-06-01T08:{number:02}:00.000Z"
    times = {"created_at": at, "updated_at": at, "display_at": at}
    return {"id": f"u{number}", "status": status, "body": f"step {number}"} | times | fields


def told(incident_id, *entries, **fields):
    """An incident as a page's API has it, with these entries, given oldest first."""
    newest = entries[-1]
    made = {"id": incident_id, "name": "Sign-in errors", "status": newest["status"], "impact": "minor"}
    made |= {"created_at": entries[0]["created_at"], "updated_at": newest["created_at"][:-4] + "030Z"}
    return made | {"page_id": "p4g3", "components": [], "incident_updates": list(entries[::-1])} | fields


def ago(minutes, status="investigating", **fields):
    """An entry that was made so many minutes before now."""
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    times = {"created_at": at, "updated_at": at, "display_at": at}
    return {"id": f"u{minutes}", "status": status, "body": f"{minutes} minutes ago"} | times | fields


def summary(*components, incidents=(), maintenances=()):
    return {"components": list(components), "incidents": list(incidents), "scheduled_maintenances": list(maintenances)}


def component(status, minutes=10, **fields):
    at = (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat()
    return {"id": "c1", "name": "Sign-in", "status": status, "updated_at": at, "group": False} | fields


def pushed(found):
    """The push of an incident as it stands in a page's API; a real one has no name in its page."""
    return {"page": {"id": "p4g3"}, "incident": copy.deepcopy(found)}


class Polling(InProcess):
    """An app whose pages are polled when a test says so; a `history` outlasts it, as a database does."""

    def __init__(self, *pages, history=None, **settings):
        with pytest.MonkeyPatch.context() as patched:
            if history:
                patched.setattr("monitor.history.open", lambda _: history)
            super().__init__({"PAGES": json.dumps(pages)} | settings)
        self.poller = self.application.extensions["monitor.senders.polling"]
        self.stop()

    def stop(self):
        for stop in pipeline_of(self.application).stopping:
            stop()

    def poll(self, number=0):
        """Poll one of the pages once, and return in how many seconds it is to be polled again."""
        return self.poller.poll(self.poller.polled[number])

    def messages(self):
        return [printed.partition("Status: ")[2].strip() for printed in self.printed]

    def page(self, name="Fabrikam"):
        (found,) = [page for page in self.get("/pages").json["pages"] if page["name"] == name]
        return found
