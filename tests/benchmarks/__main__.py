"""Measure the core against its peers: `python -m tests.benchmarks`, on an otherwise idle machine.

Rounds in which every server has its turn, in one order and then the other; ratios are within a round, and medians over
the rounds, as machines differ and are noisy. Nothing here fails a build. Needs wrk and Node.js (Debian's packages of
these names), tests/benchmarks/requirements.txt, and `npm install --prefix tests/benchmarks/express`.
"""

import contextlib
import os
import re
import socket
import subprocess
import time
from pathlib import Path
from statistics import median

from tests.benchmarks.servers import running, wait_for
from tests.conftest import answer, incident, posted

HERE = Path(__file__).parent
ROUNDS = 5
SERVERS = ("event_monitor", "gunicorn gthread", "FastAPI", "Express")
PRINTED = 300
AIMS = {
    ("CPU µs", "FastAPI"): "<= 1.0",
    ("requests/s", "gunicorn gthread"): ">= 2",
    ("requests/s", "FastAPI"): "1",
    ("requests/s", "Express"): ">= 1.1",
    ("p99 ms", "gunicorn gthread"): "<= 0.5",
    ("storm p99 ms", "gunicorn gthread"): "<= 1",
}


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def wrk(url, *options, seconds=5, connections=32):
    """Post at full load, every update a new one, and return what wrk prints."""
    load = ["-t1", f"-c{connections}", f"-d{seconds}", "--latency", "-s", str(HERE / "post.lua")]
    return run("wrk", *load, url, *options)


def p99(printed):
    """The 99th percentile of latency, in ms."""
    number, unit = re.search(r"\n\s+99%\s+([\d.]+)(us|ms|s)", printed).groups()
    return float(number) * {"us": 1e-3, "ms": 1, "s": 1e3}[unit]


def keep_alive(url):
    """32 connections, 5 s: requests/s and p99 in ms."""
    wrk(url, seconds=1)
    printed = wrk(url)
    assert "Non-2xx" not in printed, printed
    return {"requests/s": float(re.search(r"Requests/sec:\s+([\d.]+)", printed)[1]), "p99 ms": p99(printed)}


def storm(url):
    """100 at once, 2 s, a new connection for each, as providers connect: p99 in ms, and how many failed."""
    printed = wrk(url, "--", "close", seconds=2, connections=100)
    failed = re.findall(r"(?:connect|read|write|timeout|Non-2xx.*:) (\d+)", printed)
    return {"storm p99 ms": p99(printed), "storm failed": sum(map(int, failed))}


def processor(url, process):
    """Microseconds of processor time, user's and system's, that an update costs."""
    before = processor_seconds(process.pid)
    answered = int(re.search(r"(\d+) requests in", wrk(url, seconds=3))[1])
    return {"CPU µs": (processor_seconds(process.pid) - before) / answered * 1e6}


def processor_seconds(pid):
    """Of a process and of its children."""
    ticks = 0
    for stat in Path("/proc").glob("[1-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # ended meanwhile: no process of ours
            fields = stat.read_text().rsplit(") ", 1)[1].split()  # from the third on, as proc(5) counts them
            if pid in (int(stat.parent.name), int(fields[1])):
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def on_stdout(name):
    """Milliseconds from sending an update to its line on stdout, which is a pipe."""
    milliseconds = []
    with running(name, stdout=subprocess.PIPE) as (url, process):
        connection = socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1])))
        for number in range(PRINTED):
            entry = {"body": f"mark-{number}", "created_at": "2026-06-01T08:00:00Z"}
            request, mark = posted(incident(f"i{number}", incident_updates=[entry])), f"mark-{number}\n".encode()
            seen = b""
            began = time.perf_counter()
            connection.sendall(request)
            while mark not in seen:
                seen += os.read(process.stdout.fileno(), 65536)
            milliseconds.append((time.perf_counter() - began) * 1000)
            assert answer(connection).status == 200
            time.sleep(0.002)
    return {"on stdout ms": median(milliseconds)}


def startup(name):
    """Milliseconds from start to the first answer of /health, with the extras installed."""
    began = time.perf_counter()
    with running(name):
        return {"start ms": (time.perf_counter() - began) * 1000}


def memory():
    """Resident MB after 100,000 and after 1,000,000 unique updates."""
    megabytes, accepted = {}, 0
    with running("event_monitor") as (url, process):
        for goal in (100_000, 1_000_000):
            while accepted < goal:
                wrk(url)
                accepted = int(re.search(rb'"accepted":(\d+)', wait_for(url + "/health"))[1])
            status = Path(f"/proc/{process.pid}/status").read_text()
            megabytes[goal] = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
            print(f"resident after {accepted:,} unique updates: {megabytes[goal]:.1f} MB")
    print(f"ratio {megabytes[1_000_000] / megabytes[100_000]:.2f} (aim: at most 1.1, and below 120 MB)")


def measure_servers():
    rounds = {name: [] for name in SERVERS}
    for number in range(ROUNDS):
        for name in SERVERS[:: 1 if number % 2 else -1]:
            with running(name) as (url, process):
                figures = keep_alive(url) | processor(url, process) | storm(url)
            rounds[name].append(figures | on_stdout(name) | startup(name))
    return rounds


def ratio(rounds, figure, name):
    """The median over the rounds of event_monitor's figure against that of another server in the same round."""
    pairs = zip(rounds["event_monitor"], rounds[name], strict=True)
    return median(ours[figure] / theirs[figure] for ours, theirs in pairs)


def main():
    rounds = measure_servers()
    for name, runs in rounds.items():
        measured = {figure: median(run[figure] for run in runs) for figure in runs[0]}
        print(f"{name:17}", "  ".join(f"{figure} {value:8.1f}" for figure, value in measured.items()))
    for (figure, name), aim in AIMS.items():
        print(f"{figure} against {name}: {ratio(rounds, figure, name):.2f} (aim: {aim})")
    print("aims of event_monitor itself: on stdout within 1 ms, start within 300 ms")
    memory()


if __name__ == "__main__":
    main()
