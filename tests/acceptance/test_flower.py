"""What `webhookd flower` shows of a worker and its tasks, and how it ends.

Oracles: Flower's own HTTP API and pages, and exit codes. Real: Flower, the worker, Redis. The endpoint responds only
when the test says so.
"""

import json
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from stack.free_ports import free_ports
from tests.harness.hostile_server import OK
from tests.harness.pipeline import until
from tests.harness.running_worker import BODY, PATIENCE_S, SECRET, WorkerScene, worker_scene
from tests.harness.subscriptions import ID
from webhookd import clock

END_S = 2.0


@pytest.fixture(scope="module")
def scene(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerScene]:
    """An endpoint, a stand-in for ingest, and no worker yet."""
    with worker_scene(redis_url, tmp_path_factory.mktemp("flower"), WEBHOOKD_LEASE_S="60") as made:
        yield made


class Flower:
    """A running Flower."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    @property
    def is_up(self) -> bool:
        """Whether it answers."""
        try:
            return self.text("/healthcheck") == "OK"
        except OSError:  # URLError is an OSError
            return False

    def text(self, path: str, method: str = "GET") -> str:
        """What it answers. Raises HTTPError."""
        request = urllib.request.Request(f"{self.url}{path}", method=method)  # noqa: S310 - the scheme is ours
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310
            assert "Access-Control-Allow-Origin" not in answer.headers
            return str(answer.read().decode())

    def read(self, path: str) -> dict[str, Any]:
        """What its API answers."""
        found: dict[str, Any] = json.loads(self.text(path))
        return found


def test_flower_shows_tasks_and_workers_while_they_live(scene: WorkerScene) -> None:
    port = free_ports(1)[0]
    flower = Flower(port)
    with scene.flower(f"--port={port}") as process, scene.worker() as worker:
        until(lambda: flower.is_up, "Flower answers")
        until(lambda: bool(flower.read("/api/workers")), "Flower has asked the worker about itself")
        delivery = scene.ingest.publish(7)
        scene.endpoint.requests.get(timeout=PATIENCE_S)
        pushed = scene.ingest.publish(1, scene.ingest.wait_for_session(delivery))
        scene.endpoint.requests.get(timeout=PATIENCE_S)
        until(lambda: shown(flower) == [("webhookd.deliver", "STARTED")], "Flower shows the session as one task")
        assert scene.ingest.refused == []
        scene.endpoint.answers.put(OK)
        scene.endpoint.answers.put(OK)
        ended: set[str] = set()
        while len(ended) < 2:
            ended |= scene.ingest.finished()
        assert ended == {delivery.id, pushed.id}
        until(lambda: shown(flower) == [("webhookd.deliver", "SUCCESS")], "Flower shows the end of the task")
        assert [task["args"] for task in flower.read("/api/tasks").values()] == [
            f"({ID} {delivery.lanes[0].name} 7 records)"
        ]
        everything = "".join(map(flower.text, ("/api/tasks", "/api/workers", "/workers", "/tasks", "/metrics")))
        assert [secret for secret in (SECRET, BODY.decode()) if secret in everything] == []
        (name,) = flower.read("/api/workers")
        assert refused(flower, f"/api/worker/shutdown/{name}") == 403
        assert worker.interrupt(signal.SIGTERM) == 0
        until(lambda: not flower.read("/api/workers"), "the stopped worker is not shown any more")
        assert flower.read("/workers?json=1") == {"data": []}
        began = clock.monotonic()
        assert process.interrupt(signal.SIGTERM) == 0
        assert clock.monotonic() - began < END_S


def test_taken_port_is_one_line(scene: WorkerScene) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with scene.flower(f"--port={port}") as process:
            assert process.wait() == 1
    (line,) = process.output.splitlines()
    assert f"cannot listen on http://127.0.0.1:{port}: Address already in use" in line


def shown(flower: Flower) -> list[tuple[str, str]]:
    """The name and the state of each task."""
    return [(task["name"], task["state"]) for task in flower.read("/api/tasks").values()]


def refused(flower: Flower, path: str) -> int:
    """The status of the answer to a POST that is refused."""
    with pytest.raises(urllib.error.HTTPError) as error:
        flower.text(path, "POST")
    with error.value:
        return error.value.code
