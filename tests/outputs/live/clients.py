"""Clients of /stream and /ws; each is closed at the end of the test that opened it."""

import contextlib
import http.client
import json
import re
from pathlib import Path

from websockets.sync.client import connect

from tests.conftest import dial

opened = contextlib.ExitStack()


class Reader:
    """A client of /stream: an iterator over its events, each as its fields, until the stream ends."""

    def __init__(self, monitor, path="/stream", seconds=5, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", monitor.port, timeout=seconds)
        connection.request("GET", path, headers=headers)
        self.response, self.last, self.lines = connection.getresponse(), headers.get("Last-Event-ID"), []
        opened.callback(self.response.close)
        opened.callback(connection.close)

    def __iter__(self):
        event = {}
        while line := self.response.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "id":
                self.last = value
            if name:
                event[name] = value
                self.lines.append(line)
            elif line == "\n":
                if "data" in event:
                    yield event | {"data": json.loads(event["data"])}
                event = {}

    def take(self, number):
        events = iter(self)
        return [next(events) for _ in range(number)]

    def close(self):
        self.response.close()


def names(events):
    return [event["data"]["id"] for event in events]


def websocket(monitor, query=""):
    return opened.enter_context(connect(f"ws://127.0.0.1:{monitor.port}/ws{query}", proxy=None))


def upgraded(monitor):
    """The bare connection of a WebSocket, for a client that behaves as no library does."""
    head = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    head += "Sec-WebSocket-Version: 13\r\n"
    connection = dial(monitor, f"{head}Sec-WebSocket-Key: {'A' * 22}==\r\n\r\n".encode())
    return opened.enter_context(connection)


def unread(monitor):
    """The bare connection of a stream, for a client that does not read."""
    return opened.enter_context(dial(monitor, b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n"))


def resident(monitor):
    """Megabytes."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{monitor.process.pid}/status").read_text())[1]) / 1024
