"""Calls of a real Redis are measured by their operation, and those of an unreachable one count as failed."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.harness.coordination import REPLY, ref
from tests.harness.lanes import accumulator, fill
from tests.harness.metrics import LiveMetrics
from webhookd.edges.change_notifications import ChangeNotifier
from webhookd.edges.memory_coordination import MemoryCoordination
from webhookd.edges.redis_coordination import RedisCoordination
from webhookd.edges.redis_rate_limits import RedisRateLimits
from webhookd.edges.redis_url import parse
from webhookd.errors import QueueUnavailable
from webhookd.flow.access.rate_limit import Rate
from webhookd.flow.attempt.attempt_report import Report, ReportKind
from webhookd.flow.control.change_notification import SubscriptionChanged
from webhookd.flow.dispatch.coordination import Publication, ReportFlush
from webhookd.flow.dispatch.delivery import Delivery
from webhookd.flow.dispatch.worker_heartbeat import WorkerHeartbeat
from webhookd.settings import Settings
from workers.celery_app import build_celery
from workers.ingest.dispatch.task_publisher import Outgoing, TaskPublisher
from workers.task_names import FIRST

PATIENCE_S = 30.0
COUNT = "webhookd_call_duration_seconds_count"
ERRORS = "webhookd_call_errors_total"

HEARTBEAT = WorkerHeartbeat(
    id="w1", queues=("webhookd.first",), threads=1, busy=0, since_began_s=None, since_ended_s=None, started_at=0.0
)

MEASURED = {
    "make_claimable",
    "claim",
    "are_current",
    "send_reports",
    "revoke",
    "revoke_others",
    "write_heartbeat",
    "remove_heartbeat",
    "live_workers",
    "queue_lengths",
    "time",
    "ping",
}


def call_everything(coordination: RedisCoordination) -> None:
    """Every call once, whether it succeeds or not."""
    calls = [
        lambda: coordination.make_claimable([Publication(ref(), b"payload")]),
        lambda: coordination.claim([ref()]),
        lambda: coordination.are_current([ref()]),
        lambda: coordination.send_reports(ReportFlush(reports={REPLY: [Report(ReportKind.FINISHED, "d1", 0)]})),
        lambda: coordination.read_reports(REPLY, "0", 0.01),
        lambda: coordination.revoke(["s1/orders/0"]),
        lambda: coordination.revoke_others({"s1"}, {}),
        lambda: coordination.write_heartbeat(HEARTBEAT),
        lambda: coordination.remove_heartbeat("w1"),
        coordination.live_workers,
        coordination.queue_lengths,
        coordination.now,
        coordination.ping,
    ]
    for call in calls:
        with suppress(QueueUnavailable):
            call()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port on which nothing listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_each_call_is_measured_by_its_operation(
    redis_coordination: RedisCoordination, live_metrics: LiveMetrics
) -> None:
    call_everything(redis_coordination)
    seen = live_metrics.read()
    assert {one.labels["operation"]: one.value for one in seen.series(COUNT)} == dict.fromkeys(MEASURED, 1)
    assert {one.labels["service"] for one in seen.series(COUNT)} == {"redis"}
    assert seen.series(ERRORS) == []


def test_calls_of_an_unreachable_redis_have_failed(closed_port: int, prefix: str, live_metrics: LiveMetrics) -> None:
    call_everything(RedisCoordination(parse(f"redis://127.0.0.1:{closed_port}/0"), prefix))
    seen = live_metrics.read()
    failed = {one.labels["operation"]: one.value for one in seen.series(ERRORS, code="queue_unavailable")}
    assert failed == dict.fromkeys(MEASURED | {"read_reports"}, 1)


def test_rate_limits_and_notifications_are_measured(redis_url: str, prefix: str, live_metrics: LiveMetrics) -> None:
    limits, notifier = RedisRateLimits(parse(redis_url), prefix), ChangeNotifier(parse(redis_url), key_prefix=prefix)
    limits.take("key", Rate(name="test", requests=10))
    notifier.publish(SubscriptionChanged(id="s1", version=1))
    limits.close()
    notifier.close()
    seen = live_metrics.read()
    assert {one.labels["operation"]: one.value for one in seen.series(COUNT)} == {"rate_limit": 1, "notify": 1}


def test_task_that_cannot_be_published_has_failed(closed_port: int, tmp_path: Path, live_metrics: LiveMetrics) -> None:
    app = build_celery(
        Settings(redis_url=f"redis://127.0.0.1:{closed_port}/0", database_url=f"sqlite:///{tmp_path}/no")
    )
    unknown: SimpleQueue[Delivery] = SimpleQueue()
    publisher = TaskPublisher(app, MemoryCoordination(), on_unknown=lambda deliveries: unknown.put(deliveries[0]))
    made = accumulator()
    fill(made, 0, [7])
    (delivery,) = made.ready(1e6)
    delivery.queue = FIRST
    publisher.start()
    publisher.publish([Outgoing(delivery, delivery.ref("ingest-1"), alone=False)])
    assert unknown.get(timeout=PATIENCE_S) is delivery
    publisher.stop(PATIENCE_S)
    app.close()
    seen = live_metrics.read()
    assert seen.value(ERRORS, service="redis", operation="publish", code="queue_unavailable") == 1
    assert seen.value(COUNT, service="redis", operation="publish") == 1
