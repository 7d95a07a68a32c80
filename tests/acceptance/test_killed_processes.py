"""Killed and stopped processes lose no record. Oracles as in test_delivery.py."""

import json
from collections.abc import Iterator

import pytest

from tests.acceptance.conftest import Starts
from tests.harness.pipeline import Pipeline
from tests.harness.receiver import OK, Receiver, slowly

SHORT_LEASE = {"WEBHOOKD_LEASE_S": "2", "WEBHOOKD_REQUEST_DEADLINE_S": "3", "WEBHOOKD_CLAIM_TIMEOUT_S": "3"}
RECORDS = 4_000
ANSWER_S = 0.01
"""Four lanes deliver at most 400 records a second, so that processes end while they deliver."""


@pytest.fixture(scope="module")
def pipeline(start_pipeline: Starts) -> Iterator[Pipeline]:
    """A service whose processes each test leaves running."""
    with start_pipeline(**SHORT_LEASE) as running:
        yield running


def records(count: int) -> list[bytes]:
    return [json.dumps({"n": n, "pad": "x" * 100}).encode() for n in range(count)]


def test_killed_worker_loses_nothing(pipeline: Pipeline) -> None:
    with Receiver(slowly(ANSWER_S)) as receiver:
        topic = pipeline.topic()
        pipeline.produce(topic, records(RECORDS))
        id_ = pipeline.subscribe(receiver.url, topic, start="earliest")
        receiver.wait_for_records(RECORDS // 5)
        pipeline.kill("worker")
        assert receiver.records < RECORDS
        receiver.answer = lambda _: OK
        pipeline.start("worker")
        receiver.wait_for_records(RECORDS)
        pipeline.wait_committed(id_, topic)
        assert receiver.out_of_order == 0


def test_killed_ingest_loses_nothing(start_pipeline: Starts) -> None:
    with (
        start_pipeline(**SHORT_LEASE, WEBHOOKD_KAFKA_GROUP_PROTOCOL="classic") as pipeline,
        Receiver(slowly(ANSWER_S)) as receiver,
    ):
        topic = pipeline.topic()
        pipeline.produce(topic, records(RECORDS))
        id_ = pipeline.subscribe(receiver.url, topic, start="earliest")
        receiver.wait_for_records(RECORDS // 5)
        pipeline.kill("ingest")
        assert receiver.records < RECORDS
        receiver.answer = lambda _: OK
        pipeline.start("ingest")
        receiver.wait_for_records(RECORDS)
        pipeline.wait_committed(id_, topic)
        assert receiver.out_of_order == 0


def test_terminated_processes_stop_by_themselves(pipeline: Pipeline) -> None:
    with Receiver(slowly(ANSWER_S)) as receiver:
        topic = pipeline.topic()
        pipeline.produce(topic, records(RECORDS))
        id_ = pipeline.subscribe(receiver.url, topic, start="earliest")
        receiver.wait_for_records(RECORDS // 5)
        assert pipeline.terminate("ingest") == 0
        assert pipeline.terminate("worker") == 0
        assert receiver.records < RECORDS
        receiver.answer = lambda _: OK
        pipeline.start("worker")
        pipeline.start("ingest")
        receiver.wait_for_records(RECORDS)
        pipeline.wait_committed(id_, topic)
        assert receiver.out_of_order == 0
