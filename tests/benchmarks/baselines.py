"""What the monitor is measured against: two Flask apps, `bare` and `conventional`, and the same job in FastAPI."""

from gevent import monkey

if __name__ == "__main__":
    monkey.patch_all()

import sys

from flask import Flask, request

bare = Flask("bare", static_folder=None)


@bare.post("/webhook/statuspage")
def accept():
    return {"status": "accepted"}


@bare.get("/health")
def healthy():
    return {"status": "ok"}


def two_lines(payload):
    incident = payload["incident"]
    names = ", ".join(component["name"] for component in incident["components"])
    when = incident["updated_at"][:19].replace("T", " ")
    return f"[{when}] Product: {payload['page']['id']} - {names}\nStatus: {incident['incident_updates'][0]['body']}"


def key(payload):
    return payload["page"]["id"], payload["incident"]["id"], payload["incident"]["updated_at"]


conventional = Flask("conventional", static_folder=None)
seen = set()


@conventional.post("/webhook/statuspage")
def webhook():
    payload = request.get_json()
    if key(payload) in seen:
        return {"status": "duplicate"}
    seen.add(key(payload))
    print(two_lines(payload), flush=True)
    return {"status": "accepted"}


conventional.get("/health")(healthy)


def fastapi_app():
    from fastapi import FastAPI, Request

    app = FastAPI()

    @app.post("/webhook/statuspage")
    async def webhook(request: Request):
        payload = await request.json()
        if key(payload) in seen:
            return {"status": "duplicate"}
        seen.add(key(payload))
        print(two_lines(payload), flush=True)
        return {"status": "accepted"}

    app.get("/health")(healthy)
    return app


if __name__ == "__main__":
    from monitor.server.serve import serve

    serve(bare, "127.0.0.1", int(sys.argv[1]), lambda url: None)
