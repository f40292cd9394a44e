"""Start a server on a free port, and stop it."""

import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from tests.conftest import preceded_by

ROOT = Path(__file__).parents[2]
PYTHON = sys.executable


def command(name, port):
    module = "tests.benchmarks.baselines"
    gunicorn = [PYTHON, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--log-level", "error"]
    uvicorn = [PYTHON, "-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    return {
        "event_monitor": [PYTHON, "event_monitor.py", "--port", str(port)],
        "gunicorn gthread": [*gunicorn, "-k", "gthread", "--threads", "8", f"{module}:conventional"],
        "FastAPI": [*uvicorn, "--log-level", "error", "--port", str(port), "--factory", f"{module}:fastapi_app"],
        "Express": ["env", "NODE_ENV=production", "node", "tests/benchmarks/express/server.js", str(port)],
    }[name]


@contextmanager
def running(name, preamble="", stdout=None, **environment):
    """Yield (base URL, process) of the named server once it answers /health; event_monitor runs a preamble first.

    Its stdout goes to `process.stdout_file`, or where it is told.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    with tempfile.TemporaryFile() as output:
        arguments = command(name, port)
        if preamble:
            arguments = [*preceded_by(preamble), "--port", str(port)]
        process = subprocess.Popen(
            arguments, cwd=ROOT, stdout=stdout or output, stderr=subprocess.DEVNULL, env=os.environ | environment
        )
        process.stdout_file = output
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url + "/health")
            yield url, process
        finally:
            process.terminate()
            process.wait(20)


def wait_for(url, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            return urlopen(url, timeout=5).read()
        except (URLError, OSError):
            time.sleep(0.005)
    raise TimeoutError(url)
