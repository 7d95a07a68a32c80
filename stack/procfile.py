"""All processes of the Procfile in one terminal: `python -m stack service`, which `make service` runs.

check       the ports of API and Flower: a second service must not work on the database and queue of a running one
migrate     the database's schema
start       every process, its lines on this terminal under its name
ready       printed once, when the API reports that webhookd works
stop        Ctrl-C, SIGTERM, or a process that ends by itself: ingest is asked to stop and waited for, then all others

It is for trying webhookd out. In production a supervisor runs each process and starts it again when it ends.
"""

import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from stack.child import Child
from stack.dev_stack import secret_key_settings
from stack.errors import NotStarted
from stack.free_ports import is_free
from stack.signals import Interrupted, raise_on_signals
from stack.terminal_output import Output
from webhookd.configuration.metrics_settings import MetricsSettings

PROCFILE = Path(__file__).resolve().parents[1] / "Procfile"
OWN_NAME = "service"
READER = "ingest"
"""The process that reads Kafka; it stops first."""

ASK_INTERVAL_S = 0.2
"""How often the API is asked whether all works, and how late the end of a process is seen."""

ASK_TIMEOUT_S = 2.0
SAY_AGAIN_S = 15.0
"""How often it says what is not ready yet."""

STOP_TIMEOUT_S = 35.0
"""WEBHOOKD_STOP_BUDGET_S and the 15 s that a supervisor should wait beyond it."""

DEFAULTS = {
    "WEBHOOKD_LOG_FORMAT": "text",
    "WEBHOOKD_LOG_LEVEL": "warning",
    "WEBHOOKD_API_AUTH": "none",
    "PYTHONUNBUFFERED": "1",
}
"""Unless the environment says otherwise: the lines are for people, who try things out on loopback without keys."""

API_BIND = "127.0.0.1:8080"
"""The default of WEBHOOKD_API_BIND."""

METRICS_BIND = str(MetricsSettings.model_fields["metrics_bind"].default)

FLOWER_PORT = 5555
"""Flower's default."""

OTHER_PORTS = "choose others: WEBHOOKD_API_BIND=127.0.0.1:8081 FLOWER_PORT=5556 make service"


def run() -> int:
    """Run the processes until a signal comes or one of them ends; returns the exit code."""
    raise_on_signals()
    environment = {**DEFAULTS, **secret_key_settings(), **os.environ}
    output = Output([*processes(), OWN_NAME])
    service = Service(environment, output, OWN_NAME)
    try:
        refuse_taken_ports(environment)
        service.migrate()
        service.start()
        service.wait_ready()
        output.say(OWN_NAME, f"ready; the API is at {service.api_url}, Ctrl-C stops all")
        if metrics := environment.get("WEBHOOKD_METRICS_BIND", METRICS_BIND):
            output.say(OWN_NAME, f"each process has its metrics at the first free port of {metrics}, /metrics")
        while True:
            service.check_alive()
            time.sleep(ASK_INTERVAL_S)
    except Interrupted:
        return 0
    except NotStarted as reason:
        output.say(OWN_NAME, str(reason))
        return 1
    finally:
        if service.stop():
            output.say(OWN_NAME, "stopped")


class Service:
    """The processes of the Procfile; it reports what it does under `own_name`."""

    def __init__(self, environment: Mapping[str, str], output: Output, own_name: str) -> None:
        self.api_url = f"http://{environment.get('WEBHOOKD_API_BIND', API_BIND)}"
        self._api_key = environment.get("WEBHOOKD_API_KEY", "")
        self._environment = environment
        self._output = output
        self._own_name = own_name
        self._running: dict[str, Child] = {}

    def migrate(self) -> None:
        """Bring the database to the current schema. Raises NotStarted."""
        command = ["webhookd", "migrate"]  # found on the PATH like the Procfile's commands
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last_line = (done.stderr.strip().splitlines() or ["no output"])[-1]
            raise NotStarted(f"webhookd migrate failed: {last_line}")

    def start(self) -> None:
        """Start all processes; does not wait for them."""
        self._output.say(self._own_name, f"starting {', '.join(processes())}")
        for name, command in processes().items():
            self._running[name] = self._output.attach(name, command.split(), self._environment)

    def wait_ready(self) -> None:
        """Block until the API reports that all works. Raises NotStarted when a process ends before."""
        next_line_at = time.monotonic() + SAY_AGAIN_S
        while missing := _missing(self.api_url, self._api_key):
            self.check_alive()
            if time.monotonic() > next_line_at:
                self._output.say(self._own_name, f"not ready yet: {missing}")
                next_line_at += SAY_AGAIN_S
            time.sleep(ASK_INTERVAL_S)

    def check_alive(self) -> None:
        """Raise NotStarted when a process has ended by itself."""
        for name, child in self._running.items():
            if child.exit_code is not None:
                raise NotStarted(f"{name} has ended with exit code {child.exit_code}, so the others are stopped")

    def stop(self) -> bool:
        """Stop ingest, then the others: the workers deliver what ingest has dispatched and waits for.

        Returns whether there was anything to stop.
        """
        first = {name: child for name, child in self._running.items() if name == READER}
        self._stop_all(first)
        self._stop_all({name: child for name, child in self._running.items() if name not in first})
        self._output.finish()
        return bool(self._running)

    def _stop_all(self, children: Mapping[str, Child]) -> None:
        """Ask all at once, and each only once: a second signal would end it before its requests have ended."""
        for child in children.values():
            child.send(signal.SIGTERM)
        for name, child in children.items():
            if not child.wait_or_kill(STOP_TIMEOUT_S):
                self._output.say(self._own_name, f"{name} did not end within {STOP_TIMEOUT_S:.0f} s and was killed")


def processes() -> dict[str, str]:
    """The commands of the Procfile, by name."""
    return dict(line.split(": ", 1) for line in PROCFILE.read_text().splitlines() if line)


def refuse_taken_ports(environment: Mapping[str, str]) -> None:
    """Raise NotStarted when something listens where the API or Flower would."""
    bind = environment.get("WEBHOOKD_API_BIND", API_BIND)
    flower = environment.get("FLOWER_PORT", str(FLOWER_PORT))
    if _answers(f"http://{bind}"):
        raise NotStarted(f"webhookd runs already: its API is at http://{bind}; stop it, or {OTHER_PORTS}")
    for what, port in (("API", bind.rpartition(":")[2]), ("Flower", flower)):
        if port.isdecimal() and 0 < int(port) < 65536 and not is_free(int(port)):
            raise NotStarted(f"port {port} is taken, and {what} needs it; {OTHER_PORTS}")


def _answers(api_url: str) -> bool:
    """Whether an API of webhookd is there, working or not."""
    return not _missing(api_url).startswith(NO_ANSWER)


NO_ANSWER = "the API does not answer"


def _missing(api_url: str, key: str = "") -> str:
    """What of ingest, workers and all that they need does not work, as the API reports it; empty when all works.

    An API with keys reports the details only to the key of an admin, and to others whether there are faults.
    """
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(f"{api_url}/health", headers=headers)  # noqa: S310 - the scheme is ours
    try:
        with urllib.request.urlopen(request, timeout=ASK_TIMEOUT_S) as response:  # noqa: S310 - likewise
            health = json.load(response)
    except (OSError, ValueError):  # URLError is an OSError
        return NO_ANSWER
    if not isinstance(health, dict) or "status" not in health:
        return f"{NO_ANSWER}: something else is at {api_url}"
    if health["status"] == "degraded":
        return ", ".join(fault["code"] for fault in health.get("faults", ())) or "degraded"
    return "" if health.get("workers", ["unknown"]) else "no worker"
