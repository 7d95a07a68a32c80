"""All processes of the Procfile in one terminal: `python -m stack service`, which `make service` runs.

    migrate     the database's schema
    start       every process, its lines on this terminal under its name
    ready       printed once, when the API reports that webhookd works
    stop        Ctrl-C, SIGTERM, or a process that ends by itself: all are asked to stop, and waited for

It is for trying webhookd out. In production a supervisor runs each process and starts it again when it ends.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from stack.child import Child, spawn
from stack.errors import NotStarted
from stack.signals import Interrupted, raise_on_signals

PROCFILE = Path(__file__).resolve().parents[1] / "Procfile"
OWN_NAME = "service"

ASK_INTERVAL_S = 0.2
"""How often the API is asked whether all works, and how late the end of a process is seen."""

ASK_TIMEOUT_S = 2.0
LAST_LINES_S = 2.0
STOP_TIMEOUT_S = 35.0
"""WEBHOOKD_STOP_BUDGET_S and the 15 s that a supervisor should wait beyond it."""

COLOURS = (36, 32, 33, 35, 34, 31)
"""Of ANSI terminals, one after another."""

DEFAULTS = {"WEBHOOKD_LOG_FORMAT": "text", "WEBHOOKD_LOG_LEVEL": "warning", "PYTHONUNBUFFERED": "1"}
"""Unless the environment says otherwise: the lines are for people."""

API_BIND = "127.0.0.1:8080"
"""The default of WEBHOOKD_API_BIND."""


def run() -> int:
    """Run the processes until a signal comes or one of them ends; returns the exit code."""
    raise_on_signals()
    environment = {**DEFAULTS, **os.environ}
    output = Output(list(_processes()))
    running: dict[str, Child] = {}
    try:
        _migrate(environment)
        output.say(OWN_NAME, f"starting {', '.join(_processes())}")
        for name, command in _processes().items():
            running[name] = output.attach(name, command, environment)
        return _until_one_ends(running, output, f"http://{environment.get('WEBHOOKD_API_BIND', API_BIND)}")
    except Interrupted:
        return 0
    except NotStarted as reason:
        output.say(OWN_NAME, str(reason))
        return 1
    finally:
        _stop(running, output)


class Output:
    """The terminal that all processes share: whole lines, each under the name of its process."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = max(map(len, [*names, OWN_NAME]))
        self._colours = dict(zip([*names, OWN_NAME], COLOURS, strict=False)) if sys.stdout.isatty() else {}
        self._writing = threading.Lock()
        self._readers: list[threading.Thread] = []

    def attach(self, name: str, command: str, environment: Mapping[str, str]) -> Child:
        """Start a process whose lines appear here."""
        read_end, write_end = os.pipe()
        with os.fdopen(write_end, "wb") as writer:
            child = spawn(command.split(), output=writer, environment=environment, parent_death_signal=signal.SIGTERM)
        lines = os.fdopen(read_end, "rb")
        reader = threading.Thread(target=self._copy, args=(name, lines), daemon=True)
        reader.start()
        self._readers.append(reader)
        return child

    def say(self, name: str, line: str) -> None:
        """Write one line."""
        colour = self._colours.get(name)
        label = f"{name:<{self._width}} |"
        with self._writing:
            print(f"\x1b[{colour}m{label}\x1b[0m {line}" if colour else f"{label} {line}", flush=True)

    def finish(self, timeout_s: float) -> None:
        """Wait for the last lines of processes that have ended."""
        for reader in self._readers:
            reader.join(timeout_s)

    def _copy(self, name: str, lines: IO[bytes]) -> None:
        with lines:
            for line in lines:
                if text := line.decode("utf-8", "replace").rstrip():
                    self.say(name, text)


def _processes() -> dict[str, str]:
    return dict(line.split(": ", 1) for line in PROCFILE.read_text().splitlines() if line)


def _migrate(environment: Mapping[str, str]) -> None:
    done = subprocess.run(["webhookd", "migrate"], env=environment, capture_output=True, text=True, check=False)  # noqa: S607 - found on the PATH like the Procfile's commands
    if done.returncode != 0:
        last_line = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise NotStarted(f"webhookd migrate failed: {last_line}")


def _until_one_ends(running: Mapping[str, Child], output: Output, api_url: str) -> int:
    """Returns the exit code once a process has ended by itself; a signal ends the wait with Interrupted."""
    ready = False
    while all(child.exit_code is None for child in running.values()):
        if not ready and (ready := _is_ready(api_url)):
            output.say(OWN_NAME, f"ready; the API is at {api_url}, Ctrl-C stops all")
        time.sleep(ASK_INTERVAL_S)
    for name, child in running.items():
        if child.exit_code is not None:
            output.say(OWN_NAME, f"{name} has ended with exit code {child.exit_code}, so the others are stopped")
    return 1


def _is_ready(api_url: str) -> bool:
    """Whether the API reports ingest, workers and all that they need as working."""
    try:
        with urllib.request.urlopen(f"{api_url}/health", timeout=ASK_TIMEOUT_S) as response:  # noqa: S310 - the scheme is ours
            health = json.load(response)
    except (OSError, ValueError):  # URLError is an OSError
        return False
    return health["status"] != "degraded" and bool(health["workers"])


def _stop(running: Mapping[str, Child], output: Output) -> None:
    """Ask all of them at once, and each only once: a second signal would end it before its requests have ended."""
    for child in running.values():
        child.send(signal.SIGTERM)
    for name, child in running.items():
        if not child.wait_or_kill(STOP_TIMEOUT_S):
            output.say(OWN_NAME, f"{name} did not end within {STOP_TIMEOUT_S:.0f} s and was killed")
    output.finish(LAST_LINES_S)
    if running:
        output.say(OWN_NAME, "stopped")
