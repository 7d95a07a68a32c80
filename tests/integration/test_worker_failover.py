"""A worker process whose Redis becomes a replica while its connections are open: it goes on at the new primary.

Real: two Redis servers behind a relay, a worker process. Oracles: reports, and requests at an endpoint that responds
only when the test says so.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.hostile_server import OK
from tests.harness.pipeline import until
from tests.harness.redis_pair import RedisPair
from tests.harness.running_worker import PATIENCE_S, WorkerScene, worker_scene
from webhookd.flow.attempt.attempt_report import ReportKind
from webhookd.flow.dispatch.delivery import Delivery

THREADS = 4
STUCK = '"event":"worker_stuck"'
LONG = {"WEBHOOKD_LEASE_S": "60"}

pytestmark = pytest.mark.redis


@pytest.fixture
def pair(redis_url: str, tmp_path: Path) -> Iterator[RedisPair]:  # noqa: ARG001  # skips without Redis
    """A primary and its replica."""
    with RedisPair(tmp_path) as made:
        yield made


def fail_over(pair: RedisPair, scene: WorkerScene) -> None:
    """Fail over, and wait until the stand-in for ingest and the worker use the new primary."""
    pair.fail_over()
    until(scene.ingest.reaches_primary, "the stand-in is connected to the new primary")
    with pair.client(0) as primary:
        primary.delete(f"{scene.prefix}workers")
    until(lambda: bool(scene.ingest.workers()), "the worker writes heartbeats to the new primary")


def published(scene: WorkerScene) -> Delivery:
    """Publish a delivery. A publish that failed is repeated, as ingest does it, here with the next records."""
    for _ in range(3):
        lost = len(scene.ingest.lost)
        delivery = scene.ingest.publish(1)
        scene.ingest.wait_published()
        if len(scene.ingest.lost) == lost:
            return delivery
    raise AssertionError("no delivery could be published")


def deliver(scene: WorkerScene) -> None:
    """Publish a delivery, and wait until it is sent, acknowledged and reported."""
    delivery = published(scene)
    scene.endpoint.answers.put(OK)
    scene.endpoint.requests.get(timeout=PATIENCE_S)
    scene.ingest.wait_for_report(delivery, ReportKind.FINISHED)


def test_idle_worker_goes_on_at_the_new_primary(pair: RedisPair, tmp_path: Path) -> None:
    with worker_scene(pair.address, tmp_path, **LONG) as scene, scene.worker() as worker:
        deliver(scene)
        fail_over(pair, scene)
        deliver(scene)
        assert STUCK not in worker.output


def test_busy_worker_reports_and_goes_on_at_the_new_primary(pair: RedisPair, tmp_path: Path) -> None:
    with worker_scene(pair.address, tmp_path, **LONG) as scene, scene.worker() as worker:
        under_way = [published(scene) for _ in range(THREADS)]
        for _ in under_way:
            scene.endpoint.requests.get(timeout=PATIENCE_S)
        fail_over(pair, scene)
        for _ in under_way:
            scene.endpoint.answers.put(OK)
        unreported = {delivery.id for delivery in under_way}
        while unreported:
            unreported -= scene.ingest.finished()
        deliver(scene)
        assert STUCK not in worker.output
