"""Measure open streams: `python -m tests.benchmarks.live`, on an otherwise idle machine. Needs wrk.

1,000 streams in a process of their own: the time from a POST to the last of them, memory, and webhook requests/s
with them open against without, for filters that match no update, one in a hundred streams, and every update.
"""

import asyncio
import contextlib
import re
import resource
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import requests

from tests.benchmarks.__main__ import ROUNDS, keep_alive
from tests.benchmarks.servers import PYTHON, ROOT, running
from tests.conftest import incident

STREAMS = 1000
MARKS = 20


class Reader(asyncio.Protocol):
    """One stream: it says when it is open, and when it has seen each mark."""

    def __init__(self, request, seen):
        self.request, self.seen, self.rest = request, seen, b""

    def connection_made(self, transport):
        transport.write(self.request)

    def data_received(self, data):
        if len(data) > 4096:  # a load, not a mark
            self.rest = b""
            return
        data = self.rest + data
        for mark in re.findall(rb"event_monitor\n|mark-\d+", data):
            self.seen(mark)
        self.rest = data[-10:] if b"\n\n" not in data[-10:] else b""

    def connection_lost(self, _):
        self.seen(b"closed")


async def read(port, paths):
    """Open a stream for each path; print each mark, with the time, once all have seen it, and nothing else."""
    loop, counts = asyncio.get_running_loop(), {}

    def seen(mark):
        counts[mark] = counts.get(mark, 0) + 1
        if counts[mark] == len(paths):
            print(mark.decode().strip(), time.monotonic(), flush=True)

    for path in paths:
        request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        await loop.create_connection(lambda request=request: Reader(request, seen), "127.0.0.1", port)
    await loop.run_in_executor(None, sys.stdin.read)
    print("closed", counts.get(b"closed", 0), flush=True)


@contextlib.contextmanager
def opened(url, filters):
    """Yield a process that has these streams open; at the end it says how many the server closed."""
    command = [PYTHON, "-m", "tests.benchmarks.live", url.rsplit(":", 1)[1], *filters]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith("event_monitor"), "not all are open"
        yield process
        process.closed = process.communicate()[0].split()[-1]
    finally:
        process.kill()
        process.wait()


def resident(process):
    """Megabytes."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) / 1024


def fan_out():
    """Milliseconds from a POST to the last of the streams, and MB resident with and without them."""
    with running("event_monitor") as (url, process):
        requests.post(url + "/webhook/statuspage", json=incident("first"), timeout=10)
        before = resident(process)
        milliseconds = []
        with opened(url, ["/stream"] * STREAMS) as reader:
            for number in range(MARKS):
                name = f"mark-{number:03}"
                body = incident(name, incident_updates=None, name="x")
                began = time.monotonic()
                requests.post(url + "/webhook/statuspage", json=body, timeout=10)
                mark, seen_at = reader.stdout.readline().split()
                assert mark == name
                milliseconds.append((float(seen_at) - began) * 1000)
                time.sleep(0.1)
            after = resident(process)
    print(
        f"{STREAMS} streams: POST to the last of them {median(milliseconds):.0f} ms (worst {max(milliseconds):.0f});"
        f" resident {before:.0f} MB without, {after:.0f} MB with them: {(after - before) / STREAMS * 1024:.0f} KB each"
    )


FILTERS = {
    "none open": [],
    "their filters match no update": ["/stream?page=nobody"] * STREAMS,
    "one in 100 matches every update": ["/stream?page=nobody"] * (STREAMS * 99 // 100) + ["/stream"] * (STREAMS // 100),
    "each matches every update": ["/stream"] * STREAMS,
}


def throughput():
    rounds = {name: [] for name in FILTERS}
    for _ in range(ROUNDS):
        for name, filters in FILTERS.items():
            with running("event_monitor") as (url, process), contextlib.ExitStack() as stack:
                reader = stack.enter_context(opened(url, filters)) if filters else None
                measured = keep_alive(url)
                stack.close()
                closed = reader.closed if reader else "0"
                rounds[name].append(measured | {"MB": resident(process), "closed": int(closed)})
    base = rounds["none open"]
    for name, runs in rounds.items():
        ratio = median(run["requests/s"] / none["requests/s"] for run, none in zip(runs, base, strict=True))
        figures = {figure: median(run[figure] for run in runs) for figure in runs[0]}
        print(
            f"{name:33} {figures['requests/s']:6.0f} requests/s, p99 {figures['p99 ms']:5.1f} ms,"
            f" resident {figures['MB']:4.0f} MB, closed {figures['closed']:4.0f}; against none open {ratio:.2f}"
        )


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if sys.argv[1:]:
        asyncio.run(read(int(sys.argv[1]), sys.argv[2:]))
    else:
        fan_out()
        throughput()
