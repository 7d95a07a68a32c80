"""A worker process on a real Redis: what operators see of a running delivery, and what lies in Redis meanwhile.

Oracles: `celery inspect`, and Redis' own keys read raw. The endpoint answers only when the test lets it.
"""

import base64
import json
import signal
from collections.abc import Iterator

import pytest

from tests.harness.hostile_server import OK
from tests.harness.pipeline import until
from tests.harness.running_worker import BODY, PATIENCE_S, SECRET, Endpoint, Ingest, WorkerStage, worker_stage
from tests.harness.subscriptions import ID
from webhookd.flow.attempt.attempt_report import ReportKind
from workers.task_names import FIRST, RETRY

BUSY = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def stage(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerStage]:
    """A running worker and those it deals with."""
    folder = tmp_path_factory.mktemp("worker")
    with worker_stage(redis_url, folder, WEBHOOKD_LEASE_S="60") as made, made.worker() as process:
        yield made
        assert process.interrupt(signal.SIGTERM) == 0


@pytest.fixture
def endpoint(stage: WorkerStage) -> Endpoint:
    """What the subscription's requests go to."""
    return stage.endpoint


@pytest.fixture
def ingest(stage: WorkerStage) -> Ingest:
    """The ingest process beside the worker."""
    return stage.ingest


def test_running_delivery_shows_no_body_and_no_secret(ingest: Ingest, endpoint: Endpoint) -> None:
    delivery = ingest.publish(7)
    request = endpoint.requests.get(timeout=PATIENCE_S)
    (tasks,) = (ingest.app.control.inspect(timeout=2.0).active() or {}).values()
    endpoint.answers.put(OK)
    ingest.hear_of(delivery, ReportKind.FINISHED)
    assert (SECRET.encode() in request, BODY in request) == (True, True)
    ((shown,),) = (task["args"][0] for task in tasks)
    assert (shown["subscription"], [*shown["lanes"]], shown["records"]) == (ID, [delivery.lanes[0].name], 7)
    assert (SECRET in json.dumps(tasks), BODY.decode() in json.dumps(tasks)) == (False, False)


def test_running_delivery_makes_its_worker_busy(ingest: Ingest, endpoint: Endpoint) -> None:
    (before,) = ingest.workers()
    delivery = ingest.publish(1)
    endpoint.requests.get(timeout=PATIENCE_S)
    until(lambda: [worker.busy for worker in ingest.workers()] == [1], "the worker has said so")
    endpoint.answers.put(OK)
    ingest.hear_of(delivery, ReportKind.FINISHED)
    until(lambda: [worker.busy for worker in ingest.workers()] == [0], "and that it is not any more")
    (after,) = ingest.workers()
    assert (after.id, after.queues, after.threads) == (before.id, (FIRST,), 4)
    assert (after.since_began_s or 0.0) >= (after.since_ended_s or 0.0) > 0.0


def test_redis_holds_bodies_in_payloads_only(ingest: Ingest, endpoint: Endpoint) -> None:
    delivery = ingest.publish(2)
    endpoint.requests.get(timeout=PATIENCE_S)
    kept = ingest.raw()
    endpoint.answers.put(OK)
    ingest.hear_of(delivery, ReportKind.FINISHED)
    payloads = {name for name in kept if name.startswith("payload:")}
    assert any(delivery.id.encode() in text for name, text in kept.items() if name.startswith("unacked"))
    assert {name for name, text in kept.items() if BODY in text} == payloads
    assert not [name for name, text in kept.items() if SECRET.encode() in text]


def test_finished_delivery_leaves_no_payload(ingest: Ingest, endpoint: Endpoint) -> None:
    endpoint.answers.put(OK)
    delivery = ingest.publish(2)
    ingest.hear_of(delivery, ReportKind.FINISHED)
    endpoint.requests.get(timeout=PATIENCE_S)
    assert f"payload:{delivery.id}.0" not in ingest.raw()


def test_retry_goes_to_the_retry_queue_only(ingest: Ingest, endpoint: Endpoint) -> None:
    endpoint.answers.put(BUSY)
    delivery = ingest.publish(3)
    report = ingest.hear_of(delivery, ReportKind.RETRY)
    endpoint.requests.get(timeout=PATIENCE_S)
    _, message = ingest.redis.blpop([f"{ingest._prefix}{RETRY}"], timeout=PATIENCE_S) or (b"", b"{}")
    retried = json.loads(message)
    assert report.wait_s > 0
    assert (retried["headers"]["task"], bool(retried["headers"]["eta"])) == ("webhookd.deliver", True)
    assert delivery.id.encode() in base64.b64decode(retried["body"])
    assert (ingest.queued(FIRST), ingest.queued(RETRY), ingest.lost) == ([], [], [])


def test_retry_shows_what_the_first_attempt_shows(ingest: Ingest, endpoint: Endpoint) -> None:
    endpoint.answers.put(BUSY)
    delivery = ingest.publish(3)
    ingest.hear_of(delivery, ReportKind.RETRY)
    endpoint.requests.get(timeout=PATIENCE_S)
    _, message = ingest.redis.blpop([f"{ingest._prefix}{RETRY}"], timeout=PATIENCE_S) or (b"", b"{}")
    headers = json.loads(message)["headers"]
    assert headers["argsrepr"] == f"({ID} {delivery.lanes[0].name} 3 records)"
    assert delivery.lanes[0].epoch not in json.dumps(headers)
