"""Measure the core against its baselines: `python -m tests.benchmarks`, on an otherwise idle machine.

Three rounds, every server once in each, medians; ratios within one run, as machines differ. Nothing here fails a
build. Needs wrk and hey (Debian packages of these names) and tests/benchmarks/requirements.txt.
"""

import re
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from tests.benchmarks.servers import running, wait_for

HERE = Path(__file__).parent
ROUNDS = 3
SERVERS = ("event_monitor", "bare Flask view", "gunicorn gthread", "FastAPI")
BODY = (HERE.parent / "payloads" / "incident-created.json").read_text()


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def seconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s)", text).groups()
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1}[unit]


def keep_alive(url):
    """32 connections, 5 s, every update a new one: requests/s and p99 in ms."""
    run("wrk", "-t1", "-c32", "-d1", "-s", str(HERE / "post.lua"), url)
    printed = run("wrk", "-t1", "-c32", "-d5", "--latency", "-s", str(HERE / "post.lua"), url)
    assert "Non-2xx" not in printed, printed
    return {
        "requests/s": float(re.search(r"Requests/sec:\s+([\d.]+)", printed)[1]),
        "p99 ms": seconds(re.search(r"\n\s+99%\s+(\S+)", printed)[1]) * 1000,
    }


def storm(url):
    """100 at once, 5,000 in all, a new connection for each, as providers connect: p99 in ms, and how many failed."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as body:
        body.write(BODY)
        body.flush()
        printed = run(
            "hey", "-n", "5000", "-c", "100", "-disable-keepalive", "-m", "POST", "-T", "application/json",
            "-D", body.name, url + "/webhook/statuspage",
        )  # fmt: skip
    answered = sum(int(n) for n in re.findall(r"\[20\d\]\s+(\d+) responses", printed))
    return {
        "storm p99 ms": float(re.search(r"99% in ([\d.]+) secs", printed)[1]) * 1000,
        "storm failed": 5000 - answered,
    }


def startup(name):
    """Milliseconds from start to the first answer of /health."""
    began = time.perf_counter()
    with running(name):
        return {"start ms": (time.perf_counter() - began) * 1000}


def memory():
    """Resident MB after 100,000 and after 1,000,000 unique updates."""
    megabytes, posted = {}, 0
    with running("event_monitor") as (url, process):
        for goal in (100_000, 1_000_000):
            while posted < goal:
                run("wrk", "-t1", "-c32", "-d5", "-s", str(HERE / "post.lua"), url)
                posted = int(re.search(rb'"accepted":(\d+)', wait_for(url + "/health"))[1])
            status = Path(f"/proc/{process.pid}/status").read_text()
            megabytes[goal] = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
            print(f"resident after {posted:,} unique updates: {megabytes[goal]:.1f} MB")
    print(f"ratio {megabytes[1_000_000] / megabytes[100_000]:.2f} (aim: at most 1.1, and below 120 MB)")


def measure_servers():
    rounds = {name: [] for name in SERVERS}
    for _ in range(ROUNDS):
        for name in SERVERS:
            with running(name) as (url, _process):
                rounds[name].append(keep_alive(url) | storm(url))
            rounds[name][-1] |= startup(name)
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
    for name, aim in (("bare Flask view", ">= 0.85"), ("gunicorn gthread", ">= 2"), ("FastAPI", "1")):
        print(f"requests/s against {name}: {ratio(rounds, 'requests/s', name):.2f} (aim: {aim})")
    for figure, aim in (("p99 ms", "<= 0.5"), ("storm p99 ms", "<= 1")):
        print(f"{figure} against gunicorn gthread: {ratio(rounds, figure, 'gunicorn gthread'):.2f} (aim: {aim})")
    memory()


if __name__ == "__main__":
    main()
