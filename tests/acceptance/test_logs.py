"""What the processes log while Kafka, Redis and the database are absent, when these are there, and at the stop.

One service for all tests, in their order: it starts with nothing there. Oracles: Python's JSON parser over every line
of stdout and stderr, the receiver, and the exit codes. Real: every process and every service; each service is behind
a relay, which is closed at first.
"""

import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from stack.free_ports import free_ports
from tests.harness.databases import new_database
from tests.harness.pipeline import PATIENCE_S, Pipeline, until
from tests.harness.receiver import Receiver
from tests.harness.relay import Relay
from webhookd import clock

WAITS_FOR = {
    "api": {"kafka", "redis", "database"},
    "ingest": {"kafka", "redis", "database"},
    "worker": {"redis", "database"},
    "flower": {"redis"},
}
LINES = {"api": 14, "ingest": 14, "worker": 6, "flower": 8}
"""How many lines a process may log while it waits, besides the reminders. Ingest also logs each fault and its mail; the
lines of gunicorn and Flower about their start count."""

PASSWORD = "the-password-of-the-database"


class Screen:
    """A worker on a pseudo-terminal."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._own_end, terminal = pty.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "command.main", "worker"], stdout=terminal, stderr=terminal, env=environment
        )
        os.close(terminal)
        self.text = ""

    def until_shown(self, text: str) -> None:
        """Read until the text is on the screen."""
        deadline = clock.monotonic() + PATIENCE_S
        while text not in self.text:
            assert self._read_more(deadline), f"ended without showing {text!r}:\n{self.text}"

    def interrupt(self) -> None:
        """Press Ctrl-C, and read until it has ended."""
        deadline = clock.monotonic() + PATIENCE_S
        self._process.send_signal(signal.SIGINT)
        while self._read_more(deadline):
            pass
        self._process.wait(PATIENCE_S)

    def close(self) -> None:
        """Kill it if it still runs."""
        self._process.kill()
        self._process.wait(PATIENCE_S)
        os.close(self._own_end)

    def _read_more(self, deadline: float) -> bool:
        """Read what is shown next; False when the worker has ended."""
        readable, _, _ = select.select([self._own_end], [], [], max(0.0, deadline - clock.monotonic()))
        assert readable, f"nothing more within {PATIENCE_S} s:\n{self.text}"
        try:
            part = os.read(self._own_end, 65536)
        except OSError:  # Linux' answer when nothing has the terminal open any more
            return False
        self.text += part.decode(errors="replace")
        return bool(part)


class Scene:
    """The processes, and the services that they use."""

    def __init__(self, pipeline: Pipeline, relays: Sequence[Relay], screen: Screen) -> None:
        self.pipeline = pipeline
        self.relays = relays
        self.screen = screen

    def events(self, name: str) -> list[str]:
        """The events of those lines."""
        return [line["event"] for line in self.pipeline.lines(name)]

    def until_services_logged(self, event: str) -> None:
        """Wait until each process has logged the event about each service that it waits for."""
        for name, wanted in WAITS_FOR.items():
            until(partial(self._has_logged, name, event, wanted), f"{name} logs {event}")

    def _has_logged(self, name: str, event: str, services: set[str]) -> bool:
        return services <= {line["service"] for line in self.pipeline.lines(name) if line["event"] == event}


@pytest.fixture(scope="module")
def scene(kafka_bootstrap: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """All processes, with nothing there."""
    folder: Path = tmp_path_factory.mktemp("logs")
    with ExitStack() as exits:
        url = make_url(exits.enter_context(new_database("postgres", folder, tables=True)))
        kafka, redis, database, flower = free_ports(4)
        targets = {kafka: int(kafka_bootstrap.rpartition(":")[2]), redis: make_url(redis_url).port, database: url.port}
        relays = [exits.enter_context(Relay(port, target or 0)) for port, target in targets.items()]
        for relay in relays:
            relay.close()
        settings = {
            "FLOWER_PORT": str(flower),
            "WEBHOOKD_KAFKA_ASK_TIMEOUT_S": "5",  # so long the API waits at its start for the absent Kafka
            "WEBHOOKD_DATABASE_URL": url.set(port=database, password=PASSWORD).render_as_string(hide_password=False),
        }
        pipeline = Pipeline(
            folder,
            kafka=f"127.0.0.1:{kafka}",
            redis=f"redis://127.0.0.1:{redis}/0",
            database=url.render_as_string(hide_password=False),
            settings=settings,
        )
        exits.push(pipeline)
        for name in WAITS_FOR:
            pipeline.start(name)
        screen = Screen({**os.environ, **settings, "WEBHOOKD_REDIS_URL": f"redis://127.0.0.1:{redis}/0"})
        exits.callback(screen.close)
        yield Scene(pipeline, relays, screen)


def test_each_process_says_once_what_it_waits_for(scene: Scene) -> None:
    scene.until_services_logged("waiting_for_service")
    said = {
        name: sorted(line["service"] for line in scene.pipeline.lines(name) if line.get("since_s") == 0.0)
        for name in WAITS_FOR
    }
    assert said == {name: sorted(services) for name, services in WAITS_FOR.items()}


def test_absent_services_cause_few_lines_and_no_traceback(scene: Scene) -> None:
    for name in WAITS_FOR:
        until(partial(has_reminder, scene, name), f"{name} says again what it waits for")
    counts = {name: sum(not is_reminder(line) for line in scene.pipeline.lines(name)) for name in WAITS_FOR}
    assert {name: count for name, count in counts.items() if count > LINES[name]} == {}
    assert [name for name in WAITS_FOR if "Traceback" in scene.pipeline.log(name)] == []


def test_all_go_on_when_the_services_are_there(scene: Scene) -> None:
    for relay in scene.relays:
        relay.open()
    scene.until_services_logged("service_available")
    for name in WAITS_FOR:
        until(partial(has_event, scene, name, f"{name}_ready"), f"{name} is ready")
    topic = scene.pipeline.topic(1)
    with Receiver() as receiver:
        scene.pipeline.subscribe(receiver.url, topic, start="earliest")
        scene.pipeline.produce(topic, [b"{}"], partitions=1)
        receiver.wait_for_records(1)
        until(partial(has_event, scene, "worker", "delivered"), "the worker logs the delivery")


def test_terminal_shows_text_without_advice_of_celery(scene: Scene) -> None:
    scene.screen.until_shown("worker_ready")
    scene.screen.interrupt()
    shown = scene.screen.text
    assert "stopping" in shown
    assert [line for line in shown.splitlines() if line.startswith("{")] == []
    assert [text for text in ("Ctrl+C", "shutdown", "[config]", "Traceback") if text in shown] == []


def test_first_signal_is_logged_and_the_end(scene: Scene) -> None:
    for name in WAITS_FOR:
        scene.pipeline.send_term(name)
    assert {name: scene.pipeline.exit_code(name) for name in WAITS_FOR} == dict.fromkeys(WAITS_FOR, 0)
    for name in WAITS_FOR:
        events = [event for event in scene.events(name) if event in {f"{name}_ready", "stopping", "stopped"}]
        assert events == [f"{name}_ready", "stopping", "stopped"]
    assert {line["budget_s"] for line in scene.pipeline.lines("ingest") if line["event"] == "stopping"} == {20.0}


def test_every_line_has_event_level_and_time_and_no_password(scene: Scene) -> None:
    lines = [(name, line) for name in WAITS_FOR for line in scene.pipeline.lines(name)]
    assert [found for found in lines if not {"event", "level", "timestamp"} <= found[1].keys()] == []
    assert [name for name in WAITS_FOR if PASSWORD in scene.pipeline.log(name)] == []


def has_event(scene: Scene, name: str, event: str) -> bool:
    """Whether the process has logged the event."""
    return event in scene.events(name)


def has_reminder(scene: Scene, name: str) -> bool:
    """Whether the process has said a second time what it waits for."""
    return any(map(is_reminder, scene.pipeline.lines(name)))


def is_reminder(line: Mapping[str, Any]) -> bool:
    """Whether the line says again what the process waits for."""
    return bool(line.get("since_s", 0.0))
