"""The line of a delivery, levels of single modules, and debug for a while, in real processes.

Oracles: the requests that the receiver got, the table of docs/reference/log-events.md, and Python's JSON parser over
every line. Real: every process and every service.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from documentation.reference.log_events import line_fields
from tests.acceptance.conftest import Starts
from tests.harness.pipeline import Pipeline, until
from tests.harness.receiver import OK, Receiver, Request, status
from webhookd.testing.http_endpoint import Answer

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "reference" / "log-events.md").read_text(encoding="utf-8")
OF_EVERY_LINE = {"event", "level", "timestamp", "module"}
API_WORKERS = 2
DELIVERED = ["delivered"]
ENDED = ["delivered", "attempt_failed"]


@pytest.fixture(scope="module")
def pipeline(start_pipeline: Starts) -> Iterator[Pipeline]:
    """A service whose ingest loop logs warnings only, and whose worker logs at info."""
    with start_pipeline(WEBHOOKD_LOG_LEVELS="workers.ingest=warning,librdkafka=error") as running:
        yield running


def ends_of(pipeline: Pipeline, id_: str, events: list[str]) -> list[dict[str, Any]]:
    """The worker's lines about ended deliveries of a subscription."""
    return [line for line in pipeline.lines("worker") if line.get("subscription") == id_ and line["event"] in events]


def count_of(pipeline: Pipeline, name: str, event: str) -> int:
    """How often a process has logged the event."""
    return sum(line["event"] == event for line in pipeline.lines(name))


def failing_once() -> Callable[[Request], Answer]:
    """What answers the first request with 503."""
    answers = iter([status(503)])
    return lambda _request: next(answers, OK)


def test_line_of_a_delivery_says_what_the_receiver_got(pipeline: Pipeline) -> None:
    topic = pipeline.topic(1)
    pipeline.produce(topic, [b'{"id": 1}', b'{"id": 2}', b'{"id": 3}'], partitions=1)
    with Receiver(failing_once()) as receiver:
        id_ = pipeline.subscribe(f"{receiver.url}?token=of-the-query", topic, start="earliest", size=3)
        receiver.wait_for_records(3)
        until(lambda: len(ends_of(pipeline, id_, ENDED)) == len(receiver.requests), "each request has its line")
    failed, delivered = ends_of(pipeline, id_, ENDED)
    refused, taken = receiver.requests
    assert (failed["event"], delivered["event"]) == ("attempt_failed", "delivered")
    assert [line["webhook_id"] for line in (failed, delivered)] == [
        request.headers["webhook-id"] for request in (refused, taken)
    ]
    facts = ("code", "status", "refused", "failures", "failed_records", "failed_bytes", "records", "bytes", "attempt")
    assert [failed[name] for name in facts] == ["http_503", 503, None, 1, 3, len(refused.body), 0, 0, 0]
    assert failed["retry_in_s"] > 0
    assert [delivered.get(name) for name in facts] == [None, 200, None, None, None, None, 3, len(taken.body), 1]
    assert {(line["host"], line["tenant"], line["version"]) for line in (failed, delivered)} == {
        ("127.0.0.1", "default", 1)
    }
    assert [line["lanes"] for line in (failed, delivered)] == [[f"{topic}/0"]] * 2
    assert failed["delivery"] == delivered["delivery"]
    assert "of-the-query" not in pipeline.log("worker")


def test_line_of_a_delivery_has_the_documented_fields(pipeline: Pipeline) -> None:
    lines = [line for line in pipeline.lines("worker") if line["event"] in ENDED]
    assert {line["event"] for line in lines} == set(ENDED)
    for line in lines:
        always, sometimes = line_fields(PAGE, line["event"])
        assert always - {"sample_ratio"} <= line.keys() - OF_EVERY_LINE <= always | sometimes
    workers = pipeline.ask("GET", "/health")["workers"]
    assert {line["worker"] for line in lines} == {worker["id"] for worker in workers}


def test_level_of_a_module_counts_for_it_alone(pipeline: Pipeline) -> None:
    lines = pipeline.lines("ingest")
    assert "settings" in {line["event"] for line in lines}  # at info, of another module
    assert [
        line for line in lines if line.get("module", "").startswith("workers.ingest") and line["level"] == "info"
    ] == []
    assert count_of(pipeline, "worker", "delivered") > 0


def test_signal_switches_each_process_to_debug_and_back(pipeline: Pipeline) -> None:
    processes = {"api": API_WORKERS, "ingest": 1, "worker": 1}
    topic = pipeline.topic(1)
    with Receiver() as receiver:
        id_ = pipeline.subscribe(receiver.url, topic)
        attempts = []
        for number, event in enumerate(("debug_switched_on", "debug_switched_off"), 1):
            for name, count in processes.items():
                pipeline.switch_debug(name)
                until(partial(has_logged, pipeline, name, event, count), f"{name} logs {event}")
            before = count_of(pipeline, "worker", "attempt")
            pipeline.produce(topic, [b"{}"], partitions=1)
            receiver.wait_for_records(number)
            until(partial(has_ended, pipeline, id_, number), "the delivery has its line")
            attempts.append(count_of(pipeline, "worker", "attempt") - before)
    assert attempts == [1, 0]
    assert [line["by"] for line in pipeline.lines("ingest") if line["event"] == "debug_switched_off"] == ["signal"]
    assert pipeline.ask("GET", "/ready")  # the same API answers: gunicorn has not started a second one
    assert sum("Starting gunicorn" in line["event"] for line in pipeline.lines("api")) == 1


def test_debug_ends_by_itself_and_a_share_of_the_deliveries_is_logged(pipeline: Pipeline) -> None:
    pipeline.terminate("worker")
    pipeline.start("worker-2", WEBHOOKD_LOG_DEBUG_S="1", WEBHOOKD_LOG_DELIVERED_RATIO="0")
    until(partial(has_logged, pipeline, "worker-2", "worker_ready", 1), "the second worker is ready")
    topic = pipeline.topic(1)
    pipeline.produce(topic, [b"{}"], partitions=1)
    with Receiver(failing_once()) as receiver:
        pipeline.subscribe(receiver.url, topic, start="earliest")
        receiver.wait_for_records(1)
        until(partial(has_logged, pipeline, "worker-2", "attempt_failed", 1), "the failed attempt is logged")
    pipeline.switch_debug("worker-2")
    until(partial(has_logged, pipeline, "worker-2", "debug_switched_off", 1), "debug ends")
    assert [line["by"] for line in pipeline.lines("worker-2") if line["event"] == "debug_switched_off"] == ["time"]
    assert pipeline.terminate("worker-2") == 0
    assert count_of(pipeline, "worker-2", "delivered") == 0


def has_logged(pipeline: Pipeline, name: str, event: str, count: int) -> bool:
    """Whether the process has logged the event so often."""
    return count_of(pipeline, name, event) >= count


def has_ended(pipeline: Pipeline, id_: str, deliveries: int) -> bool:
    """Whether the worker has logged the end of so many deliveries."""
    return len(ends_of(pipeline, id_, DELIVERED)) >= deliveries
