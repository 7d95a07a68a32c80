"""A worker process on a real Redis: what operators see of a delivery in progress, and what Redis holds meanwhile.

Oracles: `celery inspect`, and the raw keys in Redis. The endpoint responds only when the test says so.
"""

import base64
import json
import signal
from collections.abc import Iterator

import pytest

from tests.harness.hostile_server import OK
from tests.harness.pipeline import until
from tests.harness.running_worker import BODY, PATIENCE_S, SECRET, Endpoint, IngestStandIn, WorkerScene, worker_scene
from tests.harness.subscriptions import ID
from webhookd.flow.attempt.attempt_report import ReportKind
from workers.task_names import FIRST, RETRY

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def scene(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerScene]:
    """A running worker, its endpoint and the stand-in for ingest."""
    folder = tmp_path_factory.mktemp("worker")
    with worker_scene(redis_url, folder, WEBHOOKD_LEASE_S="60") as made, made.worker() as process:
        yield made
        assert process.interrupt(signal.SIGTERM) == 0


@pytest.fixture
def endpoint(scene: WorkerScene) -> Endpoint:
    """The endpoint of the subscription."""
    return scene.endpoint


@pytest.fixture
def ingest(scene: WorkerScene) -> IngestStandIn:
    """The stand-in for ingest."""
    return scene.ingest


def test_running_delivery_shows_no_body_and_no_secret(ingest: IngestStandIn, endpoint: Endpoint) -> None:
    delivery = ingest.publish(7)
    request = endpoint.requests.get(timeout=PATIENCE_S)
    (tasks,) = (ingest.app.control.inspect(timeout=2.0).active() or {}).values()
    endpoint.answers.put(OK)
    ingest.wait_for_report(delivery, ReportKind.FINISHED)
    assert (SECRET.encode() in request, BODY in request) == (True, True)
    ((shown,),) = (task["args"][0] for task in tasks)
    assert (shown["subscription"], [*shown["lanes"]], shown["records"]) == (ID, [delivery.lanes[0].name], 7)
    assert (SECRET in json.dumps(tasks), BODY.decode() in json.dumps(tasks)) == (False, False)


def test_running_delivery_makes_its_worker_busy(ingest: IngestStandIn, endpoint: Endpoint) -> None:
    (before,) = ingest.workers()
    delivery = ingest.publish(1)
    endpoint.requests.get(timeout=PATIENCE_S)
    until(lambda: [worker.busy for worker in ingest.workers()] == [1], "the heartbeat shows one busy thread")
    endpoint.answers.put(OK)
    ingest.wait_for_report(delivery, ReportKind.FINISHED)
    until(lambda: [worker.busy for worker in ingest.workers()] == [0], "the heartbeat shows no busy thread")
    (after,) = ingest.workers()
    assert (after.id, after.queues, after.threads) == (before.id, (FIRST,), 4)
    assert (after.since_began_s or 0.0) >= (after.since_ended_s or 0.0) > 0.0


def test_redis_holds_bodies_in_payloads_only(ingest: IngestStandIn, endpoint: Endpoint) -> None:
    delivery = ingest.publish(2)
    endpoint.requests.get(timeout=PATIENCE_S)
    kept = ingest.raw()
    endpoint.answers.put(OK)
    ingest.wait_for_report(delivery, ReportKind.FINISHED)
    payloads = {name for name in kept if name.startswith("payload:")}
    assert any(delivery.id.encode() in text for name, text in kept.items() if name.startswith("unacked"))
    assert {name for name, text in kept.items() if BODY in text} == payloads
    assert not [name for name, text in kept.items() if SECRET.encode() in text]


def test_finished_delivery_leaves_no_payload(ingest: IngestStandIn, endpoint: Endpoint) -> None:
    endpoint.answers.put(OK)
    delivery = ingest.publish(2)
    ingest.wait_for_report(delivery, ReportKind.FINISHED)
    endpoint.requests.get(timeout=PATIENCE_S)
    assert f"payload:{delivery.id}.0" not in ingest.raw()


def test_retry_goes_to_the_retry_queue_only(ingest: IngestStandIn, endpoint: Endpoint) -> None:
    endpoint.answers.put(BUSY)
    delivery = ingest.publish(3)
    report = ingest.wait_for_report(delivery, ReportKind.RETRY)
    endpoint.requests.get(timeout=PATIENCE_S)
    _, message = ingest.redis.blpop([f"{ingest._prefix}{RETRY}"], timeout=PATIENCE_S) or (b"", b"{}")
    retried = json.loads(message)
    assert report.wait_s > 0
    assert (retried["headers"]["task"], bool(retried["headers"]["eta"])) == ("webhookd.deliver", True)
    assert delivery.id.encode() in base64.b64decode(retried["body"])
    assert (ingest.queued(FIRST), ingest.queued(RETRY), ingest.lost) == ([], [], [])


def test_retry_shows_what_the_first_attempt_shows(ingest: IngestStandIn, endpoint: Endpoint) -> None:
    endpoint.answers.put(BUSY)
    delivery = ingest.publish(3)
    ingest.wait_for_report(delivery, ReportKind.RETRY)
    endpoint.requests.get(timeout=PATIENCE_S)
    _, message = ingest.redis.blpop([f"{ingest._prefix}{RETRY}"], timeout=PATIENCE_S) or (b"", b"{}")
    headers = json.loads(message)["headers"]
    assert headers["argsrepr"] == f"({ID} {delivery.lanes[0].name} 3 records)"
    assert delivery.lanes[0].epoch not in json.dumps(headers)
