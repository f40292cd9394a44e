"""What the monitor is measured against: its whole job in ordinary Flask and in FastAPI.

The job: read JSON, know an update by its page, id and instant, keep the newest 100,000 of these keys, print a new one
in two lines, by its newest entry and in UTC, and flush. express/server.js does the same.
"""

import json
from collections import OrderedDict
from datetime import UTC, datetime

from flask import Flask, request

MOST_SEEN = 100_000
ACCEPTED, DUPLICATE = {"status": "accepted"}, {"status": "duplicate"}

seen = OrderedDict()


def take(payload):
    """Print an update unless it was seen, and return whether it was new."""
    page, incident = payload["page"], payload["incident"]
    at = utc(incident["updated_at"])
    key = (page["id"], incident["id"], at)
    if key in seen:
        return False
    seen[key] = None
    if len(seen) > MOST_SEEN:
        seen.popitem(last=False)
    newest = max(incident["incident_updates"], key=lambda entry: utc(entry["created_at"]))
    names = ", ".join(component["name"] for component in incident["components"])
    print(f"[{at:%Y-%m-%d %H:%M:%S}] Product: {page['id']} - {names}\nStatus: {newest['body']}", flush=True)
    return True


def utc(time):
    return datetime.fromisoformat(time).astimezone(UTC)


conventional = Flask("conventional", static_folder=None)


@conventional.post("/webhook/statuspage")
def webhook():
    return ACCEPTED if take(request.get_json()) else DUPLICATE


@conventional.get("/health")
def healthy():
    return {"status": "ok"}


def fastapi_app():
    """FastAPI at its quickest: the raw body, read by hand, and answers that need no model."""
    from fastapi import FastAPI, Request, Response

    app = FastAPI()
    accepted, duplicate = json.dumps(ACCEPTED).encode(), json.dumps(DUPLICATE).encode()

    @app.post("/webhook/statuspage")
    async def webhook(request: Request) -> Response:
        is_new = take(json.loads(await request.body()))
        return Response(accepted if is_new else duplicate, media_type="application/json")

    app.get("/health")(healthy)
    return app
